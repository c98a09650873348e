/*
 * The vCPUs; see vcpu.h.
 *
 * Stopping. A vCPU is in KVM_RUN, or in what an exit of it called, or between. vcpu_set_stop() sets
 * `stopping`, then immediate_exit in the page shared with KVM, then sends a signal whose handler does
 * nothing: in KVM_RUN the signal ends it; just before, immediate_exit does; after an exit, `stopping` is
 * read. A call that waits for a device is ended by device_set_cancel(), which the main thread calls too. There
 * is no window in which the request is lost. Pausing is the same with `paused`, which is looked at only when
 * KVM_RUN was interrupted; the thread takes immediate_exit back before it goes on.
 *
 * What a vCPU's thread calls is kept small, since a guest works on it all the time: it allocates nothing, signals
 * nobody, and when all is over it waits for the end of the process instead of ending by itself.
 *
 * Counters are each vCPU's own, on cache lines of its own; a reader adds them up.
 */
#include "vmm-core/kvm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/jail/jail.h"
#include "vmm-core/kvm/cpuid.h"
#include "vmm-core/kvm/vcpu_state.h"

#define VCPU_KICK_SIGNAL SIGUSR1
/* Enough for the longest call of an exit, a log record included; touched as far as it is used. */
#define VCPU_STACK_SIZE ((size_t)256 * 1024)
#define CACHE_LINE	64

enum vcpu_counter {
	VCPU_EXITS_IO,
	VCPU_EXITS_MMIO,
	VCPU_EXITS_INTERRUPTED,
	VCPU_EXITS_OTHER,
	VCPU_COUNTERS,
};

static const char *const vcpu_counter_names[VCPU_COUNTERS] = {
	"exits-io",
	"exits-mmio",
	"exits-interrupted",
	"exits-other",
};

struct vcpu {
	struct vcpu_set *set;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool has_thread;
	_Atomic bool in_guest;			  /* KVM_RUN is called, or about to be */
	_Atomic uint64_t counters[VCPU_COUNTERS]; /* written by its thread alone */
} __attribute__((aligned(CACHE_LINE)));

struct vcpu_set {
	struct core *core;
	pthread_mutex_t lock; /* guards what follows, and the threads' way to see stopping */
	pthread_cond_t changed;
	const struct seccomp_filter *filter; /* to be put on by each thread; NULL: not yet */
	unsigned begun;			     /* threads that have a name, and wait */
	unsigned sealed;		     /* threads that have tried */
	unsigned done;			     /* threads that will not touch their vCPU again */
	int seal_error;			     /* of one that failed */
	bool started;
	bool paused;
	_Atomic bool pausing; /* somebody wants to know when the last one is out */
	_Atomic bool stopping;
	unsigned count;
	struct vcpu vcpus[];
};

/* --- exits --- */

/* One writer: no locked instruction is needed. */
static void vcpu_count(struct vcpu *vcpu, enum vcpu_counter counter)
{
	atomic_store_explicit(&vcpu->counters[counter],
			      atomic_load_explicit(&vcpu->counters[counter], memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* A string instruction exits once for count accesses of the same port. */
static void vcpu_handle_io(struct vcpu *vcpu)
{
	struct exit_router *router = vcpu->set->core->router;
	const struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			exit_router_write(router, vcpu->index, EXIT_SPACE_PIO, run->io.port, data,
					  run->io.size);
		else
			exit_router_read(router, vcpu->index, EXIT_SPACE_PIO, run->io.port, data,
					 run->io.size);
	}
}

static void vcpu_handle_mmio(struct vcpu *vcpu)
{
	struct exit_router *router = vcpu->set->core->router;
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		exit_router_write(router, vcpu->index, EXIT_SPACE_MMIO, run->mmio.phys_addr, run->mmio.data,
				  run->mmio.len);
	else
		exit_router_read(router, vcpu->index, EXIT_SPACE_MMIO, run->mmio.phys_addr, run->mmio.data,
				 run->mmio.len);
}

/* The VM ends because of this vCPU; registers say where the guest was. */
static void vcpu_fail(struct vcpu *vcpu, const char *why)
{
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {0};
	char detail[512];

	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	snprintf(detail, sizeof(detail),
		 "vCPU %u: %s; rip=%#llx rsp=%#llx rflags=%#llx cs=%#x:%#llx cr0=%#llx cr2=%#llx cr3=%#llx "
		 "cr4=%#llx "
		 "efer=%#llx rax=%#llx rbx=%#llx rcx=%#llx rdx=%#llx rsi=%#llx rdi=%#llx",
		 vcpu->index, why, regs.rip, regs.rsp, regs.rflags, sregs.cs.selector, sregs.cs.base,
		 sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer, regs.rax, regs.rbx, regs.rcx,
		 regs.rdx, regs.rsi, regs.rdi);
	run_end_decide(&vcpu->set->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE, 0, detail);
}

static void vcpu_handle_internal_error(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char why[160];
	int length = snprintf(why, sizeof(why), "KVM internal error, suberror %u", run->internal.suberror);

	/* Which instruction KVM could not emulate, where the host tells (KVM_CAP_EXIT_ON_EMULATION_FAILURE,
	 * Linux 5.14). */
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 1 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0) {
		unsigned size = run->emulation_failure.insn_size;

		if (size > sizeof(run->emulation_failure.insn_bytes))
			size = sizeof(run->emulation_failure.insn_bytes);
		length += snprintf(why + length, sizeof(why) - (size_t)length, ", instruction");
		for (unsigned i = 0; i < size; i++)
			length += snprintf(why + length, sizeof(why) - (size_t)length, " %02x",
					   run->emulation_failure.insn_bytes[i]);
	}
	vcpu_fail(vcpu, why);
}

static void vcpu_handle_system_event(struct vcpu *vcpu)
{
	struct core *core = vcpu->set->core;

	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		run_end_decide(&core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF, 0, NULL);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		run_end_decide(&core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 0,
			       "KVM system event");
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		run_end_decide(&core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC, 0,
			       "KVM system event");
		break;
	default:
		vcpu_fail(vcpu, "a system event that KVM does not explain");
	}
}

