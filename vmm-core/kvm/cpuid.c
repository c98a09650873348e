/*
 * CPUID; see cpuid.h.
 *
 * KVM's answer describes what the host supports, with the topology of the host's CPU that answered. Of its
 * leaves those pass that are in leaves_passed[]; all others read as zeros, the ones included that a later KVM
 * or processor brings. Topology leaves are rewritten whole: one socket, cpus cores, one thread a core, APIC ids
 * from 0. Nested virtualization, SGX and processor trace are taken away: a guest that needs them has another
 * hypervisor to ask, and KVM's code for them is a large thing to attack.
 */
#include "vmm-core/kvm/cpuid.h"

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
	LEAF_DESCRIPTORS = 0x2,
	LEAF_CACHES = 0x4,
	LEAF_POWER = 0x6,
	LEAF_MORE_FEATURES = 0x7,
	LEAF_PERFORMANCE = 0xa,
	LEAF_TOPOLOGY = 0xb,
	LEAF_STATE = 0xd,
	LEAF_TILES = 0x1d,
	LEAF_TILE_MULTIPLY = 0x1e,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEAF_VECTORS = 0x24,
	LEAF_KVM = 0x40000000,
	LEAF_KVM_FEATURES = 0x40000001,
	LEAF_HYPERVISOR_TIMING = 0x40000010,
	LEAF_EXTENDED = 0x80000000,
	LEAF_AMD_FEATURES = 0x80000001,
	LEAF_BRAND_FIRST = 0x80000002,
	LEAF_BRAND_LAST = 0x80000004,
	LEAF_AMD_L1 = 0x80000005,
	LEAF_AMD_L2 = 0x80000006,
	LEAF_INVARIANT_TSC = 0x80000007,
	LEAF_AMD_SIZES = 0x80000008,
	LEAF_AMD_LARGE_TLB = 0x80000019,
	LEAF_AMD_OPTIMIZATION = 0x8000001a,
	LEAF_AMD_CACHES = 0x8000001d,
	LEAF_AMD_TOPOLOGY = 0x8000001e,
	LEAF_AMD_MORE_FEATURES = 0x80000021,
	LEAF_AMD_PERFORMANCE = 0x80000022,
};

/*
 * What passes from KVM to the guest, and why. Not here, among others: 0x5 (MONITOR, which KVM traps), 0xf and
 * 0x10 (resource control), 0x12 (SGX) and 0x14 (trace), whose bits are cleared too, 0x21 (TDX), 0x8000000a (SVM),
 * 0x8000001b (sampling), and 0x8000001f: where it tells of SEV, Linux's decompressor reads MSR 0xc0010131, which no
 * guest of ours has.
 */
static const struct {
	uint32_t first;
	uint32_t last;
} leaves_passed[] = {
	{LEAF_VENDOR, LEAF_VENDOR},		  /* who made it, and the last leaf */
	{LEAF_FEATURES, LEAF_FEATURES},		  /* without it there is no processor; edited */
	{LEAF_DESCRIPTORS, LEAF_DESCRIPTORS},	  /* caches and TLBs: cacheinfo, tuned libraries */
	{LEAF_CACHES, LEAF_CACHES},		  /* the same; edited */
	{LEAF_POWER, LEAF_POWER},		  /* that the APIC's timer never stops (ARAT) */
	{LEAF_MORE_FEATURES, LEAF_MORE_FEATURES}, /* instructions and mitigations; edited */
	{LEAF_PERFORMANCE, LEAF_PERFORMANCE},	  /* counters: perf, and the watchdog for hard lockups */
	{LEAF_TOPOLOGY, LEAF_TOPOLOGY},		  /* ours */
	{LEAF_STATE, LEAF_STATE},		  /* sizes and places of what XSAVE saves */
	{LEAF_TILES, LEAF_TILE_MULTIPLY},	  /* what AMX's bits in leaf 7 refer to */
	{LEAF_TOPOLOGY_V2, LEAF_TOPOLOGY_V2},	  /* ours */
	{LEAF_VECTORS, LEAF_VECTORS},		  /* what AVX10's bit in leaf 7 refers to */
	{LEAF_KVM, LEAF_KVM_FEATURES},		  /* kvmclock, asynchronous page faults, and the like */
	{LEAF_HYPERVISOR_TIMING, LEAF_HYPERVISOR_TIMING}, /* ours */
	{LEAF_EXTENDED, LEAF_EXTENDED},			  /* the last leaf of this range */
	{LEAF_AMD_FEATURES, LEAF_AMD_FEATURES},		  /* long mode, NX; edited */
	{LEAF_BRAND_FIRST, LEAF_BRAND_LAST},		  /* the processor's name */
	{LEAF_AMD_L1, LEAF_AMD_L2},			  /* caches and TLBs */
	{LEAF_INVARIANT_TSC, LEAF_INVARIANT_TSC},	  /* whether the TSC may be a clock */
	{LEAF_AMD_SIZES, LEAF_AMD_SIZES},		  /* address widths, mitigations; edited */
	{LEAF_AMD_LARGE_TLB, LEAF_AMD_OPTIMIZATION},	  /* TLBs of 1 GiB pages; what is fast */
	{LEAF_AMD_CACHES, LEAF_AMD_TOPOLOGY},		  /* edited */
	{LEAF_AMD_MORE_FEATURES, LEAF_AMD_MORE_FEATURES}, /* mitigations that are not needed */
	{LEAF_AMD_PERFORMANCE, LEAF_AMD_PERFORMANCE},	  /* counters */
};

