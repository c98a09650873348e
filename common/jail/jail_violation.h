/*
 * How a system call that no filter allows is told: between jail_seal.c and jail_violation.c, and for who
 * prints it.
 */
#ifndef ATOLL_COMMON_JAIL_JAIL_VIOLATION_H
#define ATOLL_COMMON_JAIL_JAIL_VIOLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VIOLATION_ARGUMENTS 6

struct violation {
	const char *thread; /* "main", "queue-0" */
	const char *filter; /* "blk.queue" */
	uint32_t arch;	    /* AUDIT_ARCH_* */
	uint32_t call;
	uint64_t arguments[VIOLATION_ARGUMENTS];
	uint64_t instruction; /* its address */
};

/*
 * "queue-0 called openat(0xffffff9c, 0x7ffe0010, 0x0, 0x0, 0x0, 0x0), which blk.queue.policy does not allow;
 * see atoll policy explain blk.queue openat". Cut to size. Async-signal-safe. Returns its length.
 */
size_t violation_describe(const struct violation *violation, char *text, size_t size);

/*
 * What a violation before the process served means, behind that: "; it had not served yet: the policy blk.main of
 * Atoll 0.1 and the C library do not fit (built with glibc 2.36, runs with glibc 2.41); ...". The rest as above.
 */
size_t violation_describe_misfit(const char *filter, const char *built_with, const char *runs_with,
				 char *text, size_t size);

/*
 * Whether the call is one that abort(3) makes on its way, as glibc has it: of a process that serves it is a crash,
 * which is told as such and ends with JAIL_EXIT_ABORTED. process: its id, as it sees it itself. Async-signal-safe.
 */
bool violation_aborts(const struct violation *violation, pid_t process);

/* Where violations are reported: the control wire, or -1. */
int violation_control(void);

/* The filter that all threads are about to get. */
void violation_filter_process(const char *filter);
/* The filter that the calling thread is about to get. */
void violation_filter_thread(const char *filter);

#endif
