#!/usr/bin/env bats
# The life of a VM as the supervisor leads it: real processes and bare-metal guests first, then processes that
# misbehave (helpers/fake_child.c).
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; }
teardown() { vm_teardown; }

# ends LETTER STATUS [YAML]: the guest that ends so ends `run` with that status, and nothing is left.
ends() {
	config web "$1" <<<"${3:-}"
	run --separate-stderr within 20 "$atoll" run web.yaml </dev/null
	echo "$1: $status: $stderr"
	[ "$status" = "$2" ]
	nothing_left web
}

@test "the guest's ends have their exit statuses" {
	ends o 0
	ends r 0 "on-reset: exit"
	[[ $stderr == *"the guest reset the machine; the VM ends (on-reset: exit)"* ]]
	ends t 0 "on-reset: exit"
	[[ $stderr == *"triple fault"* ]]
	ends p 4
	[[ $stderr == *"atoll: web: the guest panicked; "* ]]
	ends d 43 "debug-exit: true"
	ends e 1
	[[ $stderr == *"atoll: web: the machine failed: "*"; "* ]]
}

@test "titles of the processes explain them" {
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	"$atoll" run --detach web.yaml
	for title in "atoll: web" "atoll-core: web" "atoll-blk: web/root" "atoll-console: web/serial" "atoll-rng: web/rng"; do
		ps -eo args= | grep -qx "$title" || { echo "no $title"; ps -eo args=; false; }
	done
	[ "$("$atoll" list --json | jq -r '.[0].processes[] | .role + " " + .id + " " + .state' | sort | tr '\n' ',')" = \
		"blk root running,console serial running,core  running,rng rng running," ]
	"$atoll" list | grep -qE '^web +[0-9]+ +running'
	"$atoll" list --json | jq -e '.[0].processes[] | select(.role == "blk") | .counters | has("reads")'
	[ "$(stat -c %a run/web)" = 700 ]
	"$atoll" kill web
	nothing_left web
	[ -z "$(ps -eo args= | grep -E '^atoll(-[a-z]+)?: web')" ]
}

@test "stop presses the power button; kill does not ask" {
	config web b </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	within 10 "$atoll" stop web
	nothing_left web
	[ "$(grep -c "killed by a command" log)" = 0 ]
	config web h </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	within 15 "$atoll" stop --timeout=1 web
	nothing_left web
	grep -q "killed by a command" log
	"$atoll" run --detach web.yaml
	within 10 "$atoll" kill web
	nothing_left web
}

@test "reset gives the guest new processes and the same name" {
	config web h </dev/null
	"$atoll" run --detach web.yaml
	before=$("$atoll" list --json | jq -c '[.[0].pid, .[0].processes[0].pid]')
	"$atoll" reset web
	wait_until 10 running web
	wait_until 10 sh -c "[ \"\$('$atoll' list --json | jq '.[0].processes[0].pid')\" != $(jq '.[1]' <<<"$before") ]"
	[ "$("$atoll" list --json | jq '.[0].pid')" = "$(jq '.[0]' <<<"$before")" ]
	"$atoll" kill web
	nothing_left web
}

@test "SIGTERM presses the button, a second one ends it; SIGINT and SIGHUP are the same; SIGQUIT ends it" {
	config web b </dev/null
	for signal in TERM INT HUP; do
		# A background job of a shell without job control ignores SIGINT; ours takes it all the same.
		"$atoll" run web.yaml </dev/null 2>err &
		pid=$!
		wait_until 10 running web
		kill -$signal $pid
		wait $pid
		nothing_left web
	done
	config web h </dev/null
	for signals in "TERM TERM" QUIT; do
		"$atoll" run web.yaml </dev/null 2>err &
		pid=$!
		wait_until 10 running web
		for signal in $signals; do
			kill -$signal $pid
			# Two that are pending at once are one.
			[ "$signals" = QUIT ] || wait_until 5 grep -q "asking the guest" err
		done
		status=0
		wait $pid || status=$?
		[ $status = 1 ]
		nothing_left web
	done
}

