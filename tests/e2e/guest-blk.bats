#!/usr/bin/env bats
# virtio-blk, driven by hand from a bare-metal guest.
# bats file_tags=guest,user

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	for disk in root second; do guest_disk $disk.img; done
	disks=('disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}')
}
teardown() { guest_teardown; }

# bats test_tags=quick,record
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

@test "the ring's indices wrap around" {
	guest_config guest-blk "many=$(amount 40000 34000)" "${disks[@]}"
	guest_run
	guest_passed
}

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

@test "40,000 requests make no exit to the core" {
	guest_config guest-blk "steady=$(amount 40000 4000)" "${disks[@]}"
	guest_steady
}
