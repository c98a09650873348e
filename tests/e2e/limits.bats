#!/usr/bin/env bats
# The cgroups of a VM where no controller is needed: where its processes are, and what becomes of the directories (B4).
# What the kernel holds them to there is in tests/linux/limits.bats, for a host that has the controllers.
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

# A cgroup for this test.
setup() {
	[ "$(id -u)" = 0 ] || skip "makes cgroups as root"
	top=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
	[ -n "$top" ] || skip "no cgroups of version 2 are mounted"
	base=$top/test-$$
	mkdir "$base" || skip "$top cannot be written"
	vm_setup
}

teardown() {
	vm_teardown
	[ -z "${base:-}" ] || wait_until 10 gone
	return 0
}

gone() {
	find "$base" -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -e "$base" ]
}

# inside GROUP COMMAND...: the command alone, in that cgroup.
enter='echo $$ >"$0/cgroup.procs" && exec "$@"'
inside() { sh -c "$enter" "$@"; }

cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
pid_of() { "$atoll" list --json | jq ".[0].processes[] | select(.id == \"$1\") | .pid"; }
below() { (cd "$1" && find . -mindepth 1 -type d | sort | tr '\n' ' '); }

everything='limits: {}
disks: [{id: root, path: root.img}]
consoles: [{id: serial, output: pty}, {id: port, type: virtio, output: "null"}]'
every_group='./atoll-web ./atoll-web/core ./atoll-web/device-port ./atoll-web/device-rng ./atoll-web/device-root ./atoll-web/device-serial ./atoll-web/undertaker-port ./atoll-web/undertaker-rng ./atoll-web/undertaker-root ./atoll-web/undertaker-serial '

