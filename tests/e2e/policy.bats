#!/usr/bin/env bats
# atoll policy: what is installed is right, and what is not right is found, with file and line.

bats_require_minimum_version 1.5.0
setup() {
	. "$BATS_TEST_DIRNAME/../patience.bash"
	atoll=${ATOLL:?}
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work"
	cp "${ATOLL_POLICY_DIR:?}"/*.policy .
}
teardown() {
	[ -z "$ATOLL_RUNTIME_DIR" ] || "$atoll" kill rec 2>/dev/null || :
}

# recorded_vm [LINE...]: rec.yaml, a guest that writes and reads a few hundred requests; more YAML.
recorded_vm() {
	export ATOLL_RUNTIME_DIR=$PWD/run
	seq -f '%015.0f' 0 524287 | tee image >image2
	printf '%s\n' 'name: rec' 'memory: 64MiB' 'debug-exit: true' 'on-reset: exit' 'boot:' \
		"  kernel: ${ATOLL_GUEST_DIR:?}/guest-blk" '  cmdline: "numbered=200"' \
		'disks:' '  - {id: root, path: image}' '  - {id: second, path: image2}' "$@" >rec.yaml
}

# wrong FILE LINE WORDS: the check of FILE fails, with a line that names it so.
wrong() {
	run --separate-stderr "$atoll" policy check "$1"
	echo "$output$stderr"
	[ "$status" = 1 ]
	[ -z "$stderr" ]
	grep -qF "./$1:$2: " <<<"$output"
	grep -qF "$3" <<<"$output"
}

# threads PATTERN: the policies of one kind of thread each whose names, such as blk.queue, are like that.
threads() {
	local text
	for text in "$BATS_TEST_DIRNAME"/../../policy/*.*.policy; do
		text=$(basename "$text" .policy)
		[[ $text != $1 ]] || echo $text
	done
}

@test "the installed policies pass, and are those that the programs were built from" {
	run --separate-stderr "$atoll" policy check
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	sed "s/^/# /" <<<"$output" >&3
	names="$(threads '*') blk.process blk-hand.process core.process"
	for name in $names; do
		grep -q "^$name .* calls tried, also on the built-in filter$" <<<"$output"
	done
	[ "$(wc -l <<<"$output")" = "$(wc -w <<<"$names")" ]
}

# call POLICY ACTION CALL ARGUMENT...: what happens to it.
call() {
	run "$atoll" policy explain "$1" "${@:3}"
	echo "$output"
	[ "$status" = 0 ]
	[[ ${lines[0]} == "$1: $3"*": $2" ]]
}

@test "A4: no policy of a supervised process allows what only a program run by hand needs" {
	for name in $("$atoll" policy check | sed -nE '/-hand\.|^supervisor/!s/^([a-z]+\.[a-z]+) .*/\1/p'); do
		call $name trap memfd_create 0 0
		call $name trap ftruncate 3 0
		call $name trap fcntl 3 F_ADD_SEALS
		call $name trap fcntl 3 F_SETFL
		call $name trap ioctl 3 TIOCGWINSZ 0
		[ $name = console.main ] || call $name trap accept4 3 0 0 0
	done
	call net.main trap timerfd_settime 3 0 0 0
	# By hand it is allowed, and all else that the policy of that role allows, and no more.
	for name in $(threads '*-hand.main'); do
		call $name allow fcntl 3 F_SETFL
		[ $name = console-hand.main ] || call $name allow accept4 3 0 0 0
	done
	call blk-hand.process allow ftruncate 3 0
	call blk-hand.queue trap fcntl 3 F_SETFL
	for name in $(threads '*-hand.main'); do
		run "$atoll" policy diff ${name/-hand/}.policy $name.policy
		echo "$output"
		[ "$status" = 1 ]
		! grep '^-' <<<"$output"
		[ "${#lines[@]}" = "$(grep -cE '^[a-z_0-9]+:' $name.policy)" ]
	done
	run "$atoll" policy diff blk.queue.policy blk-hand.queue.policy
	[ "$status" = 0 ]
}

