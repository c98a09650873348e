/*
 * The core of one VM: what the folder's parts share.
 */
#ifndef ATOLL_VMM_CORE_CORE_H
#define ATOLL_VMM_CORE_CORE_H

#include "vmm-core/exit_router.h"
#include "vmm-core/guest_ram.h"
#include "vmm-core/irq_router.h"
#include "vmm-core/run_end.h"

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
};

#endif
