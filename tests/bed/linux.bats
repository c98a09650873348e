#!/usr/bin/env bats
# Unmodified Linux guests. All scenarios run in one start of the emulated machine (linux-suite); the tests here look
# at what each of them said.

setup_file() {
	export SUITE=$ATOLL_BED_CACHE/linux-suite
	here=$BATS_TEST_DIRNAME
	rm -rf "$SUITE" && mkdir -p "$SUITE"
	"$here/make-debian-root" "$ATOLL_BED_KERNEL" "$ATOLL_BED_CACHE/debian.img" >&2
	added=()
	for test in "$here"/guest-tests/*; do added+=(-a "$test=test/$(basename "$test")"); done
	"$here/make-initrd" -k "$ATOLL_BED_KERNEL" -i "$here/guest-init" -o "$SUITE/initrd.gz" "${added[@]}" \
		virtio_pci virtio_blk virtio_net virtio_console ext4 button evdev pvpanic_mmio
	ln -s "$ATOLL_BED_KERNEL" "$SUITE/kernel"
	cp --sparse=always "$ATOLL_BED_CACHE/debian.img" "$SUITE/root.img"
	truncate -s 512M "$SUITE/data.img"
	run=(env ATOLL="$ATOLL" ATOLL_LIBEXEC_DIR="$ATOLL_LIBEXEC_DIR" "$here/linux-suite" "$SUITE")
	# One processor for the emulated machine: with two, emulated by two threads, one in ten guests of four processors
	# dies in its first second, under QEMU as under Atoll.
	"$here/bed" -c 1 -k "$ATOLL_BED_KERNEL" -s "$SUITE" -t 2700 -- "${run[@]}" >"$SUITE/bed.log" 2>&1 || true
	cat "$SUITE/bed.log" >&2
}

verdict() {
	[ -e "$SUITE/$1.result" ] || { echo "the scenario did not run; the emulated machine said:"; tail -n 40 "$SUITE/bed.log"; return 1; }
	[ "$(cat "$SUITE/$1.result")" = passed ] || { cat "$SUITE/$1.log"; return 1; }
}

@test "a Debian bzImage with an initrd boots with one processor, kvm-clock and the TSC deadline timer" { verdict bzimage; }
@test "a Debian ELF boots through PVH with four processors and 6 GiB" { verdict pvh; }
@test "power-off, reboot and panic end with status 0, 0 and 4" { verdict ends; }
@test "two NICs ping, carry 64 MiB each way with offloads on, and reach a second VM on the bridge" { verdict net; }
@test "one processor boots Debian to a login prompt; atoll stop powers it off through ACPI" { verdict stop; }
@test "four processors and 6 GiB: Debian writes 256 MiB, reboots, reads them back, powers off" { verdict debian; }
