/* How long each part of a measurement takes. */
#ifndef ATOLL_TESTS_BENCH_BENCH_SLICES_H
#define ATOLL_TESTS_BENCH_BENCH_SLICES_H

#include <stdint.h>

#include "tests/bench/bench_calls.h"

struct bench_slices {
	uint64_t timed_ms;	  /* of each measurement */
	uint64_t counted_ms;	  /* of the pass before it in which system calls are counted */
	struct bench_calls calls; /* whose */
};

#endif
