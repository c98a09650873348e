/*
 * CPUID; see cpuid.h.
 *
 * KVM's answer describes what the host supports, with the topology of the host's CPU that answered. Topology
 * leaves are rewritten whole: one socket, cpus cores, one thread a core, APIC ids from 0. Nested
 * virtualization is taken away: a guest that needs it has another hypervisor to ask, and KVM's nested code is
 * a large thing to attack.
 */
#include "vmm-core/cpuid.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CPUID_ENTRIES_START 96
#define CPUID_ENTRIES_MAX   1024

enum cpuid_leaf {
	LEAF_VENDOR = 0x0,
	LEAF_FEATURES = 0x1,
	LEAF_CACHES = 0x4,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_KVM = 0x40000000,
	LEAF_HYPERVISOR_TIMING = 0x40000010,
	LEAF_AMD_FEATURES = 0x80000001,
	LEAF_AMD_SIZES = 0x80000008,
	LEAF_AMD_SVM = 0x8000000a,
	LEAF_AMD_CACHES = 0x8000001d,
	LEAF_AMD_TOPOLOGY = 0x8000001e,
};

#define FEATURES_ECX_VMX	  (UINT32_C(1) << 5)
#define FEATURES_ECX_TSC_DEADLINE (UINT32_C(1) << 24)
#define FEATURES_ECX_OSXSAVE	  (UINT32_C(1) << 27)
#define FEATURES_ECX_HYPERVISOR	  (UINT32_C(1) << 31)
#define FEATURES_EDX_HTT	  (UINT32_C(1) << 28)
#define AMD_ECX_CMP_LEGACY	  (UINT32_C(1) << 1)
#define AMD_ECX_SVM		  (UINT32_C(1) << 2)
#define TOPOLOGY_LEVEL_SMT	  1
#define TOPOLOGY_LEVEL_CORE	  2
#define CACHE_LEVEL(eax)	  (((eax) >> 5) & 7)
#define CACHE_SHARED_LEVEL	  3
#define LAPIC_BUS_KHZ		  1000000 /* KVM's local APIC timer counts nanoseconds */

int cpuid_read_supported(int kvm_fd, struct kvm_cpuid2 **table)
{
	for (uint32_t room = CPUID_ENTRIES_START; room <= CPUID_ENTRIES_MAX; room *= 2) {
		struct kvm_cpuid2 *new_table = calloc(
			1, sizeof(*new_table) + (room + CPUID_ENTRIES_ADDED) * sizeof(new_table->entries[0]));
		int result;

		if (new_table == NULL)
			return -ENOMEM;
		new_table->nent = room;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, new_table) == 0) {
			*table = new_table;
			return 0;
		}
		result = -errno;
		free(new_table);
		if (result != -E2BIG)
			return result;
	}
	return -E2BIG;
}

static struct kvm_cpuid_entry2 *cpuid_find(struct kvm_cpuid2 *table, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];

		if (entry->function == leaf &&
		    ((entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0 || entry->index == subleaf))
			return entry;
	}
	return NULL;
}

static void cpuid_remove(struct kvm_cpuid2 *table, uint32_t leaf)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function != leaf)
			table->entries[kept++] = table->entries[i];
	table->nent = kept;
}

static void cpuid_add(struct kvm_cpuid2 *table, const struct kvm_cpuid_entry2 *entry)
{
	table->entries[table->nent++] = *entry;
}

/* Bits that hold ids 0 to count - 1. */
static uint32_t id_bits(unsigned count)
{
	return count <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(count - 1);
}

static void cpuid_adjust_features(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(table, LEAF_FEATURES, 0);

	if (entry == NULL)
		return;
	/* Initial APIC id, count of ids in the socket; the CLFLUSH size stays. */
	entry->ebx = (entry->ebx & 0xffff) | (guest->cpus & 0xff) << 16 | guest->apic_id << 24;
	entry->ecx |= FEATURES_ECX_HYPERVISOR;
	/* KVM sets OSXSAVE when the guest sets CR4.OSXSAVE. */
	entry->ecx &= ~(FEATURES_ECX_VMX | FEATURES_ECX_OSXSAVE | FEATURES_ECX_TSC_DEADLINE);
	entry->edx &= ~FEATURES_EDX_HTT;
	if (guest->tsc_deadline)
		entry->ecx |= FEATURES_ECX_TSC_DEADLINE;
	if (guest->cpus > 1)
		entry->edx |= FEATURES_EDX_HTT;
}

