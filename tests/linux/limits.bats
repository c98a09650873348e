#!/usr/bin/env bats
# What the kernel holds a VM's processes to, in cgroups with controllers (B4). It needs no Linux guest, but a host whose
# cgroups of version 2 have them: the emulated machine has.
# bats file_tags=linux

load ../e2e/vm.bash
bats_require_minimum_version 1.5.0

# The root of all cgroups with all controllers that limits need, as root; and one in there, for this test.
setup() {
	[ "$(id -u)" = 0 ] || skip "makes cgroups as root"
	top=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)
	[ -n "$top" ] || skip "no cgroups of version 2 are mounted"
	local controller
	for controller in memory cpu pids io; do
		grep -qw $controller "$top/cgroup.controllers" || skip "$top has no controller $controller"
	done
	[ ! -e "$top/cgroup.type" ] || skip "$top is not the root of all cgroups"
	echo '+memory +cpu +pids +io' >"$top/cgroup.subtree_control" || skip "$top cannot be divided"
	vm_setup
	base=$top/test-$$
	mkdir "$base"
}

teardown() {
	vm_teardown
	[ -z "${base:-}" ] || wait_until 10 gone
	return 0
}

gone() {
	find "$top/atoll" "$base" -depth -type d ! -path "$top/atoll" -exec rmdir {} + 2>/dev/null
	[ ! -e "$base" ]
}

# inside GROUP COMMAND...: the command alone, in that cgroup.
inside() { sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$@"; }

cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }
pid_of() { "$atoll" list --json | jq ".[0].processes[] | select(.id == \"$1\" and .role != \"undertaker\") | .pid"; }
# reads GROUP FILE TEXT
reads() { [ "$(cat "$1/$2")" = "$3" ] || { echo "$1/$2: $(cat "$1/$2"), not $3"; return 1; }; }

# Of fake processes: real ones are slow with a tenth of an emulated processor.
all_limits() {
	fake
	modprobe loop 2>/dev/null || :
	truncate -s 4M image
	loop=$(losetup -f --show image)
	config web h <<-END
		limits: {memory: 256MiB, cpu: 150%, pids: 100, io: {read-bps: 100MiB, write-iops: 5000}}
		core: {limits: {memory: 128MiB, cpu: 120%}}
		disks:
		  - {id: root, path: $loop, limits: {pids: 20, io: {read-bps: 50MiB, write-bps: 10MiB, read-iops: 1000, write-iops: 500}}}
		consoles:
		  - {id: serial, output: pty, limits: {memory: 32MiB, cpu: 10%}}
	END
}

# limits_hold PARENT: all_limits' VM runs, below there.
limits_hold() {
	local group=$1/atoll-web device
	device=$(lsblk -dno MAJ:MIN "$loop" | tr -d ' ')
	reads "$group" memory.max $((256 << 20))
	reads "$group" cpu.max '150000 100000'
	reads "$group" pids.max 100
	reads "$group" io.max "$device rbps=$((100 << 20)) wbps=max riops=max wiops=5000"
	reads "$group/core" memory.max $((128 << 20))
	reads "$group/core" cpu.max '120000 100000'
	reads "$group/device-root" pids.max 20
	reads "$group/device-root" io.max "$device rbps=$((50 << 20)) wbps=$((10 << 20)) riops=1000 wiops=500"
	reads "$group/device-serial" memory.max $((32 << 20))
	reads "$group/device-serial" cpu.max '10000 100000'
	"$atoll" list --json >list
	jq -e '.[0].limits == {memory: 268435456, cpu: 150, pids: 100, "read-bps": 104857600, "write-iops": 5000}' list
	jq -e '[.[0].processes[] | {(.id): .limits}] | add == {"": {memory: 134217728, cpu: 120},
		root: {pids: 20, "read-bps": 52428800, "write-bps": 10485760, "read-iops": 1000, "write-iops": 500},
		serial: {memory: 33554432, cpu: 10}, rng: {}}' list
	[ "$(cgroup_of "$(pid_of '')")" = "${group#"$top"}/core" ]
	[ "$(cgroup_of "$(pid_of root)")" = "${group#"$top"}/device-root" ]
	[ "$(cgroup_of "$(pid_of serial)")" = "${group#"$top"}/device-serial" ]
}

@test "B4: memory.max, cpu.max, pids.max and io.max are set for the VM and each process, at the root of all cgroups" {
	all_limits
	inside "$top" "$atoll" run --detach --log-file=log web.yaml
	limits_hold "$top/atoll"
	"$atoll" restart web root
	limits_hold "$top/atoll"
	"$atoll" kill web
	[ ! -e "$top/atoll/atoll-web" ]
	cat log
	! grep -E ' (warning|error) ' log
	losetup -d "$loop"
}

@test "B4: where it is delegated, the supervisor moves out of its cgroup's way, and back" {
	all_limits
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	limits_hold "$base"
	[ "$(cgroup_of "$(cat run/web/pid)")" = "${base#"$top"}/atoll-web.supervisor" ]
	"$atoll" kill web
	cat log
	wait_until 5 eval '[ -z "$(ls -d "$base"/*/ 2>/dev/null)" ]'
	reads "$base" cgroup.subtree_control ''
	! grep -E ' (warning|error) ' log
	losetup -d "$loop"
}

