#!/usr/bin/env bats
# virtio-blk, driven by hand from a bare-metal guest.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	for disk in root second; do guest_disk $disk.img; done
	disks=('disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}')
}
teardown() {
	guest_teardown
	local pid
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null || :; done
	[ -z "${loop-}" ] || losetup -d "$loop" || :
	! mountpoint -q full || umount -l full
}

# bats test_tags=quick,record,user
@test "every request, every ring feature, bad requests, interrupts; and the host finds what was written" {
	guest_disk frozen.img
	guest_config guest-blk "id=root many=$(amount 20000 3000)" "${disks[@]}" '  - {id: frozen, path: frozen.img, readonly: true}'
	guest_run
	guest_passed
	# Sector 8192 + 1024 holds 4096 lines, numbered from 1000000 on; nobody wrote to the other images.
	cmp <(dd if=root.img bs=512 skip=9216 count=128 status=none) <(seq -f '%015.0f' 1000000 1004095)
	cmp second.img <(seq -f '%015.0f' 0 524287)
	cmp frozen.img <(seq -f '%015.0f' 0 524287)
	# Outside of the sectors that the guest says it writes to, the first image is as it was.
	cmp <(head -c 4194304 root.img) <(seq -f '%015.0f' 0 262143)
}

@test "E5: a block device is told what is discarded, in its own units, and nothing where it cannot; with a ring and without" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	# Not its image's block, nor its size: what it says. It keeps what it is told, and takes no other number back once that
	# was 0; one that cannot is one whose file system makes no holes.
	guest_disk image
	modprobe loop 2>/dev/null || :
	loop=$(losetup --show -f image) || skip "no loop devices"
	queue=/sys/block/${loop##*/}/queue
	alignment=$(($(cat $queue/discard_granularity) / 512))
	[ $alignment != 0 ] || skip "this loop device does not discard"
	echo 1048576 >$queue/discard_max_bytes
	for without in "" io_uring_setup=ENOSYS; do
		guest_config guest-blk "many=100 max-discard=2048 discard-alignment=$alignment" 'disks:' "  - {id: root, path: $loop}"
		guest_run ${without:+"$ATOLL_HELPER_DIR/without" "$without" --}
		guest_passed
	done
	# And by BLKDISCARD, 0x1277.
	within 40 "$ATOLL" policy record --output=record vm.yaml </dev/null >record.out 2>&1 || [ $? = 33 ]
	grep -q '"role":"blk.queue","call":"ioctl","args":\[[0-9]*,4727,' record
	echo 4294963200 >$queue/discard_max_bytes
	losetup -d "$loop"
	mkdir full
	mount -t ramfs none full
	cp image full/
	loop=$(losetup --show -f full/image)
	[ "$(cat /sys/block/${loop##*/}/queue/discard_max_bytes)" = 0 ]
	guest_config guest-blk "many=100 no-discard" 'disks:' "  - {id: root, path: $loop}"
	guest_run
	guest_passed
}

# bats test_tags=user
@test "the ring's indices wrap around" {
	guest_config guest-blk "many=$(amount 40000 34000)" "${disks[@]}"
	guest_run
	guest_passed
}

# bats test_tags=user
@test "each violation of the ring's rules stops that disk only, until its reset" {
	for abuse in loop next head jump address hole length indirect nested writable-first; do
		guest_config guest-blk "abuse=$abuse" "${disks[@]}"
		guest_run
		echo "$abuse:"
		guest_passed
		[ "$(grep -c 'queue [0-9]* is stopped: ' atoll.err)" = 1 ]
		# E3: the driver is told; 64 is DEVICE_NEEDS_RESET.
		grep -q '^# used index .*, status 4f' <<<"$output"
	done
}

# bats test_tags=user
@test "40,000 requests make no exit to the core" {
	guest_config guest-blk "steady=$(amount 40000 4000)" "${disks[@]}"
	guest_steady
}

