/* The one way in which device-bench ends badly: a line that says what was wrong, and status 1. */
#ifndef ATOLL_TESTS_BENCH_BENCH_SAY_H
#define ATOLL_TESTS_BENCH_BENCH_SAY_H

_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
