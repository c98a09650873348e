#!/usr/bin/env bats
# Devices that have failed for good, and whose guest goes on all the same: E7. Their undertakers complete what it asks for with
# errors, until the devices are revived.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	printf '#!/bin/bash\nexec unshare -n bash -c '\''ip link set lo up && ip tuntap add t0 mode tap && ip link set t0 up && exec "$@"'\'' . "%s" "$@"\n' \
		"$ATOLL" >atoll-in-net
	chmod +x atoll-in-net
	guest_disk disk.img
	: >console.out
}
teardown() { cat guest.out guest.err; guest_teardown; }

# of ID KEY [ROLE]: a value of the process for that device, or of that role for it.
of() {
	local role='!= "undertaker"'
	[ -z "${3:-}" ] || role="== \"$3\""
	"$ATOLL" list --json | jq -r ".[0].processes[] | select(.id == \"$1\" and .role $role) | .$2"
}
is() { [ "$(of "$1" "$2" "${4:-}")" = "$3" ]; }

# fail_all: the three devices fail, and each has an undertaker that serves.
fail_all() {
	local id
	for id in root lan hvc; do
		kill -9 "$(of $id pid)"
		wait_until 10 is $id state failed
		wait_until 10 grep -q "atoll-undertaker: guest/$id answers for the failed device" guest.err

	done
}

# Kills root's undertaker, if there is one; whether it has been given up.
given_up_when_killed() {
	local pid
	pid=$(of root pid undertaker)
	[ "${pid:-0}" = 0 ] || kill -9 "$pid" 2>/dev/null || :
	grep -q 'nobody answers the guest for this device' guest.err
}

begin() {
	guest_config guest-undertaker '' 'restart: {policy: never}' 'disks:' '  - {id: root, path: disk.img}' \
		'networks:' '  - {id: lan, tap: t0}' 'consoles:' '  - {id: com, type: serial}' \
		'  - {id: hvc, type: virtio, output: file, path: console.out}'
	ATOLL=$PWD/atoll-in-net vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
}

# bats test_tags=quick,record
@test "E7: what a guest asks of failed devices fails, they are reset and start anew, and are revived" {
	begin
	fail_all
	vm_type guest x
	vm_expect guest 40 '^# failed'
	for id in root lan hvc; do
		is $id state running undertaker
		is $id pid 0
	done
	[ "$(of root counters.refused undertaker)" -gt 50 ]
	[ "$(of lan counters.refused undertaker)" = 2 ]
	for id in root lan hvc; do
		"$ATOLL" restart guest $id
		is $id state running
		[ -z "$(of $id pid undertaker)" ]
	done
	vm_type guest x
	guest_finished 40
}

@test "E7: an undertaker that ends, or hangs, has a successor; one that ends again and again is given up" {
	begin
	fail_all
	"$ATOLL" audit guest
	pid=$(of root pid undertaker)
	kill -9 "$pid"
	wait_until 10 sh -c "[ \$(grep -c 'atoll-undertaker: guest/root answers for the failed device' guest.err) = 2 ]"
	grep -q 'atoll-undertaker: guest/root was killed by signal 9 (Killed); another takes its place' guest.err
	vm_type guest x
	vm_expect guest 40 '^# failed'
	wait_until 20 given_up_when_killed
	# Revived all the same.
	for id in root lan hvc; do "$ATOLL" restart guest $id; done
	is root state running
	"$ATOLL" audit guest
	vm_type guest x
	guest_finished 40
}
