#!/usr/bin/env bats
# A standalone atoll-blk serves a Linux guest of the distribution's QEMU, over --socket-path: the wire is the published
# one. QEMU interprets the guest (TCG), so that this needs no KVM. What the guest says is held against the image.

setup_file() {
	[ -n "${ATOLL_BED_KERNEL:-}" ] || return 0
	"$BATS_TEST_DIRNAME/../bed/make-initrd" -k "$ATOLL_BED_KERNEL" -i "$BATS_TEST_DIRNAME/qemu-blk-init" \
		-o "$BATS_FILE_TMPDIR/initrd" virtio_pci virtio_blk
}

setup() {
	[ -n "${ATOLL_BED_KERNEL:-}" ] || skip "ATOLL_BED_KERNEL does not name a kernel's folder (tests/bed/fetch-kernel makes one)"
	command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
	blk=$ATOLL_LIBEXEC_DIR/atoll-blk
	cd "$BATS_TEST_TMPDIR"
	head -c 48M /dev/urandom >image
}

teardown() {
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null || true; done
}

serve() { # OPTION...
	local deadline=$((SECONDS + 10))
	"$blk" --socket-path=sock --blk-file=image "$@" 2>blk.err &
	blk_pid=$!
	until [ -S sock ]; do
		kill -0 $blk_pid && [ $SECONDS -lt $deadline ] || { cat blk.err; return 1; }
		sleep 0.02
	done
}

# boot DO QUEUES: runs the guest to its end; what it told is in "console".
boot() {
	timeout 120 qemu-system-x86_64 -M q35 -accel tcg -cpu max -smp "$2" -m 256 -nodefaults -no-user-config -display none \
		-object memory-backend-memfd,id=m,size=256M,share=on -numa node,memdev=m -no-reboot -serial stdio \
		-chardev socket,id=c,path=sock -device vhost-user-blk-pci,chardev=c,num-queues="$2" \
		-kernel "$ATOLL_BED_KERNEL/vmlinux" -initrd "$BATS_FILE_TMPDIR/initrd" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on do=$1" </dev/null >console 2>qemu.err ||
		{ echo "QEMU: status $?"; cat qemu.err blk.err; tail -n 20 console; return 1; }
	told end ok
}

# told NAME VALUE: the guest said so.
told() {
	grep -qx "guest: $1: $2" <(tr -d '\r' <console) || { echo "not told: $1: $2"; tr -d '\r' <console; cat blk.err; return 1; }
}

value() { tr -d '\r' <console | sed -n "s/^guest: $1: //p" | head -n 1; }

# image_sum MIB COUNT
image_sum() { dd if=image bs=1M skip="$1" count="$2" 2>/dev/null | md5sum | cut -d' ' -f1; }

# What both engines must do for a guest with two queues.
write_and_read() {
	local before=$(image_sum 20 4) untouched=$(image_sum 40 8)
	serve --num-queues=2 --serial=e2e-disk "$@"
	boot describe,write 2
	told serial e2e-disk
	told sectors $((48 * 2048))
	told read-only 0
	told cache "write back"
	told queues 2
	told discard $((1 << 30))
	told write-zeroes $((128 << 20))
	told sum-before "$before"
	[ -n "$(value sum-wanted)" ] && told sum-direct "$(value sum-wanted)"
	told buffered ok
	told blkdiscard ok
	told through ok
	told cache-now "write through"
	told sum-through "$(value sum-pattern1)"
	told errors 0
	[ "$(image_sum 1 8)" = "$(value sum-wanted)" ]
	[ "$(image_sum 32 2)" = "$(value sum-pattern1)" ]
	[ "$(image_sum 40 8)" = "$untouched" ]
	[ "$(stat -c %s image)" = $((48 << 20)) ]
	# A discard is a hint; this file system takes it, or nothing of the range changed.
	cmp -s -n $((1 << 20)) -i $((30 << 20)):0 image /dev/zero || [ "$(stat -f -c %T .)" != ext2/ext3 ]
}

@test "QEMU's guest writes, flushes, discards and reads back, with io_uring" {
	write_and_read --io-engine=auto
	# The same back end, the next guest: QEMU has gone and comes again.
	boot describe 2
	told serial e2e-disk
	kill -TERM $blk_pid
	wait $blk_pid
}

@test "QEMU's guest writes, flushes, discards and reads back, with plain system calls" {
	write_and_read --io-engine=sync
	kill -TERM $blk_pid
	wait $blk_pid
}

@test "QEMU's guest cannot write to a read-only disk" {
	local before=$(md5sum <image)
	serve --read-only
	boot describe,readonly 1
	told read-only 1
	told wrote no
	told sum "$(image_sum 0 1)"
	kill -TERM $blk_pid
	wait $blk_pid
	[ "$(md5sum <image)" = "$before" ]
}

@test "QEMU's own programs and atoll-blk keep off each other's image" {
	serve
	run qemu-io -f raw -c "write 0 512" image
	[ "$status" != 0 ]
	[[ $output == *'Failed to get "write" lock'* ]]
	kill -TERM $blk_pid
	wait $blk_pid

	qemu-storage-daemon --blockdev driver=file,node-name=f,filename=image --nbd-server addr.type=unix,addr.path=nbd \
		--export type=nbd,id=e,node-name=f,writable=on --pidfile "$PWD/qsd.pid" --daemonize
	local qsd_pid=$(cat qsd.pid)
	run "$blk" --socket-path=sock --blk-file=image
	kill "$qsd_pid"
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"in use by pid $qsd_pid (qemu-storage-da)"* ]]
}
