/*
 * A vCPU's state at its beginning; see vcpu_state.h.
 *
 * KVM resets a vCPU to the processor's reset state. What a guest that enters without firmware needs beyond
 * that is what firmware would have done: the local APIC's virtual wire, memory types that cache, and the mode
 * that the boot protocol names. CPUID comes first, because KVM judges MSRs and CR4 by it.
 */
#include "vmm-core/kvm/vcpu_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/base/log.h"
#include "vmm-core/machine/machine_layout.h"

/* Intel SDM volume 3 chapter 2, AMD APM volume 2 chapter 3. */
#define CR0_PE		UINT64_C(0x00000001)
#define CR0_ET		UINT64_C(0x00000010)
#define CR0_PG		UINT64_C(0x80000000)
#define CR4_PAE		UINT64_C(0x00000020)
#define EFER_LME	UINT64_C(0x00000100)
#define EFER_LMA	UINT64_C(0x00000400)
#define RFLAGS_RESERVED UINT64_C(0x00000002)
#define FCW_RESET	0x37f
#define MXCSR_RESET	0x1f80

/* Segment types: code and data, accessed; busy TSS (32 and 64 bits alike). */
#define SEGMENT_CODE	 0xb
#define SEGMENT_DATA	 0x3
#define SEGMENT_TSS_BUSY 0xb
#define SELECTOR_CODE	 0x10
#define SELECTOR_DATA	 0x18
#define SELECTOR_TSS	 0x20
#define GDT_LIMIT	 (4 * 8 - 1)

/* Local APIC registers; Intel SDM volume 3, 11.5.1. */
#define LAPIC_LVT_LINT0	  0x350
#define LAPIC_LVT_LINT1	  0x360
#define LAPIC_MODE_NMI	  (UINT32_C(4) << 8)
#define LAPIC_MODE_EXTINT (UINT32_C(7) << 8)

/* Fast string operations on; a firmware's doing. */
#define MISC_ENABLE_FAST_STRINGS 1
/* Enabled, with write-back where no range says otherwise. */
#define MTRR_ENABLED_WRITE_BACK 0x806

struct reset_msr {
	uint32_t index;
	const char *name;
	uint64_t value;
};

static const struct reset_msr reset_msrs[] = {
	{0x174, "SYSENTER_CS", 0},
	{0x175, "SYSENTER_ESP", 0},
	{0x176, "SYSENTER_EIP", 0},
	{0xc0000081, "STAR", 0},
	{0xc0000082, "LSTAR", 0},
	{0xc0000083, "CSTAR", 0},
	{0xc0000084, "SYSCALL_MASK", 0},
	{0xc0000102, "KERNEL_GS_BASE", 0},
	{0x10, "TSC", 0},
	{0x1a0, "MISC_ENABLE", MISC_ENABLE_FAST_STRINGS},
	{0x2ff, "MTRR_DEF_TYPE", MTRR_ENABLED_WRITE_BACK},
};
#define RESET_MSRS_COUNT (sizeof(reset_msrs) / sizeof(reset_msrs[0]))

/* KVM_SET_MSRS stops at the first that it refuses, and tells how many it took; each call begins behind the
 * last. */
static int vcpu_set_msrs(int vcpu_fd, bool log_skipped)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + RESET_MSRS_COUNT * sizeof(struct kvm_msr_entry)];
	} msrs;
	char skipped[256] = "";
	size_t first = 0, length = 0;

	while (first < RESET_MSRS_COUNT) {
		int taken;

		memset(&msrs, 0, sizeof(msrs));
		for (size_t i = first; i < RESET_MSRS_COUNT; i++) {
			msrs.head.entries[i - first].index = reset_msrs[i].index;
			msrs.head.entries[i - first].data = reset_msrs[i].value;
		}
		msrs.head.nmsrs = (uint32_t)(RESET_MSRS_COUNT - first);
		taken = ioctl(vcpu_fd, KVM_SET_MSRS, &msrs);
		if (taken < 0)
			return -errno;
		first += (size_t)taken;
		if (first < RESET_MSRS_COUNT && length < sizeof(skipped))
			length += (size_t)snprintf(skipped + length, sizeof(skipped) - length, " %s",
						   reset_msrs[first].name);
		if (first < RESET_MSRS_COUNT)
			first++;
	}
	if (length > 0 && log_skipped)
		log_notice("/dev/kvm: it refuses these MSRs, the guest is served without:%s", skipped);
	return 0;
}