@test "A4: what a program run by hand called needs no rule of the policy that its own adds to" {
	mkdir texts
	printf 'read: 1 # serve: x\n' >texts/common.policy
	printf '@include common.policy\nwrite: 1 # serve: x\n' >texts/t.main.policy
	printf '@include t.main.policy\nclose: 1 # serve: x\n' >texts/t-hand.main.policy
	export ATOLL_POLICY_DIR=$PWD/texts
	for call in read write close; do echo '{"role": "t-hand.main", "call": "'$call'", "args": [5, 6, 7], "test": "by hand"}'; done >record
	run "$atoll" policy cover record
	echo "$output"
	[ "$status" = 1 ]
	[ "$(tail -n 1 <<<"$output")" = "1 alternatives of rules needed, 0 for errors alone, 2 not needed; 0 calls refused" ]
	grep -qE 't-hand\.main\.policy:2: close: 1: needed by t-hand\.main, first in by hand$' <<<"$output"
	for call in read write; do echo '{"role": "t.main", "call": "'$call'", "args": [5, 6, 7], "test": "a guest"}'; done >>record
	run "$atoll" policy cover record
	echo "$output"
	[ "$status" = 0 ]
	grep -qE 'common\.policy:1: read: 1: needed by t\.main, first in a guest$' <<<"$output"
	# And what it may not call is told.
	echo '{"role": "t-hand.main", "call": "openat", "test": "by hand"}' >>record
	run "$atoll" policy cover record
	[ "$status" = 1 ]
	grep -qE '^refused: t-hand\.main: openat' <<<"$output"
}

@test "no thread of a device may make more than 25 calls, by hand 26, no vCPU more than 12" {
	for name in $(threads '*'); do
		case $name in core.* | supervisor*) continue ;; *-hand.*) most=26 ;; *) most=25 ;; esac
		[ "$(jq .calls "$ATOLL_POLICY_DIR/$name.json")" -le $most ]
	done
	[ "$(jq .calls "$ATOLL_POLICY_DIR/core.vcpu.json")" -le 12 ]
}

@test "a text that is not the programs' is found" {
	echo 'getppid: 1 # serve: nobody knows' >>common.policy
	ATOLL_POLICY_DIR=$PWD run --separate-stderr "$atoll" policy check
	[ "$status" = 1 ]
	[[ $output == *"net.main.policy: the programs were built from another text of net.main;"* ]]
	# As a folder of somebody's own it is good.
	run --separate-stderr "$atoll" policy check .
	[ "$status" = 0 ]
	[[ $output == *"net.main "*" calls tried"* ]]
	[ "$(grep -c "^net.main .* calls tried$" <<<"$output")" = 1 ]
}

@test "what the linter finds" {
	line=$(($(wc -l <net.main.policy) + 1))
	wrong_with() { cp "$ATOLL_POLICY_DIR/net.main.policy" . && echo "$1" >>net.main.policy && wrong net.main.policy "$line" "$2"; }
	wrong_with 'getppid: 1' 'no phase'
	wrong_with 'getppid: 1 # serve:' 'no reason'
	wrong_with 'execve: 1 # start: a shell would be nice' 'execve is dangerous'
	wrong_with 'ptrace: 1 # start: a debugger would be nice' 'ptrace is dangerous'
	wrong_with 'arch_prctl: 1 # start: names' 'arch_prctl is dangerous without conditions'
	wrong_with 'pread64: arg1 == 0 # serve: reads' 'is a pointer'
	wrong_with 'readv: arg0 == 3 # serve: reads' 'covered by'
	wrong_with 'read: 1 # serve: twice' 'covered by'
	wrong_with 'getppid: trap # error: never' 'this is the default'
}

