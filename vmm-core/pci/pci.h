/*
 * PCI: one bus with a host bridge at 00.0 and functions behind it, reached through ECAM and ports 0xcf8 and
 * 0xcfc.
 *
 * A function is a struct embedded in its device. It has a configuration space with a mask of what the guest
 * may write, a list of capabilities, and at most one memory BAR (64 bits wide), which is claimed at the exit
 * router while the guest has memory decoding on and follows it when the guest moves it. BARs are placed when
 * a function is added, because no firmware does it.
 *
 * Functions are added and removed on the main thread, whether vCPUs run or not. Configuration accesses come from vCPU
 * threads and are serialised by a lock of the function.
 *
 * Sources: PCI Local Bus 3.0, 3.2.2.3.2 (0xcf8) and 6.2; PCI Express 3.0, 7.2.2 (ECAM).
 */
#ifndef ATOLL_VMM_CORE_PCI_PCI_H
#define ATOLL_VMM_CORE_PCI_PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/machine/core.h"
#include "vmm-core/pci/pci_spec.h"

#define PCI_SLOTS 32

struct pci_bus;
struct pci_function;

struct pci_function_ops {
	/* Accesses to the BAR; owner is the function's device. */
	struct exit_ops bar;
	/* The BAR is at address now (claimed), or nowhere (address 0). The function's lock is held. May be
	 * NULL. */
	void (*bar_moved)(void *device, uint64_t address);
	/* The guest is about to read, or has written, [offset, +size) of the configuration space: size 1, 2
	 * or 4, inside one dword. The function's lock is held. May be NULL. */
	void (*config_read)(void *device, unsigned offset, unsigned size);
	void (*config_written)(void *device, unsigned offset, unsigned size);
};

struct pci_function {
	const struct pci_function_ops *ops;
	void *device;
	const char *name; /* for the exit router's counters */
	struct pci_bus *bus;
	unsigned slot;
	unsigned accesses; /* to its configuration space, under way; under the bus's lock */
	pthread_mutex_t lock;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* a mask of bits */
	uint8_t capability_end;		   /* where the next capability goes */
	uint8_t capability_last;	   /* 0: none yet */
	uint64_t bar_size;		   /* 0: no BAR */
	uint64_t bar_address;		   /* where it is claimed; 0: nowhere */
	uint64_t bar_placed;		   /* where it was placed when the function was added */
};

/* Claims ECAM and the two ports; puts the host bridge in. 0 or -errno. */
int pci_bus_new(struct core *core, struct pci_bus **bus);
/* Who takes bytes that are written to port 0xcf9, which lies inside the configuration address register (0xcf8, which
 * takes 4-byte accesses alone): called by vCPU threads. Before vCPUs run. */
void pci_bus_on_reset_control(struct pci_bus *bus, void (*write)(void *owner, uint8_t value), void *owner);
/* The functions have been removed and no vCPU runs. */
void pci_bus_free(struct pci_bus *bus);

/* Fills in the header of a function. class_code: 24 bits, as in the specification's appendix D. */
void pci_function_init(struct pci_function *function, const struct pci_function_ops *ops, void *device,
		       const char *name, uint16_t vendor, uint16_t device_id, uint32_t class_code,
		       uint8_t revision, uint16_t subsystem_vendor, uint16_t subsystem);
/* Gives it BAR 0 (and 1): 64-bit memory, size a power of two of at least 4 KiB. */
void pci_function_set_bar(struct pci_function *function, uint64_t size);
/* Appends a capability of `size` bytes with this identifier; returns its offset, 0 when there is no room. */
unsigned pci_function_add_capability(struct pci_function *function, uint8_t id, unsigned size);

/* Puts the function, with all that belongs to it, into the next free slot, and places its BAR. 0, -ENOSPC. */
int pci_bus_add(struct pci_bus *bus, struct pci_function *function);
/*
 * Takes it out: its slot and its BAR read as ones. On return no vCPU is in a call of its ops, and none will be. It waits for
 * those that are, so nothing that they wait for is the caller's; they wait for no process any more (device_link_leave()).
 */
void pci_bus_remove(struct pci_bus *bus, struct pci_function *function);

/* Little-endian fields of a configuration space. */
uint32_t pci_config_get(const struct pci_function *function, unsigned offset, unsigned size);
void pci_config_set(struct pci_function *function, unsigned offset, unsigned size, uint32_t value);

#endif