@test "a supervisor that is killed takes its processes along, and the next one finds nothing in its way" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - id: root\n    path: image'
	"$atoll" run --detach web.yaml
	kill -9 "$(cat run/web/pid)"
	wait_until 10 no_process_of web
	"$atoll" run --detach web.yaml
	running web
	kill -9 "$(cat run/web/pid)"
	wait_until 10 no_process_of web
	# list cleans up too.
	[ -z "$("$atoll" list)" ]
	nothing_left web
}

@test "a core that is killed ends the VM with status 1 and a word, within a second; a device does not" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - id: root\n    path: image'
	"$atoll" run web.yaml </dev/null 2>err &
	pid=$!
	wait_until 10 running web
	for role in blk console; do
		kill -9 "$("$atoll" list --json | jq ".[0].processes[] | select(.role == \"$role\") | .pid")"
		wait_until 5 grep -q "atoll-$role: web/.* serves again" err
	done
	running web
	start=$EPOCHREALTIME
	kill -9 "$("$atoll" list --json | jq '.[0].processes[] | select(.role == "core") | .pid')"
	status=0
	wait $pid || status=$?
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	echo "after $took ms:"
	cat err
	[ $status = 1 ]
	[ $took -lt $((1000 * patience)) ]
	grep -q "^atoll: web: atoll-core: web.* was killed by signal 9" err
	[ "$(grep -c "serves again" err)" = 2 ]
	nothing_left web
}

# bats test_tags=record
@test "a detached VM has a session of its own, no terminal, and a pty that is there" {
	config web h </dev/null
	"$atoll" run --detach web.yaml
	pid=$(cat run/web/pid)
	[ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ]
	[ "$(readlink /proc/$pid/fd/0)" = /dev/null ]
	[ "$(readlink /proc/$pid/fd/1)" = /dev/null ]
	[ "$(readlink /proc/$pid/fd/2)" = "$(realpath "$ATOLL_LOG_DIR")/web.log" ]
	[ "$(readlink run/web/log)" = "$ATOLL_LOG_DIR/web.log" ]
	# B6: nor is the folder that it was started in kept in use.
	[ "$(readlink /proc/$pid/cwd)" = / ]
	[ -c "$(readlink run/web/console-serial)" ]
	"$atoll" kill web
	nothing_left web
}

# vm_pids NAME: the supervisor's and its processes'.
vm_pids() { "$atoll" list --json | jq ".[] | select(.name == \"$1\") | .pid, .processes[].pid"; }

@test "A1: run --detach lets go of what the command had, and so do all processes" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}'
	# A command substitution ends when the last who has the pipe has closed it.
	within 20 bash -c 'x=$("$0" run --detach web.yaml 2>&1) && [ -z "$x" ]' "$atoll"
	running web
	"$atoll" kill web
	nothing_left web
	# On a terminal, nobody has it afterwards.
	on_terminal "tty >tty; $atoll run --detach web.yaml"
	wait_until 20 test -s status
	[ "$(cat status)" = status=0 ]
	for pid in $(vm_pids web); do
		for fd in /proc/"$pid"/fd/*; do [ "$(readlink "$fd")" != "$(cat tty)" ] || { ls -l "/proc/$pid/fd"; return 1; }; done
	done
	terminal_end
	"$atoll" kill web
	nothing_left web
}

# pipe_holders INODE: the processes of this machine that have the pipe.
pipe_holders() { find /proc/[0-9]*/fd -lname "pipe:\[$1\]" 2>/dev/null | cut -d / -f 3 | sort -un | paste -sd,; }

