#!/usr/bin/env bats
# virtio-net, driven by hand: a guest with two NICs whose taps are on one bridge.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	cat >in-net <<'END'
#!/bin/bash
# A namespace with the taps t0 and t1 on a bridge, and nobody else talking.
exec unshare -n bash -c '
	set -e
	echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null || :
	ip link set lo up
	ip link add br0 type bridge mcast_snooping 0
	for tap in t0 t1; do ip tuntap add $tap mode tap; ip link set $tap master br0 up; done
	ip link set br0 up
	exec "$@"' in-net "$@"
END
	chmod +x in-net
	networks=('networks:' '  - {id: a, tap: t0, mac: "52:54:00:00:00:01"}' '  - {id: b, tap: t1, mac: "52:54:00:00:00:02"}')
}
teardown() { guest_teardown; }

# bats test_tags=quick,record
@test "frames, buffers, filters, offloads, bad frames, interrupts" {
	guest_config guest-net 'gso mac0=52:54:00:00:00:01 mac1=52:54:00:00:00:02' "${networks[@]}"
	guest_run ./in-net
	guest_passed
}

@test "20,000 datagrams each way make no exit to the core" {
	guest_config guest-net "steady=$(amount 20000 2000)" "${networks[@]}"
	# vm_start runs $ATOLL, so a stand-in for it goes into the namespace.
	printf '#!/bin/sh\nexec ./in-net "%s" "$@"\n' "$ATOLL" >atoll-in-net
	chmod +x atoll-in-net
	ATOLL=$PWD/atoll-in-net
	counter_atoll=$ATOLL
	guest_steady
}

device_is() { # STATE
	[ "$("$ATOLL" list --json | jq -r '.[] | select(.name == "guest") | .processes[] | select(.id == "a" and .role == "net") | .state')" = "$1" ]
}

@test "E10: a tap that was deleted is told, spends no restarts, and the next of its name is taken by a command" {
	guest_config guest-net "steady=$(amount 2000 1000)" "${networks[@]}"
	printf '#!/bin/sh\nexec ./in-net "%s" "$@"\n' "$ATOLL" >atoll-in-net
	chmod +x atoll-in-net
	ATOLL=$PWD/atoll-in-net vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
	inside() { nsenter -t "$vm_pid_guest" -n "$@"; }
	inside ip link del t0
	wait_until 10 grep -q 'guest/a has lost its tap t0, which was deleted; make it again' guest.err
	# The process that is there goes on to serve the driver.
	run "$ATOLL" restart guest a
	echo "$output"
	[ "$status" != 0 ]
	[[ $output == *"has lost its tap t0, which was deleted: there is no such interface; make it"* ]]
	device_is running
	# Without one it is failed at once, and not after a number of trials.
	kill -9 "$("$ATOLL" list --json | jq '.[].processes[] | select(.id == "a") | .pid')"
	wait_until 10 device_is failed
	grep -q 'guest/a has lost its tap t0, .*; the device is failed, for it has nothing to serve' guest.err
	[ "$("$ATOLL" list --json | jq '[.[].processes[] | select(.id == "a")][0].restarts')" = 1 ]
	run "$ATOLL" restart guest a
	[ "$status" != 0 ]
	[[ $output == *"has lost its tap t0"* ]]
	inside ip tuntap add t0 mode tap
	inside ip link set t0 master br0 up
	"$ATOLL" restart guest a
	device_is running
	vm_type guest x
	vm_expect guest 60 '^# end'
	vm_type guest x
	status=0
	vm_wait guest 20 || status=$?
	cat guest.out guest.err
	[ "$status" = 33 ]
}
