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
	lacks 3 "cannot make its namespaces: Operation not permitted" "allow user namespaces" "$without" clone3=ENOSYS clone=EPERM --
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
