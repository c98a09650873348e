# tests/: each kind of test in its folder.
include tests/unit/local.mk
include tests/e2e/local.mk
include tests/guest/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk

EXTRA_DIST += tests/packages tests/setup.sh \
	tests/bed/bed tests/bed/bed-init tests/bed/bed-job tests/bed/demo-init tests/bed/fetch-kernel tests/bed/guest-init \
	tests/bed/linux-suite tests/bed/linux.bats tests/bed/make-debian-root tests/bed/make-demo-guest \
	tests/bed/make-initrd tests/bed/vm.bash tests/bed/with-tap \
	tests/bed/guest-tests/end tests/bed/guest-tests/net tests/bed/guest-tests/report
