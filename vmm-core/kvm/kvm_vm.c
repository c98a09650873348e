/*
 * The VM as KVM knows it; see vm.h.
 *
 * No PIT: the tables say hardware-reduced, guests then use kvmclock and the local APIC's timer, and what is
 * not there cannot be attacked.
 */
#include "vmm-core/kvm/kvm_vm.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/log.h"
#include "vmm-core/kvm/cpuid.h"
#include "vmm-core/machine/machine_layout.h"

/* APIC ids in the tables have 8 bits, and 255 is everybody. */
#define VM_CPUS_MAX 254
#define KVM_REMEDY  "use a newer kernel, or a host whose KVM has it"

struct capability {
	int number;
	const char *name;
};

static const struct capability needed_capabilities[] = {
	{KVM_CAP_USER_MEMORY, "user memory"},
	{KVM_CAP_EXT_CPUID, "extended CPUID"},
	{KVM_CAP_IRQCHIP, "an in-kernel interrupt controller"},
	{KVM_CAP_SET_TSS_ADDR, "a TSS address"},
	{KVM_CAP_IRQ_ROUTING, "interrupt routing"},
	{KVM_CAP_IRQFD, "irqfd"},
	{KVM_CAP_IOEVENTFD, "ioeventfd"},
	/* A queue is notified by writes of 2 bytes or of 4, and each has to be caught. */
	{KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd for writes of any width (Linux 4.4 has it)"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
};

static int vm_check_needed(int kvm_fd)
{
	int version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);

	if (version < 0) {
		int result = -errno;

		log_error("/dev/kvm: not KVM (%s); pass the descriptor of /dev/kvm", strerror(errno));
		return result;
	}
	if (version != KVM_API_VERSION) {
		log_error("/dev/kvm: API version %d instead of %d; " KVM_REMEDY, version, KVM_API_VERSION);
		return -ENOTSUP;
	}
	for (size_t i = 0; i < sizeof(needed_capabilities) / sizeof(needed_capabilities[0]); i++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, needed_capabilities[i].number) > 0)
			continue;
		log_error("/dev/kvm: it lacks %s; " KVM_REMEDY, needed_capabilities[i].name);
		return -ENOTSUP;
	}
	return 0;
}

static int vm_check_cpus(int kvm_fd, unsigned cpus)
{
	int most = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (most <= 0)
		most = 4; /* KVM api.rst, 4.7, for hosts that do not tell */
	if (most > VM_CPUS_MAX)
		most = VM_CPUS_MAX;
	if (cpus >= 1 && cpus <= (unsigned)most)
		return 0;
	log_error("cpus: %u wanted, this host takes 1 to %d; lower \"cpus\"", cpus, most);
	return -EINVAL;
}

static void vm_find_features(int kvm_fd, struct vm_features *features)
{
	char missing[128] = "";

	features->tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	features->tsc_frequency = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GET_TSC_KHZ) > 0;
	if (features->tsc_deadline && features->tsc_frequency)
		return;
	snprintf(missing, sizeof(missing), "%s%s", features->tsc_deadline ? "" : " tsc-deadline-timer",
		 features->tsc_frequency ? "" : " tsc-frequency");
	log_notice("/dev/kvm: it lacks%s; the guest is served without", missing);
}

/* On a host that does not tell, only the width that every host has is relied on. */
static int vm_find_physical_bits(int kvm_fd, struct vm_features *features)
{
	struct kvm_cpuid2 *table;
	int result = cpuid_read_supported(kvm_fd, &table);

	if (result < 0) {
		log_error("/dev/kvm: it does not tell the CPUID it supports: %s; see the host's kernel log",
			  strerror(-result));
		return result;
	}
	features->physical_bits = cpuid_physical_bits(table);
	free(table);
	return 0;
}

int vm_check_memory(const struct vm_features *features, uint64_t ram_end)
{
	uint64_t limit = UINT64_C(1) << features->physical_bits;

	if (ram_end <= limit)
		return 0;
	log_error("memory: it would end at %#" PRIx64 ", and this host's processors address %u bits, %" PRIu64
		  " GiB, of a guest's memory; lower \"memory\" to %" PRIu64 "GiB or less",
		  ram_end, features->physical_bits, limit / GIB,
		  (limit - (LAYOUT_HIGH_RAM_START - LAYOUT_HOLE_START)) / GIB);
	return -EFBIG;
}

/* Places for what Intel's CPUs need in guest-physical memory, between RAM and the APICs. */
static int vm_place_pages(int vm_fd)
{
	uint64_t identity_map = LAYOUT_IDENTITY_MAP;

	/* KVM's own default is elsewhere in the hole; a host without this call uses that. */
	ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	return ioctl(vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS) < 0 ? -errno : 0;
}

int vm_create(int kvm_fd, unsigned cpus, struct vm_features *features, int *vm_fd)
{
	int result, fd, run_size;

	if ((result = vm_check_needed(kvm_fd)) < 0 || (result = vm_check_cpus(kvm_fd, cpus)) < 0)
		return result;
	run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size < 0)
		return -errno;
	features->run_size = (size_t)run_size;
	vm_find_features(kvm_fd, features);
	result = vm_find_physical_bits(kvm_fd, features);
	if (result < 0)
		return result;
	do
		fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0) {
		result = -errno;
		log_error("/dev/kvm: cannot create a VM: %s; see the host's kernel log", strerror(-result));
		return result;
	}
	result = vm_place_pages(fd);
	if (result == 0 && ioctl(fd, KVM_CREATE_IRQCHIP, 0) < 0)
		result = -errno;
	if (result < 0) {
		log_error("/dev/kvm: cannot create the interrupt controllers: %s; see the host's kernel log",
			  strerror(-result));
		close(fd);
		return result;
	}
	*vm_fd = fd;
	return 0;
}
