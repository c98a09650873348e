# Driving a VM from a script: its console on pipes, waiting for what it prints, typing, and its end. Sourced by bash.
# Works under errexit, and in bats, whose own descriptor 3 a VM must not hold. Every wait is bounded (tests/patience.bash);
# a wait that fails shows the console's last lines.
. "${BASH_SOURCE[0]%/*}/../patience.bash"

# vm_start NAME CONFIG: runs it in the background; console output in NAME.out, atoll's own words in NAME.err.
vm_start() {
	rm -f "$1.in" "$1.out" "$1.err"
	mkfifo "$1.in"
	"$ATOLL" run "$2" <"$1.in" >"$1.out" 2>"$1.err" 3>&- &
	eval "vm_pid_$1=$!"
	eval "exec {vm_in_$1}>$1.in"
	eval "vm_seen_$1=0"
}

# vm_type NAME TEXT: types TEXT and Enter.
vm_type() {
	local fd=vm_in_$1
	printf '%s\n' "$2" >&"${!fd}"
}

# vm_expect NAME SECONDS PATTERN: waits until the console printed PATTERN (extended regular expression) after what an
# earlier vm_expect saw.
vm_expect() {
	local seen=vm_seen_$1 pid=vm_pid_$1 deadline=$((SECONDS + $2 * patience)) line offset LC_ALL=C
	while :; do
		line=$(tail -c "+$((${!seen} + 1))" "$1.out" | grep -aobE -m 1 -- "$3") || :
		if [ -n "$line" ]; then
			# From the end of what matched: "OFFSET:MATCH".
			offset=${line%%:*}
			eval "vm_seen_$1=$((${!seen} + offset + ${#line} - ${#offset} - 1))"
			return 0
		fi
		if ! kill -0 "${!pid}" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
			echo "vm_expect: $1 did not print \"$3\"; its console ended with:"
			tail -c 3000 "$1.out"
			echo "and atoll with:"
			tail -n 20 "$1.err"
			return 1
		fi
		# The event: output grew. inotify is not there in a plain shell, so look again in a moment.
		read -r -t $blink <> <(:) || :
	done
}

# vm_wait NAME SECONDS: waits for the end of atoll; its status, or 124.
vm_wait() {
	local pid=vm_pid_$1 deadline=$((SECONDS + $2 * patience)) fd=vm_in_$1
	while kill -0 "${!pid}" 2>/dev/null; do
		if [ $SECONDS -ge $deadline ]; then
			echo "vm_wait: $1 did not end; its console ended with:"
			tail -c 3000 "$1.out"
			kill -9 "${!pid}"
			wait "${!pid}" 2>/dev/null
			return 124
		fi
		read -r -t $blink <> <(:) || :
	done
	eval "exec ${!fd}>&-"
	wait "${!pid}"
}
