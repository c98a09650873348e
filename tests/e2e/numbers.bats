#!/usr/bin/env bats
# The numbers of docs/security.md: what the filters allow and cost, and how many descriptors a process has open, are
# measured here and held against the page's tables. ./check prints the lines that begin with "numbers:".

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	page=$BATS_TEST_DIRNAME/../../docs/security.md
	cd "$BATS_TEST_TMPDIR"
}
teardown() { guest_teardown; }

# row FIRST: the cells of the page's table row whose first cell is FIRST, a blank between two.
row() {
	awk -F '|' -v first="$1" '{ cell = $2; gsub(/^ +| +$/, "", cell) }
		cell == first { for (i = 3; i < NF; i++) { gsub(/^ +| +$/, "", $i); printf "%s%s", $i, i + 1 < NF ? " " : "\n" } }' "$page"
}

@test "calls and instructions of each policy are what the page says" {
	run "$ATOLL" policy check
	[ "$status" = 0 ]
	sed 's/^/# numbers: /; s/; .*//' <<<"$output" >&3
	# Another libseccomp may make other filters of the same texts.
	version=$(jq -r .libseccomp "$ATOLL_POLICY_DIR/core.vcpu.json")
	all=true
	grep -qF "libseccomp $version" "$page" || all=false
	# NAME CALLS calls, N instructions, worst N, mean N, serving N; ...
	while read -r name calls instructions worst mean serving; do
		echo "$name: $calls $instructions $worst $mean $serving; the page: $(row "\`$name\`")"
		said=$(row "\`$name\`")
		[ "${said%% *}" = "$calls" ]
		! $all || [ "$said" = "$calls $instructions $worst $mean $serving" ]
	done < <(sed -nE 's/^([a-z.-]+) +([0-9]+) calls, +([0-9]+) instructions, worst +([0-9]+), mean +([0-9.]+), serving +([0-9.]+);.*/\1 \2 \3 \4 \5 \6/p' \
		<<<"$output")
	# Neither has a row that the other has not.
	[ "$(grep -cE '^\| `[a-z-]+\.[a-z]+` \|' "$page")" = "$(wc -l <<<"$output")" ]
}

# opened WHAT ROLE ID: how many descriptors the process has; told, and held against the page.
opened() {
	local count
	count=$(jq ".processes[] | select(.role == \"$2\" and .id == \"$3\") | .descriptors | length" audit.json)
	echo "# numbers: $1: $count descriptors open" >&3
	echo "$1: $count; the page: $(row "$1")"
	[ "$count" -gt 0 ] && [ "$count" -le "$(row "$1")" ]
}

# audited PATTERN: starts vm.yaml, waits for the guest to print PATTERN, and audits it into audit.json.
audited() {
	vm_start guest vm.yaml
	vm_expect guest 20 "$1"
	"$ATOLL" audit --json guest >audit.json || [ $? = 1 ]
	"$ATOLL" kill guest
	vm_wait guest 20 || true
}

# bats test_tags=guest
@test "no process has more descriptors open than the page says" {
	guest_setup
	guest_disk root.img
	guest_config guest-blk 'steady=1000' 'disks:' '  - {id: root, path: root.img}' 'consoles:' \
		'  - {id: serial, type: serial, output: stdio}' '  - {id: port, type: virtio, output: "null"}'
	audited '^# begin'
	opened "the core, with one vCPU, these three and an entropy source" core ""
	opened "a disk of one queue" blk root
	opened "a serial port on a terminal" console serial
	opened "an entropy source" rng rng
	guest_config guest-console 'virtio=262144' 'consoles:' '  - {id: serial, type: serial, output: stdio}' \
		'  - {id: port, type: virtio, output: pty}'
	audited '^# virtio-console ready'
	opened "a virtio console on a pty" console port
}

# bats test_tags=guest
@test "nor has a network" {
	guest_setup
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	guest_config guest-net 'steady=1000' 'networks:' '  - {id: a, tap: t0, mac: "52:54:00:00:00:01"}' \
		'  - {id: b, tap: t1, mac: "52:54:00:00:00:02"}'
	cat >in-net <<-END
		#!/bin/bash
		exec unshare -n bash -c 'for tap in t0 t1; do ip tuntap add \$tap mode tap; ip link set \$tap up; done
			exec "$ATOLL" "\$@"' in-net "\$@"
	END
	chmod +x in-net
	ATOLL=$PWD/in-net
	audited '^# begin'
	opened "a network" net a
}
