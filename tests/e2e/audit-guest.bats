#!/usr/bin/env bats
# atoll audit of VMs whose guests are at work: their memory is mapped by the devices, their queues run.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	[ "$(id -u)" = 0 ] || skip "filters are read by root only"
}
teardown() { guest_teardown; }

# at_work: starts vm.yaml; audits it before its guest's work, during it, and behind it.
at_work() {
	local i
	vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
	"$atoll" audit guest || { echo "status $?"; return 1; }
	"$atoll" audit --json guest >audit.json
	vm_type guest x
	for ((i = 0; i < $(amount 10 2); i++)); do "$atoll" audit guest >during || { cat during; return 1; }; done
	vm_expect guest 60 '^# end'
	"$atoll" audit guest >after || { cat after; return 1; }
	vm_type guest x
	vm_wait guest 20 && at_work_status=0 || at_work_status=$?
	cat guest.out
	[ "$at_work_status" = 33 ]
	! grep -q '^not ok' guest.out
}

kinds() { jq -r ".processes[] | select(.role == \"$1\") | .descriptors[].kind" audit.json | sort -u | tr '\n' ' '; }

@test "disks at work are as written, and do not notice" {
	atoll=$ATOLL
	for disk in root second; do guest_disk $disk.img; done
	guest_config guest-blk "steady=$(amount 40000 8000)" 'disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img, queues: 2}'
	at_work
	[[ " $(kinds blk)" == *" shared-eventfd "* ]]
	# 6: the supervisor has the memory, too.
	[[ " $(kinds supervisor)" == *" guest-memory "* ]]
	[ "$(jq -r '[.processes[] | select(.role == "blk") | .descriptors[] | select(.kind == "file") | .target] | sort | join(" ")' audit.json)" = \
		"$(realpath root.img) $(realpath second.img)" ]
}

@test "networks at work are as written, and do not notice; also in another network namespace" {
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	atoll=$ATOLL
	cat >in-net <<-END
		#!/bin/bash
		exec unshare -n bash -c '
			set -e
			ip link set lo up
			ip link add br0 type bridge mcast_snooping 0
			for tap in t0 t1; do ip tuntap add \$tap mode tap; ip link set \$tap master br0 up; done
			ip link set br0 up
			exec "$ATOLL" "\$@"' in-net "\$@"
	END
	chmod +x in-net
	guest_config guest-net "steady=$(amount 20000 4000)" 'networks:' '  - {id: a, tap: t0, mac: "52:54:00:00:00:01"}' \
		'  - {id: b, tap: t1, mac: "52:54:00:00:00:02"}'
	ATOLL=$PWD/in-net
	at_work
	[ "$(jq -r '[.processes[] | select(.role == "net") | .descriptors[] | select(.kind == "tap") | .interface] | join(" ")' audit.json)" = "t0 t1" ]
}
