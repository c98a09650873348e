#!/usr/bin/env bats
# The command line of atoll.

load vm.bash
bats_require_minimum_version 1.5.0
setup() { vm_setup; }
teardown() { vm_teardown; }

# usage ARGUMENT...: refused with status 2 and one line.
usage() {
	run --separate-stderr "$atoll" "$@"
	echo "$*: $status: $output$stderr"
	[ "$status" = 2 ]
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[[ $stderr == "atoll: usage: "*";"* ]]
}



@test "help and version" {
	run --separate-stderr "$atoll" --help
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output == Usage:* ]]
	run "$atoll" -h
	[ "$status" = 0 ]
	run "$atoll" --version
	[ "$status" = 0 ]
	[[ $output =~ ^atoll\ [0-9]+\.[0-9]+ ]]
	for command in run check list stop kill reset; do
		run --separate-stderr "$atoll" $command --help
		[ "$status" = 0 ]
		[ -z "$stderr" ]
		[[ $output == "Usage: atoll $command "* ]]
		run "$atoll" $command --version
		[ "$status" = 0 ]
	done
	run "$atoll" check --help
	[[ $output == *"warn of what this host lacks for it"* ]]
}

@test "bad usage is one line and status 2" {
	usage
	usage frobnicate
	usage --frobnicate
	usage run
	usage run a b
	usage run -x a
	usage run --frobnicate a
	usage run --detach=yes a
	usage run --log-file
	usage run --log-file=log a
	usage check
	usage check a b
	usage list a
	usage list --jso=n
	usage stop
	usage stop --timeout a
	usage stop --timeout=soon a
	usage stop --timeout=-1 a
	usage kill
	usage kill a b
	usage reset
}

# bats test_tags=guest
@test "small: did you mean, for commands and ids" {
	usage frobnicate
	[[ $stderr != *"did you mean"* ]]
	usage restrat
	[ "$stderr" = 'atoll: usage: unknown command "restrat"; did you mean "restart"? see atoll --help' ]
	usage lsit
	[[ $stderr == *'did you mean "list"? '* ]]
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	usage run --no-sandbox=rot web.yaml
	[[ $stderr == *'the config has no device of that id; did you mean "root"? name one, or "core"' ]]
	usage run --no-sandbox=ROOT web.yaml
	"$atoll" run --detach web.yaml
	run --separate-stderr "$atoll" restart web roott
	[ "$status" = 1 ]
	[ "$stderr" = 'atoll: web: roott: it has no device of this id; did you mean "root"? see "atoll list"' ]
	run --separate-stderr "$atoll" restart web xyz
	[ "$stderr" = 'atoll: web: xyz: it has no device of this id; see "atoll list"' ]
	"$atoll" kill web
	nothing_left web
}

@test "a name that does not run is one line and status 1" {
	for command in stop kill reset; do
		for name in nobody ../x 'a b' ''; do
			run --separate-stderr "$atoll" $command "$name"
			[ "$status" = 1 ]
			[ "$stderr" = "atoll: $name: no VM of this name is running; see \"atoll list\"" ]
		done
	done
}

@test "list of nothing" {
	run "$atoll" list
	[ "$status" = 0 ]
	[ -z "$output" ]
	run "$atoll" list --json
	[ "$status" = 0 ]
	[ "$(jq -c . <<<"$output")" = "[]" ]
}

# bats test_tags=guest
@test "no runtime directory is status 3" {
	config web </dev/null
	# Another user may have no way to the folder that we were built in.
	place=$(mktemp -d)
	chmod 755 "$place"
	cp "$atoll" "$place/atoll"
	run --separate-stderr setpriv --reuid=65534 --clear-groups env -u ATOLL_RUNTIME_DIR -u XDG_RUNTIME_DIR "$place/atoll" list
	rm -r "$place"
	echo "$stderr"
	[ "$status" = 3 ]
	[[ $stderr == *"XDG_RUNTIME_DIR is not set; set it, or ATOLL_RUNTIME_DIR" ]]
	ATOLL_RUNTIME_DIR=/nonexistent/x run --separate-stderr "$atoll" run web.yaml </dev/null
	[ "$status" = 3 ]
	[[ $stderr == "atoll: web.yaml:1: host: runtime directory /nonexistent/x: No such file or directory;"* ]]
}

# bats test_tags=guest
@test "closed standard descriptors are no danger" {
	config web o </dev/null
	run "$atoll" run web.yaml <&- >&- 2>&-
	[ "$status" = 0 ]
	nothing_left web
}

# bats test_tags=guest
@test "B1: nobody deletes files in the runtime directory that are not Atoll's" {
	config web o </dev/null
	mkdir -p run/web run/other
	chmod 700 run
	echo precious | tee run/web/image run/other/image run/other/log >/dev/null
	: >run/other/pid
	run --separate-stderr "$atoll" list
	[ "$status" = 0 ]
	[ -z "$output$stderr" ]
	for command in run check; do
		run "$atoll" $command web.yaml
		[ "$status" = 2 ]
		[[ $output == *"web.yaml:1: name: $PWD/run/web is in the way: it holds files and is not a VM's; move it away,"* ]]
	done
	[ "$(cat run/web/image run/other/image run/other/log)" = $'precious\nprecious\nprecious' ]
	[ -e run/other/pid ]
	# Put there while it ran.
	rm -r run/web run/other
	config web h </dev/null
	"$atoll" run --detach --log-file=log web.yaml
	echo precious >run/web/image
	"$atoll" kill web
	wait_until 5 no_process_of web
	[ "$(ls run/web)" = $'atoll-vm\nimage' ]
	grep -q 'the folder web in the runtime directory stays, because .*: "image"; move it away' log
	"$atoll" list
	[ "$(cat run/web/image)" = precious ]
	"$atoll" run --detach web.yaml
	rm run/web/image
	"$atoll" kill web
	nothing_left web
}

# bats test_tags=guest
@test "B1: a runtime directory that others can write, or that is another's, is refused" {
	config web o </dev/null
	mkdir run
	chmod 777 run
	run "$atoll" run web.yaml </dev/null
	[ "$status" = 3 ]
	[[ $output == "atoll: web.yaml:1: host: runtime directory $PWD/run: its group or others can write it (chmod go-w); "* ]]
	run --separate-stderr "$atoll" list
	[ "$status" = 3 ]
	[[ $stderr == "atoll: list: $PWD/run: its group or others can write it (chmod go-w); "* ]]
	run --separate-stderr "$atoll" stop web
	[ "$status" = 1 ]
	[[ $stderr == *"its group or others can write it"* ]]
	chmod 755 run
	[ "$(id -u)" = 0 ] || return 0
	chown 65534 run
	run "$atoll" run web.yaml </dev/null
	[ "$status" = 3 ]
	[[ $output == "atoll: web.yaml:1: host: runtime directory $PWD/run: it is another user's; "* ]]
}
