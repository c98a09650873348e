# Bare-metal guests under `atoll run`: configs, runs, verdicts. Sourced by guest-*.bats, in their test's own folder.
. "$BATS_TEST_DIRNAME/../bed/vm.bash"

# guest_setup: call it first.
guest_setup() {
	cd "$BATS_TEST_TMPDIR"
	export ATOLL_RUNTIME_DIR=$BATS_TEST_TMPDIR/run ATOLL_LOG_DIR=$BATS_TEST_TMPDIR/logs
	guests=${ATOLL_GUEST_DIR:?}
	export ATOLL_POLICY_TEST=$BATS_TEST_DESCRIPTION # for a record (atoll policy cover)
}

guest_teardown() {
	local name
	for name in "$BATS_TEST_TMPDIR"/run/*/; do
		[ -d "$name" ] && "$ATOLL" kill "$(basename "$name")" 2>/dev/null
	done
	return 0
}

# guest_disk FILE: the image that guests read: 8 MiB of lines of 16 bytes, line n being n.
guest_disk() {
	seq -f '%015.0f' 0 524287 >"$1"
}

# guest_config GUEST CMDLINE [LINE...]: a config in vm.yaml; further lines of YAML as they are.
guest_config() {
	local guest=$1 cmdline=$2
	[ $patience = 1 ] || cmdline+=" patience=$patience"
	shift 2
	{
		printf '%s\n' 'name: guest' 'memory: 64MiB' 'debug-exit: true' 'on-reset: exit'
		printf 'boot:\n  kernel: %s\n' "$guests/$guest"
		[ -z "$cmdline" ] || printf '  cmdline: "%s"\n' "$cmdline"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >vm.yaml
}

# A guest that hangs is ended after this many seconds, before its test is (60), so that what atoll said is shown; all of them
# take a few.
guest_timeout=40

# guest_run [PREFIX...]: runs vm.yaml to its end: $status, $output; what atoll itself said is in atoll.err.
guest_run() {
	run guest_atoll "$@"
	cat atoll.err
}

guest_atoll() {
	within $guest_timeout "$@" "$ATOLL" run vm.yaml </dev/null 2>atoll.err
}

# guest_passed: the run before ended as a guest does whose tests all passed.
guest_passed() {
	printf '%s\n' "$output" | grep -v '^ok ' || true
	[ "$status" = 33 ] && grep -q '^1\.\.[1-9]' <<<"$output" && ! grep -qE '^(not ok|Bail out)' <<<"$output"
}

# guest_finished [SECONDS]: the VM "guest" ends as a guest does whose tests all passed, within so many seconds (20).
guest_finished() {
	local status=0
	vm_wait guest "${1:-20}" || status=$?
	cat guest.out guest.err
	[ $status = 33 ] && grep -q '^1\.\.[1-9]' guest.out && ! grep -qE '^(not ok|Bail out)' guest.out
}

# counter ROLE NAME: a counter of the running VM, summed over the processes of that role.
counter() {
	"$ATOLL" list --json | jq "[.[] | select(.name == \"guest\") | .processes[] | select(.role == \"$1\") | .counters.\"$2\"] | add"
}

# guest_steady: runs vm.yaml, whose guest holds at "# begin" and "# end", and checks that between the two the core saw no
# exit but those of the UART. $1: PREFIX to run atoll with.
guest_steady() {
	local name before after
	vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
	declare -A before after
	# Stopped while we look, the guest's own polling of the UART would not move either; it need not be.
	for name in exits-mmio notify-exits status-writes device-config-accesses pci-config unclaimed-mmio unclaimed-pio; do
		before[$name]=$(counter core $name)
		[ -n "${before[$name]}" ]
	done
	vm_type guest x
	vm_expect guest 60 '^# end'
	for name in "${!before[@]}"; do
		after[$name]=$(counter core "$name")
		echo "$name: ${before[$name]} then ${after[$name]}"
	done
	vm_type guest x
	vm_wait guest 20 && steady_status=0 || steady_status=$?
	cat guest.out
	for name in "${!before[@]}"; do [ "${before[$name]}" = "${after[$name]}" ]; done
	[ "${after[notify-exits]}" = 0 ]
	[ "$steady_status" = 33 ]
	! grep -q '^not ok' guest.out
}
