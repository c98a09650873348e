/*
 * What the guest's CPUs say they are: the host's answer (KVM_GET_SUPPORTED_CPUID), as far as it is listed to
 * pass, edited for one vCPU.
 *
 * Sources: Intel SDM volume 2A, CPUID; AMD APM volume 3 appendix E; Linux
 * Documentation/virt/kvm/x86/cpuid.rst; the leaf 0x40000010 as VMware and KVM guests read it.
 */
#ifndef ATOLL_VMM_CORE_KVM_CPUID_H
#define ATOLL_VMM_CORE_KVM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* Entries that cpuid_adjust() may add to a table. */
#define CPUID_ENTRIES_ADDED 8

struct cpuid_guest {
	unsigned apic_id; /* of this vCPU; ids are 0 to cpus - 1 */
	unsigned cpus;	  /* cores of one socket, one thread each */
	bool tsc_deadline;
	uint32_t tsc_khz; /* 0: unknown */
};

/* The host's table, allocated with room for what cpuid_adjust() adds; free() it. 0 or -errno. */
int cpuid_read_supported(int kvm_fd, struct kvm_cpuid2 **table);

/* How many bits a guest-physical address may have on this host, 36 to 52; from a table that is as KVM gave it or
 * adjusted. A host that does not tell has 36, as each with PAE has. */
unsigned cpuid_physical_bits(const struct kvm_cpuid2 *table);

/* Edits a table that has room for CPUID_ENTRIES_ADDED more entries. May be applied again for another vCPU. */
void cpuid_adjust(struct kvm_cpuid2 *table, const struct cpuid_guest *guest);

#endif
