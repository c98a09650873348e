/*
 * The filters that a thread wears, from the kernel's own copy.
 *
 * They are read by ptrace(2): the thread is stopped for the moment that takes, and let go. That is done by a
 * thread of ours that ends with it, since the kernel lets go of everything that a thread traces when that ends,
 * in whatever way: also when the audit is killed in the middle, and also of a thread that could not be stopped
 * in time. PTRACE_SEIZE and not PTRACE_ATTACH, so that no signal is sent that could stay behind.
 *
 * Needs CAP_SYS_ADMIN in the host's user namespace, and that we wear no filter ourselves.
 *
 * Source: ptrace(2), PTRACE_SECCOMP_GET_FILTER.
 */
#ifndef ATOLL_AUDIT_AUDIT_TRACE_H
#define ATOLL_AUDIT_AUDIT_TRACE_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* More than any thread of ours wears. */
#define TRACE_FILTERS_MAX 32

struct trace_filter {
	struct sock_filter *instructions;
	uint16_t count;
};

struct trace_filters {
	struct trace_filter filters[TRACE_FILTERS_MAX]; /* the one that was installed last comes first */
	unsigned count;
};

/* One thread to read, and what came of it. */
struct trace_thread {
	pid_t thread;
	/* 0, -ESRCH: it has ended; -EACCES: we may not; -ENODATA: it wears none, or this kernel does not tell;
	 * -ETIMEDOUT: it did not stop; or another -errno. */
	int result;
	struct trace_filters filters;
};

/*
 * Reads the filters of threads of the process whose directory in /proc is dir_fd. 0, or -errno when nothing was
 * tried. Afterwards trace_filters_free() for each.
 */
int trace_threads(int dir_fd, struct trace_thread *threads, size_t count);
void trace_filters_free(struct trace_filters *filters);

#endif