@test "what the parser refuses" {
	line=$(($(wc -l <net.main.policy) + 1))
	wrong_with() { cp "$ATOLL_POLICY_DIR/net.main.policy" . && echo "$1" >>net.main.policy && wrong net.main.policy "$line" "$2"; }
	wrong_with 'raed: 1 # serve: x' '"raed" is not a system call of x86-64 that Linux '
	# In a group too, whose calls are those of several libraries: with the file and the line.
	cp "$ATOLL_POLICY_DIR/net.main.policy" .
	group=$(($(wc -l <groups.policy) + 1))
	echo 'or no_such_call: 1 # a library to come' >>groups.policy
	run "$atoll" policy check net.main.policy
	echo "$output"
	[ "$status" = 1 ]
	grep -qE "^\./groups\.policy:$group: \"no_such_call\" is not a system call of x86-64 that Linux [0-9.]+ has, with whose headers this was built; correct" <<<"$output"
	cp "$ATOLL_POLICY_DIR/groups.policy" .
	wrong_with 'lseek: arg2 < 3 # serve: x' 'ordered comparisons'
	wrong_with 'ioctl: arg1 == KVM_RUNN # serve: x' '"KVM_RUNN" is not a known constant'
	wrong_with 'read: return EPERM # serve: x' 'contradicts'
	wrong_with '@include nowhere.policy' 'No such file'
	wrong_with '@include ../common.policy' 'not a file in'
	echo '@include blk.main.policy' >>net.main.policy
	run "$atoll" policy check net-hand.main.policy
	[ "$status" = 1 ]
	[[ $output == *"net.main.policy:"*"may not include another policy"* ]]
	cp "$ATOLL_POLICY_DIR/net.main.policy" .
	echo '@include common.policy' >>common.policy
	run "$atoll" policy check net.main.policy
	[ "$status" = 1 ]
	[[ $output == *"common.policy:"*"may not include another"* ]]
}

@test "check of what is not there" {
	run --separate-stderr "$atoll" policy check nowhere.policy
	[ "$status" = 1 ]
	[[ $output == *"No such file"* ]]
	run --separate-stderr "$atoll" policy check file
	[ "$status" = 1 ]
	[[ $stderr == "atoll: file: "*";"* ]]
	mkdir empty
	run --separate-stderr "$atoll" policy check empty
	[ "$status" = 1 ]
	[[ $stderr == "atoll: empty: "*";"* ]]
	ATOLL_POLICY_DIR=/nonexistent run --separate-stderr "$atoll" policy check
	[ "$status" = 1 ]
	[[ $stderr == "atoll: /nonexistent: "*";"* ]]
}

@test "explain names the verdict, the file and the line" {
	run "$atoll" policy explain core.vcpu ioctl '$OWN_FD' KVM_RUN
	line=$(grep -n '^ioctl.*KVM_RUN' core.vcpu.policy | cut -d: -f1)
	[ "$status" = 0 ]
	[[ ${lines[0]} == "core.vcpu: ioctl("*"): allow" ]]
	[[ ${lines[1]} == "  $ATOLL_POLICY_DIR/core.vcpu.policy:$line: "*'KVM_RUN' ]]
	run "$atoll" policy explain core.vcpu ioctl 3 KVM_RUN
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": trap" ]]
	run "$atoll" policy explain core.vcpu ioctl
	[ "$status" = 0 ]
	[[ ${lines[0]} == *"it depends on the arguments; else trap" ]]
	run "$atoll" policy explain net.main mmap 0 4096 'PROT_READ|PROT_WRITE' MAP_SHARED
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": allow" ]]
	[[ $output == *"common.policy:"* ]]
	run "$atoll" policy explain net.main mmap 0 4096 'PROT_READ|PROT_EXEC'
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": trap" ]]
	run "$atoll" policy explain net.main clone3
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": return ENOSYS" ]]
	run "$atoll" policy explain supervisor.main ptrace
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": kill" ]]
	run "$atoll" policy explain blk.queue uring READV
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": allow" ]]
	run "$atoll" policy explain blk.queue uring OPENAT
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": return EACCES" ]]
	# A role alone: all of its threads.
	run "$atoll" policy explain blk openat
	[ "$status" = 0 ]
	[[ $output == *"blk.main: openat: trap"*"blk.queue: openat: trap"* ]]
	run "$atoll" policy explain core.process ioctl 3 KVM_RUN
	[ "$status" = 0 ]
	[[ ${lines[0]} == *": allow" ]]
}

