# tests/bench/: `make bench` compares with the distribution's QEMU in one run, and leaves bench.json.
GUESTS += tests/bench/guest-bench
noinst_PROGRAMS += tests/bench/guest-bench
tests_bench_guest_bench_SOURCES = tests/bench/guest-bench.c
tests_bench_guest_bench_CFLAGS = $(GUEST_COMPILE)
tests_bench_guest_bench_LDADD = tests/guest/libguest.a
tests_bench_guest_bench_LINK = $(GUEST_LINK)

# The programs as they are in the build tree: the supervisor looks for the others in one folder.
BENCH_ROUNDS = 5
BENCH_KILLS = 100
.PHONY: bench
bench: all
	@mkdir -p tests/bench/libexec
	@for program in vmm-core/atoll-core dev-blk/atoll-blk dev-net/atoll-net dev-console/atoll-console; do \
		ln -sf "$(abs_builddir)/$$program" tests/bench/libexec/; \
	done
	ATOLL_LIBEXEC_DIR="$(abs_builddir)/tests/bench/libexec" "$(srcdir)/tests/bench/bench" \
		--atoll "$(abs_builddir)/supervisor/atoll" --guest tests/bench/guest-bench --rounds $(BENCH_ROUNDS) \
		--kills $(BENCH_KILLS) --json bench.json

EXTRA_DIST += tests/bench/bench
CLEANFILES += bench.json
clean-local: clean-bench
.PHONY: clean-bench
clean-bench:
	rm -rf tests/bench/libexec