/* The exits that are not the guest's everyday life. */
static void vcpu_handle_other(struct vcpu *vcpu)
{
	char why[96];

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT: /* with the local APIC in the kernel a halt stays there; a spurious one just runs
			      on */
		break;
	case KVM_EXIT_SHUTDOWN:
		run_end_decide(&vcpu->set->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_TRIPLE_FAULT, 0,
			       NULL);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_handle_system_event(vcpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_handle_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(why, sizeof(why), "the processor refuses to enter the guest, hardware reason %#llx",
			 vcpu->run->fail_entry.hardware_entry_failure_reason);
		vcpu_fail(vcpu, why);
		break;
	default:
		snprintf(why, sizeof(why), "KVM exits for reason %u, which has no handler here",
			 vcpu->run->exit_reason);
		vcpu_fail(vcpu, why);
	}
}

static void vcpu_handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_count(vcpu, VCPU_EXITS_IO);
		vcpu_handle_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		vcpu_count(vcpu, VCPU_EXITS_MMIO);
		vcpu_handle_mmio(vcpu);
		break;
	default:
		vcpu_count(vcpu, VCPU_EXITS_OTHER);
		vcpu_handle_other(vcpu);
	}
}

/* --- threads --- */

/* The lock is held. */
static bool vcpu_may_run(struct vcpu_set *set)
{
	return set->started || atomic_load(&set->stopping);
}

/* With the lock held, which it lets go meanwhile. */
static void vcpu_seal(struct vcpu *vcpu)
{
	const struct jail_slot own = {"OWN_FD", (uint32_t)vcpu->fd};
	struct vcpu_set *set = vcpu->set;
	int result;

	pthread_mutex_unlock(&set->lock);
	result = jail_seal_thread(set->filter, &own, 1);
	pthread_mutex_lock(&set->lock);
	set->sealed++;
	if (result < 0)
		set->seal_error = result;
	pthread_cond_broadcast(&set->changed);
}

static void vcpu_wait_for_start(struct vcpu *vcpu)
{
	struct vcpu_set *set = vcpu->set;

	pthread_mutex_lock(&set->lock);
	set->begun++;
	pthread_cond_broadcast(&set->changed);
	while (set->filter == NULL && !vcpu_may_run(set))
		pthread_cond_wait(&set->changed, &set->lock);
	if (set->filter != NULL)
		vcpu_seal(vcpu);
	while (!vcpu_may_run(set))
		pthread_cond_wait(&set->changed, &set->lock);
	pthread_mutex_unlock(&set->lock);
}

/* KVM_RUN was interrupted: to pause, to stop, or for nothing any more. */
static void vcpu_interrupted(struct vcpu *vcpu)
{
	struct vcpu_set *set = vcpu->set;
	bool was_paused = false;

	pthread_mutex_lock(&set->lock);
	while (set->paused && !atomic_load(&set->stopping)) {
		was_paused = true;
		pthread_cond_wait(&set->changed, &set->lock);
	}
	/* Under the lock: whoever wants it set does that and says why in one. */
	if (!atomic_load(&set->stopping))
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&set->lock);
	/* Its watchdogs shall not take the pause for a hang. Refused where the guest has no kvmclock. */
	if (was_paused)
		ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
}

