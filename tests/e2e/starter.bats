#!/usr/bin/env bats
# A supervisor that was taken over (helpers/taken_over.c), and its starter (F6): what the one can still do, and what becomes of
# a VM without the other.
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() {
	vm_setup
	export TAKEN_OVER TAKEN_OVER_FILE TAKEN_OVER_SOCKET TAKEN_OVER_OWN TAKEN_OVER_PID
	# Not below a folder that is in its reach.
	outside=$BATS_TEST_TMPDIR/outside
	mkdir "$outside" files
	echo secret >"$outside/file"
	TAKEN_OVER_FILE=$outside/file TAKEN_OVER_SOCKET=$outside/socket TAKEN_OVER_OWN=$PWD/files
	sleep 600 3>&- &
	TAKEN_OVER_PID=$!
}
teardown() {
	[ -z "${place:-}" ] || { kill -9 "$(cat "$place/work/run/web/pid")"; rm -rf "$place"; } 2>/dev/null || :
	vm_teardown
}

# vm: one with a console whose file is in files/, and a disk.
vm() {
	truncate -s 1M image
	config web h <<-END
		disks: [{id: root, path: image}]
		consoles: [{id: serial, output: file, path: files/out, max-size: 64KiB}]
	END
	rm -f log
	"$atoll" run --detach --log-file=log web.yaml
}

starter() { "$atoll" list --json | jq '.[0].starter'; }
pid_of() { "$atoll" list --json | jq ".[0].processes[] | select(.role == \"$1\") | .pid"; }
is() { [ "$("$atoll" list --json | jq -r ".[0].processes[] | select(.role == \"$1\") | .state")" = "$2" ]; }

# taken_over WHAT...: the supervisor of a VM is, and tries that; it runs on, or not.
taken_over() {
	TAKEN_OVER=$*
	LD_PRELOAD=$ATOLL_HELPER_DIR/taken_over.so vm
	kill -USR2 "$(cat run/web/pid)"
}

# came_of WHAT: what did.
came_of() { sed -n "s/^taken over: $1: //p" log | grep -v tries; }
tried() { grep -q "^taken over: $1: [A-Zd]" log; }

without_landlock() {
	if [ "$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')" -gt 0 ]; then return 1; fi
}

@test "F6: a supervisor of root's that was taken over makes, writes, reads, moves, removes no file of others, and signals nobody" {
	[ "$(id -u)" = 0 ] || skip "of root's"
	! without_landlock || skip "this kernel has no Landlock"
	taken_over own create write read list rename remove memory pidfd
	wait_until 5 tried pidfd
	cat log
	[ "$(came_of own)" = done ]
	[ -e files/canary ]
	for what in create write read list rename remove memory pidfd; do [ "$(came_of $what)" = EACCES ]; done
	[ "$(ls "$outside")" = file ]
	kill -0 "$TAKEN_OVER_PID"
	[ "$(awk '/^Cap(Prm|Eff|Bnd|Inh|Amb):/ { print $2 }' "/proc/$(cat run/web/pid)/status" | sort -u)" = 0000000000000000 ]
	# It goes on as one that was not.
	"$atoll" restart web root
	"$atoll" restart web serial
	running web
	"$atoll" kill web
	nothing_left web
}

@test "F6: where it goes by no path, a supervisor that was taken over is ended at once, and its VM with it" {
	socat UNIX-LISTEN:"$TAKEN_OVER_SOCKET" OPEN:connected,creat,append 3>&- &
	listener=$!
	wait_until 5 test -S "$TAKEN_OVER_SOCKET"
	chmod 640 "$TAKEN_OVER_FILE"
	ended() { [ -z "$(processes_of web)" ]; }
	for what in connect socket internet datagrams fork execute signal thread-signal open-process owner socket-owner limits rights times user mount \
		namespace memory-of-user ring type; do
		taken_over $what
		wait_until 5 ended
		grep "^taken over: $what: tries$" log
		! tried $what
	done
	kill -0 $listener
	[ ! -e connected ]
	kill -0 "$TAKEN_OVER_PID"
	[ "$(stat -c %a "$TAKEN_OVER_FILE")" = 640 ]
}

@test "F6: an ordinary user's supervisor that was taken over is held the same" {
	[ "$(id -u)" = 0 ] || skip "needs to change its user"
	! without_landlock || skip "this kernel has no Landlock"
	# The tests' own folder is root's alone.
	place=$(mktemp -d)
	chmod 755 "$place"
	mknod "$place/kvm" c 10 232 && chmod 666 "$place/kvm"
	mkdir -p "$place/work/files" "$place/outside"
	echo secret >"$place/outside/file"
	cp -r "$(dirname "$atoll")" "$ATOLL_LIBEXEC_DIR" "$ATOLL_HELPER_DIR/taken_over.so" kernel "$place"
	cp kernel "$place/work"
	declare -f vm config >"$place/functions"
	chown -R 65534 "$place/work" "$place/outside"
	cat >"$place/job" <<-'END'
		cd "$1/work" && . ../functions
		atoll=$1/bin/atoll
		export ATOLL_LIBEXEC_DIR=$1/atoll ATOLL_RUNTIME_DIR=$1/work/run TAKEN_OVER="own create write read list memory"
		export TAKEN_OVER_OWN=$PWD/files TAKEN_OVER_FILE=$1/outside/file TAKEN_OVER_PID=$$
		LD_PRELOAD=$1/taken_over.so vm
		kill -USR2 "$(cat run/web/pid)"
		for ((i = 0; i < 500; i++)); do grep -q "^taken over: memory: [A-Zd]" log && break; sleep 0.01; done
		cat log
		"$atoll" restart web root && echo restarted
		"$atoll" kill web
	END
	run unshare --mount sh -c "mount --bind '$place/kvm' /dev/kvm && exec setpriv --reuid=65534 --regid=65534 --clear-groups bash '$place/job' '$place'"
	echo "$output"
	[ "$status" = 0 ]
	grep -qx "taken over: own: done" <<<"$output"
	for what in create write read list memory; do grep -qx "taken over: $what: EACCES" <<<"$output"; done
	grep -qx restarted <<<"$output"
	[ -z "$(processes_of web)" ]
}

@test "F6: the starter ends with its VM, also with a supervisor that is killed" {
	for how in kill end reset; do
		vm
		starter=$(starter)
		[ "$(awk '/^PPid:/ { print $2 }' "/proc/$starter/status")" = "$(cat run/web/pid)" ]
		# Its wire, and nothing of anybody's.
		[ "$(readlink /proc/"$starter"/fd/* | sed 's/:.*//' | sort | uniq -c | xargs)" = "3 /dev/null 1 socket" ]
		case $how in
		kill) kill -9 "$(cat run/web/pid)" ;;
		end) "$atoll" kill web ;;
		reset)
			"$atoll" reset web
			wait_until 10 running web
			[ "$(starter)" = "$starter" ]
			"$atoll" kill web
			;;
		esac
		wait_until 5 test ! -e "/proc/$starter"
		wait_until 5 no_process_of web
		[ $how = kill ] || nothing_left web
	done
}

