/*
 * Reading filters by ptrace(2). One thread of the process after the other, so that the rest of it goes on.
 */
#include "audit/audit_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

/* A thread in the kernel may be waiting for a disk. */
#define STOP_TIMEOUT_MS 2000

struct tracer {
	int dir_fd;
	struct trace_thread *threads;
	size_t count;
};

void trace_filters_free(struct trace_filters *filters)
{
	for (unsigned i = 0; i < filters->count; i++)
		free(filters->filters[i].instructions);
	*filters = (struct trace_filters){0};
}

/* The kernel counts from the oldest. -ENOENT behind the last. */
static int filter_read(pid_t thread, unsigned index, struct trace_filter *filter)
{
	struct sock_filter *instructions;
	long count = ptrace(PTRACE_SECCOMP_GET_FILTER, thread, (void *)(uintptr_t)index, NULL);

	if (count < 0)
		return -errno;
	if (count == 0 || count > UINT16_MAX)
		return -EPROTO;
	instructions = calloc((size_t)count, sizeof(*instructions));
	if (instructions == NULL)
		return -ENOMEM;
	/* The count cannot have changed: the thread is stopped, and only its own process could add a filter. */
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, thread, (void *)(uintptr_t)index, instructions) != count) {
		free(instructions);
		return -EAGAIN;
	}
	*filter = (struct trace_filter){instructions, (uint16_t)count};
	return 0;
}

static int filters_read(pid_t thread, struct trace_filters *filters)
{
	struct trace_filters read = {0};
	int result = 0;

	while (read.count < TRACE_FILTERS_MAX) {
		result = filter_read(thread, read.count, &read.filters[read.count]);
		if (result < 0)
			break;
		read.count++;
	}
	if (result == 0)
		result = -EFBIG;
	/* EINVAL for the first: it wears none; or CONFIG_CHECKPOINT_RESTORE is not set. */
	if (result != -ENOENT || read.count == 0) {
		trace_filters_free(&read);
		return result == -EINVAL || result == -ENOENT ? -ENODATA
		       : result == -EPERM		      ? -EACCES
							      : result;
	}
	for (unsigned i = 0; i < read.count; i++)
		filters->filters[i] = read.filters[read.count - 1 - i];
	filters->count = read.count;
	return 0;
}

/* Waits for a stop. Returns the signal to be delivered at the end (0: none), -ESRCH, -ETIMEDOUT or -errno. */
static int thread_wait_stop(pid_t thread)
{
	int64_t end = clock_ms(CLOCK_MONOTONIC) + STOP_TIMEOUT_MS;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		struct timespec wait;
		int64_t left;
		int status;
		pid_t result = waitpid(thread, &status, __WALL | WNOHANG);

		if (result < 0)
			return errno == ECHILD ? -ESRCH : -errno;
		if (result == thread && WIFSTOPPED(status))
			/* A stop of ptrace's own has an event; in any other a signal is about to be delivered. */
			return status >> 16 != 0 ? 0 : WSTOPSIG(status);
		if (result == thread)
			return -ESRCH;
		left = end - clock_ms(CLOCK_MONOTONIC);
		if (left < 0)
			return -ETIMEDOUT;
		wait = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
		if (sigtimedwait(&child, NULL, &wait) < 0 && errno == EAGAIN)
			return -ETIMEDOUT;
	}
}

static int thread_trace(int dir_fd, pid_t thread, struct trace_filters *filters)
{
	char path[48];
	int result, stop;

	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0)
		return errno == EPERM ? -EACCES : -errno;
	/* Its number cannot be another's from now on; whether it was until now is seen here. */
	snprintf(path, sizeof(path), "task/%d", (int)thread);
	if (faccessat(dir_fd, path, F_OK, 0) < 0)
		return -ESRCH;
	if (ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) < 0)
		return -errno;
	stop = thread_wait_stop(thread);
	if (stop < 0)
		return stop;
	result = filters_read(thread, filters);
	/* ESRCH: it was killed. */
	ptrace(PTRACE_DETACH, thread, NULL, (void *)(uintptr_t)stop);
	return result;
}

static void *tracer_run(void *argument)
{
	struct tracer *tracer = argument;

	for (size_t i = 0; i < tracer->count; i++)
		tracer->threads[i].result =
			thread_trace(tracer->dir_fd, tracer->threads[i].thread, &tracer->threads[i].filters);
	return NULL;
}

int trace_threads(int dir_fd, struct trace_thread *threads, size_t count)
{
	struct tracer tracer = {dir_fd, threads, count};
	sigset_t child, before;
	pthread_t thread;
	int result;

	/* The tracer waits for it, and inherits the mask. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, &before);
	result = -pthread_create(&thread, NULL, tracer_run, &tracer);
	if (result == 0)
		pthread_join(thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}
