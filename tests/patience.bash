# How long tests wait. Bounds in tests are meant for guests on KVM itself; an emulated machine is some ten times slower, and
# there (and where much else runs) ATOLL_TEST_PATIENCE says by how much every bound grows. Sourced by bash.
patience=${ATOLL_TEST_PATIENCE:-1}
# Between two looks, in seconds. In an emulated machine a fork is a good part of a look, and a look a good part of the
# processor that the guest needs too.
blink=0.05
[ "$patience" -lt 10 ] || blink=0.25

# within SECONDS COMMAND...: ends it when it takes longer (status 124).
within() {
	local seconds=$1
	shift
	timeout -k 5 $((seconds * patience)) "$@"
}

# wait_until SECONDS COMMAND...
wait_until() {
	local deadline=$((SECONDS + $1 * patience)) quiet
	shift
	# Something to read that never comes: sleeps without a fork.
	exec {quiet}<> <(:)
	until "$@"; do
		[ $SECONDS -lt $deadline ] || { exec {quiet}>&-; echo "waited in vain: $*"; return 1; }
		read -r -t $blink -u $quiet || :
	done
	exec {quiet}>&-
}

# amount LONG SHORT: how much of a work that is there for its quantity: SHORT in an emulated machine, but for make soak.
amount() {
	if [ "$(hostname)" = bed ] && [ -z "${ATOLL_TEST_SOAK:-}" ]; then echo "$2"; else echo "$1"; fi
}