@test "F6: without its starter a VM goes on, says so once, and a device whose process ends is failed" {
	vm
	kill -9 "$(starter)"
	wait_until 5 grep -q "the process that starts the others was killed by signal 9" log
	[ "$(starter)" = 0 ]
	running web
	# What works is left at work.
	run --separate-stderr "$atoll" restart web root
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == *"the process that starts the others has ended"*"; start the VM anew" ]]
	is blk running
	if [ "$(id -u)" = 0 ]; then
		run "$atoll" audit web
		echo "$output"
		[ "$status" = 1 ]
		[[ $output == *"its starter has ended (written: there)"* ]]
	fi
	kill -9 "$(pid_of blk)"
	wait_until 5 is blk failed
	running web
	is console running
	cat log
	[ "$(grep -c "the process that starts the others was killed" log)" = 1 ]
	grep -q "web/root .*; the device is failed, for the process that starts the others has ended" log
	# A reset needs processes that are all new.
	"$atoll" reset web
	wait_until 10 no_process_of web
	nothing_left web
}

@test "F6: a starter that does not answer is waited for no longer than 10 s, and ended" {
	vm
	starter=$(starter)
	kill -STOP "$starter"
	kill -9 "$(pid_of blk)"
	wait_until 20 grep -q "the process that starts the others did not answer in time and was killed" log
	[ ! -e "/proc/$starter" ]
	wait_until 5 is blk failed
	running web
	"$atoll" kill web
	nothing_left web
}
