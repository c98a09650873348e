/*
 * What time it is. Any thread; async-signal-safe; needs no system call where the vDSO has the clock.
 */
#ifndef ATOLL_COMMON_BASE_CLOCK_H
#define ATOLL_COMMON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock, as CLOCK_MONOTONIC. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Microseconds. */
static inline uint64_t clock_us(clockid_t clock)
{
	return clock_ns(clock) / 1000;
}

/* Milliseconds, signed: of a deadline so much may be left, or be over. */
static inline int64_t clock_ms(clockid_t clock)
{
	return (int64_t)(clock_ns(clock) / 1000000);
}

/* Whole seconds. */
static inline time_t clock_s(clockid_t clock)
{
	return (time_t)(clock_ns(clock) / 1000000000);
}

#endif
