#!/usr/bin/env bats
# The jail and the filters: what a process of a VM that a guest has taken over can still do, what a running VM's
# processes are to the kernel, and what the operator is told.

load vm.bash
bats_require_minimum_version 1.5.0

setup() {
	vm_setup
	export ATOLL_POLICY_DIR=${ATOLL_POLICY_DIR:-$BATS_TEST_DIRNAME/../../policy}
	# A policy for each kind of thread: of a program that the supervisor starts, and of one started by hand.
	filters=$(cd "$ATOLL_POLICY_DIR" && basename -a -s .policy -- *.*.policy | grep -v ^supervisor)
	supervised=$(grep -v -- -hand <<<"$filters")
	[ "$(wc -w <<<"$supervised")" -ge 8 ]
}
teardown() { vm_teardown; }

# field PID FIELD: of /proc/PID/status.
field() { awk -F'\t' -v key="$2:" '$1 == key { print $2; exit }' "/proc/$1/status"; }

children_of() { "$atoll" list --json | jq ".[] | select(.name == \"$1\") | .processes[].pid"; }

four_devices() {
	truncate -s 1M image
	config jail "${1:-h}" <<-END
		disks:
		  - {id: root, path: image, queues: 2}
		consoles:
		  - {id: serial, type: serial, output: pty}
		  - {id: port, type: virtio, output: "null"}
	END
}

@test "files, sockets, programs, processes, code, capabilities, siblings, /proc, the network: none is in reach, behind any filter" {
	for filter in $filters; do
		run "$ATOLL_HELPER_DIR/intruder" $filter attacks
		echo "$output"
		[ "$status" = 0 ]
		[[ $output == "$filter: 17 attempts, 0 not stopped" ]]
	done
}

# accept4 but for a console, which has clients.
@test "A4: what only a program run by hand needs, memfd_create, ftruncate, F_ADD_SEALS, F_SETFL, TIOCGWINSZ, accept4, ends a supervised process" {
	for filter in $supervised; do
		run "$ATOLL_HELPER_DIR/intruder" $filter hand
		echo "$output"
		[ "$status" = 0 ]
		[[ $output == "$filter: "[56]" attempts, 0 not stopped" ]]
	done
	# By hand they come back, but for the terminal's size, which is a console's.
	run "$ATOLL_HELPER_DIR/intruder" blk-hand.main hand
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"blk-hand.main: 6 attempts, 5 not stopped" ]]
}

@test "every system call that no rule names ends the process with its name, or fails as the rule says" {
	for filter in $supervised; do
		run "$ATOLL_HELPER_DIR/intruder" $filter calls
		echo "$output"
		[ "$status" = 0 ]
		[ "$(sed -n 's/.*: \([0-9]*\) attempts, 0 not stopped/\1/p' <<<"$output")" -gt 400 ]
	done
}

@test "every call that a rule allows with some arguments ends the process with others" {
	for filter in $supervised; do
		run "$ATOLL_HELPER_DIR/intruder" $filter arguments
		echo "$output"
		[ "$status" = 0 ]
		[ "$(sed -n 's/.*: \([0-9]*\) attempts, 0 not stopped/\1/p' <<<"$output")" -gt 20 ]
	done
}

