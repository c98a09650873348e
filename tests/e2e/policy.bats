#!/usr/bin/env bats
# atoll policy: what is installed is right, and what is not right is found, with file and line.

bats_require_minimum_version 1.5.0
setup() {
	atoll=${ATOLL:?}
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work"
	cp "${ATOLL_POLICY_DIR:?}"/*.policy .
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

@test "the installed policies pass, and are those that the programs were built from" {
	run --separate-stderr "$atoll" policy check
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	sed "s/^/# /" <<<"$output" >&3
	for name in blk.main blk.process blk.queue console.main core.attendant core.main core.process core.vcpu net.main supervisor.main; do
		grep -q "^$name .* calls tried, also on the built-in filter$" <<<"$output"
	done
	[ "$(wc -l <<<"$output")" = 10 ]
}

@test "no thread of a device may make more than 25 calls, no vCPU more than 20" {
	for manifest in "$ATOLL_POLICY_DIR"/{blk,net,console}.{main,queue}.json; do
		[ -e "$manifest" ] || continue
		[ "$(jq .calls "$manifest")" -le 25 ]
	done
	[ "$(jq .calls "$ATOLL_POLICY_DIR/core.vcpu.json")" -le 20 ]
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
	wrong_with 'prctl: 1 # start: names' 'prctl is dangerous without conditions'
	wrong_with 'pread64: arg1 == 0 # serve: reads' 'is a pointer'
	wrong_with 'readv: arg0 == 3 # serve: reads' 'covered by'
	wrong_with 'read: 1 # serve: twice' 'covered by'
	wrong_with 'getppid: trap # error: never' 'this is the default'
}

@test "what the parser refuses" {
	line=$(($(wc -l <net.main.policy) + 1))
	wrong_with() { cp "$ATOLL_POLICY_DIR/net.main.policy" . && echo "$1" >>net.main.policy && wrong net.main.policy "$line" "$2"; }
	wrong_with 'raed: 1 # serve: x' '"raed" is not a system call'
	wrong_with 'lseek: arg2 < 3 # serve: x' 'ordered comparisons'
	wrong_with 'ioctl: arg1 == KVM_RUNN # serve: x' '"KVM_RUNN" is not a known constant'
	wrong_with 'read: return EPERM # serve: x' 'contradicts'
	wrong_with '@include nowhere.policy' 'No such file'
	wrong_with '@include ../common.policy' 'not a file in'
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
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[0]} == "- net.main: readv: 1 ("* ]]
	[[ ${lines[1]} == "+ net.main: openat: 1 ("* ]]
	run "$atoll" policy diff "$ATOLL_POLICY_DIR/net.main.policy" net.main.policy
	[ "$status" = 1 ]
	[ "${#lines[@]}" = 2 ]
	rm net.main.policy
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