/* A flat segment of 4 GiB. */
static struct kvm_segment segment_flat(unsigned selector, unsigned type, bool is_64)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = (uint16_t)selector,
		.type = (uint8_t)type,
		.present = 1,
		.s = 1,
		.l = is_64,
		.db = !is_64,
		.g = 1,
	};
}

static int vcpu_set_mode(int vcpu_fd, const struct boot_entry *boot)
{
	struct kvm_sregs sregs;
	struct kvm_segment data = segment_flat(SELECTOR_DATA, SEGMENT_DATA, false);

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cs = segment_flat(SELECTOR_CODE, SEGMENT_CODE, boot->long_mode);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){
		.limit = 0x67, .selector = SELECTOR_TSS, .type = SEGMENT_TSS_BUSY, .present = 1};
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr4 = 0;
	if (boot->long_mode) {
		sregs.gdt.base = LAYOUT_GDT;
		sregs.gdt.limit = GDT_LIMIT;
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = LAYOUT_PAGE_TABLES;
		sregs.cr4 = CR4_PAE;
		sregs.efer |= EFER_LME | EFER_LMA;
	}
	return ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

static int vcpu_set_registers(int vcpu_fd, const struct boot_entry *boot)
{
	struct kvm_regs regs = {.rip = boot->rip, .rflags = RFLAGS_RESERVED};

	if (boot->long_mode)
		regs.rsi = boot->argument;
	else
		regs.rbx = boot->argument;
	return ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0 ? -errno : 0;
}

static int vcpu_set_fpu(int vcpu_fd)
{
	struct kvm_fpu fpu = {.fcw = FCW_RESET, .mxcsr = MXCSR_RESET};

	return ioctl(vcpu_fd, KVM_SET_FPU, &fpu) < 0 ? -errno : 0;
}

/* Virtual wire mode, as firmware leaves it. */
static int vcpu_set_lapic(int vcpu_fd)
{
	struct kvm_lapic_state lapic;
	uint32_t lint0 = LAPIC_MODE_EXTINT, lint1 = LAPIC_MODE_NMI;

	if (ioctl(vcpu_fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	memcpy(lapic.regs + LAPIC_LVT_LINT0, &lint0, sizeof(lint0));
	memcpy(lapic.regs + LAPIC_LVT_LINT1, &lint1, sizeof(lint1));
	return ioctl(vcpu_fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

int vcpu_state_set(int vcpu_fd, const struct kvm_cpuid2 *cpuid, const struct boot_entry *boot,
		   bool log_skipped)
{
	const char *what = "CPUID";
	int result = ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;

	if (result == 0 && (what = "MSRs"))
		result = vcpu_set_msrs(vcpu_fd, log_skipped);
	if (result == 0 && (what = "FPU state"))
		result = vcpu_set_fpu(vcpu_fd);
	if (result == 0 && (what = "local APIC"))
		result = vcpu_set_lapic(vcpu_fd);
	if (result == 0 && boot != NULL && (what = "mode"))
		result = vcpu_set_mode(vcpu_fd, boot);
	if (result == 0 && boot != NULL && (what = "registers"))
		result = vcpu_set_registers(vcpu_fd, boot);
	if (result < 0)
		log_error("/dev/kvm: it refuses a vCPU's %s: %s; see the host's kernel log", what,
			  strerror(-result));
	return result;
}