@test "A2, F1: each process has a pipe of its own on 1 and 2, which the supervisor alone reads, with sandbox and without" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}'
	for option in "" --no-sandbox; do
		"$atoll" run --detach $option --log-file=log web.yaml
		supervisor=$(cat run/web/pid)
		for pid in $(vm_pids web); do
			[ "$pid" != "$supervisor" ] || continue
			[ "$(readlink "/proc/$pid/fd/0")" = /dev/null ]
			grep -q '^flags:.*0$' "/proc/$pid/fdinfo/0"
			pipe=$(readlink "/proc/$pid/fd/2")
			[[ $pipe == pipe:* ]]
			[ "$(readlink "/proc/$pid/fd/1")" = "$pipe" ]
			inode=${pipe//[^0-9]/}
			[ "$(pipe_holders "$inode")" = "$(printf '%s\n' "$supervisor" "$pid" | sort -n | paste -sd,)" ]
			[ "$(find "/proc/$supervisor/fd" -lname "pipe:\[$inode\]" | wc -l)" = 1 ]
		done
		# The log is the supervisor's alone.
		for pid in $(vm_pids web); do
			found=$(find "/proc/$pid/fd" -lname "$PWD/log" | wc -l)
			[ "$found" = $((pid == supervisor)) ]
		done
		"$atoll" kill web
		nothing_left web
	done
}

@test "A2: what a process writes to its standard error is escaped, bounded and cannot harm the log" {
	truncate -s 1M image
	config web h <<<$'disks:\n  - {id: root, path: image}'
	fake blk=scribble
	echo "what was there before" >log
	# What comes before the VM runs is the command's.
	"$atoll" run --detach --log-file=log web.yaml 2>>log
	wait_until 20 grep -q "log records dropped: too many in a short time" log
	running web
	grep -qx "what was there before" log
	! grep -q LEAK log
	! grep -qE '^2026-01-01T00:00:00.000000Z error atoll: web: forged' log
	grep -qE ' warning atoll-blk: web/root: stderr: 2026-01-01T00:00:00.000000Z error atoll: web: forged$' log
	grep -qF 'web/root: stderr: \x1b[2Jred \xc2\x9b2J \x9b2J grün' log
	grep -qE ' warning atoll-blk: web/root: stderr: on the standard output$' log
	! LC_ALL=C grep -q "$(printf '[\033\233]')" log
	# 200 at once, and 50 a second.
	[ "$(grep -c 'stderr: scribble' log)" -lt 1000 ]
	"$atoll" kill web
	nothing_left web
}

@test "B3: a supervisor whose standard error nobody reads goes on: list, stop and SIGTERM work" {
	config web b </dev/null
	for end in "$atoll stop web" "kill -TERM \$pid" "$atoll kill web"; do
		rm -f err
		mkfifo err
		exec 8<>err
		# Full from the start; its reader has stopped.
		head -c 65536 /dev/zero >&8
		within 60 "$atoll" -vv run web.yaml </dev/null 2>err 8<&- &
		job=$!
		wait_until 20 running web
		pid=$(cat run/web/pid)
		within 10 "$atoll" list >/dev/null
		within 20 sh -c "pid=$pid; $end"
		wait $job || [ "$end" = "$atoll kill web" ]
		exec 8<&-
		nothing_left web
	done
}

@test "B3: nor does a terminal that was stopped (Ctrl-s) hold it up" {
	config web b </dev/null
	on_terminal "$atoll -vv run web.yaml </dev/null"
	wait_until 20 running web
	pid=$(cat run/web/pid)
	printf '\023' >&7
	within 10 "$atoll" list >/dev/null
	kill -TERM "$pid"
	wait_until 20 no_process_of web
	# It may be gone already: nothing held it up.
	(printf '\021' >&7) || :
	wait_until 10 test -s status
	terminal_end
	nothing_left web
}

# bats test_tags=record
@test "consoles on a file, a socket and a socket elsewhere" {
	config web h <<-END
		consoles:
		  - {id: a, output: file, path: out}
		  - {id: b, output: socket}
		  - {id: c, output: socket, path: sock}
		  - {id: d, output: null}
	END
	"$atoll" run --detach web.yaml
	[ -f out ]
	[ -S run/web/console-b ]
	[ -S sock ]
	[ "$(readlink run/web/console-c)" = "$(realpath sock)" ]
	socat -u OPEN:/dev/null UNIX-CONNECT:run/web/console-c
	"$atoll" kill web
	nothing_left web
	[ ! -e sock ]
}

