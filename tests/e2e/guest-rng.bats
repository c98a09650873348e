#!/usr/bin/env bats
# A bare-metal guest asks atoll-rng for random bytes, and its process is replaced meanwhile. Issue 9, item 11.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
}
teardown() { cat guest.out guest.err; guest_teardown; }

of_rng() { "$ATOLL" list --json | jq -r ".[0].processes[] | select(.role == \"rng\") | .$1"; }
is_rng() { [ "$(of_rng "$1")" = "$2" ]; }

begin() {
	guest_config guest-rng "$1" "${@:2}"
	vm_start guest vm.yaml
	vm_expect guest 20 '^# begin'
}

# bats test_tags=quick,record
@test "a guest has random bytes, and what breaks the rules stops that device alone" {
	begin ''
	[ "$(of_rng id)" = rng ]
	vm_type guest x
	vm_expect guest 40 '^# end'
	[ "$(of_rng counters.requests)" -gt 2000 ]
	[ "$(of_rng restarts)" = 0 ]
	vm_type guest x
	guest_finished
}

# bats test_tags=quick
@test "its process is killed again and again while the guest asks, and each request is answered" {
	local i pid
	begin many=60000 'restart: {policy: always, backoff: 1ms, limit: 1000}'
	vm_type guest x
	for i in 1 2 3 4 5 6 7 8 9 10; do
		pid=$(of_rng pid)
		kill -9 "$pid"
		wait_until 10 is_rng restarts $i
		wait_until 10 is_rng state running
	done
	vm_expect guest 60 '^# end'
	vm_type guest x
	guest_finished
}

@test "without a process nothing is answered, and nothing lost: it waits for atoll restart" {
	begin kept=1 'restart: {policy: never}'
	kill -9 "$(of_rng pid)"
	wait_until 10 is_rng state failed
	wait_until 10 grep -q 'atoll-undertaker: guest/rng answers for the failed device' guest.err
	vm_type guest x
	vm_expect guest 20 '^# asked'
	"$ATOLL" restart guest rng
	vm_type guest x
	guest_finished
}

@test "rng: false leaves it out" {
	guest_config guest-rng '' 'rng: false'
	guest_run
	[[ $output == *'there is no entropy source'* ]]
}
