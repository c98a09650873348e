/* Ticks, latencies, and how a measurement is printed: see bench_clock.h. */
#include "tests/bench/bench_clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/bench/bench_say.h"

#define CALIBRATION_NS 5000000

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t bench_ticks_of_ms(uint64_t milliseconds)
{
	static double ticks_of_ms;

	if (ticks_of_ms == 0) {
		uint64_t ticks = bench_ticks(), start = bench_now(), now;

		do
			now = bench_now();
		while (now - start < CALIBRATION_NS);
		ticks_of_ms = (double)(bench_ticks() - ticks) * 1e6 / (double)(now - start);
	}
	return (uint64_t)(ticks_of_ms * (double)milliseconds);
}

/* --- Latencies --- */

/* Values below 1 << BENCH_LATENCY_BITS have a class each; above, each power of two has that many. */
static unsigned latency_class(uint64_t ticks)
{
	unsigned shift;

	if (ticks >> BENCH_LATENCY_BITS == 0)
		return (unsigned)ticks;
	shift = 63 - (unsigned)__builtin_clzll(ticks) - BENCH_LATENCY_BITS;
	return ((shift + 1) << BENCH_LATENCY_BITS) + (unsigned)(ticks >> shift) - (1u << BENCH_LATENCY_BITS);
}

/* The middle of a class. */
static uint64_t class_ticks(unsigned class)
{
	unsigned shift = class >> BENCH_LATENCY_BITS;
	uint64_t within = class & ((1u << BENCH_LATENCY_BITS) - 1);

	if (shift <= 1)
		return class;
	shift--;
	return (((UINT64_C(1) << BENCH_LATENCY_BITS) + within) << shift) + (UINT64_C(1) << (shift - 1));
}

void bench_latency_add(struct bench_latencies *latencies, uint64_t ticks)
{
	latencies->classes[latency_class(ticks)]++;
	latencies->count++;
}

uint64_t bench_latency_permille(const struct bench_latencies *latencies, unsigned permille)
{
	uint64_t wanted = (latencies->count * permille + 999) / 1000, seen = 0;

	for (unsigned i = 0; i < BENCH_LATENCY_CLASSES; i++) {
		seen += latencies->classes[i];
		if (seen >= wanted && seen > 0)
			return class_ticks(i);
	}
	return 0;
}

/* --- Measurements --- */

void bench_measure_start(struct bench_measured *measured)
{
	memset(measured, 0, sizeof(*measured));
	measured->ns_start = bench_now();
	measured->ticks_start = bench_ticks();
}

void bench_measure_print(const char *name, const struct bench_measured *measured, double calls)
{
	double us_per_tick = (double)(bench_now() - measured->ns_start) / 1e3 /
			     (double)(bench_ticks() - measured->ticks_start);
	const struct bench_latencies *latencies = &measured->latencies;

	if (measured->requests == 0)
		bench_fail("%s: no request came back within the slice; make it longer", name);
	printf("{\"name\": \"%s\", \"us\": %.4f, ", name,
	       (double)measured->ticks * us_per_tick / (double)measured->requests);
	if (latencies->count > 0)
		printf("\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, ",
		       (double)bench_latency_permille(latencies, 500) * us_per_tick,
		       (double)bench_latency_permille(latencies, 990) * us_per_tick,
		       (double)bench_latency_permille(latencies, 999) * us_per_tick);
	if (calls >= 0)
		printf("\"calls\": %.4f, ", calls);
	else
		printf("\"calls\": null, ");
	printf("\"requests\": %" PRIu64 "}\n", measured->requests);
}