/* Returns only where there is no filter, and the thread may end. */
static void vcpu_leave(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->done++;
	pthread_cond_broadcast(&set->changed);
	while (set->filter != NULL)
		pthread_cond_wait(&set->changed, &set->lock);
	pthread_mutex_unlock(&set->lock);
}

/*
 * KVM_RUN, and that it is in it. Who pauses sets immediate_exit and then looks at in_guest; here it is set first,
 * and then KVM looks at immediate_exit. So whoever is not seen in there does not get in.
 */
static int vcpu_run(struct vcpu *vcpu)
{
	int result, error;

	atomic_store(&vcpu->in_guest, true);
	result = ioctl(vcpu->fd, KVM_RUN, 0);
	error = errno;
	atomic_store(&vcpu->in_guest, false);
	if (atomic_load(&vcpu->set->pausing))
		loop_wake(vcpu->set->core->loop);
	errno = error;
	return result;
}

static void *vcpu_thread(void *argument)
{
	struct vcpu *vcpu = argument;
	struct vcpu_set *set = vcpu->set;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	jail_name_thread(name);
	vcpu_wait_for_start(vcpu);
	while (!atomic_load_explicit(&set->stopping, memory_order_acquire)) {
		if (vcpu_run(vcpu) == 0) {
			vcpu_handle_exit(vcpu);
		} else if (errno == EINTR || errno == EAGAIN) {
			vcpu_count(vcpu, VCPU_EXITS_INTERRUPTED);
			vcpu_interrupted(vcpu);
		} else {
			char why[96];

			snprintf(why, sizeof(why), "KVM_RUN: %s", strerror(errno));
			vcpu_fail(vcpu, why);
		}
	}
	vcpu_leave(set);
	return NULL;
}

/* It has done its work when it interrupts KVM_RUN. */
static void vcpu_take_kick(int signal_number)
{
	(void)signal_number;
}

static int vcpu_start_thread(struct vcpu *vcpu)
{
	pthread_attr_t attributes;
	int result = pthread_attr_init(&attributes);

	if (result != 0)
		return -result;
	pthread_attr_setstacksize(&attributes, VCPU_STACK_SIZE);
	result = pthread_create(&vcpu->thread, &attributes, vcpu_thread, vcpu);
	pthread_attr_destroy(&attributes);
	if (result != 0)
		return -result;
	vcpu->has_thread = true;
	return 0;
}

/* --- creation --- */

