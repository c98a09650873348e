#!/usr/bin/env bats
# A Debian kernel with an initrd of ours: boot protocols, what the kernel finds, and how it ends.
# bats file_tags=linux

load linux.bash
setup() { linux_setup; }
teardown() { linux_teardown; }

# bats test_tags=quick,user
@test "a Debian bzImage with an initrd boots with one processor, kvm-clock and the TSC deadline timer" {
	linux_config bzimage 1 512MiB bzImage test=report </dev/null
	vm_start bzimage bzimage.yaml
	vm_expect bzimage 15 'report: end'
	linux_ends bzimage 5 0
	cat bzimage.out
	grep -q 'report: processors 1' bzimage.out
	grep -q 'report: clocksource kvm-clock' bzimage.out
	grep -q 'report: deadline-timer yes' bzimage.out
	grep -q 'report: uart 16550A' bzimage.out
	# What the kernel says of our tables would stand here. (Its XSAVE warning is the emulated processor's: it comes
	# under QEMU too.)
	! grep -E 'report: dmesg .*(ACPI (BIOS )?(Error|Warning)|Firmware Bug)' bzimage.out || die "complaints of the kernel"
}

# bats test_tags=user-soak
@test "a Debian ELF boots through PVH with four processors and 6 GiB" {
	linux_config pvh 4 6GiB vmlinux test=report </dev/null
	vm_start pvh pvh.yaml
	vm_expect pvh 23 'report: end'
	linux_ends pvh 5 0
	cat pvh.out
	grep -q 'report: processors 4' pvh.out
	grep -q 'report: high-memory yes' pvh.out
	memory=$(sed -n 's/.*report: memory \([0-9]*\).*/\1/p' pvh.out)
	[ "$memory" -gt 5800 ] || die "memory: $memory MiB"
}

# ends HOW STATUS
ends() {
	linux_config end 1 256MiB bzImage "test=end how=$1 panic=30" <<<'on-reset: exit'
	vm_start end end.yaml
	vm_expect end 15 "end: $1"
	linux_ends end 5 "$2"
}

# bats test_tags=user
@test "power-off ends with status 0" { ends poweroff 0; }
# bats test_tags=user-soak
@test "a reboot ends with status 0" { ends reboot 0; }
# bats test_tags=user-soak
@test "a panic ends with status 4" { ends panic 4; }

# bats test_tags=user-soak
@test "where programs cannot read the clock by themselves, a guest boots and ends all the same" {
	clock=/sys/devices/system/clocksource/clocksource0/current_clocksource
	# Only where the machine is ours: asking for the time is a system call then, of sealed processes too.
	if [ "$(hostname)" = bed ]; then
		before=$(cat $clock)
		echo acpi_pm >$clock
		grep -q acpi_pm $clock
	fi
	status=0
	ends poweroff 0 || status=1
	[ "$(hostname)" != bed ] || echo "$before" >$clock
	[ $status = 0 ]
}