@test "explain of what is not there" {
	for arguments in 'net.main raed' 'net.main ioctl 1 KVM_RUNN' 'net.main read 1 2 3 4 5 6 7' 'tpm read' 'net.queue read' \
		'blk.queue uring X' 'net.main -1'; do
		run --separate-stderr "$atoll" policy explain $arguments
		echo "$arguments: $status $output $stderr"
		[ "$status" != 0 ]
		[[ $stderr == "atoll: "* ]]
	done
}

@test "compile prints instructions, C and the manifest" {
	run "$atoll" policy compile core.vcpu
	[ "$status" = 0 ]
	[[ $output == *'$OWN_FD'* ]]
	[ "${#lines[@]}" = "$(jq .instructions "$ATOLL_POLICY_DIR/core.vcpu.json")" ]
	"$atoll" policy compile --json blk.queue >blk.json
	cmp blk.json "$ATOLL_POLICY_DIR/blk.queue.json"
	jq -e '.hash and .libseccomp and (.rules | length > 10) and (.program | length) == 16 * .instructions' blk.json
	"$atoll" policy compile --c ./blk.queue.policy | grep -q '^const struct seccomp_filter filter_blk_queue = {$'
	echo 'raed: 1' >>blk.queue.policy
	run --separate-stderr "$atoll" policy compile ./blk.queue.policy
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ $stderr == "./blk.queue.policy:"*"not a system call"* ]]
}

@test "diff of policies" {
	run "$atoll" policy diff "$ATOLL_POLICY_DIR" .
	[ "$status" = 0 ]
	[ -z "$output" ]
	sed -i '/^readv:/d' net.main.policy
	echo 'openat: 1 # start: dangerous: a test' >>net.main.policy
	run "$atoll" policy diff "$ATOLL_POLICY_DIR" .
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 4 ]
	# It is in the policy that adds to this one too.
	[[ ${lines[0]} == "- net-hand.main: readv: 1 ("* ]]
	[[ ${lines[1]} == "+ net-hand.main: openat: 1 ("* ]]
	[[ ${lines[2]} == "- net.main: readv: 1 ("* ]]
	[[ ${lines[3]} == "+ net.main: openat: 1 ("* ]]
	run "$atoll" policy diff "$ATOLL_POLICY_DIR/net.main.policy" net.main.policy
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 2 ]
	rm net.main.policy net-hand.main.policy
	run "$atoll" policy diff "$ATOLL_POLICY_DIR" .
	[ "$status" = 1 ]
	[[ $output != *"+ "* ]]
}

@test "diff of a policy and a record" {
	cat >t.main.policy <<-'END'
		read: 1                        # serve: x
		write: 1                       # serve: x
		close: 1                       # error: x
		madvise: arg2 == MADV_DONTNEED # serve: x
	END
	cat >record <<-'END'
		{"role": "t.main", "call": "read", "args": [1, 2, 3], "test": "one", "count": 12}
		{"role": "t.main", "call": "madvise", "args": [0, 4096, 4], "test": "one"}
		{"role": "t.main", "call": "madvise", "args": [0, 4096, 8], "test": "two", "count": 2}
	END
	run "$atoll" policy diff t.main.policy record
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 2 ]
	[ "${lines[0]}" = '+ t.main: madvise(0x0, 0x1000, 0x8) is not allowed, and was recorded 2 times in "two"' ]
	[[ ${lines[1]} == "- t.main: write: 1 ("*":2)" ]]
	echo '{"role": 1}' >>record
	run --separate-stderr "$atoll" policy diff t.main.policy record
	[ "$status" = 2 ]
	[[ $stderr == "record:4: "* ]]
	run --separate-stderr "$atoll" policy diff record record
	[ "$status" = 2 ]
}

