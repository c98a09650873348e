#!/usr/bin/env bats
# Linux guests' networks, in a network namespace of the test's own.
# bats file_tags=linux,user

load linux.bash
setup() {
	linux_setup
	# The test's own shell moves: what it starts from here on is in there.
	in_net=$work/in-net
	printf '#!/bin/sh\nexec nsenter --net=%s "$@"\n' "$work/net" >"$in_net"
	chmod +x "$in_net"
	touch net
	unshare --net="$work/net" true
	outer=$ATOLL
	printf '#!/bin/sh\nexec nsenter --net=%s %s "$@"\n' "$work/net" "$outer" >atoll-in-net
	chmod +x atoll-in-net
	ATOLL=$work/atoll-in-net
}
teardown() {
	umount "$work/net"
	linux_teardown
}

inside() { nsenter --net="$work/net" "$@"; }

# fetch HOST FILE: by HTTP, to standard output; no program for it is sure to be here.
fetch() {
	inside bash -c '
		exec 8<>"/dev/tcp/$0/80" || exit
		printf "GET /%s HTTP/1.0\r\n\r\n" "$1" >&8
		while IFS= read -r -t 60 line <&8 && [ "$line" != $'"'\\r'"' ]; do :; done
		exec timeout "$2" cat <&8' "$1" "$2" $((45 * patience))
}

# Two guests: "one" with a NIC on each of two bridges, "two" on the first. What guests send they serve by HTTP, in large
# pieces; on emulated machines each small one would cost milliseconds.
# bats test_tags=limit:150
@test "two NICs ping, carry files each way with offloads on, and reach a second VM on the bridge" {
	for bridge in br0 br1; do
		inside ip link add "$bridge" type bridge
		inside ip link set "$bridge" up
	done
	inside ip address add 192.0.2.1/28 dev br0
	inside ip address add 192.0.2.17/28 dev br1
	for tap in one0:br0 one1:br1 two0:br0; do
		inside ip tuntap add dev "${tap%:*}" mode tap ${ATOLL_TEST_USER:+user $ATOLL_TEST_USER}
		inside ip link set "${tap%:*}" master "${tap#*:}" up
	done
	mib=$(amount 64 16)
	head -c "${mib}M" /dev/urandom >sent-by-host
	linux_config one 2 512MiB bzImage "test=net role=one mib=$mib" <<-END
		networks:
		  - {id: lan, tap: one0}
		  - {id: back, tap: one1}
	END
	linux_config two 1 256MiB bzImage "test=net role=two" <<-END
		networks:
		  - {id: lan, tap: two0}
	END
	inside nc -l -N 192.0.2.1 7001 <sent-by-host 3>&- &
	server=$!
	vm_start two two.yaml
	vm_expect two 15 'net: two is up'
	vm_start one one.yaml
	vm_expect one 15 'net: ping lan ok'
	vm_expect one 8 'net: ping back ok'
	vm_expect one 8 'net: ping two ok'
	vm_expect one 45 'net: received [0-9a-f]{32}'
	vm_expect one 15 'net: serves [0-9a-f]{32}'
	fetch 192.0.2.18 file >sent-by-guest
	vm_type one fetched
	vm_expect one 45 'net: from two [0-9a-f]{32}'
	vm_expect one 8 'net: offloads on'
	linux_ends one 10 0
	wait $server
	grep -aq "net: received $(md5sum <sent-by-host | cut -d' ' -f1)" one.out || die "host to guest: the checksum differs"
	grep -aq "net: serves $(md5sum <sent-by-guest | cut -d' ' -f1)" one.out || die "guest to host: the checksum differs"
	[ "$(stat -c %s sent-by-guest)" = $((mib << 20)) ]
	[ "$(grep -aoE 'net: (from|this is) two [0-9a-f]{32}' one.out two.out | grep -oE '[0-9a-f]{32}' | sort -u | wc -l)" = 1 ] ||
		die "guest to guest: the checksums differ"
	vm_type two done
	linux_ends two 10 0
}