# sealed NAME: each process of the VM is as it should be.
sealed() {
	local pid own children kind count=0 status
	own=$(cat "run/$1/pid")
	children=$(children_of "$1")
	for pid in $children; do
		count=$((count + 1))
		# One awk a process: in an emulated machine each program costs.
		awk -F '\t' -v pid="$pid" -v root="$([ "$(id -u)" = 0 ] && echo 1)" '
			function bad(what) { print pid ": " FILENAME ": " what; failed = 1 }
			/^Seccomp:/ && $2 != 2 { bad("no filter") }
			FILENAME ~ "/task/" { next }
			/^Cap(Inh|Prm|Eff|Bnd|Amb):/ && $2 != "0000000000000000" { bad($0) }
			/^NoNewPrivs:/ && $2 != 1 { bad($0) }
			/^NSpid:/ && $3 != 1 { bad($0) }
			/^[UG]id:/ && root && $2 != 1879048192 + pid { bad($0) } # 0x70000000
			/^Groups:/ && root && $2 !~ /^ *$/ { bad($0) }
			/^(Seccomp|CapEff|NoNewPrivs|NSpid|Uid|Groups):/ { seen++ }
			END { if (seen != 6) bad("only " seen " fields"); exit failed }' "/proc/$pid/status" /proc/"$pid"/task/*/status
		grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits"
		[ "$(id -u)" != 0 ] || [ -z "$(ls -A "/proc/$pid/root/")" ]
	done
	if [ "$(id -u)" = 0 ]; then
		for kind in user mnt pid net ipc uts cgroup; do
			# None has the supervisor's, nor another's.
			readlink $(printf "/proc/%s/ns/$kind " $own $children) >namespaces
			[ "$(sort -u namespaces | wc -l)" = $((count + 1)) ] || { echo "$kind: shared"; cat namespaces; return 1; }
		done
	fi
	echo "$count processes"
	[ $count = "$2" ]
}

