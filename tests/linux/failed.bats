#!/usr/bin/env bats
# A Linux guest of one processor whose disk and network have failed goes on: its drivers poll for answers, and get some (E7).
# bats file_tags=linux

load linux.bash
setup() {
	linux_setup
	unshare --net sleep infinity 3>&- &
	holder=$!
	wait_until 5 eval '[ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
	outer=$ATOLL
	printf '#!/bin/sh\nexec nsenter --net=/proc/%s/ns/net %s "$@"\n' "$holder" "$outer" >atoll-in-net
	chmod +x atoll-in-net
	ATOLL=$work/atoll-in-net
}
teardown() { linux_teardown; }

state() { "$outer" list --json | jq -r ".[0].processes[] | select(.id == \"$1\" and .role == \"$2\") | .$3"; }

@test "a guest whose disk and network failed asks for promiscuous mode, removes a driver, loads it, and has both back" {
	nsenter --net=/proc/$holder/ns/net sh -c 'ip tuntap add dev tap0 mode tap && ip link set tap0 up'
	truncate -s 16M disk.img
	linux_config failed 1 256MiB bzImage "test=failed" <<-END
		restart: {policy: never}
		disks:
		  - {id: root, path: disk.img}
		networks:
		  - {id: lan, tap: tap0}
	END
	vm_start failed failed.yaml
	vm_expect failed 30 'failed: begin'
	for pair in root:blk lan:net; do
		kill -9 "$(state ${pair%:*} ${pair#*:} pid)"
		wait_until 10 grep -q "atoll-undertaker: failed/${pair%:*} answers for the failed device" failed.err
	done
	vm_type failed x
	vm_expect failed 20 'failed: the driver is back'
	for id in root lan; do "$outer" restart failed $id; done
	vm_type failed x
	vm_expect failed 20 'failed: end'
	linux_ends failed 10 0
	cat failed.out
	for words in 'promiscuous mode was asked for' 'reading fails' 'no carrier' 'the driver is removed' 'the disk was read' 'a carrier'; do
		grep -q "failed: $words" failed.out || die "not said: $words"
	done
	! grep -q 'soft lockup' failed.out
}
