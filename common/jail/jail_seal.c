/*
 * Sealing: compiled filters into the kernel, by seccomp(2) itself. The programs do not link libseccomp; what
 * they install was compiled at build time, and is what `atoll audit` expects to find byte for byte.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/jail/jail.h"
#include "common/jail/jail_record.h"
#include "common/jail/jail_violation.h"

/*
 * The most instructions of a filter with slots. Such a filter is copied to fill them in, on the stack: the thread has
 * no heap of its own yet.
 */
#define SLOTTED_INSTRUCTIONS_MAX 1024
#define REMEDY			 "use a kernel with CONFIG_SECCOMP_FILTER, or --no-sandbox for debugging"

/* A blocked SIGSYS would not be reported: the kernel kills at once. */
static int seal_unblock_report(void)
{
	sigset_t report;

	sigemptyset(&report);
	sigaddset(&report, SIGSYS);
	return -pthread_sigmask(SIG_UNBLOCK, &report, NULL);
}

static int seal_failed(const struct seccomp_filter *filter, int result)
{
	log_error("jail: cannot install the filter %s: %s; " REMEDY, filter->name, strerror(-result));
	return result;
}

/* Puts the slots' values in. Every slot must get one: a filter with a hole is another filter. */
static int seal_fill_slots(const struct seccomp_filter *filter, const struct jail_slot *slots,
			   size_t slot_count, struct sock_filter *instructions)
{
	memcpy(instructions, filter->instructions, filter->count * sizeof(*instructions));
	for (size_t i = 0; i < filter->slot_count; i++) {
		size_t s = 0;

		while (s < slot_count && strcmp(slots[s].name, filter->slots[i].name) != 0)
			s++;
		if (s == slot_count || filter->slots[i].instruction >= filter->count)
			return -EINVAL;
		instructions[filter->slots[i].instruction].k = slots[s].value;
	}
	return 0;
}

static int seal_install(const struct seccomp_filter *filter, const struct sock_filter *instructions,
			unsigned flags)
{
	struct sock_fprog program = {.len = filter->count, .filter = (struct sock_filter *)instructions};
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);

	if (result < 0)
		return -errno;
	/* With TSYNC: the id of a thread that cannot take it, having one of its own. */
	return result > 0 ? -EBUSY : 0;
}

int jail_seal_process(const struct seccomp_filter *filter, bool tasks)
{
	static const struct rlimit none = {0, 0};
	int result = seal_unblock_report();

	if (jail_records()) {
		result = jail_record_process(violation_control());
		return result < 0 ? seal_failed(filter, result) : 0;
	}
	if (result == 0 && filter->slot_count != 0)
		result = -EINVAL;
	/* Memory that rings lock is locked by now. */
	if (result == 0 &&
	    (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (!tasks && setrlimit(RLIMIT_NPROC, &none) < 0)))
		result = -errno;
	if (result == 0) {
		violation_filter_process(filter->name);
		result = seal_install(filter, filter->instructions, SECCOMP_FILTER_FLAG_TSYNC);
	}
	return result < 0 ? seal_failed(filter, result) : 0;
}

int jail_seal_thread(const struct seccomp_filter *filter, const struct jail_slot *slots, size_t slot_count)
{
	struct sock_filter filled[SLOTTED_INSTRUCTIONS_MAX];
	const struct sock_filter *instructions = filter->instructions;
	int result = 0;

	/* One filter tells everything. */
	if (jail_records())
		return 0;
	if (filter->slot_count != 0) {
		result = filter->count <= SLOTTED_INSTRUCTIONS_MAX
				 ? seal_fill_slots(filter, slots, slot_count, filled)
				 : -E2BIG;
		instructions = filled;
	}
	if (result == 0)
		result = seal_install(filter, instructions, 0);
	if (result == 0)
		violation_filter_thread(filter->name);
	return result < 0 ? seal_failed(filter, result) : 0;
}
