#!/usr/bin/env bats
# What `make install` leaves on a machine: hardened programs, and a page of the manual for each.

setup() {
	stage=$(cd "$(dirname "$ATOLL")/../../.." && pwd)
	programs=("$ATOLL" "$ATOLL_LIBEXEC_DIR"/atoll-*)
	[ "${#programs[@]}" -ge 7 ]
}

# each_program TEXT COMMAND: COMMAND (a pipeline over the file "$program") must succeed for every program.
each_program() {
	local program failed=0
	for program in "${programs[@]}"; do
		eval "$2" >/dev/null || { echo "$program: $1"; failed=1; }
	done
	return $failed
}

@test "programs are position-independent" {
	each_program "is not PIE" 'readelf -hW "$program" | grep "Type:.*DYN" && readelf -dW "$program" | grep "FLAGS_1.*PIE"'
}

@test "relocations are read-only before main (full RELRO)" {
	each_program "has no RELRO segment" 'readelf -lW "$program" | grep GNU_RELRO'
	each_program "binds lazily" 'readelf -dW "$program" | grep -E "BIND_NOW|FLAGS_1.*NOW"'
}

@test "no segment is writable and executable, nor is the stack" {
	each_program "has an RWE segment" '! readelf -lW "$program" | grep -E "^  (LOAD|GNU_STACK).* RWE "'
}

@test "stack protector, fortified calls and indirect-branch marks are in" {
	each_program "has no stack protector" 'readelf -sW --dyn-syms "$program" | grep __stack_chk_fail'
	each_program "has no fortified call" 'readelf -sW --dyn-syms "$program" | grep -E "__[a-z]+_chk"'
	each_program "has no endbr64" 'objdump -d --no-show-raw-insn "$program" | grep -m 1 endbr64'
}

@test "every program has a page of the manual, and mandoc finds no fault in any" {
	for page in atoll.1 atoll.yaml.5 $(basename -a -s "" "${programs[@]:1}" | sed 's/$/.8/'); do
		[ -s "$stage/usr/local/share/man/man${page##*.}/$page" ] || { echo "$page is not installed"; return 1; }
	done
	run mandoc -Tlint -W warning "$stage"/usr/local/share/man/man*/*
	echo "$output"
	[ "$status" = 0 ]
}

@test "every command that atoll --help names is in its page, and the other way round" {
	helped=$("$ATOLL" --help | sed -n 's/^  \([a-z]\{3,\}\)  *.*$/\1/p' | sort)
	[ -n "$helped" ]
	for command in $helped; do
		mandoc -Tascii "$stage/usr/local/share/man/man1/atoll.1" | col -b | grep -qw "$command" ||
			{ echo "atoll.1 does not mention \"$command\""; return 1; }
	done
	for command in run check list stop kill; do grep -qx "$command" <<<"$helped" || { echo "no $command"; return 1; }; done
}

@test "every subcommand of atoll policy is in its page, with its options" {
	for subcommand in $("$ATOLL" policy --help | sed -n 's/^  \([a-z]*\)  *.*/\1/p'); do
		mandoc -Tascii "$stage/usr/local/share/man/man1/atoll-policy.1" | col -b | grep -qE "^ +atoll policy $subcommand( |$)" ||
			{ echo "$subcommand is not in atoll-policy(1)"; return 1; }
	done
	for option in --c --json --output; do
		"$ATOLL" policy --help | grep -q -e "$option"
		mandoc -Tascii "$stage/usr/local/share/man/man1/atoll-policy.1" | col -b | grep -q -e "$option"
	done
}

@test "every program answers --help and --version with status 0" {
	for program in "${programs[@]}"; do
		case $program in */atoll-core) continue ;; esac
		run "$program" --version
		[ "$status" = 0 ]
		[[ $output =~ [0-9]+\.[0-9]+ ]]
		run "$program" --help
		[ "$status" = 0 ]
		[[ $output == *sage:* ]]
	done
}

@test "management tools find the back ends: their JSON parses and names an installed program" {
	for role in blk net; do
		json=$stage/usr/local/share/qemu/vhost-user/50-atoll-$role.json
		[ "$(jq -r .binary "$json")" = "/usr/local/libexec/atoll/atoll-$role" ]
		jq -e '.description and .type' "$json"
		"$ATOLL_LIBEXEC_DIR/atoll-$role" --print-capabilities | jq -e .type
	done
}
