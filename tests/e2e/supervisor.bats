#!/usr/bin/env bats
# atoll-supervisor, the program that holds a VM (issue 9, item 1): what is linked into it, how the command becomes it, and what it
# says to who starts it by hand, or hands it something else than `atoll` does.

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; supervisor=${ATOLL_LIBEXEC_DIR:?}/atoll-supervisor; }
teardown() { vm_teardown; }

# hand SEALS SOURCE...: the supervisor is handed what each SOURCE, an expression of Python, gives, in a memfd with these seals; a
# line for each has the status, the output and the errors.
hand() {
	python3 - "$supervisor" "$@" <<-'PYTHON'
		import fcntl, os, struct, subprocess, sys
		def number(value): return struct.pack("<Q", value)
		kept = open("kept", "rb").read()
		program, seals = sys.argv[1], int(sys.argv[2], 0)
		for source in sys.argv[3:]:
		    fd = os.memfd_create("launch", os.MFD_ALLOW_SEALING)
		    os.write(fd, eval(source))
		    fcntl.fcntl(fd, 1033, seals) # F_ADD_SEALS
		    ended = subprocess.run([program, "--fd=%d" % fd], pass_fds=[fd], capture_output=True, text=True)
		    print("%s: %d:%s:%s" % (source.replace("\n", " "), ended.returncode, ended.stdout, ended.stderr.replace("\n", "\\n")))
		    os.close(fd)
	PYTHON
}

# keep ARGUMENT...: what `atoll` hands over for these, as the file kept.
keep() {
	mkdir -p keeping
	cat >keeping/atoll-supervisor <<-'END'
		#!/bin/sh
		cat "/proc/self/fd/${1#--fd=}" >kept
	END
	chmod +x keeping/atoll-supervisor
	ATOLL_LIBEXEC_DIR=$PWD/keeping "$atoll" "$@"
	[ -s kept ]
}

# refused TEXT FILE: each line of the file is a refusal in one line of these words, as bad usage.
refused() {
	cat "$2"
	[ -s "$2" ]
	! grep -vE ": 2::atoll: supervisor: descriptor [0-9]+: $1; start a VM with \"atoll run\"(, of the same installation)?\\\\n\$" "$2"
}

@test "issue 9, 1: what reads YAML, prints JSON or audits is not linked into what holds the VM, and is into the command" {
	ldd "$supervisor" >linked
	ldd "$atoll" >linked.command
	cat linked
	for library in cyaml yaml jansson seccomp; do
		if grep -q "lib$library" linked; then false; fi
		grep -q "lib$library" linked.command
	done
	# Nor by way of an archive: it has symbols where it was not stripped.
	nm "$atoll" >symbols.command 2>/dev/null || :
	[ -s symbols.command ] || skip "stripped"
	nm "$supervisor" >symbols
	for symbol in config_file_parse audit_print_json json_pack cyaml_load_data; do
		grep -qw "$symbol" symbols.command
		if grep -qw "$symbol" symbols; then false; fi
	done
	grep -qw config_unpack symbols
}

