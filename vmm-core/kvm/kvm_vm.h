/*
 * The VM as KVM knows it: what the host can do, and the VM with its in-kernel interrupt controllers.
 */
#ifndef ATOLL_VMM_CORE_KVM_KVM_VM_H
#define ATOLL_VMM_CORE_KVM_KVM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a host may lack without a guest being worse off than slower. */
struct vm_features {
	bool tsc_deadline;	/* the local APIC's timer can count TSC ticks */
	bool tsc_frequency;	/* KVM tells the TSC's frequency */
	size_t run_size;	/* of a vCPU's shared page */
	unsigned physical_bits; /* of a guest-physical address */
};

/*
 * Checks kvm_fd for what a VM of so many CPUs needs, creates it with PIC, IOAPIC and local APICs in the
 * kernel. 0 with *vm_fd the caller's; else -errno after a log record that says what is missing and what
 * helps. Optional capabilities that are missing are named in one log line.
 */
int vm_create(int kvm_fd, unsigned cpus, struct vm_features *features, int *vm_fd);

/* Whether RAM that ends at ram_end has addresses on this host: 0, or -EFBIG (logged). */
int vm_check_memory(const struct vm_features *features, uint64_t ram_end);

#endif