@test "bad usage is one line and status 2" {
	for arguments in '' frobnicate explain 'explain blk' compile 'compile a b' diff 'diff a' 'diff a b c' '--json check' --frobnicate; do
		run --separate-stderr "$atoll" policy $arguments
		echo "$arguments: $status: $output$stderr"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[ "$(wc -l <<<"$stderr")" = 1 ]
		[[ $stderr == "atoll: usage: "*";"* ]]
	done
	run "$atoll" policy --help
	[ "$status" = 0 ]
	[[ $output == "Usage: atoll policy "* ]]
}

# bad_record WORDS: "bad" is no record: cover and diff say so in few lines, and nothing else.
bad_record() {
	for command in 'cover bad' 'diff net.main.policy bad'; do
		run --separate-stderr within 60 "$atoll" policy $command
		echo "$command: $status: $output$stderr"
		[[ $status == [12] ]]
		[ -z "$output" ]
		[ "$(wc -l <<<"$stderr")" -le "${2:-1}" ]
		grep -qE "^bad(:[0-9]+)?: .*$1" <<<"$stderr"
		! grep -q $'\033' <<<"$stderr"
	done
}

@test "a file that is no record is refused in a line" {
	echo '{"role": "net.main", "call": "re' >bad
	bad_record 'unexpected newline' 1
	head -c 300000 /dev/zero >bad
	bad_record 'a line of more than'
	head -c 300000 /dev/zero | tr '\0' x >bad
	bad_record 'a line of more than'
	head -c 100000 /dev/urandom >bad
	bad_record '' 20
	yes '[' | head -n 100000 >bad
	bad_record '"role" and "call"|\]' 20
	echo '{"role": "net.main", "call": "\u001b[2J"}' >bad
	bad_record 'not a system call'
	rm bad
	bad_record 'No such file'
	# For diff it would be a folder of policies.
	mkdir bad
	run --separate-stderr "$atoll" policy cover bad
	[ "$status" = 1 ]
	[ "$stderr" = "bad: cannot be read to its end: Is a directory" ]
	rmdir bad
	# Without end: not read for ever.
	run --separate-stderr within 60 "$atoll" policy cover /dev/zero
	[ "$status" = 1 ]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	yes '{"role": "net.main", "call": "read"}' | head -n 1000001 >bad
	bad_record 'more than 1000000 records'
}

@test "cover tells each rule's test, and fails for a rule without one and for a call without a rule" {
	mkdir texts
	cat >texts/t.main.policy <<-'END'
		read: 1                                       # serve: x
		madvise: arg2 == MADV_DONTNEED || arg2 == MADV_DONTDUMP # serve: x
		close: 1                                      # error: a bad day
	END
	cat >one <<-'END'
		{"role": "t.main", "call": "read", "args": [1, 2, 3], "test": "the first", "count": 12}
		{"role": "t.main", "call": "madvise", "args": [0, 4096, 4], "test": "the first"}
	END
	echo '{"role": "t.main", "call": "madvise", "args": [0, 4096, 16], "test": "the second"}' >two
	export ATOLL_POLICY_DIR=$PWD/texts
	run --separate-stderr "$atoll" policy cover one two
	echo "$output"
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	grep -qE 't\.main\.policy:1: read: 1: needed by t\.main, first in the first$' <<<"$output"
	grep -qE ':2: .* \[1 of 2\]: needed by t\.main, first in the first$' <<<"$output"
	grep -qE ':2: .* \[2 of 2\]: needed by t\.main, first in the second$' <<<"$output"
	grep -qE ':3: close: 1: no test; error: a bad day$' <<<"$output"
	[ "$(tail -n 1 <<<"$output")" = "3 alternatives of rules needed, 1 for errors alone, 0 not needed; 0 calls refused" ]
	# One of them alone: an alternative that no test needed.
	run "$atoll" policy cover one
	[ "$status" = 1 ]
	[ "$(grep -c 'NOT NEEDED' <<<"$output")" = 1 ]
	grep -qE ':2: .* \[2 of 2\]: NOT NEEDED by any test$' <<<"$output"
	# A call that no rule allows, and a thread that no policy is for.
	echo '{"role": "t.main", "call": "openat", "args": [5, 6, 7], "test": "the third"}' >three
	echo '{"role": "t.other", "call": "read", "args": [5, 6, 7]}' >>three
	run "$atoll" policy cover one two three
	[ "$status" = 1 ]
	[ "$(grep -c '^refused: ' <<<"$output")" = 2 ]
	grep -qx 'refused: t.main: openat(0x5, 0x6, 0x7), in the third' <<<"$output"
	grep -qx 'refused: t.other: read(0x5, 0x6, 0x7)' <<<"$output"
}

