#!/usr/bin/env bats
# atoll-core alone, on this machine's KVM: each way in which a guest can end, and what the core cannot run.
# bats file_tags=guest

setup() {
	core=${ATOLL_LIBEXEC_DIR:?}/atoll-core
	helpers=${ATOLL_HELPER_DIR:?}
	. "$BATS_TEST_DIRNAME/../patience.bash"
}

# end LETTER [OPTION...]: runs the guest; $output is "end KIND ...".
end() {
	local letter=$1
	shift
	run within 20 "$helpers/core_harness" -d -m 16 -a "$letter" "$@" "$core" "$helpers/end_guest" </dev/null
}

@test "power-off through ACPI's sleep register" {
	end o
	[ "$status" = 0 ]
	[[ $output == *"end KIND_POWER_OFF 0"* ]]
}

@test "reset through port 0xcf9" {
	end r
	[ "$status" = 0 ]
	[[ $output == *"end KIND_RESET 0 port 0xcf9"* ]]
}

@test "reset through the keyboard controller" {
	end k
	[ "$status" = 0 ]
	[[ $output == *"end KIND_RESET 0 keyboard controller"* ]]
}

@test "reset through a jump to the firmware's reset vector" {
	end v
	[ "$status" = 0 ]
	[[ $output == *"end KIND_RESET 0 port 0xcf9"* ]]
}

@test "triple fault" {
	end t
	[ "$status" = 0 ]
	[[ $output == *"end KIND_TRIPLE_FAULT 0"* ]]
}

@test "panic through pvpanic" {
	end p
	[ "$status" = 0 ]
	[[ $output == *"end KIND_PANIC 0"* ]]
}

# 200,000 writes that each would be a record: of each kind there is one a second, and they say how many they stand for.
@test "B5: a guest that floods pvpanic and the sleep register fills no log" {
	local records held seconds=$SECONDS
	end f
	seconds=$((SECONDS - seconds))
	[ "$status" = 0 ]
	[[ $output == *"end KIND_POWER_OFF 0"* ]]
	[[ $output == *"goes on in its crash kernel"* && $output == *"asks for sleep type 3"* ]]
	records=$(grep -c -e "crash kernel" -e "sleep type" <<<"$output")
	[ "$records" -le $((2 * (seconds + 3))) ]
	# Of each kind, those that were told and those that were left out are all that there were.
	for kind in "crash kernel" "sleep type"; do
		held=$(sed -n "/$kind/s/.*(\([0-9]*\) more like it.*/\1/p; /$kind/s/.* \([0-9]*\) more records like.*/\1/p" \
			<<<"$output" | awk '{ sum += $1 } END { print sum + 0 }')
		records=$(grep -v "more records like" <<<"$output" | grep -c "$kind")
		[ $((held + records)) = 100000 ]
	done
}

@test "debug exit tells its status" {
	end d
	[ "$status" = 0 ]
	[[ $output == *"end KIND_DEBUG_EXIT 43"* ]]
}

@test "an instruction that KVM cannot run is told with the registers" {
	end e
	[ "$status" = 0 ]
	[[ $output == *"end KIND_FAILURE 0 vCPU 0: KVM internal error"*"rip=0xd0000000"* ]]
}

@test "accesses that nobody claims read as ones" {
	end u
	[ "$status" = 0 ]
	[[ $output == *"end KIND_DEBUG_EXIT 3"* ]]
}

@test "four vCPUs, of which three never start, end together" {
	end o -c 4
	[ "$status" = 0 ]
	[[ $output == *"end KIND_POWER_OFF 0"* ]]
}

@test "a guest with memory on both sides of the hole" {
	end o -m 6144
	[ "$status" = 0 ]
	[[ $output == *"end KIND_POWER_OFF 0"* ]]
}

@test "the power button reaches a guest" {
	run within 20 "$helpers/core_harness" -m 16 -a b "$core" "$helpers/end_guest" <<<button
	[ "$status" = 0 ]
	[[ $output == *"end KIND_POWER_OFF 0"* ]]
}

@test "an order to shut down ends a guest that halts, without an event" {
	run within 20 "$helpers/core_harness" -m 16 -c 2 -a h "$core" "$helpers/end_guest" <<<shut-down
	[ "$status" = 0 ]
	[[ $output == *"no end"* ]]
}

@test "a guest that halts for ever ends with its supervisor" {
	mkfifo "$BATS_TEST_TMPDIR/orders"
	exec 9<>"$BATS_TEST_TMPDIR/orders"
	"$helpers/core_harness" -m 16 -a h "$core" "$helpers/end_guest" <"$BATS_TEST_TMPDIR/orders" \
		>"$BATS_TEST_TMPDIR/out" 9>&- &
	harness=$!
	echo statistics >&9
	for ((i = 0; i < 200; i++)); do grep -q '^counter exits-io' "$BATS_TEST_TMPDIR/out" && break; sleep 0.05; done
	grep -q '^counter exits-io' "$BATS_TEST_TMPDIR/out"
	child=$(pgrep -P "$harness")
	kill -KILL "$harness"
	for ((i = 0; i < 200; i++)); do [ -e "/proc/$child" ] && ! grep -q '^State:.Z' "/proc/$child/status" || break; sleep 0.05; done
	[ ! -e "/proc/$child" ] || grep -q '^State:.Z' "/proc/$child/status"
	exec 9>&-
}

@test "a file that is no kernel is refused with a reason" {
	run within 20 "$helpers/core_harness" "$core" "$BATS_TEST_FILENAME" </dev/null
	[ "$status" = 1 ]
	[[ $output == *"error: kernel: neither a bzImage nor an ELF file with a PVH note"* ]]
	[[ $output == *"no end"* ]]
}

@test "more vCPUs than KVM takes are refused with a reason" {
	run within 20 "$helpers/core_harness" -c 255 "$core" "$helpers/end_guest" </dev/null
	[ "$status" = 1 ]
	[[ $output == *'error: cpus: 255 wanted, '*'lower "cpus"'* ]]
}

@test "a command line that is too long is refused with a reason" {
	run within 20 "$helpers/core_harness" -a "$(printf '%3000s' x)" "$core" "$helpers/end_guest" </dev/null
	[ "$status" = 1 ]
	[[ $output == *'error: cmdline: it has 3000 bytes, the kernel takes 2047; shorten it'* ]]
}

@test "something that is not KVM is refused with a reason" {
	run within 20 "$helpers/core_harness" -k /dev/null "$core" "$helpers/end_guest" </dev/null
	[ "$status" = 1 ]
	[[ $output == *'error: /dev/kvm: not KVM'* ]]
}

@test "started by hand it explains itself" {
	run "$core" --help
	[ "$status" = 0 ]
	[[ $output == *"atoll-core(8)"* ]]
	run "$core" --version
	[ "$status" = 0 ]
	[[ $output == "atoll-core "* ]]
	run "$core" </dev/null
	[ "$status" = 2 ]
	[[ $output == *'start a VM with "atoll run"'* ]]
}