#define FEATURES_ECX_VMX	  (UINT32_C(1) << 5)
#define FEATURES_ECX_TSC_DEADLINE (UINT32_C(1) << 24)
#define FEATURES_ECX_OSXSAVE	  (UINT32_C(1) << 27)
#define FEATURES_ECX_HYPERVISOR	  (UINT32_C(1) << 31)
#define FEATURES_EDX_HTT	  (UINT32_C(1) << 28)
#define POWER_EAX_ARAT		  (UINT32_C(1) << 2)
#define MORE_EBX_SGX		  (UINT32_C(1) << 2)
#define MORE_EBX_TRACE		  (UINT32_C(1) << 25)
#define MORE_ECX_SGX_LAUNCH	  (UINT32_C(1) << 30)
#define AMD_ECX_CMP_LEGACY	  (UINT32_C(1) << 1)
#define AMD_ECX_SVM		  (UINT32_C(1) << 2)
#define TOPOLOGY_LEVEL_SMT	  1
#define TOPOLOGY_LEVEL_CORE	  2
#define CACHE_LEVEL(eax)	  (((eax) >> 5) & 7)
#define CACHE_SHARED_LEVEL	  3
#define CACHE_CORES_MAX		  64 /* what leaf 4 can tell; the topology leaves have room for all */
#define SIZES_PHYSICAL(eax)	  ((eax)&0xff)
#define SIZES_GUEST(eax)	  (((eax) >> 16) & 0xff) /* of what KVM maps, where that is less */
#define PHYSICAL_BITS_LEAST	  36
#define PHYSICAL_BITS_MOST	  52
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

/* Only what is listed stays. */
static void cpuid_pass_listed(struct kvm_cpuid2 *table)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < table->nent; i++) {
		uint32_t leaf = table->entries[i].function;
		bool listed = false;

		for (size_t k = 0; k < sizeof(leaves_passed) / sizeof(leaves_passed[0]); k++)
			listed = listed || (leaf >= leaves_passed[k].first && leaf <= leaves_passed[k].last);
		if (listed)
			table->entries[kept++] = table->entries[i];
	}
	table->nent = kept;
}

unsigned cpuid_physical_bits(const struct kvm_cpuid2 *table)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find((struct kvm_cpuid2 *)table, LEAF_AMD_SIZES, 0);
	unsigned bits = entry != NULL ? SIZES_PHYSICAL(entry->eax) : 0;
	unsigned guest = entry != NULL ? SIZES_GUEST(entry->eax) : 0;

	if (guest != 0 && guest < bits)
		bits = guest;
	if (bits < PHYSICAL_BITS_LEAST)
		return PHYSICAL_BITS_LEAST;
	return bits < PHYSICAL_BITS_MOST ? bits : PHYSICAL_BITS_MOST;
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
	entry = cpuid_find(table, LEAF_POWER, 0);
	if (entry != NULL)
		*entry = (struct kvm_cpuid_entry2){
			.function = LEAF_POWER, .flags = entry->flags, .eax = entry->eax & POWER_EAX_ARAT};
	entry = cpuid_find(table, LEAF_MORE_FEATURES, 0);
	if (entry != NULL) {
		entry->ebx &= ~(MORE_EBX_SGX | MORE_EBX_TRACE);
		entry->ecx &= ~MORE_ECX_SGX_LAUNCH;
	}
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
			entry->eax |= ((guest->cpus < CACHE_CORES_MAX ? guest->cpus : CACHE_CORES_MAX) - 1)
				      << 26;
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
	cpuid_pass_listed(table);
	cpuid_adjust_features(table, guest);
	cpuid_adjust_topology(table, guest);
	cpuid_adjust_caches(table, guest);
	cpuid_adjust_amd(table, guest);
	cpuid_adjust_hypervisor(table, guest);
}
