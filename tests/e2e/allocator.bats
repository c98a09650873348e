#!/usr/bin/env bats
# H: another allocator than the C library's is preloaded into every process, by /etc/ld.so.preload, as hardened systems do it:
# the programs of a VM are started with an environment of their own. What such a library calls, when it is loaded, for a new
# thread and while it serves, must not end a process.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	unshare -m true 2>/dev/null || skip "no right to make a mount namespace"
	real=$ATOLL
}
teardown() {
	cat guest.out guest.err 2>/dev/null
	guest_teardown
}

# with_allocator NAME: $ATOLL runs with that library in every process, in namespaces of its own: an /etc that names it, a
# machine with two nodes of memory, and for in-net a network with the taps t0 and t1.
with_allocator() {
	allocator=$(ldconfig -p | sed -nE "s/.*[[:space:]]lib$1\.so[.0-9]* .*x86-64.*=> //p" | head -n 1)
	[ -n "$allocator" ] || skip "there is no lib$1 here (see tests/packages)"
	mkdir -p etc nodes/node0 nodes/node1
	for file in ld.so.cache passwd group nsswitch.conf localtime subuid subgid; do cp -L "/etc/$file" etc 2>/dev/null || :; done
	echo "$allocator" >etc/ld.so.preload
	cat >preloaded <<-END
		#!/bin/bash
		exec unshare -m bash -c 'mount --bind "$PWD/etc" /etc && mount --bind "$PWD/nodes" /sys/devices/system/node && exec "\$@"' \
			preloaded "$real" "\$@"
	END
	cat >in-net <<-END
		#!/bin/bash
		exec unshare -n bash -c 'for tap in t0 t1; do ip tuntap add \$tap mode tap && ip link set \$tap up; done
			exec "$PWD/preloaded" "\$@"' in-net "\$@"
	END
	chmod +x preloaded in-net
	ATOLL=$PWD/preloaded
	guest_disk disk.img
	guest_disk second.img
	: >console.out
}

# of ID KEY: a value of the device's process.
of() { "$ATOLL" list --json | jq -r ".[0].processes[] | select(.id == \"$1\" and .role != \"undertaker\") | .$2"; }
is() { [ "$(of "$1" "$2")" = "$3" ]; }

# everywhere: each process of the VM has it.
everywhere() {
	local pid
	"$ATOLL" list --json | jq -r '.[0] | .pid, .processes[].pid' >pids
	[ "$(wc -l <pids)" -ge 6 ]
	while read -r pid; do
		[ "$pid" = 0 ] || grep -qF "$(basename "$(realpath "$allocator")")" "/proc/$pid/maps" || { echo "$pid lacks it"; return 1; }
	done <pids
}

# nothing_refused: no process was ended by its filter.
nothing_refused() {
	! grep -aE 'does not allow|was ended by its filter' guest.err atoll.err 2>/dev/null
}

# died ID: its process is killed, and has a successor.
died() {
	kill -9 "$(of "$1" pid)"
	wait_until 20 grep -q "guest/$1 was killed by signal 9 (Killed); its successor starts" guest.err
	wait_until 20 is "$1" state running
}

# each_device NAME: a guest with every device; each is replaced, in order and after a death, fails for good, has an undertaker,
# and is revived.
each_device() {
	local id restart
	[ -w /dev/net/tun ] || skip "no right to /dev/net/tun"
	unshare -n true 2>/dev/null || skip "no right to make a network namespace"
	with_allocator "$1"
	restart=$(amount '{backoff: 1ms, limit: 1}' '{policy: never}')
	guest_config guest-undertaker '' 'cpus: 2' "restart: $restart" 'disks:' '  - {id: root, path: disk.img, queues: 2}' \
		'networks:' '  - {id: lan, tap: t0}' 'consoles:' '  - {id: com, type: serial}' \
		'  - {id: hvc, type: virtio, output: file, path: console.out}'
	ATOLL=$PWD/in-net vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
	everywhere
	for id in root lan com hvc; do
		within 20 "$ATOLL" restart guest $id
		is $id state running
		[[ $restart != *limit* ]] || died $id
	done
	everywhere
	"$ATOLL" audit guest
	for id in root lan hvc; do
		kill -9 "$(of $id pid)"
		wait_until 20 is $id state failed
		wait_until 20 grep -q "atoll-undertaker: guest/$id answers for the failed device" guest.err
	done
	everywhere
	vm_type guest x
	vm_expect guest 40 '^# failed'
	for id in root lan hvc; do
		within 20 "$ATOLL" restart guest $id
		is $id state running
	done
	vm_type guest x
	guest_finished 40
	nothing_refused
}

@test "H: a guest with every device, and a replacement of each, with jemalloc in every process" { each_device jemalloc; }
@test "H: a guest with every device, and a replacement of each, with mimalloc in every process" { each_device mimalloc; }

# talking NAME: the threads of queues have something to say, for which they need memory: of bad requests, of bad rings, and of a
# host without io_uring.
talking() {
	local disks=('disks:' '  - {id: root, path: disk.img}' '  - {id: second, path: second.img}')
	with_allocator "$1"
	guest_config guest-blk 'many=200' "${disks[@]}"
	guest_run
	guest_passed
	nothing_refused
	guest_config guest-blk 'abuse=loop' "${disks[@]}"
	guest_run "$ATOLL_HELPER_DIR/without" io_uring_setup=ENOSYS --
	guest_passed
	nothing_refused
}

@test "H: bad requests and bad rings are told with jemalloc" { talking jemalloc; }
@test "H: bad requests and bad rings are told with mimalloc" { talking mimalloc; }