# each_in_its_own PARENT: the VM "web" of everything.
each_in_its_own() {
	local group=${1#"$top"}/atoll-web pair
	for pair in :core root:device-root serial:device-serial port:device-port; do
		[ "$(cgroup_of "$(pid_of "${pair%:*}")")" = "$group/${pair#*:}" ]
	done
}

@test "B4: each process is in a cgroup of its own, also a successor, and nothing is left of them at the end" {
	truncate -s 1M root.img
	config web h <<<"$everything"
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	[ "$(below "$base")" = "$every_group" ]
	each_in_its_own "$base"
	# The list tells limits, of which there are none.
	"$atoll" list --json | jq -e '.[0] | .limits == {} and all(.processes[]; .limits == {})'
	# Nothing had to be divided.
	[ "$(cgroup_of "$(cat run/web/pid)")" = "${base#"$top"}" ]
	"$atoll" restart web root
	kill -9 "$(pid_of port)"
	wait_until 10 eval '[ "$(pid_of port)" != 0 ] && running web'
	each_in_its_own "$base"
	"$atoll" audit web >audit || [ $? = 1 ]
	for group in core device-root device-serial device-port; do
		grep -q " cgroup  *0::${base#"$top"}/atoll-web/$group$" audit
	done
	"$atoll" kill web
	[ "$(below "$base")" = '' ]
	cat log
	! grep -E ' (warning|error) .*cgroup' log
}

@test "B4: a process is in its cgroup from its first moment, without clone3 from before it goes on" {
	config web h <<<$'limits: {}\nconsoles: [{id: first, output: pty}, {id: second, output: pty}]'
	fake console=where
	for without in "" "$ATOLL_HELPER_DIR/without clone3=ENOSYS --"; do
		inside "$base" $without "$atoll" run --detach web.yaml 2>told
		for id in first second; do
			[ "$(cgroup_of "$(pid_of $id)")" = "${base#"$top"}/atoll-web/device-$id" ]
		done
		"$atoll" kill web
		cat told
		# What it sees begins where it, or the supervisor, was when it was made.
		for id in first second; do grep -qE "web/$id: where: 0::(/|/atoll-web/device-$id)$" told; done
		[ "$(below "$base")" = '' ]
	done
}

@test "B4: in the root of all cgroups, they are below one that VMs share" {
	[ ! -e "$top/cgroup.type" ] || skip "$top is not the root of all cgroups"
	truncate -s 1M root.img
	config web h <<<"$everything"
	inside "$top" "$atoll" run --detach web.yaml
	each_in_its_own "$top/atoll"
	"$atoll" kill web
	[ ! -e "$top/atoll/atoll-web" ]
	[ "$(getfattr --only-values -n user.atoll.vm "$top/atoll")" = '*' ] || ! command -v getfattr
}

@test "B4: limits hold without a sandbox too" {
	truncate -s 1M root.img
	config web h <<<"$everything"
	inside "$base" "$atoll" run --detach --no-sandbox web.yaml
	each_in_its_own "$base"
	"$atoll" kill web
	[ "$(below "$base")" = '' ]
}

@test "B4: what a killed supervisor has left is removed by the next run, with other devices" {
	truncate -s 1M root.img
	config web h <<<"$everything"
	inside "$base" "$atoll" run --detach web.yaml
	kill -9 "$(cat run/web/pid)"
	[ "$(below "$base")" = "$every_group" ]
	config web h <<<$'limits: {}\nconsoles: [{id: other, output: pty}]'
	inside "$base" "$atoll" run --detach web.yaml
	[ "$(below "$base")" = './atoll-web ./atoll-web/core ./atoll-web/device-other ./atoll-web/device-rng ./atoll-web/undertaker-other ./atoll-web/undertaker-rng ' ]
	"$atoll" kill web
	[ "$(below "$base")" = '' ]
}

@test "B4: a cgroup that is not Atoll's is neither used nor removed" {
	config web h <<<$'limits: {}\nconsoles: [{id: serial, output: pty}]'
	# The operator's, of the name.
	mkdir -p "$base/atoll-web/core"
	run --separate-stderr within 20 sh -c "$enter" "$base" "$atoll" run web.yaml </dev/null
	echo "$stderr"
	[ "$status" = 2 ]
	[[ $stderr == *"web.yaml:1: name: the cgroup $base/atoll-web is in the way: Atoll has not made it for this VM; remove it, or choose another name"* ]]
	run inside "$base" "$atoll" check web.yaml
	[ "$status" = 2 ]
	[ "$(below "$base")" = './atoll-web ./atoll-web/core ' ]
	rmdir "$base/atoll-web/core" "$base/atoll-web"
	nothing_left web
	# The operator's, in a VM's.
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	mkdir "$base/atoll-web/mine" "$base/atoll-web/core/mine"
	"$atoll" kill web
	[ "$(below "$base")" = './atoll-web ./atoll-web/core ./atoll-web/core/mine ./atoll-web/mine ' ]
	grep -q "the cgroup $base/atoll-web stays" log
	run --separate-stderr within 20 sh -c "$enter" "$base" "$atoll" run web.yaml </dev/null
	echo "$stderr"
	[ "$status" = 2 ]
	[[ $stderr == *"$base/atoll-web is in the way: it is left of this VM, and processes or other cgroups are in it"* ]]
	[ "$(below "$base")" = './atoll-web ./atoll-web/core ./atoll-web/core/mine ./atoll-web/mine ' ]
}

@test "B4: limits that the host cannot hold end run with 3 and are a warning of check; without limits nothing is needed" {
	config web h <<<$'limits: {memory: 256MiB, cpu: 150%, pids: 100}\nconsoles: [{id: serial, output: pty}]'
	mkdir "$base/below"
	for place in "sh -c '$enter' $base/below" "unshare --mount sh -ec 'umount -l $top; exec \"\$@\"' sh"; do
		run --separate-stderr eval within 20 "$place" "$atoll" run web.yaml </dev/null
		echo "$stderr"
		[ "$status" = 3 ]
		if [[ $place == sh* ]]; then
			[[ $stderr == *"web.yaml:6: limits: $base/below: this cgroup does not have what limits need: memory, cpu, pids; start it in a cgroup of its own"* ]]
		else
			[[ $stderr == *"web.yaml:6: limits: cannot be held: no control groups of version 2 are mounted"*"; mount them"* ]]
		fi
		nothing_left web
		run eval "$place" "$atoll" check web.yaml
		echo "$output"
		[ "$status" = 0 ]
		[[ $output == *"web.yaml:6: limits: warning: "* ]]
	done
	sed -i '/^limits/d' web.yaml
	inside "$base/below" "$atoll" run --detach web.yaml
	[ "$(below "$base/below")" = '' ]
	"$atoll" list --json | jq -e '.[0] | .limits == null and all(.processes[]; .limits == null)'
	"$atoll" kill web
}
