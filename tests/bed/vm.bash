# Driving a VM from a script: its console on pipes, waiting for what it prints, typing, and its end. Sourced by bash.
# Works under errexit, and in bats, whose own descriptor 3 a VM must not hold. Every wait is bounded (tests/patience.bash);
# a wait that fails shows the console's last lines.
. "${BASH_SOURCE[0]%/*}/../patience.bash"

# vm_start NAME CONFIG: runs it in the background; console output in NAME.out, atoll's own words in NAME.err.
vm_start() {
	rm -f "$1.in" "$1.out" "$1.err"
	mkfifo "$1.in"
	: >"$1.out"
	"$ATOLL" run "$2" <"$1.in" >"$1.out" 2>"$1.err" 3>&- &
	eval "vm_pid_$1=$!"
	eval "exec {vm_in_$1}>$1.in"
	eval "exec {vm_out_$1}<$1.out"
	eval "vm_text_$1="
}

# vm_type NAME TEXT: types TEXT and Enter.
vm_type() {
	local fd=vm_in_$1
	printf '%s\n' "$2" >&"${!fd}"
}

# vm_lives PID: without a fork. One that has ended does not, though the shell may not have noticed.
vm_lives() {
	local line
	IFS= read -r line 2>/dev/null <"/proc/$1/stat" && line=${line##*) } && [[ $line != Z* ]]
}

# vm_expect NAME SECONDS PATTERN: waits until a line of the console holds PATTERN (extended regular expression; ^ at its
# beginning is the line's), after what an earlier vm_expect saw.
vm_expect() {
	local text=vm_text_$1 pid=vm_pid_$1 fd=vm_out_$1 deadline=$((SECONDS + $2 * patience)) pattern=$3
	local quiet chunk rest dead LC_ALL=C
	[[ $pattern != ^* ]] || pattern=$'\n'${pattern#^}
	# No look costs a fork: the shell reads what is new, a little at a time, and sleeps on something that never comes.
	exec {quiet}<> <(:)
	rest=${!text:-$'\n'}
	while :; do
		vm_lives "${!pid}" 2>/dev/null && dead=no || dead=yes
		while chunk= && IFS= read -r -N 1024 -u "${!fd}" chunk || [ -n "$chunk" ]; do
			rest+=$chunk
			[[ $rest =~ $pattern ]] && break 2
			# Lines that are whole have been looked at.
			[[ $rest != *$'\n'* ]] || rest=$'\n'${rest##*$'\n'}
		done
		# What an earlier call left.
		[[ $rest =~ $pattern ]] && break
		if [ $dead = yes ] || [ $SECONDS -ge $deadline ]; then
			eval "$text=\$rest"
			exec {quiet}>&-
			echo "vm_expect: $1 did not print \"$3\"; its console ended with:"
			tail -c 3000 "$1.out"
			echo "and atoll with:"
			tail -n 20 "$1.err"
			return 1
		fi
		read -r -t $blink -u $quiet || :
	done
	# What follows its first match stays.
	rest=${rest#*"${BASH_REMATCH[0]}"}
	[ -n "$rest" ] || rest=$'\001' # in the middle of a line
	eval "$text=\$rest"
	exec {quiet}>&-
}

# vm_wait NAME SECONDS: waits for the end of atoll; its status, or 124.
vm_wait() {
	local pid=vm_pid_$1 deadline=$((SECONDS + $2 * patience)) fd=vm_in_$1 quiet
	exec {quiet}<> <(:)
	while vm_lives "${!pid}" 2>/dev/null; do
		if [ $SECONDS -ge $deadline ]; then
			echo "vm_wait: $1 did not end; its console ended with:"
			tail -c 3000 "$1.out"
			echo "and these processes are there:"
			ps -e -o pid=,ppid=,stat=,wchan=,args= | tail -n 30
			exec {quiet}>&-
			kill -9 "${!pid}"
			wait "${!pid}" 2>/dev/null
			return 124
		fi
		read -r -t $blink -u $quiet || :
	done
	exec {quiet}>&-
	eval "exec ${!fd}>&-"
	fd=vm_out_$1
	eval "exec ${!fd}<&-"
	wait "${!pid}"
}
