# What the benchmark's driver of device processes counts with.
if HAVE_CMOCKA
TESTS += tests/unit/test_bench
check_PROGRAMS += tests/unit/test_bench
tests_unit_test_bench_SOURCES = tests/unit/test_bench.c tests/bench/bench_clock.c tests/bench/bench_frames.c
tests_unit_test_bench_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_bench_LDADD = $(UNIT_LIBS)
endif
