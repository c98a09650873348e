#!/usr/bin/env bats
# Hosts that lack something: each test takes it away, for the processes of one VM alone. Where Atoll can do without, the
# VM runs; where it cannot, it says what failed and what helps, and ends with 3.
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() {
	vm_setup
	without=$ATOLL_HELPER_DIR/without
	[ "$(id -u)" = 0 ] || skip "takes things away as root"
}
teardown() { vm_teardown; }

# guest_runs [PREFIX...]: behind PREFIX, a guest reads and writes its disks, and another VM's devices are replaced.
guest_runs() {
	seq -f '%015.0f' 0 524287 | tee root.img >second.img
	config web <<-END
		debug-exit: true
		on-reset: exit
		disks:
		  - {id: root, path: root.img}
		  - {id: second, path: second.img}
	END
	sed -i 's/^memory: .*/memory: 64MiB/; s/kernel: kernel/kernel: guest-blk/; s/cmdline: .*/cmdline: "numbered=50"/' web.yaml
	cp "${ATOLL_GUEST_DIR:?}/guest-blk" .
	run --separate-stderr within 30 "$@" "$atoll" run web.yaml </dev/null
	echo "$*: $status: $stderr"
	[ "$status" = 33 ]
	grep -q '^ok' <<<"$output"
	! grep -E '^(not ok|Bail)' <<<"$output"
	nothing_left web
	config all <<-END
		disks: [{id: root, path: root.img}]
		consoles: [{id: serial, output: pty}, {id: port, type: virtio, output: "null"}]
	END
	within 20 "$@" "$atoll" run --detach --log-file=log all.yaml
	for device in root serial port; do "$atoll" restart all $device; done
	! grep -E ' (error|warning) ' log
	within 10 "$atoll" kill all
	nothing_left all
}

@test "G: a filter that knows no clone3, as Docker's does" {
	guest_runs "$without" clone3=ENOSYS --
}

@test "G: no Landlock, built in or switched on" {
	guest_runs "$without" landlock_create_ruleset=ENOSYS landlock_add_rule=ENOSYS landlock_restrict_self=ENOSYS --
	guest_runs "$without" landlock_create_ruleset=EOPNOTSUPP --
}

@test "G: no MDWE" {
	guest_runs "$without" prctl:65=EINVAL --
}

@test "G: no io_uring, and one that is forbidden" {
	guest_runs "$without" io_uring_setup=ENOSYS io_uring_enter=ENOSYS io_uring_register=ENOSYS --
	guest_runs "$without" io_uring_setup=EPERM --
}

@test "G: what Linux 5.10 does not have, all together" {
	guest_runs "$without" landlock_create_ruleset=ENOSYS landlock_add_rule=ENOSYS landlock_restrict_self=ENOSYS \
		prctl:65=EINVAL epoll_pwait2=ENOSYS mount_setattr=ENOSYS process_mrelease=ENOSYS memfd_secret=ENOSYS \
		futex_waitv=ENOSYS set_mempolicy_home_node=ENOSYS --
}

@test "G: control groups of version 1 alone, or none" {
	groups() { printf '%s\n' "mount -t tmpfs none /sys/fs/cgroup" "${1:-}" 'exec "$@"'; }
	guest_runs unshare --mount sh -ec "$(groups)" sh
	guest_runs unshare --mount sh -ec "$(groups 'mkdir /sys/fs/cgroup/v1; mount -t cgroup -o none,name=atoll-test none /sys/fs/cgroup/v1 || :')" sh
}

# lacks STATUS WHAT REMEDY COMMAND...: run ends so and says both; so does check, as a warning.
lacks() {
	local expected=$1 what=$2 remedy=$3 status stderr output
	shift 3
	config web </dev/null
	run --separate-stderr within 20 "$@" "$atoll" run web.yaml </dev/null
	echo "$status: $stderr"
	[ "$status" = "$expected" ]
	[[ $stderr == *"$what"*"; $remedy"* ]]
	nothing_left web
	run --separate-stderr within 20 "$@" "$atoll" check web.yaml
	echo "check: $status: $output$stderr"
	[ "$status" = 0 ]
	[[ $output == *"web.yaml:1: host: warning: "*"$what"*"; $remedy"* ]]
}

@test "G: user namespaces that are forbidden, or used up: 3, and what helps" {
	# As a container's filter forbids them, which looks at the flags; those of a probe, and of a starter's.
	lacks 3 "cannot make its namespaces: Operation not permitted" "allow user namespaces" \
		"$without" clone3=ENOSYS clone:0x7e001011=EPERM clone:0x7e009011=EPERM --
	chmod 755 "$BATS_TEST_TMPDIR" . && chmod 777 "$BATS_TEST_TMPDIR/work"
	mknod kvm c 10 232 && chmod 666 kvm
	mount="mount --bind $PWD/kvm /dev/kvm;"
	lacks 3 "cannot make its namespaces: No space left on device" "raise the sysctls user.max_" \
		unshare --mount sh -ec "$mount"' exec unshare --user --map-root-user sh -ec "echo 0 >/proc/sys/user/max_user_namespaces; exec \"\$@\"" sh "$@"' sh
}

