/*
 * A core without KVM: what the parts of vmm-core that face the guest need around them.
 *
 * The program is linked with -Wl,--wrap=ioctl; requests on the VM's descriptor are answered here and the
 * others go to the kernel. Bytes that are written to port 0xcf9 are counted.
 */
#ifndef ATOLL_TESTS_UNIT_FAKE_CORE_H
#define ATOLL_TESTS_UNIT_FAKE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/machine/core.h"

#define FAKE_EVENTFDS_MAX 256
#define FAKE_VCPUS	  64

struct fake_ioeventfd {
	uint64_t address;
	uint32_t length;
	int fd;
};

struct fake_irqfd {
	uint32_t gsi;
	int fd;
};

struct fake_kvm {
	struct fake_ioeventfd ioeventfds[FAKE_EVENTFDS_MAX];
	unsigned ioeventfd_count;
	struct fake_irqfd irqfds[FAKE_EVENTFDS_MAX];
	unsigned irqfd_count;
	unsigned routings; /* times that the table was set */
	unsigned route_count;
	int fail_routing;	 /* errno of the next KVM_SET_GSI_ROUTING; 0: it works */
	unsigned reset_controls; /* bytes written to port 0xcf9 */
};
extern struct fake_kvm fake_kvm;

/* RAM of 16 MiB, an exit router for FAKE_VCPUS vCPUs, an interrupt router, a bus. */
void fake_core_new(struct core *core);
void fake_core_free(struct core *core);

/* The MSI route of a GSI, or false. */
bool fake_msi_route(uint32_t gsi, uint64_t *address, uint32_t *data);
/* The ioeventfd at an address, or -1. */
int fake_ioeventfd_at(uint64_t address);
/* The GSI that an eventfd raises without us, or -1. */
int fake_irqfd_of(int eventfd);

/* Accesses as a vCPU makes them; each thread is one of its own. */
uint32_t guest_read(struct core *core, uint64_t address, unsigned size);
void guest_write(struct core *core, uint64_t address, uint64_t value, unsigned size);
uint32_t guest_in(struct core *core, uint16_t port, unsigned size);
void guest_out(struct core *core, uint16_t port, uint32_t value, unsigned size);
/* Configuration space through ECAM. */
uint32_t guest_config_read(struct core *core, unsigned slot, unsigned offset, unsigned size);
void guest_config_write(struct core *core, unsigned slot, unsigned offset, uint32_t value, unsigned size);

#endif
