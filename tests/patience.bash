# How long tests wait. Bounds in tests are meant for guests on KVM itself; an emulated machine is some ten times slower, and
# there (and where much else runs) ATOLL_TEST_PATIENCE says by how much every bound grows. Sourced by bash.
patience=${ATOLL_TEST_PATIENCE:-1}
# Between two looks, in seconds: a look costs some forks, and with them a good part of an emulated processor.
blink=0.05
[ "$patience" -lt 10 ] || blink=0.3

# within SECONDS COMMAND...: ends it when it takes longer (status 124).
within() {
	local seconds=$1
	shift
	timeout -k 5 $((seconds * patience)) "$@"
}

# amount LONG SHORT: how much of a work that is there for its quantity: SHORT in an emulated machine, but for make soak.
amount() {
	if [ "$(hostname)" = bed ] && [ -z "${ATOLL_TEST_SOAK:-}" ]; then echo "$2"; else echo "$1"; fi
}
