#!/usr/bin/env bats
# The machine, seen from a bare-metal guest: PCI, MSI-X, ACPI, processors; and its ends.
# bats file_tags=guest,user

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
}
teardown() { guest_teardown; }

# bats test_tags=quick
@test "config space, BARs, MSI-X, hostile writes, unclaimed addresses" {
	for disk in root second; do guest_disk $disk.img; done
	guest_config guest-pci '' 'disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}'
	guest_run
	guest_passed
}

@test "four processors are in the MADT and start by INIT and SIPI" {
	for disk in root second; do guest_disk $disk.img; done
	guest_config guest-pci 'cpus=4' 'cpus: 4' 'disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}'
	guest_run
	guest_passed
}

# ends HOW STATUS
ends() {
	guest_config guest-pci "end=$1"
	guest_run
	echo "$output"
	[ "$status" = "$2" ]
	[[ $output == *"# ending by $1"* ]]
	[[ $output != *"still here"* ]]
	[ -z "$(ls run 2>/dev/null)" ]
}

@test "power-off through ACPI ends with status 0" { ends off 0; }
@test "ACPI's reset register ends with status 0" { ends acpi 0; }
@test "a reset through port 0xcf9 ends with status 0" { ends cf9 0; }
@test "a reset through the keyboard controller ends with status 0" { ends i8042 0; }
@test "a triple fault ends with status 0" { ends triple 0; }
@test "a panic ends with status 4" { ends panic 4; }

@test "a reset starts the guest again, with on-reset: restart" {
	guest_config guest-pci 'end=cf9'
	sed -i 's/on-reset: exit/on-reset: restart/' vm.yaml
	vm_start guest vm.yaml
	# 6: with memory that nobody has written.
	for _ in 1 2 3; do
		vm_expect guest 10 '^# memory is '
		vm_expect guest 10 '^# ending by cf9'
	done
	"$ATOLL" kill guest
	vm_wait guest 10 || true
	! grep '^# memory is old' guest.out
}

# bats test_tags=record
@test "atoll stop presses the button, and the guest powers off" {
	guest_config guest-pci 'end=button'
	vm_start guest vm.yaml
	vm_expect guest 10 '^# press the button'
	"$ATOLL" stop guest
	vm_wait guest 10
	grep -q '^# events 1' guest.out
}

@test "atoll kill ends a guest that hangs" {
	guest_config guest-pci 'end=hang'
	vm_start guest vm.yaml
	vm_expect guest 10 '^# ending by hang'
	"$ATOLL" kill guest
	status=0
	vm_wait guest 5 || status=$?
	[ $status = 1 ]
	[ -z "$(ls run)" ]
}
