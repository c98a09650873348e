#!/usr/bin/env bats
# A device's process ends, is ended, hangs or lies, and the VM goes on: what the supervisor does about it. Processes
# that are told to misbehave first (helpers/fake_child.c), then real ones under bare-metal guests.
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; }
teardown() {
	vm_teardown
	[ -z "${loop-}" ] || losetup -d "$loop" 2>/dev/null || :
	! mountpoint -q "$BATS_TEST_TMPDIR/full" || umount -l "$BATS_TEST_TMPDIR/full"
}

# of ROLE KEY: a value of the process of that role, from the list.
of() { "$atoll" list --json | jq -r ".[0].processes[] | select(.role == \"$1\") | .$2"; }

is() { [ "$(of "$1" "$2")" = "$3" ]; }

# heartbeat MS: that time-out in YAML, on a machine as slow as the tests are told. What is judged by it is the same.
heartbeat() { echo "heartbeat: $(($1 * patience))ms"; }

# quiet MS: lets time pass, in which something is not to happen.
quiet() {
	local ms=$(($1 * patience))
	read -r -t $((ms / 1000)).$(printf '%03d' $((ms % 1000))) <> <(:) || :
}

# with_disk [YAML]: a detached VM with a disk, in the log what happens.
with_disk() {
	truncate -s 1M image
	config again h <<<$'disks:\n  - {id: root, path: image}\n'"${1:-}"
	"$atoll" run --detach --log-file=log again.yaml
}

end() {
	within 10 "$atoll" kill again
	nothing_left again
}

@test "the limit spent, the device is failed, the VM goes on, and restart revives it" {
	with_disk 'restart: {backoff: 1ms, limit: 3}'
	for count in 1 2 3; do
		kill -9 "$(of blk pid)"
		wait_until 5 is blk restarts $count
		wait_until 5 is blk state running
		grep -q "atoll-blk: again/root was killed by signal 9 (Killed); its successor starts .* (restart $count of 3 within 60 s)" log
	done
	kill -9 "$(of blk pid)"
	wait_until 5 is blk state failed
	cat log
	grep -q 'atoll-blk: again/root was killed by signal 9 (Killed); the device is failed, after 3 restarts within 60 s; the VM goes on; revive it with "atoll restart again root"' log
	is blk pid 0
	is blk trouble "was killed by signal 9 (Killed)"
	"$atoll" list | grep -qE '^  blk root +- +failed +restarted 3 times +was killed by signal 9'
	running again
	is console state running
	"$atoll" restart again root
	is blk state running
	is blk restarts 4
	# The budget is whole again.
	kill -9 "$(of blk pid)"
	wait_until 5 is blk restarts 5
	wait_until 5 is blk state running
	end
}

@test "policy never: one death is the end of the device, of no other" {
	with_disk 'restart: {policy: never}'
	kill -9 "$(of blk pid)"
	wait_until 5 is blk state failed
	grep -q "the device is failed, for its restart policy is never; the VM goes on" log
	is console state running
	"$atoll" restart again root
	is blk state running
	# A device's own word counts before the VM's.
	end
	truncate -s 1M image
	config again h <<<$'restart: {policy: never}\ndisks:\n  - {id: root, path: image, restart: {policy: always}}'
	"$atoll" run --detach --log-file=log again.yaml
	kill -9 "$(of blk pid)"
	wait_until 5 is blk restarts 1
	kill -9 "$(of console pid)"
	wait_until 5 is console state failed
	end
}

# bats test_tags=record
@test "restart replaces a process in order, and counts for nothing" {
	with_disk 'restart: {limit: 1}'
	for count in 1 2 3; do
		before=$(of blk pid)
		"$atoll" restart again root
		is blk state running
		[ "$(of blk pid)" != "$before" ]
	done
	"$atoll" restart again serial
	is console restarts 1
	[ "$(grep -c "its successor starts" log)" = 0 ]
	[ "$(grep -c "again/root serves again" log)" = 3 ]
	# What cannot be.
	run --separate-stderr "$atoll" restart again nothing
	[ "$status" = 1 ]
	[[ $stderr == 'atoll: again: nothing: it has no device of this id; see "atoll list"' ]]
	run --separate-stderr "$atoll" restart nobody root
	[ "$status" = 1 ]
	run --separate-stderr "$atoll" restart again
	[ "$status" = 2 ]
	end
}

