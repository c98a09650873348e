#!/usr/bin/env bats
# Unmodified Linux guests. All scenarios run in one start of an emulated machine (linux-suite), and as an ordinary user's
# in another one beside it; the tests here look at what each of them said.

setup_file() {
	export SUITES=$ATOLL_BED_CACHE/linux-suite
	here=$BATS_TEST_DIRNAME
	rm -rf "$SUITES" && mkdir -p "$SUITES/root" "$SUITES/user"
	"$here/make-debian-root" "$ATOLL_BED_KERNEL" "$ATOLL_BED_CACHE/debian.img" >&2
	added=()
	for test in "$here"/guest-tests/*; do added+=(-a "$test=test/$(basename "$test")"); done
	"$here/make-initrd" -k "$ATOLL_BED_KERNEL" -i "$here/guest-init" -o "$SUITES/initrd.gz" "${added[@]}" \
		virtio_pci virtio_blk virtio_net virtio_console ext4 button evdev pvpanic_mmio
	"$here/make-torture" "$SUITES/root"
	run_suite root 3>&- & suites=$!
	run_suite user -u
	wait $suites
}

# run_suite WHO [OPTION...]
run_suite() {
	local dir=$SUITES/$1
	shift
	cp "$SUITES/initrd.gz" "$dir"
	ln -s "$ATOLL_BED_KERNEL" "$dir/kernel"
	cp --sparse=always "$ATOLL_BED_CACHE/debian.img" "$dir/root.img"
	truncate -s 512M "$dir/data.img"
	# One processor for the emulated machine: with two, emulated by two threads, one in ten guests of four processors
	# dies in its first second, under QEMU as under Atoll.
	"$here/bed" -c 1 -k "$ATOLL_BED_KERNEL" -s "$dir" -t 2700 -- \
		env ATOLL="$ATOLL" TORTURE="${TORTURE:-}" ATOLL_LIBEXEC_DIR="$ATOLL_LIBEXEC_DIR" "$here/linux-suite" "$@" "$dir" >"$dir/bed.log" 2>&1 || true
	cat "$dir/bed.log" >&2
}

# verdict SCENARIO [WHO]: of both, or of one.
verdict() {
	local who dir
	for who in ${2:-root user}; do
		dir=$SUITES/$who
		[ -e "$dir/$1.result" ] || { echo "$dir: the scenario did not run; the emulated machine said:"; tail -n 40 "$dir/bed.log"; return 1; }
		[ "$(cat "$dir/$1.result")" = passed ] || { echo "$dir:"; cat "$dir/$1.log"; return 1; }
	done
}

@test "a Debian bzImage with an initrd boots with one processor, kvm-clock and the TSC deadline timer" { verdict bzimage; }
@test "a Debian ELF boots through PVH with four processors and 6 GiB" { verdict pvh; }
@test "power-off, reboot and panic end with status 0, 0 and 4" { verdict ends; }
@test "two NICs ping, carry 64 MiB each way with offloads on, and reach a second VM on the bridge" { verdict net; }
@test "one processor boots Debian to a login prompt; atoll stop powers it off through ACPI" { verdict stop; }
@test "four processors and 6 GiB: Debian writes 256 MiB, reboots, reads them back, powers off" { verdict debian; }
@test "50 device processes are killed under verified load, and the guest notices nothing" { verdict torture root; }