static int vcpu_create(struct vcpu_set *set, unsigned index, const struct vm_features *features)
{
	struct vcpu *vcpu = &set->vcpus[index];

	vcpu->set = set;
	vcpu->index = index;
	vcpu->run_size = features->run_size;
	vcpu->fd = ioctl(set->core->vm_fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		return -errno;
	set->count = index + 1;
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	return 0;
}

static int vcpu_set_create_all(struct vcpu_set *set, const struct vm_features *features,
			       struct kvm_cpuid2 *cpuid, const struct boot_entry *boot)
{
	struct cpuid_guest guest = {.cpus = set->core->cpus, .tsc_deadline = features->tsc_deadline};

	for (unsigned i = 0; i < set->core->cpus; i++) {
		int result = vcpu_create(set, i, features);

		if (result < 0) {
			log_error("/dev/kvm: cannot create vCPU %u: %s; lower \"cpus\"", i,
				  strerror(-result));
			return result;
		}
		if (i == 0 && features->tsc_frequency) {
			int khz = ioctl(set->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);

			guest.tsc_khz = khz > 0 ? (uint32_t)khz : 0;
		}
		guest.apic_id = i;
		cpuid_adjust(cpuid, &guest);
		result = vcpu_state_set(set->vcpus[i].fd, cpuid, i == 0 ? boot : NULL, i == 0);
		if (result < 0)
			return result;
	}
	return 0;
}

int vcpu_set_new(struct core *core, const struct vm_features *features, const struct boot_entry *boot,
		 struct vcpu_set **set)
{
	const struct sigaction kick = {.sa_handler = vcpu_take_kick};
	size_t size = sizeof(struct vcpu_set) + core->cpus * sizeof(struct vcpu);
	struct kvm_cpuid2 *cpuid = NULL;
	struct vcpu_set *new_set =
		aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	int result;

	if (new_set == NULL)
		return -ENOMEM;
	memset(new_set, 0, size);
	new_set->core = core;
	pthread_mutex_init(&new_set->lock, NULL);
	pthread_cond_init(&new_set->changed, NULL);
	result = cpuid_read_supported(core->kvm_fd, &cpuid);
	if (result < 0)
		log_error("/dev/kvm: it does not tell the CPUID it supports: %s; see the host's kernel log",
			  strerror(-result));
	else
		result = vcpu_set_create_all(new_set, features, cpuid, boot);
	free(cpuid);
	if (result == 0 && sigaction(VCPU_KICK_SIGNAL, &kick, NULL) < 0)
		result = -errno;
	for (unsigned i = 0; result == 0 && i < new_set->count; i++) {
		result = vcpu_start_thread(&new_set->vcpus[i]);
		if (result < 0)
			log_error("vCPU %u: cannot create its thread: %s; raise the limit of processes", i,
				  strerror(-result));
	}
	if (result < 0) {
		vcpu_set_free(new_set);
		return result;
	}
	/* What a thread does at its beginning the filter of the process no longer allows. */
	pthread_mutex_lock(&new_set->lock);
	while (new_set->begun < new_set->count)
		pthread_cond_wait(&new_set->changed, &new_set->lock);
	pthread_mutex_unlock(&new_set->lock);
	*set = new_set;
	return 0;
}

/* --- control --- */

int vcpu_set_seal(struct vcpu_set *set, const struct seccomp_filter *filter)
{
	int result;

	pthread_mutex_lock(&set->lock);
	set->filter = filter;
	pthread_cond_broadcast(&set->changed);
	while (set->sealed < set->count)
		pthread_cond_wait(&set->changed, &set->lock);
	result = set->seal_error;
	pthread_mutex_unlock(&set->lock);
	return result;
}

void vcpu_set_start(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->started = true;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

/* Brings all out of the guest. Under the lock, so that vcpu_set_join() does not make the threads' ids stale
 * meanwhile. */
static void vcpu_set_kick(struct vcpu_set *set)
{
	for (unsigned i = 0; i < set->count; i++) {
		if (!set->vcpus[i].has_thread)
			continue;
		__atomic_store_n(&set->vcpus[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(set->vcpus[i].thread, VCPU_KICK_SIGNAL);
	}
}

void vcpu_set_pause(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->paused = true;
	atomic_store(&set->pausing, true);
	vcpu_set_kick(set);
	pthread_mutex_unlock(&set->lock);
}

bool vcpu_set_settled(struct vcpu_set *set)
{
	if (!atomic_load(&set->pausing))
		return true;
	for (unsigned i = 0; i < set->count; i++)
		if (atomic_load(&set->vcpus[i].in_guest))
			return false;
	atomic_store(&set->pausing, false);
	return true;
}

void vcpu_set_resume(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->paused = false;
	atomic_store(&set->pausing, false);
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

void vcpu_set_leave(struct vcpu_set *set)
{
	atomic_store(&set->stopping, true);
}

void vcpu_set_stop(struct vcpu_set *set)
{
	pthread_mutex_lock(&set->lock);
	atomic_store(&set->stopping, true);
	pthread_cond_broadcast(&set->changed);
	vcpu_set_kick(set);
	pthread_mutex_unlock(&set->lock);
}

void vcpu_set_join(struct vcpu_set *set)
{
	unsigned threads = 0;

	/* The threads are not to be signalled any more: a late vcpu_set_stop() could signal one that is not ours. */
	pthread_mutex_lock(&set->lock);
	for (unsigned i = 0; i < set->count; i++)
		threads += set->vcpus[i].has_thread;
	while (threads > 0 && set->done < threads)
		pthread_cond_wait(&set->changed, &set->lock);
	for (unsigned i = 0; i < set->count; i++)
		set->vcpus[i].has_thread = false;
	pthread_mutex_unlock(&set->lock);
	for (unsigned i = 0; set->filter == NULL && i < threads; i++)
		pthread_join(set->vcpus[i].thread, NULL);
}

void vcpu_set_free(struct vcpu_set *set)
{
	if (set == NULL)
		return;
	vcpu_set_stop(set);
	vcpu_set_join(set);
	for (unsigned i = 0; i < set->count; i++) {
		if (set->vcpus[i].run != NULL)
			munmap(set->vcpus[i].run, set->vcpus[i].run_size);
		close(set->vcpus[i].fd);
	}
	if (set->filter != NULL)
		return;
	pthread_cond_destroy(&set->changed);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

void vcpu_set_counters(const struct vcpu_set *set,
		       void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	for (unsigned counter = 0; counter < VCPU_COUNTERS; counter++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < set->count; i++)
			sum += atomic_load_explicit(&set->vcpus[i].counters[counter], memory_order_relaxed);
		each(argument, vcpu_counter_names[counter], sum);
	}
}