@test "restart takes up a program that was upgraded, and says so when the new one does not work" {
	fake
	with_disk 'restart: {limit: 2, backoff: 10ms}'
	fake blk=die
	run --separate-stderr "$atoll" restart again root
	echo "$stderr"
	cat log
	[ "$status" = 1 ]
	[[ $stderr == 'atoll: again: root: its successor does not serve: it ended with status 7: "these are my last words"; '* ]]
	wait_until 5 is blk state failed
	run --separate-stderr "$atoll" restart again root
	echo "$stderr"
	[ "$status" = 1 ]
	wait_until 5 is blk state failed
	fake
	"$atoll" restart again root
	is blk state running
	rm libexec/atoll-blk
	run --separate-stderr "$atoll" restart again root
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == 'atoll: again: root: its successor does not serve: it could not be started: No such file or directory; '* ]]
	running again
	end
}

@test "a process that ends again and again is given pauses" {
	# It ends at its first heartbeat, so soon that its backoff has not begun anew (20 times as long).
	fake blk=late
	truncate -s 1M image
	config again <<<$'disks:\n  - {id: root, path: image}\nrestart: {backoff: '$((20 * patience))$'ms, limit: 5}\n'"$(heartbeat 400)"
	"$atoll" run --detach --log-file=log again.yaml
	wait_until 10 is blk state failed
	cat log
	[ "$(sed -n 's/.*again\/root .*its successor starts \(.*\) (restart.*/\1/p' log | tr '\n' ,)" = \
		"at once,$(printf 'in %d ms,' $((20 * patience)) $((40 * patience)) $((80 * patience)) $((160 * patience)))" ]
	grep -q 'again/root ended with status 7: "these are my late words"; the device is failed' log
	end
}

# hangs MODE TEXT: it is found within twice the time-out, and replaced.
hangs() {
	fake "blk=$1"
	truncate -s 1M image
	config again <<<$'disks:\n  - {id: root, path: image}\n'"$(heartbeat 400)"
	rm -f log
	"$atoll" run --detach --log-file=log again.yaml
	fake
	start=$EPOCHREALTIME
	wait_until 5 grep -q "atoll-blk: again/root was killed: it hangs: $2; its successor starts at once" log
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	echo "found after $took ms"
	[ $took -lt $((1500 * patience)) ]
	wait_until 5 is blk state running
	is console restarts 0
	end
}

@test "a process that answers nothing, or gets nothing done, is replaced" {
	hangs hung "it does not answer"
	hangs stalled "the guest's requests are open, and none moves"
}

@test "a slow disk, a stopped process, a paused guest are no hangs" {
	fake blk=waiting console=good
	truncate -s 1M image
	config again <<<$'disks:\n  - {id: root, path: image}\n'"$(heartbeat 200)"
	"$atoll" run --detach --log-file=log again.yaml
	quiet 600
	is blk restarts 0
	kill -STOP "$(of blk pid)"
	quiet 600
	is blk restarts 0
	kill -CONT "$(of blk pid)"
	quiet 600
	is blk restarts 0
	is console restarts 0
	end
	fake blk=stalled
	config again <<<$'disks:\n  - {id: root, path: image}\n'"$(heartbeat 1000)"
	rm -f log
	"$atoll" run --detach --log-file=log again.yaml
	"$atoll" pause again
	[ "$("$atoll" list --json | jq -r '.[0].state')" = paused ]
	quiet 1500
	cat log
	is blk restarts 0
	# Its successor is a good one: else there is another in its place by the time somebody looks.
	fake
	"$atoll" resume again
	running again
	wait_until 10 is blk restarts 1
	end
}

# lies MODE TEXT: a device that does so once the VM runs is cut off, over and over, and nobody else is.
lies() {
	fake "blk=$1"
	truncate -s 1M image
	config again <<<$'disks:\n  - {id: root, path: image}\nrestart: {backoff: 20ms, limit: 3}\n'"$(heartbeat 400)"
	rm -f log
	"$atoll" run --detach --log-file=log again.yaml
	wait_until 10 is blk state failed
	cat log
	echo "$1"
	[ "$(grep -c "atoll-blk: again/root was killed: $2; its successor starts" log)" = 3 ]
	running again
	is console restarts 0
	end
}

