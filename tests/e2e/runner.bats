#!/usr/bin/env bats
# What ./check consists of: tests that hang, machines that end, and what is asked for that there is not.

bats_require_minimum_version 1.5.0
setup() { top=$BATS_TEST_DIRNAME/../..; }

@test "tests that hang are ended, machines that end are replaced, and each test has one result" {
	run env -u BATS_ROOT -u BATS_LIBEXEC python3 "$top/tests/runner/self_test.py" 3>&-
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"Ran 6 tests"*OK* ]]
}

@test "what ./check is asked for that there is not is refused with status 2; --list and --help are of use" {
	for word in nonsense nowhere.bats --frobnicate; do
		run --separate-stderr "$top/check" $word
		[ "$status" = 2 ]
		[ -z "$output" ]
		[[ $stderr == "check: "*$word* ]]
	done
	run "$top/check" --help
	[ "$status" = 0 ]
	# Each step is in both.
	help=$output
	run "$top/check" --list
	[ "$status" = 0 ]
	for step in $(grep -oE '^[a-z0-9]+ ' <<<"$output"); do grep -qE "^  $step +" <<<"$help"; done
	[ "$(grep -cE '^[a-z0-9]+ ' <<<"$output")" -ge 10 ]
}

@test "no test asks by itself whether there is a KVM" {
	# Those that take it away, make one, or give it to a user may name it; none may look for it to skip.
	run grep -nE '\[ -[a-z] /dev/kvm|skip .*(kvm|KVM)' -r "$top/tests/e2e" "$top/tests/linux"
	grep -v '/runner.bats:' <<<"$output" | { ! grep .; }
}
