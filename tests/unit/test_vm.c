/*
 * The VM and its vCPUs over a KVM of our own: what a host must have, what memory it can address, and when a pause
 * is complete. Linked with --wrap=ioctl.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/sealed_memfd.h"
#include "common/ring/guest_memory.h"
#include "vmm-core/boot/boot.h"
#include "vmm-core/kvm/vcpu.h"
#include "vmm-core/kvm/vm.h"
#include "vmm-core/machine.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/machine/machine_layout.h"

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

#define RUN_SIZE 12288
#define CPUS	 2

static struct {
	int kvm_fd;
	int missing; /* a capability that is not there */
	unsigned physical_bits, guest_bits;
	int vcpu_fds[CPUS];
	unsigned vcpus;
} kvm;

/* A vCPU of this KVM is in the guest until it is let out, whatever its kicks say. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;	  /* it stays in the guest */
	unsigned inside;  /* vCPUs that are in it */
	unsigned entries; /* how often one went in */
} guest = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static char last_log[LOG_TEXT_MAX];

static void keep_log(const struct log_record *record, void *argument)
{
	(void)argument;
	snprintf(last_log, sizeof(last_log), "%s", record->text);
}

static int fake_cpuid(struct kvm_cpuid2 *table)
{
	table->nent = 2;
	table->entries[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 1};
	table->entries[1] = (struct kvm_cpuid_entry2){
		.function = 0x80000008, .eax = 0x3000 | kvm.physical_bits | kvm.guest_bits << 16};
	return 0;
}

/* KVM looks at immediate_exit, enters, and comes out when it can. */
static int fake_run(int fd)
{
	const struct kvm_run *run = mmap(NULL, RUN_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	bool entered = false;

	pthread_mutex_lock(&guest.lock);
	while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST) || (entered && guest.held)) {
		guest.inside += !entered;
		guest.entries += !entered;
		entered = true;
		pthread_cond_broadcast(&guest.changed);
		/* The kick is a signal; here it is looked for. */
		if (guest.held) {
			pthread_cond_wait(&guest.changed, &guest.lock);
		} else {
			pthread_mutex_unlock(&guest.lock);
			usleep(100);
			pthread_mutex_lock(&guest.lock);
		}
	}
	guest.inside -= entered;
	pthread_cond_broadcast(&guest.changed);
	pthread_mutex_unlock(&guest.lock);
	munmap((void *)run, RUN_SIZE);
	errno = EINTR;
	return -1;
}

static int fake_create_vcpu(void)
{
	int fd = memfd_create("vcpu", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, RUN_SIZE) < 0)
		abort();
	kvm.vcpu_fds[kvm.vcpus++ % CPUS] = fd;
	return fd;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION:
		return (int)(intptr_t)argument == kvm.missing ? 0 : CPUS;
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_SIZE;
	case KVM_CREATE_VM:
		return fcntl(kvm.kvm_fd, F_DUPFD_CLOEXEC, 0);
	case KVM_GET_SUPPORTED_CPUID:
		return fake_cpuid(argument);
	case KVM_CREATE_VCPU:
		return fake_create_vcpu();
	case KVM_SET_MSRS:
		return (int)((struct kvm_msrs *)argument)->nmsrs;
	case KVM_RUN:
		return fake_run(fd);
	default:
		return _IOC_TYPE(request) == KVMIO ? 0 : __real_ioctl(fd, request, argument);
	}
}

static int set_up(void **state)
{
	(void)state;
	memset(&kvm, 0, sizeof(kvm));
	kvm.kvm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	kvm.missing = -1;
	kvm.physical_bits = 46;
	last_log[0] = '\0';
	log_set_sink(keep_log, NULL);
	return kvm.kvm_fd < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(kvm.kvm_fd);
	log_set_sink(NULL, NULL);
	return 0;
}

/* --- E11 --- */

