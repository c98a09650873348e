#!/usr/bin/env bats
# Device processes are killed at random under a Linux guest's verified load (see torture). The short form is 50 kills, the
# long one (make torture, make soak) 1,000; TORTURE_OPTIONS is for more, such as --seed.
# bats file_tags=linux

load linux.bash
setup() { linux_setup stream tools.img; }
teardown() { linux_teardown; }

torture() { # KILLS
	inside_net=(unshare --net)
	"${inside_net[@]}" sh -c 'ip link set lo up && exec "$@"' sh \
		"$BATS_TEST_DIRNAME/torture" --kernel "$kernels" --kills "$1" ${TORTURE_OPTIONS:-}
}

# bats test_tags=limit:200
@test "50 device processes are killed under verified load, and the guest notices nothing" { torture 50; }

# bats test_tags=soak,limit:1500
@test "1,000 device processes are killed under verified load, and the guest notices nothing" { torture "${TORTURE_KILLS:-1000}"; }
