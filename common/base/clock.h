/*
 * What time it is. Any thread; async-signal-safe; needs no system call where the vDSO has the clock.
 */
#ifndef ATOLL_COMMON_BASE_CLOCK_H
#define ATOLL_COMMON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds of a clock, as CLOCK_MONOTONIC. */
uint64_t clock_us(clockid_t clock);

#endif