static void e11_a_host_without_what_is_used_is_refused(void **state)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{KVM_CAP_IRQFD, "irqfd"},
		{KVM_CAP_IOEVENTFD, "ioeventfd"},
		{KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd for writes of any width"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
	};
	struct vm_features features;
	int fd = -1;

	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		kvm.missing = needed[i].capability;
		assert_int_equal(vm_create(kvm.kvm_fd, 1, &features, &fd), -ENOTSUP);
		assert_non_null(strstr(last_log, "it lacks"));
		assert_non_null(strstr(last_log, needed[i].name));
	}
	kvm.missing = -1;
	assert_int_equal(vm_create(kvm.kvm_fd, 1, &features, &fd), 0);
	close(fd);
}

static int machine_of(uint64_t memory_bytes, unsigned physical_bits, unsigned guest_bits)
{
	Atoll__Control__CoreConfigure configure = ATOLL__CONTROL__CORE_CONFIGURE__INIT;
	struct machine *machine = NULL;
	int memory_fd = -1, result;

	kvm.physical_bits = physical_bits;
	kvm.guest_bits = guest_bits;
	configure.vm = (char *)"test";
	configure.cpus = 1;
	configure.memory_bytes = memory_bytes;
	/* One beyond all files is refused before its file is looked at. */
	sealed_memfd_create(GUEST_MEMORY_NAME, memory_bytes, &memory_fd);
	result = machine_new(&configure, fcntl(kvm.kvm_fd, F_DUPFD_CLOEXEC, 0), memory_fd, &machine);
	machine_free(machine);
	return result;
}

static void e11_ram_beyond_the_processors_addresses_is_refused(void **state)
{
	(void)state;
	/* 63 GiB and the hole below 4 GiB are 64 GiB. */
	assert_int_equal(machine_of(63 * GIB, 36, 0), 0);
	assert_int_equal(machine_of(63 * GIB + MIB, 36, 0), -EFBIG);
	assert_non_null(strstr(last_log, "memory:"));
	assert_non_null(strstr(last_log, "address 36 bits, 64 GiB"));
	assert_non_null(strstr(last_log, "lower \"memory\" to 63GiB or less"));
	assert_int_equal(machine_of(512 * GIB, 39, 0), -EFBIG);
	assert_int_equal(machine_of(512 * GIB, 40, 0), 0);
	/* What KVM maps counts where it is less, and is not believed where it is more. */
	assert_int_equal(machine_of(512 * GIB, 52, 39), -EFBIG);
	assert_int_equal(machine_of(512 * GIB, 39, 48), -EFBIG);
	/* A host that does not tell, and one that lies. */
	assert_int_equal(machine_of(63 * GIB + MIB, 0, 0), -EFBIG);
	assert_int_equal(machine_of(63 * GIB, 0, 0), 0);
	assert_int_equal(machine_of(UINT64_C(1) << 53, 255, 0), -EFBIG);
	assert_int_equal(machine_of(UINT64_MAX - 4095, 52, 0), -EFBIG);
}

static void e11_the_window_fits(void **state)
{
	static const uint64_t sizes[] = {
		2 * MIB,       3 * GIB,	  3 * GIB + 4096,  32 * GIB,  62 * GIB,	 62 * GIB + MIB,
		63 * GIB,      200 * GIB, 255 * GIB,	   256 * GIB, 400 * GIB, 447 * GIB,
		447 * GIB + 1, 500 * GIB, 510 * GIB + MIB, 511 * GIB, 512 * GIB};
	struct layout_window window;

	(void)state;
	for (unsigned bits = 36; bits <= 52; bits++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint64_t end = guest_ram_end_of(sizes[i]), limit = UINT64_C(1) << bits;

			if (end > limit)
				continue;
			window = layout_mmio64(end, bits);
			if (window.size == 0) {
				/* Only where there is not one GiB left. */
				assert_true((end + GIB - 1) / GIB * GIB + GIB > limit);
				continue;
			}
			assert_true(window.start >= end && window.start >= LAYOUT_HIGH_RAM_START);
			assert_int_equal(window.start % GIB, 0);
			assert_true(window.size >= GIB && window.size <= LAYOUT_MMIO64_SIZE);
			assert_true(window.start < limit && window.size <= limit - window.start);
		}
	}
	/* As it was, where there is room. */
	window = layout_mmio64(GIB, 39);
	assert_true(window.start == LAYOUT_MMIO64_START && window.size == LAYOUT_MMIO64_SIZE);
	window = layout_mmio64(guest_ram_end_of(400 * GIB), 40);
	assert_true(window.start == 401 * GIB && window.size == LAYOUT_MMIO64_SIZE);
	/* And where there is less of it. */
	window = layout_mmio64(GIB, 36);
	assert_true(window.start == 32 * GIB && window.size == 32 * GIB);
	window = layout_mmio64(guest_ram_end_of(62 * GIB), 36);
	assert_true(window.start == 63 * GIB && window.size == GIB);
}