# --- the log of a detached VM ---

# bats test_tags=record
@test "small: the log outlives the VM, and its last line has the reason of the end" {
	config web h </dev/null
	"$atoll" run --detach web.yaml
	kill -9 "$("$atoll" list --json | jq '.[0].processes[] | select(.role == "core") | .pid')"
	wait_until 10 no_process_of web
	cat "$ATOLL_LOG_DIR/web.log"
	nothing_left web
	[[ $(tail -n 1 "$ATOLL_LOG_DIR/web.log") == *" the VM has ended, with status 1: atoll-core: web"*"was killed by signal 9"* ]]
	[ "$(stat -c %a "$ATOLL_LOG_DIR/web.log")" = 600 ]
	# Also of one that logs nothing else, and behind what was there.
	config web b </dev/null
	"$atoll" run -qq --detach web.yaml
	within 10 "$atoll" stop web
	[[ $(tail -n 1 "$ATOLL_LOG_DIR/web.log") == *" the VM has ended, with status 0: the guest powered off" ]]
	[ "$(grep -c " the VM has ended" "$ATOLL_LOG_DIR/web.log")" = 2 ]
}

@test "small: the log is bounded, with one that was before; it is nobody else's file" {
	mkdir -m 700 "$ATOLL_LOG_DIR"
	yes "2026-01-01T00:00:00.000000Z notice atoll: web: old" | head -c 1100000 >"$ATOLL_LOG_DIR/web.log"
	config web h </dev/null
	"$atoll" run --detach web.yaml
	wait_until 10 test -e "$ATOLL_LOG_DIR/web.log.1"
	wait_until 5 test -e "$ATOLL_LOG_DIR/web.log"
	[ "$(stat -c %s "$ATOLL_LOG_DIR/web.log.1")" -ge 1100000 ]
	"$atoll" kill web
	[ "$(stat -c %s "$ATOLL_LOG_DIR/web.log")" -lt 2000 ]
	[[ $(tail -n 1 "$ATOLL_LOG_DIR/web.log") == *"with status 1: killed by a command" ]]
	# A link is not followed; the VM runs all the same, and says that its log goes with it.
	echo precious >precious
	ln -sf "$PWD/precious" "$ATOLL_LOG_DIR/web.log"
	run --separate-stderr "$atoll" run --detach web.yaml
	[ "$status" = 0 ]
	[[ $stderr == *"the log is kept no longer than the VM runs: $ATOLL_LOG_DIR/web.log: "*"; set ATOLL_LOG_DIR, or give --log-file"* ]]
	[ -f run/web/log ]
	"$atoll" kill web
	nothing_left web
	[ "$(cat precious)" = precious ]
}

@test "B6: SIGHUP opens a detached VM's log anew, and does not press its power button" {
	config web b </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	mv log log.1
	kill -HUP "$(cat run/web/pid)"
	wait_until 5 grep -q "the log begins here: Hangup" log
	running web
	# Where there is none to be had the old one goes on.
	rm log
	mkdir log
	mv log.1 log.2
	kill -HUP "$(cat run/web/pid)"
	running web
	rmdir log
	kill -HUP "$(cat run/web/pid)"
	wait_until 5 test -s log
	within 10 "$atoll" kill web
	[[ $(tail -n 1 log) == *" the VM has ended, with status 1: killed by a command" ]]
	[ ! -s log.2 ] || ! grep -q "has ended" log.2
	nothing_left web
}

# --- the terminal ---

# on_terminal COMMAND: runs it with a terminal that script(1) makes; keys come from the pipe "keys".
on_terminal() {
	[ -p keys ] || mkfifo keys
	script -qec "stty -a >before; $1; echo status=\$? >status; stty -a >after" typescript <keys >screen 2>&1 &
	terminal=$!
	exec 7>keys
}

