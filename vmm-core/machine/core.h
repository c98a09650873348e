/*
 * The core of one VM: what the folder's parts share.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_CORE_H
#define ATOLL_VMM_CORE_MACHINE_CORE_H

#include "vmm-core/machine/exit_router.h"
#include "vmm-core/machine/guest_ram.h"
#include "vmm-core/machine/irq_router.h"
#include "vmm-core/machine/run_end.h"

struct attendants;
struct eventfd_pool;
struct inflight_pool;
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
	struct run_end end;
	/* What devices that are attached later are made of, once the core is about to seal itself; NULL before: what is
	 * needed is made. */
	struct attendants *attendants;
	struct eventfd_pool *eventfds;
	struct inflight_pool *inflights;
};

#endif
