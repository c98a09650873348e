#!/usr/bin/env bats
# Debian as debootstrap leaves it, with systemd, from a disk.
# bats file_tags=linux

load linux.bash
setup() { linux_setup root.img; }
teardown() { linux_teardown; }

# bats test_tags=user,limit:300
@test "one processor boots Debian to a login prompt; atoll stop powers it off through ACPI" {
	linux_config halt 1 512MiB bzImage "root=ID=root systemd.show_status=0" <<<$'disks:\n  - {id: root, path: root.img}'
	vm_start halt halt.yaml
	vm_expect halt 150 'guest login: '
	"$ATOLL" list | grep -q '^halt'
	"$ATOLL" stop halt --timeout $((60 * patience))
	linux_ends halt 15 0
	grep -aq 'Power down' halt.out || die "the guest did not power itself off"
	[ ! -e "$ATOLL_RUNTIME_DIR/halt" ]
}

# bats test_tags=user-soak,limit:500
@test "several processors and 6 GiB: Debian writes a large file, has it read back anew, powers off" {
	# A second boot takes as long as all else here together; boot.bats reboots.
	local again=$(amount reboot remount) mib=$(amount 256 64)
	# On one emulated processor four virtual ones take a quarter of an hour. (boot.bats has four there.)
	cpus=$(amount 4 2)
	truncate -s 512M data.img
	own data.img
	linux_config debian $cpus 6GiB bzImage "root=ID=root systemd.show_status=0" <<-END
		disks:
		  - {id: data, path: data.img}
		  - {id: root, path: root.img}
	END
	vm_start debian debian.yaml
	login debian
	vm_type debian 'ls /dev/disk/by-id/ | tr "\n" " "; echo; echo cpus=$(nproc)'
	vm_expect debian 30 'virtio-data.*virtio-root'
	vm_expect debian 15 "cpus=$cpus"
	vm_type debian 'cat /sys/class/misc/hw_random/rng_current; echo random=$(dd if=/dev/hwrng bs=64 count=16 status=none | wc -c)'
	vm_expect debian 30 'virtio_rng'
	vm_expect debian 30 'random=1024'
	vm_type debian "$(printf 'mke2fs -q -F -t ext4 /dev/disk/by-id/virtio-data && mount /dev/disk/by-id/virtio-data /mnt && dd if=/dev/urandom of=/mnt/file bs=1M count=%s status=none && sync && md5sum /mnt/file && echo written"-"done' $mib)"
	vm_expect debian 90 'written-done'
	before=$(grep -aoE '[0-9a-f]{32}  /mnt/file' debian.out | tail -n 1)
	if [ $again = reboot ]; then
		vm_type debian 'reboot'
		login debian
	else
		vm_type debian 'umount /mnt && sync && echo 3 >/proc/sys/vm/drop_caches && e2fsck -fp /dev/disk/by-id/virtio-data'
	fi
	vm_type debian 'mount /dev/disk/by-id/virtio-data /mnt && md5sum /mnt/file && echo read"-"done'
	vm_expect debian 60 'read-done'
	after=$(grep -aoE '[0-9a-f]{32}  /mnt/file' debian.out | tail -n 1)
	[ -n "$before" ] && [ "$before" = "$after" ] || die "checksums differ: $before, $after"
	[ "$(grep -aoE '[0-9a-f]{32}  /mnt/file' debian.out | wc -l)" = 2 ]
	vm_type debian 'dmesg | grep -ciE "I/O error|blk_update_request" ; poweroff'
	linux_ends debian 60 0
	! grep -aqE 'I/O error' debian.out || die "I/O errors in the guest's log"
	/sbin/e2fsck -fn data.img
}