/* --- D6 --- */

#define LOOP_UNTIL(loop, condition)                                             \
	do {                                                                    \
		for (unsigned turn_ = 0; turn_ < 1000 && !(condition); turn_++) \
			loop_run_once(loop, 5);                                 \
		assert_true(condition);                                         \
	} while (0)

static unsigned inside(void)
{
	unsigned count;

	pthread_mutex_lock(&guest.lock);
	count = guest.inside;
	pthread_mutex_unlock(&guest.lock);
	return count;
}

static void hold(bool held)
{
	pthread_mutex_lock(&guest.lock);
	guest.held = held;
	pthread_cond_broadcast(&guest.changed);
	pthread_mutex_unlock(&guest.lock);
}

static bool settled; /* as the last wake of the loop found it */

static void woken(void *argument)
{
	settled = vcpu_set_settled(argument);
}

static void d6_a_pause_is_complete_when_all_are_out(void **state)
{
	struct core core = {.vm = "test", .kvm_fd = kvm.kvm_fd, .vm_fd = kvm.kvm_fd, .cpus = CPUS};
	const struct vm_features features = {.run_size = RUN_SIZE, .physical_bits = 46};
	const struct boot_entry boot = {.long_mode = true};
	struct vcpu_set *set = NULL;
	unsigned entries;

	(void)state;
	core.loop = loop_new();
	assert_int_equal(vcpu_set_new(&core, &features, &boot, &set), 0);
	loop_on_wake(core.loop, woken, set);
	/* Before the start nobody is in there. */
	assert_true(vcpu_set_settled(set));
	vcpu_set_pause(set);
	assert_true(vcpu_set_settled(set));
	vcpu_set_resume(set);
	hold(true);
	vcpu_set_start(set);
	LOOP_UNTIL(core.loop, inside() == CPUS);
	vcpu_set_pause(set);
	settled = true;
	for (unsigned i = 0; i < 20; i++) {
		assert_false(vcpu_set_settled(set));
		loop_run_once(core.loop, 1);
	}
	/* They come out: the loop is woken for it, and once it says so, none is inside or gets in. */
	settled = false;
	hold(false);
	LOOP_UNTIL(core.loop, settled);
	assert_int_equal(inside(), 0);
	entries = guest.entries;
	for (unsigned i = 0; i < 20; i++)
		loop_run_once(core.loop, 1);
	assert_int_equal(guest.entries, entries);
	assert_true(vcpu_set_settled(set));
	/* One that is resumed before it was complete is none any more. */
	vcpu_set_resume(set);
	LOOP_UNTIL(core.loop, inside() == CPUS);
	hold(true);
	vcpu_set_pause(set);
	assert_false(vcpu_set_settled(set));
	vcpu_set_resume(set);
	assert_true(vcpu_set_settled(set));
	hold(false);
	LOOP_UNTIL(core.loop, inside() == CPUS);
	/* Many in a row: nothing is missed. */
	for (unsigned i = 0; i < 100; i++) {
		settled = false;
		vcpu_set_pause(set);
		if (!vcpu_set_settled(set))
			LOOP_UNTIL(core.loop, settled);
		assert_int_equal(inside(), 0);
		vcpu_set_resume(set);
	}
	vcpu_set_free(set);
	loop_free(core.loop);
}

#define WITH_KVM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_KVM(e11_a_host_without_what_is_used_is_refused),
		WITH_KVM(e11_ram_beyond_the_processors_addresses_is_refused),
		WITH_KVM(e11_the_window_fits),
		WITH_KVM(d6_a_pause_is_complete_when_all_are_out),
	};

	return cmocka_run_group_tests_name("vm", tests, NULL, NULL);
}