@test "G: without /proc it says so, and what helps" {
	for gone in "umount -l /proc" "mount -t tmpfs none /proc"; do
		lacks 3 "/proc" "mount /proc" unshare --mount sh -ec "$gone"'; exec "$@"' sh
	done
}

# container LENGTH: a user namespace whose root has the ids from 0 on, that many; ${inside[@]} COMMAND is root there, and
# $atoll runs there, too.
container() {
	unshare --user sleep infinity &
	holder=$!
	wait_until 5 sh -c "[ \"\$(readlink /proc/$holder/ns/user)\" != \"\$(readlink /proc/self/ns/user)\" ]"
	printf '0 0 %s' "$1" >/proc/$holder/uid_map
	printf '0 0 %s' "$1" >/proc/$holder/gid_map
	inside=(nsenter --user=/proc/$holder/ns/user --setuid 0 --setgid 0 --)
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${inside[*]}" "$ATOLL" >"$BATS_TEST_TMPDIR/inside"
	chmod +x "$BATS_TEST_TMPDIR/inside"
	atoll=$BATS_TEST_TMPDIR/inside
}

# users_of [NAME]: the user of each process of the VM but supervisor and starter as the host sees it, which is as the
# container does.
users_of() {
	local pid
	for pid in $("$atoll" list --json | jq '.[] | select(.name == "'"${1:-all}"'") | .processes[].pid'); do
		awk '/^[UG]id:/ { for (i = 2; i <= 5; i++) print $i }' "/proc/$pid/status" | sort -u
	done
}

# audited: a VM with every kind of device that needs nothing but a file runs there, its audit holds, also once a process
# was replaced.
audited() {
	truncate -s 1MiB root.img
	config all <<-END
		disks: [{id: root, path: root.img}]
		consoles: [{id: serial, output: pty}, {id: port, type: virtio, output: "null"}]
	END
	within 20 "$atoll" run --detach --log-file=log all.yaml
	"$atoll" audit all >audit || { cat audit; return 1; }
	"$atoll" restart all root
	"$atoll" audit all >audit || { cat audit; return 1; }
	users_of >users
	cat users
}

@test "G: root of a user namespace with 65,536 ids: a guest runs, and each process is a user of its own" {
	container 65536
	guest_runs
	audited
	[ "$(wc -l <users)" = 5 ]
	[ "$(sort -u users | wc -l)" = 5 ]
	awk '$1 < 32768 || $1 >= 65534 { exit 1 }' users
	within 10 "$atoll" kill all
	nothing_left all
}

@test "G: two VMs in a user namespace whose ids are few: no two processes are one user; and when none is left, what helps" {
	container 20
	audited
	[ "$(sort -u users | wc -l)" = 5 ]
	sed 's/^name: .*/name: more/; s/root.img/more.img/' all.yaml >more.yaml
	truncate -s 1MiB more.img
	within 20 "$atoll" run --detach --log-file=log more.yaml
	"$atoll" audit more >audit || { cat audit; return 1; }
	users_of more >>users
	cat users
	[ "$(sort -u users | wc -l)" = 10 ]
	sed 's/^name: .*/name: most/; s/root.img/most.img/' all.yaml >most.yaml
	truncate -s 1MiB most.img
	run --separate-stderr within 20 "$atoll" run most.yaml </dev/null
	echo "$status: $stderr"
	[ "$status" = 3 ]
	[[ $stderr == *"cannot write its user and group maps"*"; let this container's user namespace have more ids"* ]]
	"$atoll" kill all
	"$atoll" kill more
	nothing_left all
}

@test "G: root of a rootless container, which is all the users that it has: a guest runs, as an ordinary user's does" {
	container 1
	guest_runs
	audited
	[ "$(sort -u users)" = 0 ]
	# The one capability that this takes, and no other; and its starter alone has it (F6).
	grep -q '^CapPrm:[[:space:]]*0000000080000000$' "/proc/$("$atoll" list --json | jq '.[0].starter')/status"
	grep -q '^CapPrm:[[:space:]]*0000000000000000$' "/proc/$(cat run/all/pid)/status"
	within 10 "$atoll" kill all
	nothing_left all
}

@test "G: root without the capabilities to give users away: 3, and what helps" {
	lacks 3 "cannot write its user and group maps" "let root keep CAP_SETUID and CAP_SETGID" \
		setpriv --bounding-set=-setuid,-setgid
	container 65536
	atoll=$ATOLL
	lacks 3 "cannot write its user and group maps" "let root keep CAP_SETUID and CAP_SETGID" \
		"${inside[@]}" setpriv --bounding-set=-setuid,-setgid
	container 1
	atoll=$ATOLL
	lacks 3 "cannot write its user and group maps" "let root keep CAP_SETUID and CAP_SETGID (in a container with one user alone, CAP_SETFCAP)" "${inside[@]}" setpriv --bounding-set=-setfcap
}