@test "a group is needed when one of its calls is, and explain shows where it is named" {
	mkdir texts
	cat >texts/groups.policy <<-'END'
		@group state
		newfstatat: arg3 == AT_EMPTY_PATH # one library
		or fstat: 1                       # another
	END
	printf '@state # serve: x\n' >texts/t.main.policy
	echo '{"role": "t.main", "call": "fstat", "args": [5, 0], "test": "the first"}' >new
	echo '{"role": "t.main", "call": "newfstatat", "args": [5, 0, 0, "0x1000"], "test": "the first"}' >old
	echo '{"role": "t.main", "call": "newfstatat", "args": [5, 0, 0, 0], "test": "the first"}' >other
	export ATOLL_POLICY_DIR=$PWD/texts
	for record in new old; do
		run --separate-stderr "$atoll" policy cover $record
		echo "$output"
		[ "$status" = 0 ]
		grep -qE 't\.main\.policy:1: @state: needed by t\.main, first in the first$' <<<"$output"
		[ "$(tail -n 1 <<<"$output")" = "1 alternatives of rules needed, 0 for errors alone, 0 not needed; 0 calls refused" ]
		run "$atoll" policy diff texts/t.main.policy $record
		[ "$status" = 0 ]
	done
	run "$atoll" policy cover other
	[ "$status" = 1 ]
	grep -q '@state: NOT NEEDED by any test$' <<<"$output"
	grep -q '^refused: t\.main: newfstatat' <<<"$output"
	run "$atoll" policy explain t.main fstat
	[ "$status" = 0 ]
	[[ $output == *"t.main.policy:1: fstat: 1 (@state)"* ]]
	# They are one call.
	[ "$("$atoll" policy compile --json t.main | jq .calls)" = 1 ]
}

# bats test_tags=guest
@test "record runs a VM and prints what each role called; diff and cover read the file" {
	recorded_vm
	run --separate-stderr within 120 "$atoll" policy record --output=record rec.yaml </dev/null
	echo "$output" | tail -n 60
	[ "$status" = 33 ]
	grep -q '^ok .*' <<<"$output"
	grep -q 'recorded in record instead of being refused' <<<"$stderr"
	for role in core.main core.vcpu blk.main blk.queue console.main; do
		grep -qE "^$role +[1-9][0-9]*  [a-z_0-9]+: .*  # .*/[a-z.]*\.policy:[0-9]+$" <<<"$output"
	done
	grep -qE "^core\.vcpu +[0-9]+  ioctl: arg0 == \\\$OWN_FD && arg1 == KVM_RUN  # .*core\.vcpu\.policy:[0-9]+$" <<<"$output"
	grep -qE "^blk\.queue +[0-9]+  uring: [A-Z_]+" <<<"$output"
	! grep 'NOT ALLOWED' <<<"$output"
	# Most frequent first.
	grep '^core.vcpu ' <<<"$output" | awk '{ print $2 }' | sort -c -n -r
	jq -es 'all(.[]; .role and .call and (.count > 0)) and length > 30' record
	# Nothing that is not allowed; and not all that is.
	run "$atoll" policy diff "$ATOLL_POLICY_DIR" record
	echo "$output"
	[ "$status" = 1 ]
	! grep '^+' <<<"$output"
	grep -q '^- net.main: readv: 1 (' <<<"$output"
	# cover: this guest has no network.
	run "$atoll" policy cover record
	[ "$status" = 1 ]
	grep -qE 'net\.main\.policy:[0-9]+: readv: 1: NOT NEEDED by any test$' <<<"$output"
	grep -qE 'core\.vcpu\.policy:[0-9]+: ioctl: .*KVM_RUN.*: needed by core.vcpu' <<<"$output"
	! grep '^refused' <<<"$output"
	# Take a rule away that it used: the record names the call.
	mkdir less && cp *.policy less/ && sed -i '/^uring: READV/d; /^ioctl.*KVM_IOEVENTFD/d' less/blk.queue.policy less/core.vcpu.policy
	ATOLL_POLICY_DIR=$PWD/less run "$atoll" policy cover record
	[ "$status" = 1 ]
	grep -qE '^refused: core\.vcpu: ioctl\(0x[0-9a-f]+, 0x4040ae79, 0x[0-9a-f]+\)$' <<<"$output"
	grep -qE '^refused: blk\.queue: uring READV$' <<<"$output"
	run "$atoll" policy diff less record
	[ "$status" = 1 ]
	grep -qE '^\+ core\.vcpu: ioctl\(.*\) is not allowed, and was recorded [0-9]+ times?$' <<<"$output"
}