# with_blk HELPER: that program is atoll-blk.
with_blk() {
	mkdir libexec
	ln -s "${ATOLL_LIBEXEC_DIR:?}"/atoll-* libexec
	ln -sf "$ATOLL_HELPER_DIR/$1" libexec/atoll-blk
	export ATOLL_LIBEXEC_DIR=$PWD/libexec
}

# A failed assertion, or what the C library finds wrong with its heap, is a crash: not a call that the process may not make.
@test "a queue's thread that aborts has crashed: it is restarted, and no request is lost" {
	with_blk aborting_blk
	guest_config guest-blk 'numbered=1000 killed=1' 'restart: {backoff: 1ms, limit: 1000}' "${disks[@]}"
	guest_run
	guest_passed
	! grep -q 'does not allow' atoll.err
	[ "$(grep -c 'guest/root was killed by signal 6 (Aborted); its successor starts' atoll.err)" -ge 3 ]
	grep -qE 'guest/root: stderr: atoll: queue-0 aborted \(it called [a-z_]+\)$' atoll.err
}

@test "so has one whose heap is broken, and the C library's words are told" {
	with_blk aborting_heap_blk
	guest_config guest-blk 'numbered=1000 killed=1' 'restart: {backoff: 1ms, limit: 1000}' "${disks[@]}"
	guest_run
	guest_passed
	! grep -q 'does not allow' atoll.err
	[ "$(grep -c 'guest/root was killed by signal 6 (Aborted); its successor starts' atoll.err)" -ge 3 ]
	grep -qF 'guest/root: stderr: atoll: queue-0 aborted (it called writev): free(): invalid pointer' atoll.err
}

@test "one that calls what it may not has not crashed: the device is failed at once" {
	with_blk violating_blk
	guest_config guest-blk 'numbered=1000' 'restart: {backoff: 1ms, limit: 1000}' "${disks[@]}"
	guest_run
	grep -q 'guest/root was ended by its filter: queue-0 called openat(.*; the device is failed, for its process called what it may not' atoll.err
	! grep -q 'guest/root .*its successor starts' atoll.err
}

# qemu_is STATE: QEMU's monitor, on descriptors 8 and 9, says so within 10 s.
qemu_is() {
	local line
	echo "info status" >&8
	while read -r -t $((10 * patience)) -u 9 line; do
		[[ $line != "VM status: $1"* ]] || return 0
	done
	echo "QEMU is not $1"
	return 1
}

@test "C4: write-through outlives QEMU's stop and cont" {
	command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
	mkdir full
	mount -t tmpfs -o size=64k none full || skip "no right to mount"
	truncate -s 8M full/disk.img
	# A write through the cache fails there, and is lost; one into the cache alone just fails.
	dd if=/dev/zero of=full/filler bs=4k 2>/dev/null || :
	"$ATOLL_LIBEXEC_DIR/atoll-blk" --socket-path=sock --blk-file=full/disk.img 2>blk.err 3>&- &
	wait_until 10 test -S sock
	mkfifo keys mon.in mon.out
	exec 7<>keys 8<>mon.in 9<>mon.out
	within 40 "$BATS_TEST_DIRNAME/../guest/run-under-qemu" "$guests/guest-blk" lost=2 \
		-object memory-backend-memfd,id=m,size=64M,share=on -numa node,memdev=m \
		-chardev socket,id=c,path=sock -device vhost-user-blk-pci,chardev=c,queue-size=1024,disable-legacy=on \
		-chardev pipe,id=mon,path=mon -mon chardev=mon <keys >console 2>qemu.err 3>&- 8>&- 9>&- &
	qemu=$!
	wait_until 20 grep -q '# through' console
	echo stop >&8
	qemu_is paused
	echo cont >&8
	qemu_is running
	echo x >&7
	wait_until 20 grep -q '# lost' console
	echo x >&7
	status=0
	wait $qemu || status=$?
	cat console qemu.err blk.err
	[ $status = 33 ]
	! grep -q '^not ok' console
}