# bats test_tags=user
@test "B4: a VM in a cgroup that is delegated to its user" {
	local user=${ATOLL_TEST_USER:-root}
	config web h <<<$'limits: {memory: 256MiB, cpu: 150%, pids: 100}\nconsoles: [{id: serial, output: pty}]'
	mkdir -p run
	chmod 700 run
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/test "$BATS_TEST_TMPDIR" "$PWD"
	chown -R "$user" .
	chown "$user" "$base" "$base"/cgroup.{procs,subtree_control,threads}
	inside "$base" "$atoll" run --detach --log-file="$PWD/log" web.yaml
	reads "$base/atoll-web" memory.max $((256 << 20))
	[ "$(cgroup_of "$(pid_of serial)")" = "${base#"$top"}/atoll-web/device-serial" ]
	[ "$(stat -c %U "$base/atoll-web")" = "$(id -un "$user" 2>/dev/null || echo UNKNOWN)" ]
	"$atoll" kill web
	cat log
	! grep -E ' (warning|error) ' log
}

@test "B4: a cgroup with others in it is not divided: 3, and what helps; without limits nothing is needed" {
	config web h <<<'limits: {pids: 100}'
	sh -c 'echo $$ >"$0/cgroup.procs" && exec sleep infinity' "$base" 3>&- &
	local other=$!
	wait_until 5 grep -q . "$base/cgroup.procs"
	run --separate-stderr within 20 sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$base" "$atoll" run web.yaml </dev/null
	echo "$stderr"
	[ "$status" = 3 ]
	[[ $stderr == *"$base: others are in this cgroup (process $other)"*"Delegate=yes"* ]]
	nothing_left web
	run inside "$base" "$atoll" check web.yaml
	echo "$output"
	[ "$status" = 0 ]
	[[ $output == *": limits: warning: $base: others are in this cgroup"* ]]
	sed -i '/^limits/d' web.yaml
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	[ -z "$(ls -d "$base"/*/ 2>/dev/null)" ]
	"$atoll" kill web
}

@test "B4: controllers that the cgroup was not given are named: 3" {
	mkdir "$base/below"
	config web h <<<'limits: {memory: 256MiB, pids: 100}'
	run --separate-stderr within 20 sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$base/below" "$atoll" run web.yaml </dev/null
	echo "$stderr"
	[ "$status" = 3 ]
	[[ $stderr == *"this cgroup does not have what limits need: memory, pids; start it in a cgroup of its own that is delegated"* ]]
	nothing_left web
}

@test "B4: a device over its memory limit is killed and started again like any dead process, and the others go on" {
	config web h <<-END
		limits: {}
		heartbeat: $((2 * patience))s
		consoles:
		  - {id: hog, output: "null", limits: {memory: 32MiB}}
		  - {id: calm, output: "null"}
	END
	fake console=hungry
	inside "$top" "$atoll" run --detach --log-file=log web.yaml
	calm=$(pid_of calm)
	wait_until 30 grep -q 'web/calm.*hungry: 128 MiB are taken' log
	wait_until 30 grep -q 'hog.*killed by signal 9' log
	wait_until 20 eval '[ "$("$atoll" list --json | jq ".[0].processes[] | select(.id == \"hog\") | .restarts")" -gt 0 ]'
	cat log
	cat "$top/atoll/atoll-web/device-hog/memory.events"
	[ "$(sed -n 's/^oom_kill //p' "$top/atoll/atoll-web/device-hog/memory.events")" -gt 0 ]
	[ "$(sed -n 's/^oom_kill //p' "$top/atoll/atoll-web/device-calm/memory.events")" = 0 ]
	! grep -q 'web/hog.*hungry: 128 MiB are taken' log
	[ "$(pid_of calm)" = "$calm" ]
	running web
	"$atoll" kill web
}

@test "B4: a device makes no more processes than its limit" {
	config web h <<-END
		heartbeat: $((2 * patience))s
		consoles:
		  - {id: crowd, output: "null", limits: {pids: 10}}
	END
	fake console=teeming
	inside "$top" "$atoll" run --detach --log-file=log web.yaml
	wait_until 20 grep -q 'teeming: 9 processes: EAGAIN' log
	"$atoll" kill web
	cat log
	[ ! -e "$top/atoll/atoll-web" ]
}

@test "B4: what a killed supervisor has left is removed by the next run, with other devices" {
	all_limits
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	kill -9 "$(cat run/web/pid)"
	wait_until 10 no_process_of web
	[ -d "$base/atoll-web/device-root" ]
	[ -d "$base/atoll-web.supervisor" ]
	# As systemd does with a unit's that has ended.
	for group in "$base"/atoll-web "$base"; do echo '-memory -cpu -pids -io' >"$group/cgroup.subtree_control"; done
	config web h <<<$'limits: {pids: 100}\nconsoles: [{id: other, output: pty}]'
	inside "$base" "$atoll" run --detach --log-file=log web.yaml
	[ -d "$base/atoll-web/device-other" ]
	[ ! -e "$base/atoll-web/device-root" ]
	reads "$base/atoll-web" pids.max 100
	"$atoll" kill web
	[ ! -e "$base/atoll-web" ]
	losetup -d "$loop"
}

@test "B4: I/O is not limited on a file system without a device, and that is told: 3" {
	mkdir tmp && mount -t tmpfs none tmp
	truncate -s 1M tmp/image
	config web h <<<$'disks:\n  - {id: root, path: tmp/image, limits: {io: {read-bps: 1MiB}}}'
	run --separate-stderr within 20 "$atoll" run web.yaml </dev/null
	umount tmp
	echo "$stderr"
	[ "$status" = 3 ]
	[[ $stderr == *"web.yaml:"*": disks[0].path: tmp/image: its file system is on no block device of its own"* ]]
	nothing_left web
}
