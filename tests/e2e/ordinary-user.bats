#!/usr/bin/env bats
# The bare-metal guests' tests once more, by an ordinary user who is in the group of /dev/kvm and nothing else. (Networks
# need a tap that root made: the Linux guests of tests/bed have them, as such a user's too.)

teardown() { rm -rf "$place"; }

@test "disks, consoles, PCI: the guests' tests pass for an ordinary user in the group of /dev/kvm" {
	[ "$(id -u)" = 0 ] || skip "needs to change its user; these tests have been an ordinary user's already"
	place=$(mktemp -d)
	chmod 755 "$place"
	mkdir -p "$place/tests/bed" "$place/tests/e2e" "$place/tmp"
	cp "$BATS_TEST_DIRNAME"/../bed/vm.bash "$place/tests/bed"
	cp "$BATS_TEST_DIRNAME"/guest.bash "$BATS_TEST_DIRNAME"/guest-{blk,console,pci}.bats "$place/tests/e2e"
	cp -r "$(dirname "$ATOLL")" "$ATOLL_LIBEXEC_DIR" "$ATOLL_POLICY_DIR" "$ATOLL_GUEST_DIR" "$place"
	chmod -R a+rX "$place"
	chown -R 65534 "$place/tmp"
	mknod "$place/kvm" c 10 232 && chgrp 4712 "$place/kvm" && chmod 660 "$place/kvm"
	run unshare --mount sh -c 'mount --bind "$0/kvm" /dev/kvm && cd "$0" && exec setpriv --reuid=65534 --regid=65534 --groups=4712 \
		env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME="$0/tmp" TMPDIR="$0/tmp" ATOLL="$0/bin/atoll" ATOLL_LIBEXEC_DIR="$0/atoll" \
		ATOLL_POLICY_DIR="$0/policy" ATOLL_GUEST_DIR="$0/guest" bats --formatter tap tests/e2e' "$place" 3>&-
	echo "$output"
	[ "$status" = 0 ]
	[ "$(grep -c '^ok' <<<"$output")" -ge 20 ]
	! grep -E '^not ok|# skip' <<<"$output"
}