@test "a process that lies to the supervisor is replaced, and no other" {
	lies twice "it said twice that it is ready"
	lies impostor "it told of the guest's end, and that is not its to tell now"
	lies echo "it answered a heartbeat that it was not asked for"
}

# stand_in MODE: blk's next processes are not ours, while the core is.
stand_in() {
	mkdir -p libexec
	cp --remove-destination "$real"/atoll-* libexec/
	[ -z "${1:-}" ] || { cp --remove-destination "$ATOLL_HELPER_DIR/fake_child" libexec/atoll-blk; printf '%32s' "MODE=$1" >>libexec/atoll-blk; }
}

# cut_off MODE TEXT: so is a successor that does this to the core; one that does not serves then.
cut_off() {
	stand_in
	rm -f log
	with_disk $'restart: {backoff: 10ms, limit: 100}\n'"$(heartbeat 1000)"
	stand_in "$1"
	kill -9 "$(of blk pid)"
	wait_until 10 grep -qE "again/root was killed: $2; its successor" log
	stand_in
	wait_until 10 is blk state running
	cat log
	is console restarts 0
	running again
	end
}

@test "a successor that says nothing to the core, nonsense, or hangs up, is cut off and replaced" {
	real=${ATOLL_LIBEXEC_DIR:-$(dirname "$(dirname "$ATOLL")")/libexec/atoll}
	[ -x "$real/atoll-core" ] || skip "the programs are not where this test looks"
	export ATOLL_LIBEXEC_DIR=$PWD/libexec
	cut_off mute "(the core cut it off: .*|the core could not set it up in time)"
	cut_off babbler "the core cut it off: .*"
	cut_off good "it closed its wire to the core and went on"
}

@test "a device that is killed while it starts: the VM ends at first, its successor is succeeded later" {
	fake blk=never
	truncate -s 1M image
	config again <<<$'disks:\n  - {id: root, path: image}\nrestart: {backoff: 10ms, limit: 5}\n'"$(heartbeat 3000)"
	"$atoll" run again.yaml </dev/null 2>err &
	pid=$!
	wait_until 5 is blk state starting
	kill -9 "$(of blk pid)"
	status=0
	wait $pid || status=$?
	[ $status = 1 ]
	grep -q "^atoll: again: atoll-blk: again/root was killed by signal 9 (Killed) during start-up" err
	nothing_left again
	fake
	"$atoll" run --detach --log-file=log again.yaml
	fake blk=never
	kill -9 "$(of blk pid)"
	wait_until 5 is blk state restarting
	"$atoll" list --json | jq -e '.[0].processes[] | select(.role == "blk") | .pid > 0'
	kill -9 "$(of blk pid)"
	wait_until 5 grep -q "again/root was killed by signal 9 (Killed); its successor starts in .* (restart 2 of" log
	# And one that is never ready is not waited for without end.
	wait_until 9 grep -q "again/root was killed: it was not ready in time" log
	fake
	wait_until 10 is blk state running
	end
}

# --- real devices under bare-metal guests ---

# kill_devices ROLE COUNT: kills that role's process of the VM "guest" so often, each when the one before serves.
kill_devices() {
	local count pid
	for ((count = 1; count <= $2; count++)); do
		pid=$("$ATOLL" list --json | jq ".[] | select(.name == \"guest\") | .processes[] | select(.role == \"$1\") | .pid" | head -n 1)
		kill -9 "$pid"
		wait_until 10 sh -c "[ \$(grep -c 'atoll-$1: guest/.* serves again' guest.err) -ge $count ]"
	done
}

# bats test_tags=quick
@test "a disk is killed under 40,000 requests, and each is completed" {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	for disk in root second; do guest_disk $disk.img; done
	guest_config guest-blk "steady=$(amount 40000 10000)" 'disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}'
	vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
	vm_type guest x
	kill_devices blk 5
	vm_expect guest 60 '^# end'
	vm_type guest x
	guest_finished
}

