# What the bats files about `atoll` share: folders of their own, configs, waiting, and looking for what is left behind.
. "${BASH_SOURCE[0]%/*}/../patience.bash"

# For setup(): an empty folder to work in, a runtime directory, a kernel that never ends by itself.
vm_setup() {
	mkdir "$BATS_TEST_TMPDIR/work"
	cd "$BATS_TEST_TMPDIR/work"
	export ATOLL_RUNTIME_DIR=$PWD/run ATOLL_LOG_DIR=$BATS_TEST_TMPDIR/logs
	atoll=${ATOLL:?}
	export ATOLL_POLICY_TEST=$BATS_TEST_DESCRIPTION # for a record (atoll policy cover)
	cp "${ATOLL_HELPER_DIR:?}/end_guest" kernel
}

# For teardown(): nothing of a failed test goes on.
vm_teardown() {
	local pid
	for pid in "$ATOLL_RUNTIME_DIR"/*/pid; do
		[ -e "$pid" ] && kill -9 "$(cat "$pid")" 2>/dev/null
	done
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null; done
	return 0
}

# config NAME [LETTER]: NAME.yaml with what end_guest is to do (h: halt for ever); more YAML on stdin.
config() {
	cat >"$1.yaml" <<END
name: $1
memory: 16MiB
boot:
  kernel: kernel
  cmdline: ${2:-h}
END
	[ -t 0 ] || cat >>"$1.yaml"
}

# fake PROGRAM=MODE...: a libexec folder in which these are fake_child in that mode, and the others too, as good.
fake() {
	local program pair
	mkdir -p libexec
	for program in "${ATOLL_LIBEXEC_DIR:?}"/atoll-*; do
		if [ "${program##*/}" = atoll-supervisor ]; then
			[ -e libexec/atoll-supervisor ] || ln -s "$program" libexec/
		else
			# One that runs keeps the file that it had.
			cp --remove-destination "$ATOLL_HELPER_DIR/fake_child" "libexec/${program##*/}"
		fi
	done
	for pair in "$@"; do printf '%32s' "MODE=${pair#*=}" >>"libexec/atoll-${pair%=*}"; done
	export ATOLL_LIBEXEC_DIR=$PWD/libexec
}

# Processes that run a program of the family for the VM of this name.
processes_of() { pgrep -f "^atoll(-[a-z]+)?: $1(/|\$| )" || :; }

no_process_of() { [ -z "$(processes_of "$1")" ]; }

# nothing_left NAME: no process, no entry in the runtime directory.
nothing_left() {
	local left
	left=$(processes_of "$1")
	[ -z "$left" ] || { echo "processes are left: $left"; return 1; }
	[ -z "$(ls -A "$ATOLL_RUNTIME_DIR" 2>/dev/null)" ] || { echo "left in the runtime directory:"; ls -lR "$ATOLL_RUNTIME_DIR"; return 1; }
}

running() { [ "$("$atoll" list --json | jq -r ".[] | select(.name == \"$1\") | .state")" = "${2:-running}" ]; }