# bats test_tags=guest
@test "each process and thread of a running VM is sealed" {
	four_devices
	"$atoll" run --detach jail.yaml
	sealed jail 5
	# vCPUs and queues have their names, and a filter of their own on top of the process's and the supervisor's.
	for pid in $(children_of jail); do
		awk '/^Name:/ { name = $2 } /^Seccomp_filters:/ { print name, $2 }' /proc/"$pid"/task/*/status
	done | grep -v ^kvm | sort -u | tr '\n' ',' >threads
	cat threads
	grep -q "atoll-blk 3,atoll-console 2,atoll-core 3,atoll-rng 2,attendant 3,queue-0 3,queue-1 3,vcpu0 3," threads
	# After a reset, too.
	before=$(children_of jail | head -n 1)
	"$atoll" reset jail
	wait_until 10 running jail
	wait_until 10 sh -c "[ \"\$('$atoll' list --json | jq '.[0].processes[0].pid')\" != $before ]"
	wait_until 10 running jail
	sealed jail 5
	"$atoll" kill jail
	nothing_left jail
}

# bats test_tags=guest
@test "an ordinary user of the group of /dev/kvm has a VM that is sealed the same, and a guest's tests pass in it" {
	[ "$(id -u)" = 0 ] || skip "needs to change its user"
	place=$(mktemp -d)
	chmod 755 "$place"
	mknod "$place/kvm" c 10 232 && chgrp 4712 "$place/kvm" && chmod 660 "$place/kvm"
	four_devices
	seq -f '%015.0f' 0 524287 >root.img
	cp root.img second.img
	config guest id=root <<<$'debug-exit: true\non-reset: exit\ndisks:\n  - {id: root, path: root.img}\n  - {id: second, path: second.img}'
	sed -i 's/^memory: .*/memory: 64MiB/; s/kernel: kernel/kernel: guest-blk/' guest.yaml
	cp -r "$(dirname "$atoll")" "$ATOLL_LIBEXEC_DIR" "${ATOLL_GUEST_DIR:?}/guest-blk" kernel image root.img second.img *.yaml "$place"
	mkdir "$place/run" && chown -R 65534 "$place/run" "$place"/image "$place"/*.img
	declare -f field children_of sealed >"$place/functions"
	cat >"$place/job" <<-'END'
		set -e
		cd "$1"
		. ./functions
		atoll=$1/bin/atoll
		export ATOLL_LIBEXEC_DIR=$1/atoll ATOLL_RUNTIME_DIR=$1/run
		"$atoll" run --detach jail.yaml
		trap '"$atoll" kill jail' EXIT
		sealed jail 5
		timeout 600 "$atoll" run guest.yaml </dev/null >run/out || echo "status $?"
		grep -c "^ok" run/out
		! grep -E '^(not ok|Bail)' run/out
	END
	user="setpriv --reuid=65534 --regid=65534 --groups="
	mount="mount --bind '$place/kvm' /dev/kvm && exec $user"
	run unshare --mount sh -c "${mount}4712 bash '$place/job' '$place'"
	echo "$output"
	[ "$status" = 0 ]
	grep -qx "status 33" <<<"$output"
	# Out of the group there is no VM, and the remedy is said.
	run unshare --mount sh -c "${mount}4713 env ATOLL_LIBEXEC_DIR='$place/atoll' ATOLL_RUNTIME_DIR='$place/run' '$place/bin/atoll' run '$place/jail.yaml'"
	echo "$output"
	rm -rf "$place"
	[ "$status" = 3 ]
	[[ $output == *"/dev/kvm"*"ermission denied"*";"* ]]
}

# bats test_tags=guest
@test "a violation in a running VM is told with thread, call, arguments and policy" {
	fake blk=asked
	truncate -s 1M image
	config jail <<<$'restart: {policy: never}\ndisks:\n  - id: root\n    path: image'
	"$atoll" run --detach --log-file=log jail.yaml 2>err
	# It does when it is asked for its counters.
	"$atoll" list >/dev/null
	wait_until 10 grep -q 'was ended by its filter' log
	cat err log
	what='main called openat\(0x(ffffffff)?ffffff9c, 0x[0-9a-f]+, 0x0, 0x[0-9a-f]+, 0x[0-9a-f]+, 0x[0-9a-f]+\), which blk\.main\.policy does not allow; see atoll policy explain blk\.main openat'
	# From the process itself, in the log, and as the reason of the end.
	[ ! -s err ]
	grep -qE "^[^ ]+ warning atoll-blk: jail/root: stderr: atoll: $what$" log
	grep -qE "^[^ ]+ error atoll-blk: jail/root: $what$" log
	grep -qE "^[^ ]+ [a-z]+ atoll: jail: atoll-blk: jail/root was ended by its filter: $what; " log
	running jail
	"$atoll" kill jail
	nothing_left jail
}

# bats test_tags=guest
@test "a violation before the guest runs ends the launch, with the same words" {
	fake blk=early
	truncate -s 1M image
	config jail <<<$'disks:\n  - id: root\n    path: image'
	run --separate-stderr within 20 "$atoll" run jail.yaml </dev/null
	echo "$stderr"
	[ "$status" = 1 ]
	grep -qE '^atoll: jail: atoll-blk: jail/root: main called openat\(.*\), which blk\.main\.policy does not allow; see atoll policy explain blk\.main openat; it had not served yet: the policy blk\.main of Atoll .*glibc.*' <<<"$stderr"
	nothing_left jail
}

# bats test_tags=guest
@test "list shows what ended a process, while the VM is held" {
	fake blk=asked core=panic
	truncate -s 1M image
	config jail <<<$'on-panic: hold\ndisks:\n  - id: root\n    path: image'
	"$atoll" run --detach --log-file=log jail.yaml
	wait_until 10 grep -q "the VM is held" log
	# Who lists asks.
	wait_until 10 sh -c "'$atoll' list | grep -q 'blk root.*dead  main called openat('"
	"$atoll" list --json | jq -e '.[0].processes[] | select(.role == "blk") | .violation | startswith("main called openat(")'
	"$atoll" kill jail
	nothing_left jail
}

# bats test_tags=guest
@test "a process that tells of a violation and goes on, or of one that cannot be, is killed" {
	truncate -s 1M image
	config jail <<<$'disks:\n  - id: root\n    path: image'
	for mode in pretend nonsense few; do
		fake blk=$mode
		run --separate-stderr within 20 "$atoll" run jail.yaml </dev/null
		echo "$mode: $status: $stderr"
		[ "$status" = 1 ]
		case $mode in
		pretend) [[ $stderr == *"atoll: jail: atoll-blk: jail/root: main called open(0x1, 0x2, 0x3, 0x4, 0x5, 0x6), which"* ]] ;;
		*) [[ $stderr == *"atoll: jail: atoll-blk: jail/root was killed: it told of a violation that there cannot be"* ]] ;;
		esac
		! grep -q '^forged' <<<"$stderr"
		nothing_left jail
	done
}

# bats test_tags=guest
@test "a process that records and was not asked to is killed; by hand nothing records" {
	truncate -s 1M image
	config jail <<<$'disks:\n  - id: root\n    path: image'
	fake blk=recorder
	run --separate-stderr within 20 "$atoll" run jail.yaml </dev/null
	echo "$status: $stderr"
	[ "$status" = 1 ]
	[[ $stderr == *"atoll-blk: jail/root was killed: it records, and was not asked to"* ]]
	nothing_left jail
	export ATOLL_LIBEXEC_DIR=$(dirname "$(dirname "$atoll")")/libexec/atoll
	ATOLL_RECORD=1 "$ATOLL_LIBEXEC_DIR/atoll-blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	# Its socket is there before it has sealed itself.
	behind_filters() { [ "$(field "$(pgrep -P $pid)" Seccomp)" = 2 ]; }
	wait_until 5 behind_filters
	# Behind its own filters it has no way to open anything.
	kill -TERM $pid
	wait $pid
}

# bats test_tags=guest
@test "--no-sandbox warns at each start, shows in list, and is for those that it names" {
	four_devices
	for names in --no-sandbox=root --no-sandbox=core "--no-sandbox=port --no-sandbox=serial" --no-sandbox; do
		"$atoll" run --detach --log-file=log $names jail.yaml 2>err
		"$atoll" list
		"$atoll" list --json >json
		for id in root serial port core; do
			case "$names " in *"=$id "* | "--no-sandbox ") expected=false ;; *) expected=true ;; esac
			pid=$(jq ".[0].processes[] | select(.id == \"${id#core}\") | .pid" json)
			[ "$(jq ".[0].processes[] | select(.id == \"${id#core}\") | .sandbox" json)" = $expected ]
			if [ $expected = false ]; then
				# In the supervisor's namespaces, behind its filter alone.
				[ "$(awk '/^NSpid:/ { print NF }' "/proc/$pid/status")" = 2 ]
				[ "$(field "$pid" Seccomp_filters)" = 1 ]
				grep -qE "warning atoll-[a-z]+: jail(/$id)?: it runs without its sandbox \(--no-sandbox\)" err
			else
				[ "$(awk '/^NSpid:/ { print NF }' "/proc/$pid/status")" = 3 ]
				[ "$(field "$pid" Seccomp_filters)" -gt 1 ]
			fi
		done
		[ "$(grep -c "without its sandbox" err)" = "$("$atoll" list | grep -c '  no sandbox$')" ]
		[ "$(grep -c "without its sandbox" err)" = "$(jq '[.[0].processes[] | select(.sandbox | not)] | length' json)" ]
		"$atoll" kill jail
		rm -f log
	done
	run "$atoll" run --no-sandbox=nobody jail.yaml
	[ "$status" = 2 ]
	[[ $output == "atoll: usage: --no-sandbox=nobody: the config has no device of that id; name one, or \"core\"" ]]
	nothing_left jail
}

@test "a device program by hand is sealed too, unless it is told not to, and says so" {
	truncate -s 1M image
	blk=$ATOLL_LIBEXEC_DIR/atoll-blk
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	inside=$(pgrep -P $pid)
	wait_until 5 sh -c "grep -q '^Seccomp:.2' /proc/$inside/status"
	[ "$(field "$inside" CapEff)" = 0000000000000000 ]
	[ "$(field "$inside" NoNewPrivs)" = 1 ]
	[ "$(readlink "/proc/$inside/fd/0")" = /dev/null ]
	[ "$(readlink "/proc/$inside/fd/1")" = /dev/null ]
	kill -TERM $pid
	wait $pid
	[ ! -e sock ]
	! grep -q sandbox err
	# What kills the one outside ends the one inside.
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	inside=$(pgrep -P $pid)
	kill -9 $pid
	wait $pid || true
	wait_until 5 test ! -e "/proc/$inside"
	# And the other way round.
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	kill -9 "$(pgrep -P $pid)"
	status=0
	wait $pid || status=$?
	[ $status = 137 ]
	[ ! -e sock ]
	"$blk" --no-sandbox --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	[ -z "$(pgrep -P $pid)" ]
	grep -q "warning atoll-blk: it runs without its sandbox (--no-sandbox)" err
	kill -TERM $pid
	wait $pid
}

@test "a signal at once is not lost, and the program stops and goes on with its shell" {
	truncate -s 1M image
	blk=$ATOLL_LIBEXEC_DIR/atoll-blk
	for i in 1 2 3 4 5; do
		"$blk" --socket-path=sock --blk-file=image 2>err &
		pid=$!
		wait_until 5 test -S sock
		kill -TERM $pid
		wait $pid
		[ ! -e sock ]
	done
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	inside=$(pgrep -P $pid)
	wait_until 5 sh -c "grep -q '^Seccomp:.2' /proc/$inside/status"
	kill -TSTP $pid
	wait_until 5 grep -q '^State:.T' "/proc/$pid/status"
	wait_until 5 grep -q '^State:.T' "/proc/$inside/status"
	kill -CONT $pid
	wait_until 5 grep -q '^State:.S' "/proc/$inside/status"
	kill -TERM $pid
	wait $pid
}

# bats test_tags=guest
@test "where there can be no namespaces nothing starts, and the remedy is said" {
	[ "$(id -u)" = 0 ] || skip "needs to change a limit of the kernel"
	truncate -s 1M image
	config jail h </dev/null
	# In a user namespace of its own, whose limit is its own.
	run unshare --user --map-root-user --mount sh -c "echo 0 >/proc/sys/user/max_user_namespaces &&
		'$atoll' run jail.yaml </dev/null; echo status \$?
		'$ATOLL_LIBEXEC_DIR/atoll-blk' --socket-path=sock --blk-file=image; echo status \$?"
	echo "$output"
	[ "$(grep -c '^status 3$' <<<"$output")" = 2 ]
	[ "$(grep -c 'cannot make its namespaces: .*; raise the sysctls user.max_\*_namespaces' <<<"$output")" = 2 ]
	[ ! -e sock ]
	nothing_left jail
}

# A real one's policy lets it call none of these; this is what holds if it were not there, or let something through.
@test "B4: a disk's process maps no more than the guest's memory and an allowance, and its image cannot grow" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}'
	fake blk=greedy core=off
	run within 20 "$atoll" run web.yaml </dev/null
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *"greedy: 8 GiB mapped: ENOMEM"* ]]
	[[ $output == *"greedy: a memfd of 64 MiB: EFBIG"* ]]
	[[ $output == *"greedy: written behind the image's end: EFBIG"* ]]
	[[ $output == *"greedy: the image lengthened: EFBIG"* ]]
	[[ $output == *"greedy: the image allocated: EFBIG"* ]]
	[[ $output == *"greedy: written at the image's end: done"* ]]
	[ "$(stat -c %s image)" = $((1 << 20)) ]
}

@test "B4: each process of a VM has its limits, which the audit shows" {
	local expected
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}\nconsoles:\n  - {id: log, type: serial, output: file, path: console}'
	"$atoll" run --detach web.yaml
	wait_until 10 running web
	"$atoll" audit --json web >audit.json || [ $? = 1 ]
	"$atoll" kill web
	jq -c '.processes[] | {role, limits}' audit.json
	# Guest memory, 256 MiB, and 1 MiB a thread: a vCPU, three attendants and eight spare ones; a queue; none; none.
	for expected in core:284:1048576 blk:273:1048576 console:272:67108864 rng:272:0; do
		IFS=: read -r role memory file <<<"$expected"
		[ "$(jq -c ".processes[] | select(.role == \"$role\") | .limits | [.as, .fsize]" audit.json)" = \
			"[[$((memory << 20)),$((memory << 20))],[$file,$file]]" ]
	done
}