# replaced ROLE ID: that device's process of the VM "guest" is killed, and then replaced in order.
replaced() {
	local pid
	pid=$("$ATOLL" list --json | jq ".[0].processes[] | select(.id == \"$2\") | .pid")
	kill -9 "$pid"
	wait_until 10 grep -q "atoll-$1: guest/$2 serves again" guest.err
	within 20 "$ATOLL" restart guest "$2"
}

@test "C1: a disk that lost data goes on failing flushes, whoever serves it" {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	mkdir full
	mount -t tmpfs -o size=64k none full || skip "no right to mount"
	truncate -s 8M full/disk.img
	dd if=/dev/zero of=full/filler bs=4k 2>/dev/null || :
	guest_config guest-blk lost=1 'disks:' '  - {id: root, path: full/disk.img}'
	vm_start guest vm.yaml
	vm_expect guest 20 '^# lost'
	# There is room again. What was lost does not come back by that.
	rm full/filler
	replaced blk root
	vm_type guest x
	guest_finished
	[ "$(grep -c 'data was lost before this process served (No space left on device): no flush will succeed' guest.err)" = 2 ]
}

# The kernel tells each open file description once that data could not be written back. Here it tells a process that dies of it.
@test "C1: a disk's successor learns of a loss that was told to a process which did not live to note it" {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	[ "$(id -u)" = 0 ] || skip "needs root"
	mkdir full libexec
	ln -s "${ATOLL_LIBEXEC_DIR:?}"/atoll-* libexec
	ln -sf "$ATOLL_HELPER_DIR/forgetful_blk" libexec/atoll-blk
	export ATOLL_LIBEXEC_DIR=$PWD/libexec
	modprobe loop 2>/dev/null || :
	for without in "" io_uring_setup=ENOSYS; do
		mount -t tmpfs -o size=64k none full || skip "no right to mount"
		truncate -s 8M full/disk.img
		loop=$(losetup --show -f full/disk.img) || skip "no loop devices"
		dd if=/dev/zero of=full/filler bs=4k 2>/dev/null || :
		guest_config guest-blk forgotten 'disks:' "  - {id: root, path: $loop}"
		real=$ATOLL
		printf '#!/bin/sh\nexec %s"%s" "$@"\n' "${without:+$ATOLL_HELPER_DIR/without $without -- }" "$real" >atoll
		chmod +x atoll
		ATOLL=$PWD/atoll
		vm_start guest vm.yaml
		ATOLL=$real
		vm_expect guest 20 '^# begin'
		vm_type guest x
		vm_expect guest 20 '^# lost'
		[ "$(grep -c 'guest/root was killed by signal 4' guest.err)" = 1 ]
		grep -q 'guest/root: writing the image back failed: Input/output error; data may be lost' guest.err
		rm full/filler
		within 20 "$ATOLL" restart guest root
		vm_type guest x
		guest_finished
		losetup -d "$loop"
		loop=
		umount full
	done
}

@test "C1: a network keeps its VLANs, addresses, modes and offloads, whoever serves it" {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	cat >atoll-in-net <<-END
		#!/bin/bash
		exec unshare -n bash -c '
			set -e
			ip link add br0 type bridge mcast_snooping 0
			for tap in t0 t1; do ip tuntap add \$tap mode tap; ip link set \$tap master br0 up; done
			ip link set br0 up
			exec "\$@"' in-net "$ATOLL" "\$@"
	END
	chmod +x atoll-in-net
	guest_config guest-net kept 'networks:' '  - {id: a, tap: t0, mac: "52:54:00:00:00:01"}' '  - {id: b, tap: t1, mac: "52:54:00:00:00:02"}'
	real=$ATOLL ATOLL=$PWD/atoll-in-net
	vm_start guest vm.yaml
	ATOLL=$real
	vm_expect guest 20 '^# set'
	replaced net b
	vm_type guest x
	guest_finished
	! grep -q 'cannot be relied on' guest.err
}

@test "a wire that ended while the VM still started costs its process its life once the VM runs, and the device has a successor" {
	fake core=undoer
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}'
	rm -f log
	"$atoll" run --detach --log-file=log web.yaml
	wait_until 10 grep -q "it closed its wire to the core and went on" log
	within 10 "$atoll" kill web
	nothing_left web
}