# bats test_tags=guest
@test "record says what it cannot do, and leaves nothing" {
	recorded_vm
	run --separate-stderr "$atoll" policy record --output=nowhere/record rec.yaml
	echo "$stderr"
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ ${stderr_lines[0]} == "atoll: nowhere/record: cannot open it: No such file or directory; "* ]]
	echo 'cpus: many' >>rec.yaml
	run --separate-stderr "$atoll" policy record --output=record rec.yaml
	[ "$status" = 2 ]
	[ "${#stderr_lines[@]}" = 1 ]
	[ ! -e record ]
	run --separate-stderr "$atoll" policy record
	[ "$status" = 2 ]
	run --separate-stderr "$atoll" policy cover
	[ "$status" = 2 ]
	run --separate-stderr "$atoll" policy cover --output=x record
	[ "$status" = 2 ]
	[ -z "$(ls run 2>/dev/null)" ]
}

# bats test_tags=guest
@test "a VM that is recorded is not as written: list and audit say so, and who starts it is warned" {
	recorded_vm
	sed -i 's/numbered=200/steady=100/' rec.yaml
	ATOLL_POLICY_RECORD=record "$atoll" run --detach --log-file=log rec.yaml 2>err
	cat err log
	grep -q 'warning .*recorded in record instead of being refused: do not let a guest run that you do not trust' err log
	run "$atoll" list
	[ "$(grep -c '  recorded, not refused anything$' <<<"$output")" = 5 ]
	"$atoll" list --json | jq -e '.[0].processes | length == 5 and all(.recorded)'
	run "$atoll" audit rec
	echo "$output"
	[ "$status" = 1 ]
	[ "$(grep -c '  DEVIATES  sandbox .*its calls are recorded, and none is refused$' <<<"$output")" = 5 ]
	[[ $output == *"rec: deviates from what is written: "* ]]
	if [ "$(id -u)" = 0 ]; then grep -qE '  DEVIATES  filters +main .*core\.main is written, and there is another' <<<"$output"; fi
	"$atoll" kill rec
	# Others are not recorded, whatever their processes' environment says.
	ATOLL_RECORD=1 "$atoll" run --detach --log-file=log rec.yaml
	"$atoll" list --json | jq -e '.[0].processes | all(.recorded | not)'
	run "$atoll" list
	! grep recorded <<<"$output"
	for pid in $("$atoll" list --json | jq '.[0].processes[].pid'); do
		! tr '\0' '\n' <"/proc/$pid/environ" | grep ATOLL_RECORD
	done
	run "$atoll" audit rec
	! grep recorded <<<"$output"
	"$atoll" kill rec
}
