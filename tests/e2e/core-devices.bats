#!/usr/bin/env bats
# atoll-core and real device processes without a supervisor: processes are killed under a guest that counts, others take
# their place, or none does.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	. "$BATS_TEST_DIRNAME/core.bash"
	guest_setup
	core_setup
}

teardown() { core_teardown; }

# start CMDLINE: the guest of guest-blk.bats, with its processes. By hand a successor opens the image itself, and finds it
# locked until the kernel has let go of what its predecessor had.
start() {
	local blk="$ATOLL_LIBEXEC_DIR/atoll-blk --no-sandbox --fd=4"
	"$helpers/core_harness" -d -m 64 -a "$1 patience=$patience" \
		-D "serial:serial:$ATOLL_LIBEXEC_DIR/atoll-console $PWD/console" \
		-D "blk:root:until $blk --blk-file=root.img; do sleep 0.01; done" \
		-D "blk:second:exec $blk --blk-file=second.img" \
		"$core" "$guests/guest-blk" <orders >out 2>err 9>&- &
	harness=$!
	told '.' 20 console
}

# ended: the guest ended as one does whose tests passed.
ended() {
	wait $harness
	harness=
	grep -v '^ok' console || true
	tail -n 5 err
	grep -q '^end KIND_DEBUG_EXIT 33' out
	! grep -qE '^(not ok|Bail out)' console
}

@test "a disk's process is killed over and over; the guest misses no request" {
	start "id=root.img many=$(amount 20000 3000) killed=1"
	kills=0
	while kill -0 $harness 2>/dev/null && ! grep -q '^end' out; do
		kills=$((kills + 1))
		echo "kill root" >&9
		echo "attach root" >&9
		told "^device root KIND_SERVING $kills \|^end" 20
		sleep 0.02
	done
	echo "$kills kills"
	ended
	[ $kills -gt $(amount 10 3) ]
	! grep -q KIND_BROKEN out
	cmp <(dd if=root.img bs=512 skip=9216 count=128 status=none) <(seq -f '%015.0f' 1000000 1004095)
}

@test "a pause and a replacement of a process that serves" {
	start "id=root.img many=$(amount 20000 3000) killed=1"
	for i in 1 2 3 4 5; do
		echo pause >&9
		echo "attach root" >&9
		told "^device root KIND_SERVING $i "
		echo resume >&9
		sleep 0.05
	done
	ended
	! grep -q KIND_BROKEN out
}

@test "a paused guest does nothing" {
	start "id=root.img many=$(amount 100000 4000)"
	echo pause >&9
	echo statistics >&9
	told '^counter exits-interrupted'
	before=$(stat -c %s console)
	sleep 0.3
	[ "$(stat -c %s console)" = "$before" ]
	kill -0 $harness
	echo resume >&9
	ended
}

@test "counters of a device's replacements" {
	start "id=root.img many=$(amount 50000 3000)"
	echo "kill root" >&9
	told '^device root KIND_GONE 0 '
	echo "attach root" >&9
	told '^device root KIND_SERVING 1 '
	echo statistics >&9
	told '^counter root.longest-outage-us'
	grep -q '^counter root.restarts 1$' out
	grep -q '^counter second.restarts 0$' out
	[ "$(sed -n 's/^counter root.longest-outage-us //p' out)" -gt 0 ]
	ended
}

@test "no successor comes: the guest is told, and goes on with its other disk" {
	start 'id=root.img many=1000000'
	echo "fail root" >&9
	echo statistics >&9
	told '^counter second.restarts 0'
	kill -0 $harness
	! grep -q '^end' out
	echo shut-down >&9
	wait $harness
	harness=
	grep -q '^no end' out
}

@test "the console's process is killed while the guest prints" {
	start "id=root.img many=$(amount 20000 3000)"
	for i in 1 2 3; do
		echo "kill serial" >&9
		echo "attach serial" >&9
		told "^device serial KIND_SERVING $i "
	done
	echo "kill root" >&9
	echo "attach root" >&9
	told "^device root KIND_SERVING 4 "
	wait $harness
	harness=
	grep -q '^end KIND_DEBUG_EXIT 33' out
}
