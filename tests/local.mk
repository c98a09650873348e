# tests/: each kind of test in its folder.
include tests/unit/local.mk
include tests/e2e/local.mk
include tests/guest/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk

EXTRA_DIST += tests/README.md tests/packages tests/setup.sh tests/patience.bash \
	tests/runner/README.md tests/runner/as-user tests/runner/bats_file.py tests/runner/build.py tests/runner/check.py \
	tests/runner/machine.py tests/runner/pool.py tests/runner/report.py tests/runner/rooms.py tests/runner/self_test.py tests/runner/steps.py tests/runner/worker.py \
	tests/bed/README.md tests/bed/bed tests/bed/bed-init tests/bed/bed-job tests/bed/debian-mirror tests/bed/demo-init tests/bed/fetch-kernel tests/bed/guest-init \
	tests/bed/make-demo-guest tests/bed/make-initrd tests/bed/vm.bash tests/bed/with-tap \
	tests/linux/README.md tests/linux/boot.bats tests/linux/debian.bats tests/linux/linux.bash tests/linux/make-assets \
	tests/linux/make-debian-root tests/linux/make-torture tests/linux/net.bats tests/linux/stream.c tests/linux/torture \
	tests/linux/torture.bats tests/linux/guest-tests/end tests/linux/guest-tests/net tests/linux/guest-tests/report \
	tests/linux/guest-tests/torture tests/linux/failed.bats tests/linux/guest-tests/failed tests/linux/limits.bats \
	tests/debians/README.md tests/debians/build-in tests/debians/guest-devices tests/debians/guest-in tests/debians/in-root \
	tests/debians/make-root tests/debians/run tests/debians/run-guest tests/debians/test-in

# The long forms of what ./check does in short. They build below build/, as ./check does: these are for a checkout.
TORTURE_KILLS = 1000
TORTURE_OPTIONS =
.PHONY: torture soak
torture:
	TORTURE_KILLS="$(TORTURE_KILLS)" TORTURE_OPTIONS="$(TORTURE_OPTIONS)" "$(srcdir)/check" --soak torture.bats
soak:
	TORTURE_KILLS="$(TORTURE_KILLS)" TORTURE_OPTIONS="$(TORTURE_OPTIONS)" "$(srcdir)/check" --soak e2e guests linux
