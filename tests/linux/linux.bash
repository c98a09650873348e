# Unmodified Linux guests under `atoll run`: a folder to work in, configs, logins. Sourced by the bats files here.
#
# As an ordinary user's (tests/runner/as-user) the test is root, for its taps and bridges, and $ATOLL runs as
# ATOLL_TEST_USER, whose the folder and the taps are then.
. "$BATS_TEST_DIRNAME/../bed/vm.bash"

# linux_setup [FILE...]: for setup(); copies these of what make-assets made. Disks are large: in an emulated machine /tmp is
# memory, and ATOLL_SCRATCH is not.
linux_setup() {
	kernels=${ATOLL_BED_KERNEL:?} assets=${ATOLL_LINUX_ASSETS:?}
	work=$(mktemp -d "${ATOLL_SCRATCH:-$BATS_TEST_TMPDIR}/linux.XXXXXX")
	cd "$work"
	chmod 755 .
	local file
	for file in initrd.gz "$@"; do
		[ -e "$assets/$file" ] || { echo "$assets/$file is missing: its making failed"; return 1; }
		cp --sparse=always "$assets/$file" "$file"
	done
	# Sockets are for a file system of this machine's own.
	export ATOLL_RUNTIME_DIR=$(mktemp -d /run/atoll-linux.XXXXXX)
	[ -z "${ATOLL_TEST_USER:-}" ] || chown -R "$ATOLL_TEST_USER" . "$ATOLL_RUNTIME_DIR"
}

linux_teardown() {
	local pid
	for pid in "$ATOLL_RUNTIME_DIR"/*/pid; do
		[ ! -e "$pid" ] || kill -9 "$(cat "$pid")" 2>/dev/null
	done
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null; done
	cd /
	rm -rf "$work" "$ATOLL_RUNTIME_DIR"
	return 0
}

die() { echo "$*"; return 1; }

# own FILE...: makes them the user's, where there is one.
own() { [ -z "${ATOLL_TEST_USER:-}" ] || chown "$ATOLL_TEST_USER" "$@"; }

# linux_config NAME CPUS MEMORY KERNEL CMDLINE: NAME.yaml; more YAML on stdin.
linux_config() {
	{
		cat <<-END
			name: $1
			cpus: $2
			memory: $3
			boot:
			  kernel: $kernels/$4
			  initrd: initrd.gz
			  cmdline: console=ttyS0 quiet $5
		END
		cat
	} >"$1.yaml"
}

# linux_ends NAME SECONDS STATUS: atoll ends with that status.
linux_ends() {
	local got=0
	vm_wait "$1" "$2" || got=$?
	[ $got = "$3" ] || die "$1: atoll ended with status $got, not $3: $(cat "$1.err")"
}

# login NAME: as root, to a shell without echo and prompt.
login() {
	vm_expect "$1" 150 'guest login: '
	vm_type "$1" root
	vm_expect "$1" 30 'root@guest:~# '
	vm_type "$1" 'stty -echo; PS1='
	vm_type "$1" 'echo shell"-"ready'
	vm_expect "$1" 15 'shell-ready'
}
