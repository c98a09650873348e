#!/usr/bin/env bats
# A standalone atoll-net serves a Linux guest of the distribution's QEMU, over --socket-path: the wire is the published
# one. QEMU interprets the guest (TCG), so that this needs no KVM; vectors=0, because its vhost-user front end for
# networks falls over MSI-X there. The host's end is a tap in a bridge, in a network namespace of the test's own.

load ../patience.bash

setup_file() {
	[ -n "${ATOLL_BED_KERNEL:-}" ] || return 0
	"$BATS_TEST_DIRNAME/../bed/make-initrd" -k "$ATOLL_BED_KERNEL" -i "$BATS_TEST_DIRNAME/qemu-net-init" \
		-o "$BATS_FILE_TMPDIR/initrd" virtio_pci virtio_net
}

setup() {
	[ -n "${ATOLL_BED_KERNEL:-}" ] || skip "ATOLL_BED_KERNEL does not name a kernel's folder (tests/bed/fetch-kernel makes one)"
	command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
	unshare -n true 2>/dev/null && [ -w /dev/net/tun ] || skip "no right to make a network namespace and a tap"
	net=$ATOLL_LIBEXEC_DIR/atoll-net
	cd "$BATS_TEST_TMPDIR"
	unshare -n sleep infinity 3>&- &
	holder=$!
	wait_until 5 eval '[ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
	inside ip link set lo up
	inside ip tuntap add dev tap0 mode tap
	inside ip link add br0 type bridge
	inside ip link set tap0 master br0 up
	inside ip address add 192.0.2.1/28 dev br0
	inside ip link set br0 up
}

teardown() {
	for pid in $(jobs -p); do { kill -9 "$pid"; wait "$pid"; } 2>/dev/null || true; done
}

# For processes of ours, which the shell reaps at once.
gone() { ! kill -0 "$1" 2>/dev/null; }

# inside COMMAND...: in the test's network namespace.
inside() { nsenter -t "$holder" -n "$@"; }

serve() { # OPTION...
	nsenter -t "$holder" -n "$net" --socket-path=sock --tap=tap0 "$@" 2>net.err 3>&- & # exec'd: the pid is atoll-net's
	net_pid=$!
	wait_until 10 test -S sock || { cat net.err; return 1; }
}

# boot MIB DEVICE-OPTIONS: runs the guest to its end, with files of that size waiting for it; what it told is in "console".
boot() {
	head -c "$1M" /dev/urandom >sent-by-host
	inside socat -u OPEN:sent-by-host TCP-LISTEN:7001,bind=192.0.2.1,reuseaddr 3>&- &
	local sender=$!
	inside socat -u TCP-LISTEN:7002,bind=192.0.2.1,reuseaddr CREATE:sent-by-guest 3>&- &
	local receiver=$!
	timeout 120 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp 2 -m 256 -nodefaults -no-user-config -display none \
		-object memory-backend-memfd,id=m,size=256M,share=on -numa node,memdev=m -no-reboot -serial stdio \
		-chardev socket,id=c,path=sock -netdev vhost-user,id=n,chardev=c \
		-device "virtio-net-pci,netdev=n,vectors=0,mac=52:54:00:00:00:77$2" \
		-kernel "$ATOLL_BED_KERNEL/vmlinux" -initrd "$BATS_FILE_TMPDIR/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on mib=$1" </dev/null >console 2>qemu.err ||
		{ echo "QEMU: status $?"; cat qemu.err net.err; tail -n 20 console; return 1; }
	told end ok
	wait_until 10 gone $sender
	wait_until 10 gone $receiver
}

# told NAME VALUE: the guest said so.
told() {
	grep -qx "guest: $1: $2" <(tr -d '\r' <console) || { echo "not told: $1: $2"; tr -d '\r' <console; cat net.err; return 1; }
}

# carried MIB DEVICE-OPTIONS: everything arrives whole, in both directions.
carried() {
	boot "$@"
	told mac 52:54:00:00:00:77
	told carrier 1
	told ping ok
	told ping-fragments ok
	told received "$(md5sum <sent-by-host | cut -d' ' -f1)"
	told sent ok
	[ "$(stat -c %s sent-by-guest)" = $(($1 << 20)) ]
	told sum "$(md5sum <sent-by-guest | cut -d' ' -f1)"
	told rx-errors 0
	told errors 0
}

ends_well() {
	kill -TERM $net_pid
	wait_until 10 gone $net_pid
	wait $net_pid
	[ ! -e sock ]
	[ ! -s net.err ] || { cat net.err; return 1; }
}

# watch: notes the lengths of the tap's frames from here on. Segments are frames of their own in front of its offloads.
watch() {
	nsenter -t "$holder" -n "$ATOLL_HELPER_DIR/largest_frames" tap0 >frames 3>&- & # exec'd: the pid is its
	watch_pid=$!
	wait_until 10 grep -q ready frames
}

# Packets went whole, in both directions: the largest frame is larger than the MTU allows; or, with "not", none is.
larger_than_mtu() {
	kill -TERM $watch_pid
	wait $watch_pid
	awk -v wanted="${1:-}" '/received/ { found = 1; both = $2 > 1514 && $4 > 1514; none = $2 <= 1514 && $4 <= 1514
		exit wanted == "not" ? !none : !both } END { if (!found) exit 1 }' frames || { cat frames; return 1; }
}

@test "QEMU's guests ping and carry files through a bridged tap, with merged buffers and without, one after the other" {
	serve
	watch
	carried 4 ""
	for feature in csum guest_csum guest_tso4 host_tso4 mrg_rxbuf; do told $feature 1; done
	larger_than_mtu
	watch
	# The same back end, the next guest: QEMU has gone and comes again.
	carried 2 ,mrg_rxbuf=off
	told mrg_rxbuf 0
	told guest_tso4 1
	larger_than_mtu
	ends_well
}

@test "QEMU's guest without any offload gets and sends frames of the MTU" {
	serve
	watch
	carried 2 ,mrg_rxbuf=off,csum=off,guest_csum=off,gso=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off
	for feature in csum guest_csum guest_tso4 host_tso4 mrg_rxbuf; do told $feature 0; done
	larger_than_mtu not
	ends_well
}

@test "a tap that is missing, is busy or is no tap is refused with one line" {
	serve
	for pair in "missing:there is no such interface:3" "br0:not a tap:1" "tap0:another process uses the tap:1" "a/b:not an interface's name:2"; do
		IFS=: read -r name text expected <<<"$pair"
		run inside "$net" --socket-path=second --tap="$name"
		echo "$name: $status: $output"
		[ "$status" = "$expected" ]
		[[ $output == *"$text"*"; "* ]]
		[ "${#lines[@]}" = 1 ]
		[ ! -e second ]
	done
	ends_well
}

@test "bad usage is status 2 and one line" {
	for arguments in "--socket-path=second" "--socket-path=second --tap=tap0 --mac=52:54:00:12:34" \
		"--socket-path=second --tap=tap0 --mac=52:54:00:12:34:5g" "--socket-path=second --tap=tap0 --mac=01:00:5e:00:00:01" \
		"--socket-path=second --tap=tap0 --mtu=67" "--socket-path=second --tap=tap0 --mtu=65536" "--socket-path=second --tap=tap0 x"; do
		run inside "$net" $arguments
		echo "$arguments: $status: $output"
		[ "$status" = 2 ]
		[ "${#lines[@]}" = 1 ]
		[ ! -e second ]
	done
}
