/*
 * Counting the system calls of other processes: the kernel's own tracepoint raw_syscalls:sys_enter, through
 * perf_event_open(2), one counter for each thread that is there and inherited by those that come. A jail does not hide
 * a process from it, nothing in the process notices, and it is not stopped; but while a counter is open each system
 * call of the machine takes a longer way, so that nothing is timed meanwhile.
 */
#ifndef ATOLL_TESTS_BENCH_BENCH_CALLS_H
#define ATOLL_TESTS_BENCH_BENCH_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_calls {
	const char *pids;    /* "1,2,3"; NULL: nothing is counted */
	uint64_t tracepoint; /* the kernel's number for it */
};

static inline bool bench_calls_wanted(const struct bench_calls *calls)
{
	return calls->pids != NULL;
}

/* Begins to count from zero. Ends the program when it is not possible. */
void bench_calls_start(const struct bench_calls *calls);
/* How many there were since bench_calls_start(). */
uint64_t bench_calls_read(void);
void bench_calls_stop(void);

#endif