# bats test_tags=guest
@test "issue 9, 1: the command becomes it: one process, with the number, the title and the words of the command" {
	config web
	"$atoll" run web.yaml </dev/null >out 2>err 3>&- &
	pid=$!
	wait_until 10 running web
	[ "$(cat run/web/pid)" = $pid ]
	[ "$(readlink /proc/$pid/exe)" = "$(realpath "$supervisor")" ]
	[ "$(tr -d '\0' </proc/$pid/cmdline)" = "atoll: web" ]
	[ "$(cat /proc/$pid/comm)" = atoll ]
	[ "$("$atoll" list --json | jq '.[0].pid')" = $pid ]
	# Nothing of what it was handed stays open.
	if readlink /proc/$pid/fd/* | grep launch; then false; fi
	"$atoll" kill web
	wait $pid || :
	nothing_left web
}

# bats test_tags=guest
@test "issue 9, 1: a config that comes through a pipe, by a relative path, or names /dev/fd is run as before" {
	truncate -s 1M image
	mkdir folder
	config web h <<<$'disks: [{id: root, path: ../image}]\nconsoles: [{id: serial, output: "null"}]'
	mv web.yaml folder
	cp kernel folder
	"$atoll" run --detach --log-file=log folder/web.yaml
	running web
	"$atoll" kill web
	config web h <<<$'disks: [{id: root, path: /dev/fd/9}]\nconsoles: [{id: serial, output: "null"}]'
	"$atoll" run --detach --log-file=log <(sed "s|kernel: kernel|kernel: $PWD/kernel|" web.yaml) 9<>image
	running web
	"$atoll" kill web
	nothing_left web
}

@test "by hand it explains itself: --help and --version, else how it is used, with status 2" {
	run --separate-stderr "$supervisor" --help
	[ "$status" = 0 ]
	[[ $output == "Usage: atoll-supervisor "* ]]
	run --separate-stderr "$supervisor" --version
	[ "$status" = 0 ]
	[ "$output" = "atoll-supervisor $("$atoll" --version | cut -d ' ' -f 2)" ]
	for arguments in "" run "run web.yaml" --fd --fd= --fd=x --fd=-1 --fd=1 "--fd=3 web" --fd=99999999999999999999; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$supervisor" $arguments
		echo "$arguments: $status: $stderr"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[[ $stderr == "Usage: atoll-supervisor --fd=N"* ]]
	done
}

@test "issue 9, 1: what is not handed over by atoll is refused in words: nothing, a file, unsealed, empty, short, garbage, longer" {
	config web
	keep run web.yaml
	for file in web.yaml /dev/null kernel; do
		run --separate-stderr "$supervisor" --fd=7 7<"$file"
		echo "$file: $status:$output:$stderr\\n" >>open
	done
	refused "it is not sealed" open
	run --separate-stderr "$supervisor" --fd=77
	echo "none: $status:$output:$stderr\\n" >none
	refused "Bad file descriptor" none
	for seals in 0 0x7 0xb 0xd 0xe; do hand $seals 'kept' >>unsealed; done
	refused "it is not sealed" unsealed
	hand 0xf 'b""' 'b"x"' 'os.urandom(4096)' 'bytes(4096)' 'b"\xff" * 4096' 'open("web.yaml", "rb").read()' \
		'kept[:8]' 'kept[:-1]' 'kept[:len(kept) // 2]' 'kept + b"\0"' 'number(13) + b"other launch" + kept[20:]' \
		'kept.replace(number(4) + b"web", number(1 << 63) + b"web")' 'kept.replace(number(4) + b"web", number(4) + b"w\0b")' \
		'kept.replace(number(4) + b"web", number(0) )' >none
	refused "it is not what atoll hands over" none
	[ "$(wc -l <none)" = 14 ]
	[ ! -e run/web ]
}

@test "issue 9, 1: what another version hands over is refused, and says so" {
	config web
	keep run web.yaml
	version=$("$atoll" --version | cut -d ' ' -f 2)
	hand 0xf "kept.replace(b'$version', b'9' * ${#version}, 1)" "kept[:30 + ${#version}] + number(1) + kept[38 + ${#version}:]" >other
	refused "it is of another version of atoll" other
}

@test "issue 9, 1: what no config file could say is refused as in one, with its line" {
	config web
	keep run web.yaml
	hand 0xf 'kept.replace(number(4) + b"web", number(4) + b"../")' >told
	cat told
	[[ $(cat told) == *': 2::atoll: web.yaml:1: name: "../" '*"; "* ]]
	[ ! -e run/web ]
}

@test "a supervisor that is not there, or cannot be executed, is named with what helps" {
	config web
	mkdir bad
	echo text >bad/atoll-supervisor
	for folder in nowhere="No such file or directory; install Atoll as a whole, or set ATOLL_LIBEXEC_DIR" \
		bad="Permission denied; see that it is a program that may be executed"; do
		told="cannot start $PWD/${folder%%=*}/atoll-supervisor: ${folder#*=}"
		for command in run "policy record"; do
			# shellcheck disable=SC2086 # words
			run --separate-stderr env ATOLL_LIBEXEC_DIR="$PWD/${folder%%=*}" "$atoll" $command web.yaml
			[ "$status" = 1 ]
			[ -z "$output" ]
			[ "$stderr" = "atoll: $told" ]
		done
		run --separate-stderr env ATOLL_LIBEXEC_DIR="$PWD/${folder%%=*}" "$atoll" check web.yaml
		[ "$status" = 0 ]
		[ "$output" = "web.yaml:1: host: warning: $told" ]
	done
	# What is wrong with the file is told without it.
	echo "cpus: many" >>web.yaml
	run --separate-stderr env ATOLL_LIBEXEC_DIR="$PWD/nowhere" "$atoll" run web.yaml
	[ "$status" = 2 ]
	[[ $stderr == "atoll: web.yaml:"*": cpus: "* ]]
}

@test "issue 9, 1: check tells what is wrong with the file and with what it names in one go, in the order of lines" {
	config web h <<<$'cpus: many\ndisks:\n  - {id: a b, path: missing}\n  - {id: c, path: gone}'
	run --separate-stderr "$atoll" check web.yaml
	echo "$output"
	[ "$status" = 2 ]
	[ "$(sed 's/^\(web.yaml:[0-9]*: [^:]*\): .*/\1/' <<<"$output" | grep -v ': host$' | tr '\n' ,)" = \
		"web.yaml:6: cpus,web.yaml:8: disks[0].id,web.yaml:8: disks[0].path,web.yaml:9: disks[1].path," ]
}

# bats test_tags=guest
@test "issue 9, 1: a record of calls ends with the VM, which ends with the command that records" {
	config web
	for signal in TERM KILL; do
		"$atoll" policy record --output=record web.yaml </dev/null >out 2>err 3>&- &
		recorder=$!
		wait_until 20 running web
		[ "$(cat run/web/pid)" != $recorder ]
		holder=$(cat run/web/pid)
		kill -$signal $recorder
		wait_until 5 grep "Terminated: asking the guest to power off" err
		kill -TERM "$holder"
		wait $recorder || :
		wait_until 10 nothing_left web
	done
}