terminal_end() {
	exec 7>&-
	wait $terminal || true
	cat status
	diff before after
}

@test "a terminal is raw while the VM runs, and restored at its end" {
	config web h </dev/null
	on_terminal "$atoll run web.yaml"
	wait_until 10 running web
	tty=$(readlink "/proc/$(cat run/web/pid)/fd/0")
	stty -a -F "$tty" | grep -qe '-icanon' && stty -a -F "$tty" | grep -qe '-isig'
	printf '\001h' >&7
	wait_until 5 grep -q "Ctrl-a x  end the VM" screen
	printf '\001x' >&7
	wait_until 10 test -s status
	terminal_end
	[ "$(cat status)" = status=0 ]
	nothing_left web
}

@test "a terminal is restored after signals and after a failure" {
	config web h </dev/null
	for signal in QUIT ABRT SEGV; do
		rm -f status
		on_terminal "$atoll run web.yaml"
		wait_until 10 running web
		kill -$signal "$(cat run/web/pid)"
		wait_until 10 test -s status
		terminal_end
		wait_until 5 no_process_of web
		"$atoll" list
	done
	rm -f status
	on_terminal "$atoll run web.yaml"
	wait_until 10 running web
	kill -9 "$("$atoll" list --json | jq '.[0].processes[0].pid')"
	wait_until 10 test -s status
	terminal_end
	[ "$(cat status)" = status=1 ]
	nothing_left web
}

@test "a terminal is given back while the supervisor is stopped" {
	config web h </dev/null
	on_terminal "$atoll run web.yaml"
	wait_until 10 running web
	pid=$(cat run/web/pid)
	tty=$(readlink "/proc/$pid/fd/0")
	kill -TSTP "$pid"
	wait_until 5 grep -q '^State:.T' "/proc/$pid/status"
	stty -a -F "$tty" | grep -qe ' icanon'
	kill -CONT "$pid"
	wait_until 5 sh -c "stty -a -F '$tty' | grep -qe '-icanon'"
	printf '\001x' >&7
	wait_until 10 test -s status
	terminal_end
	nothing_left web
}

# shell_has_terminal_until_fg: the job of on_terminal has left the VM in the background, where the terminal is as "before" and
# what is typed is the shell's; then it says fg, and the VM has it raw, until it is ended by its keys.
shell_has_terminal_until_fg() {
	local tty
	wait_until 30 test -s during
	diff before during
	echo hello >&7
	wait_until 10 test -s word
	[ "$(cat word)" = hello ]
	tty=$(readlink "/proc/$(cat run/web/pid)/fd/0")
	wait_until 5 sh -c "stty -a -F '$tty' | grep -qe '-icanon'"
	printf '\001x' >&7
	wait_until 10 test -s status
	terminal_end
	nothing_left web
}

@test "B6: a VM in the background leaves the terminal to the shell, until it is in the foreground" {
	config web h </dev/null
	cat >job <<-END
		set -m
		"$atoll" run web.yaml &
		while ! [ -S run/web/control ]; do sleep 0.1; done
		while ! "$atoll" list | grep -q running; do sleep 0.1; done
		stty -a >during
		read -r word
		echo "\$word" >word
		fg
	END
	on_terminal "bash job"
	shell_has_terminal_until_fg
}

@test "B6: a VM that is stopped and goes on in the background does not touch the terminal" {
	config web h </dev/null
	cat >job <<-END
		set -m
		"$atoll" run web.yaml
		bg
		while ! grep -q '^State:.S' /proc/\$(cat run/web/pid)/status; do sleep 0.1; done
		sleep 0.5
		stty -a >during
		read -r word
		echo "\$word" >word
		fg
	END
	on_terminal "bash job"
	wait_until 30 running web
	kill -TSTP "$(cat run/web/pid)"
	shell_has_terminal_until_fg
}

