/*
 * Time for device-bench: ticks of the TSC while it measures, which cost a few nanoseconds on every machine where the
 * kernel's clock may cost a system call; how long a tick is, each measurement finds out for itself from the kernel's
 * clock at its two ends.
 */
#ifndef ATOLL_TESTS_BENCH_BENCH_CLOCK_H
#define ATOLL_TESTS_BENCH_BENCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t bench_ticks(void)
{
	return __rdtsc();
}

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t bench_now(void);

/* About so many ticks, for deadlines: measured once, at the first call, in some milliseconds. */
uint64_t bench_ticks_of_ms(uint64_t milliseconds);

/* Latencies of one measurement, in ticks: counted in classes that are at most 1/128 wide of their value. */
#define BENCH_LATENCY_BITS    7
#define BENCH_LATENCY_CLASSES ((64 - BENCH_LATENCY_BITS + 1) << BENCH_LATENCY_BITS)

struct bench_latencies {
	uint64_t count;
	uint32_t classes[BENCH_LATENCY_CLASSES];
};

void bench_latency_add(struct bench_latencies *latencies, uint64_t ticks);
/* The latency that so many of a thousand are not above, in ticks (0 when there is none). */
uint64_t bench_latency_permille(const struct bench_latencies *latencies, unsigned permille);

/* One measurement: requests, the ticks they took, and their latencies. */
struct bench_measured {
	uint64_t requests;
	uint64_t ticks;
	struct bench_latencies latencies;
	/* At the start of it, for the length of a tick. */
	uint64_t ticks_start, ns_start;
};

void bench_measure_start(struct bench_measured *measured);

/*
 * Prints the measurement as one line of JSON: name, unit "us", us (the mean of one request), p50, p99, p99.9, requests,
 * and calls, the device's system calls per request (negative: not counted, null).
 */
void bench_measure_print(const char *name, const struct bench_measured *measured, double calls);

#endif
