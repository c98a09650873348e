# tests/bench/: `make bench` compares with the distribution's QEMU in one run, and leaves bench.json.
GUESTS += tests/bench/guest-bench
noinst_PROGRAMS += tests/bench/guest-bench
tests_bench_guest_bench_SOURCES = tests/bench/guest-bench.c
tests_bench_guest_bench_CFLAGS = $(GUEST_COMPILE)
tests_bench_guest_bench_LDADD = tests/guest/libguest.a
tests_bench_guest_bench_LINK = $(GUEST_LINK)

# The driver of device processes, without a guest.
noinst_PROGRAMS += tests/bench/device-bench
tests_bench_device_bench_SOURCES = tests/bench/device-bench.c tests/bench/bench_say.h tests/bench/bench_slices.h \
	tests/bench/bench_calls.c tests/bench/bench_calls.h \
	tests/bench/bench_clock.c tests/bench/bench_clock.h \
	tests/bench/bench_disk.c tests/bench/bench_disk.h \
	tests/bench/bench_frames.c tests/bench/bench_frames.h \
	tests/bench/bench_link.c tests/bench/bench_link.h \
	tests/bench/bench_net.c tests/bench/bench_net.h \
	tests/bench/bench_port.c tests/bench/bench_port.h \
	tests/bench/bench_ring.c tests/bench/bench_ring.h
tests_bench_device_bench_LDADD = vmm-core/libcore.la

# The programs as they are in the build tree: the supervisor looks for the others in one folder. BENCH_OPTIONS is for more,
# such as "--half devices", or --emulated.
BENCH_ROUNDS = 5
BENCH_KILLS = 100
BENCH_OPTIONS =
.PHONY: bench
bench: all
	@mkdir -p tests/bench/libexec
	@for program in $(pkglibexec_PROGRAMS); do \
		ln -sf "$(abs_builddir)/$$program" tests/bench/libexec/; \
	done
	"$(srcdir)/tests/bench/bench" --atoll "$(abs_builddir)/cli/atoll" --libexec tests/bench/libexec \
		--guest tests/bench/guest-bench --driver tests/bench/device-bench --kernel "$(abs_top_srcdir)/.cache/kernel" \
		--rounds $(BENCH_ROUNDS) --kills $(BENCH_KILLS) --json bench.json $(BENCH_OPTIONS)

EXTRA_DIST += tests/bench/bench tests/bench/README.md \
	tests/bench/benchlib/__init__.py tests/bench/benchlib/common.py tests/bench/benchlib/devices.py \
	tests/bench/benchlib/driver.py tests/bench/benchlib/emulated.py tests/bench/benchlib/machines.py \
	tests/bench/benchlib/outage.py tests/bench/benchlib/report.py
CLEANFILES += bench.json
clean-local: clean-bench
.PHONY: clean-bench
clean-bench:
	rm -rf tests/bench/libexec