# --- processes that misbehave ---

# misbehaves PROGRAM=MODE PATTERN [SECONDS]: run ends with 1 and this line within a second, and nothing is left.
misbehaves() {
	local start=$EPOCHREALTIME took
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	fake "$1"
	run --separate-stderr within 60 "$atoll" run web.yaml </dev/null
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	echo "$1: $status after $took ms: $stderr"
	[ "$status" = 1 ]
	[[ $stderr == *"atoll: web: "$2 ]]
	[[ $stderr != *LEAK* ]]
	[ $took -lt $((${3:-1} * 1000 * patience)) ]
	nothing_left web
}

@test "a child that dies during start-up ends run with its last log line, within a second" {
	misbehaves blk=die 'atoll-blk: web/root ended with status 7 during start-up: "these are my last words"; *'
	misbehaves core=die 'atoll-core: web ended with status 7 during start-up: "these are my last words"; *'
	misbehaves console=silent 'atoll-console: web/serial ended with status 7 during start-up: it left no log record; *'
	misbehaves blk=crash 'atoll-blk: web/root was killed by signal 11 (Segmentation fault) during start-up: *'
}

@test "a program that is not there ends run" {
	fake
	rm libexec/atoll-blk
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	run --separate-stderr "$atoll" run web.yaml </dev/null
	[ "$status" = 1 ]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[[ $stderr == "atoll: web: cannot start $PWD/libexec/atoll-blk: No such file or directory; install Atoll as a whole,"* ]]
	nothing_left web
	run "$atoll" run --detach web.yaml
	[ "$status" = 1 ]
	nothing_left web
}

@test "a child that breaks the control wire is killed, and the VM ends" {
	misbehaves blk=garbage 'atoll-blk: web/root was killed: its control wire carried what is no message*'
	misbehaves blk=huge 'atoll-blk: web/root was killed: its control wire carried what is no message*'
	misbehaves blk=descriptor 'atoll-blk: web/root was killed: it sent descriptors*'
	misbehaves core=supervisor 'atoll-core: web was killed: it sent a message that is the supervisor*'
	misbehaves core=unknown 'atoll-core told of an end that there is not (*'
	misbehaves core=failure 'the machine failed: the test said so; *'
	misbehaves core=deceiver 'atoll-core: web was killed: it told of a device*'
	misbehaves console=close 'atoll-console: web/serial was killed: it closed its control wire and went on*' 4
}

@test "a child that is never ready ends run after its time; a signal does at once" {
	misbehaves blk=never 'atoll-blk: web/root was not ready after 30 seconds; *' 45
	"$atoll" run web.yaml </dev/null 2>err &
	pid=$!
	wait_until 10 running web starting
	kill -TERM $pid
	wait $pid && false || [ $? = 1 ]
	nothing_left web
}

@test "a child that is deaf to orders is killed in time" {
	fake console=stuck
	config web </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	start=$SECONDS
	within 20 "$atoll" kill web
	[ $((SECONDS - start)) -le $((4 * patience)) ]
	grep -q "atoll-console: web/serial did not end in time and is killed" log
	nothing_left web
	# Also when the guest powered off: then it has ten seconds, and the status is the guest's.
	fake console=stuck core=off
	run within 30 "$atoll" run web.yaml </dev/null
	[ "$status" = 0 ]
	nothing_left web
}

@test "a flood of log records fills neither the disk nor the supervisor's time" {
	fake console=flood
	config web </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	wait_until 10 grep -q "log records dropped" log
	before=$(stat -c %s log)
	ticks() { awk '{ print $14 + $15 }' "/proc/$(cat run/web/pid)/stat"; }
	used=$(ticks)
	deadline=$((SECONDS + 3))
	while [ $SECONDS -lt $deadline ]; do
		# And it answers meanwhile.
		within 5 "$atoll" list | grep -q '^web'
		read -r -t 0.2 <> <(:) || :
	done
	used=$(($(ticks) - used))
	grown=$(($(stat -c %s log) - before))
	echo "log grew by $grown bytes; $used ticks"
	[ $grown -lt 200000 ]
	[ $used -lt $((150 * patience)) ]
	within 10 "$atoll" kill web
	nothing_left web
}