/* Leaves 0xb and 0x1f: levels SMT and core, then an empty one that ends the list. */
static void cpuid_write_topology(struct kvm_cpuid2 *table, uint32_t leaf, const struct cpuid_guest *guest)
{
	struct kvm_cpuid_entry2 entry = {
		.function = leaf, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .edx = guest->apic_id};

	cpuid_remove(table, leaf);
	entry.ebx = 1;
	entry.ecx = TOPOLOGY_LEVEL_SMT << 8;
	cpuid_add(table, &entry);
	entry.index = 1;
	entry.eax = id_bits(guest->cpus);
	entry.ebx = guest->cpus;
	entry.ecx = 1 | TOPOLOGY_LEVEL_CORE << 8;
	cpuid_add(table, &entry);
	entry.index = 2;
	entry.eax = 0;
	entry.ebx = 0;
	entry.ecx = 2;
	cpuid_add(table, &entry);
}

static void cpuid_adjust_topology(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	const struct kvm_cpuid_entry2 *vendor = cpuid_find(table, LEAF_VENDOR, 0);
	uint32_t last = vendor != NULL ? vendor->eax : 0;

	if (last >= LEAF_TOPOLOGY)
		cpuid_write_topology(table, LEAF_TOPOLOGY, guest);
	if (last >= LEAF_TOPOLOGY_V2)
		cpuid_write_topology(table, LEAF_TOPOLOGY_V2, guest);
}

/* Leaves 4 and 0x8000001d: the last level is shared by all cores, the others by none. */
static void cpuid_adjust_caches(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	for (uint32_t i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &table->entries[i];
		uint32_t sharing;

		if ((entry->function != LEAF_CACHES && entry->function != LEAF_AMD_CACHES) ||
		    (entry->eax & 0x1f) == 0)
			continue;
		sharing = CACHE_LEVEL(entry->eax) >= CACHE_SHARED_LEVEL ? guest->cpus - 1 : 0;
		entry->eax = (entry->eax & 0x3fff) | sharing << 14;
		if (entry->function == LEAF_CACHES)
			entry->eax |= ((guest->cpus - 1) & 0x3f) << 26;
	}
}

static void cpuid_adjust_amd(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	const struct kvm_cpuid_entry2 *vendor = cpuid_find(table, LEAF_VENDOR, 0);
	bool is_intel = vendor != NULL && vendor->ecx == 0x6c65746e; /* "ntel" */
	struct kvm_cpuid_entry2 *entry = cpuid_find(table, LEAF_AMD_FEATURES, 0);

	if (entry != NULL) {
		entry->ecx &= ~(AMD_ECX_SVM | AMD_ECX_CMP_LEGACY);
		if (!is_intel && guest->cpus > 1)
			entry->ecx |= AMD_ECX_CMP_LEGACY;
	}
	cpuid_remove(table, LEAF_AMD_SVM);
	entry = cpuid_find(table, LEAF_AMD_SIZES, 0);
	if (entry != NULL && !is_intel)
		entry->ecx = (entry->ecx & ~UINT32_C(0xf0ff)) | ((guest->cpus - 1) & 0xff) |
			     id_bits(guest->cpus) << 12;
	entry = cpuid_find(table, LEAF_AMD_TOPOLOGY, 0);
	if (entry != NULL) {
		entry->eax = guest->apic_id;
		entry->ebx = guest->apic_id; /* core id; one thread a core */
		entry->ecx = 0;		     /* node 0 of one */
		entry->edx = 0;
	}
}

/* KVM's own leaves: KVM says what of its interface it has; we add the frequencies. */
static void cpuid_adjust_hypervisor(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(table, LEAF_KVM, 0);
	struct kvm_cpuid_entry2 timing = {
		.function = LEAF_HYPERVISOR_TIMING, .eax = guest->tsc_khz, .ebx = LAPIC_BUS_KHZ};

	cpuid_remove(table, LEAF_HYPERVISOR_TIMING);
	if (entry == NULL || guest->tsc_khz == 0)
		return;
	cpuid_find(table, LEAF_KVM, 0)->eax = LEAF_HYPERVISOR_TIMING;
	cpuid_add(table, &timing);
}

void cpuid_adjust(struct kvm_cpuid2 *table, const struct cpuid_guest *guest)
{
	cpuid_adjust_features(table, guest);
	cpuid_adjust_topology(table, guest);
	cpuid_adjust_caches(table, guest);
	cpuid_adjust_amd(table, guest);
	cpuid_adjust_hypervisor(table, guest);
}
