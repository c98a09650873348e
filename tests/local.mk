# tests/: each kind of test in its folder.
include tests/unit/local.mk
include tests/e2e/local.mk
include tests/guest/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk

EXTRA_DIST += tests/packages tests/setup.sh \
	tests/bed/bed tests/bed/bed-init tests/bed/bed-job tests/bed/debian-mirror tests/bed/demo-init tests/bed/fetch-kernel tests/bed/guest-init \
	tests/bed/linux-suite tests/bed/linux.bats tests/bed/make-debian-root tests/bed/make-demo-guest \
	tests/bed/make-initrd tests/bed/make-torture tests/bed/run-torture tests/bed/stream.c tests/bed/torture \
	tests/bed/vm.bash tests/bed/with-tap \
	tests/bed/guest-tests/end tests/bed/guest-tests/net tests/bed/guest-tests/report tests/bed/guest-tests/torture \
	tests/debians/README.md tests/debians/build-in tests/debians/guest-devices tests/debians/guest-in tests/debians/in-root \
	tests/debians/make-root tests/debians/run tests/debians/run-guest tests/debians/test-in

# The torture test of ./check, longer: TORTURE_OPTIONS is for more, such as --seed.
TORTURE_KILLS = 1000
TORTURE_OPTIONS =
.PHONY: torture
torture: all
	@rm -rf tests/torture-stage
	$(MAKE) $(AM_MAKEFLAGS) install DESTDIR="$(abs_builddir)/tests/torture-stage" >/dev/null
	ATOLL="$(abs_builddir)/tests/torture-stage$(bindir)/atoll" \
	ATOLL_LIBEXEC_DIR="$(abs_builddir)/tests/torture-stage$(libexecdir)/atoll" \
		"$(srcdir)/tests/bed/run-torture" tests/torture --kills $(TORTURE_KILLS) $(TORTURE_OPTIONS)

clean-local: clean-torture
.PHONY: clean-torture
clean-torture:
	rm -rf tests/torture tests/torture-stage