@test "a record cannot forge a line, nor drive the terminal" {
	fake console=forge core=off
	config web </dev/null
	run --separate-stderr "$atoll" run web.yaml </dev/null
	[ "$status" = 0 ]
	[[ $stderr == *'one line\x0a2026-01-01T00:00:00.000000Z error atoll: web: forged \x1b[31mred'* ]]
	[ "$(grep -c "^2026-01-01" <<<"$stderr")" = 0 ]
}

@test "panics and resets as the config says" {
	fake core=panic
	config web <<<"on-panic: hold"
	"$atoll" run --detach web.yaml
	wait_until 5 running web held
	"$atoll" stop web
	nothing_left web
	fake core=reset
	config web <<<"on-reset: exit"
	run "$atoll" run web.yaml </dev/null
	[ "$status" = 0 ]
	# Over and over, and still to be ended.
	config web </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	wait_until 10 sh -c '[ $(grep -c "starts anew" log) -gt 5 ]'
	within 10 "$atoll" kill web
	nothing_left web
}

@test "B6: a guest that resets again and again is started with pauses that grow; a command does not wait for them" {
	fake core=reset
	config web </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	wait_until 20 grep -q "starts anew in 1600 ms" log
	for pause in 100 200 400 800; do
		[ "$(grep -c "the guest reset the machine, soon after its start and not for the first time; the VM starts anew in $pause ms" log)" = 1 ]
	done
	wait_until 5 running web restarting
	"$atoll" reset web
	# At once, and with its pauses forgotten.
	wait_until 5 sh -c '[ "$(grep -c "starts anew in 100 ms" log)" = 2 ]'
	wait_until 20 grep -q "starts anew in 3200 ms" log
	within 2 "$atoll" kill web
	nothing_left web
}

# seconds_of LINE: the time of a log line.
seconds_of() { date -d "${1%% *}" +%s; }

@test "small: kill during a stop shortens it" {
	fake console=stuck core=off
	config web </dev/null
	"$atoll" run web.yaml </dev/null 2>err &
	pid=$!
	wait_until 10 running web stopping
	within 20 "$atoll" kill web
	wait $pid || :
	cat err
	asked=$(grep "the VM is ended at once: killed by a command" err)
	killed=$(grep "atoll-console: web/serial did not end in time and is killed" err)
	# By the supervisor's clock: two seconds of its own bound, not ten.
	[ $(($(seconds_of "$killed") - $(seconds_of "$asked"))) -le 5 ]
	nothing_left web
}

@test "small: the uptime is right after the host's clock was set back" {
	config web h </dev/null
	"$atoll" run --detach web.yaml
	wait_until 10 sh -c "LD_PRELOAD='$ATOLL_HELPER_DIR/clock_back.so' '$atoll' list --json | jq -e '.[0].uptime | . >= 1 and . < 3600'"
	LD_PRELOAD="$ATOLL_HELPER_DIR/clock_back.so" "$atoll" list | grep -qE '^web .* 0m [1-9][0-9]*s$'
	"$atoll" kill web
	nothing_left web
}

@test "a limit on the length of files below the guest's memory is an error in words, and leaves nothing" {
	config web <<<'consoles: [{id: serial, output: "null"}]'
	sed -i 's/memory: 16MiB/memory: 64MiB/' web.yaml
	for option in "" --detach; do
		run --separate-stderr bash -c 'ulimit -c 0; ulimit -f 16384; exec "$0" run $1 web.yaml </dev/null' "$atoll" "$option"
		echo "$status: $stderr"
		[ "$status" = 1 ]
		[[ $stderr == *'File too large; lower "memory"'* ]]
		nothing_left web
	done
}
