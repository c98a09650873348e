/*
 * The core of one VM: what the folder's parts share, and how they tell the main thread that the run is over.
 */
#ifndef ATOLL_VMM_CORE_CORE_H
#define ATOLL_VMM_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.pb-c.h"
#include "vmm-core/exit_router.h"
#include "vmm-core/guest_ram.h"
#include "vmm-core/irq_router.h"

struct loop;
struct pci_bus;

struct core {
	const char *vm;	   /* its name */
	struct loop *loop; /* of the main thread */
	int kvm_fd;
	int vm_fd;
	unsigned cpus;
	struct guest_ram ram;
	struct irq_router *irqs;
	struct exit_router *router;
	struct pci_bus *pci;
};

/*
 * Ends the run: the first call wins, stops the vCPUs, and is reported to the supervisor as GuestEvent. From
 * any thread; returns at once. detail is copied and may be NULL.
 */
void core_end(struct core *core, Atoll__Control__GuestEvent__Kind kind, unsigned status, const char *detail);

#endif
