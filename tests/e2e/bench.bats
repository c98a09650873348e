#!/usr/bin/env bats
# What `make bench` says of device processes, in slices too short to mean anything: each row is there, and what goes wrong is
# said. No machine is started, and /dev/kvm is not looked at.

setup() {
	bench=$BATS_TEST_DIRNAME/../bench
	driver=${ATOLL_BENCH_DIR:?}/device-bench
	command -v qemu-storage-daemon >/dev/null || skip "there is no qemu-storage-daemon"
	cd "$BATS_TEST_TMPDIR"
	disks="read-4k-1 read-4k-32 write-4k-1 write-4k-32 read-128k-16 write-128k-16"
	networks="out-64-1 out-64 out-1514 out-64k in-64-1 in-64 in-1514 in-64k"
}

teardown() {
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null || true; done
	[ -z "${place:-}" ] || rm -rf "$place"
}

quick() { # OPTION...
	"$bench/bench" --half devices --rounds 1 --slice 10 --count-slice 10 --guest none --driver "$driver" \
		--libexec "$ATOLL_LIBEXEC_DIR" "$@"
}

# each_is_there PART PEER NAME...: the JSON has the measurements.
each_is_there() {
	local part=$1 peer=$2 name
	shift 2
	for name in "$@"; do
		jq -e --arg part "$part" --arg peer "$peer" --arg name "$name" \
			'.[$part].peers[$peer][$name] | .us.median > 0 and (.us.samples | length) == 1' bench.json >/dev/null ||
			{ echo "no $name of $peer"; return 1; }
	done
	jq -e --arg part "$part" --arg peer "$peer" '.[$part].peers[$peer] | to_entries[] | select(.key | endswith("-1")) | .value |
		.p50.median <= .p99.median and .p99.median <= ."p99.9".median' bench.json >/dev/null
}

# serve OPTION...: an atoll-blk at ./sock whose image is ./image.
serve() {
	head -c 1M /dev/urandom >block
	for _ in {1..96}; do cat block; done >image
	"$ATOLL_LIBEXEC_DIR/atoll-blk" --socket-path=sock --blk-file=image "$@" 2>err &
	for _ in {1..250}; do [ ! -S sock ] || return 0; sleep 0.02; done
	return 1
}

@test "disks: each row of table and JSON, with system calls and memory" {
	[ "$(id -u)" = 0 ] || skip "needs root, to count system calls and to see memory"
	run quick --only atoll-blk,qemu-storage-daemon
	echo "$output"
	[ "$status" = 0 ]
	for peer in atoll-blk qemu-storage-daemon; do
		each_is_there disks $peer $disks
		jq -e --arg peer $peer '.disks.peers[$peer] | .memory.MiB.median > 0' bench.json
	done
	for row in "4 KiB random read, depth 1," "4 KiB random read, depth 32," "4 KiB random write, depth 1," \
		"4 KiB random write, depth 32," "128 KiB sequential read, depth 16," "128 KiB sequential write, depth 16,"; do
		grep -E "^$row us +[0-9.]+ \(.*x\$" <<<"$output"
	done
	# Where the kernel can count at all, each request of one in flight needs at least a wake-up and its answer's write.
	if jq -e '.disks."calls-counted" | startswith("raw_syscalls")' bench.json; then
		jq -e '.disks.peers[] | ."read-4k-1".calls.median > 0.1' bench.json
	fi
}

@test "networks: each row, in a namespace of the bench's own" {
	[ "$(id -u)" = 0 ] || skip "needs root, to make a tap"
	[ -c /dev/net/tun ] || skip "there is no /dev/net/tun"
	ip link >before
	run quick --only atoll-net
	echo "$output"
	[ "$status" = 0 ]
	each_is_there networks atoll-net $networks
	grep -q "^no peer: " <<<"$output"
	ip link >after
	cmp before after
}

@test "an ordinary user gets the disks, and is told in one line what is left out" {
	[ "$(id -u)" = 0 ] || skip "needs to change its user"
	place=$(mktemp -d)
	chmod 755 "$place"
	cp -r "$bench/bench" "$bench/benchlib" "$driver" "$place"
	cp -rL "$ATOLL_LIBEXEC_DIR" "$place/libexec"
	chmod -R a+rX "$place"
	mkdir "$place/work" && chown 65534 "$place/work"
	run setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all env -i PATH="$PATH" sh -c 'cd "$0/work" &&
		exec ../bench --rounds 1 --slice 10 --guest none --driver ../device-bench --libexec ../libexec \
		--only atoll-blk,qemu-storage-daemon,atoll-net' "$place"
	echo "$output"
	[ "$status" = 0 ]
	grep -q '^networks: left out: a network namespace and a tap need root$' <<<"$output"
	grep -q 'to count system calls needs root' <<<"$output"
	cp "$place/work/bench.json" .
	each_is_there disks atoll-blk $disks
	each_is_there disks qemu-storage-daemon $disks
}

@test "a peer that is not installed is named in one line, before anything is measured" {
	mkdir nothing
	run env PATH="$PWD/nothing" "$(python3 -c "import sys; print(sys.executable)")" "$bench/bench" --half devices --guest none --driver "$driver" \
		--libexec "$ATOLL_LIBEXEC_DIR"
	echo "$output"
	[ "$status" = 1 ]
	[ "$output" = "bench: qemu-storage-daemon: not found; install the package qemu-system-common" ]
	[ ! -e bench.json ]
}

@test "a disk that returns other data than the image has ends it" {
	serve
	head -c 96M /dev/zero >other
	run "$driver" disk sock other --slice=10 </dev/null
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == "device-bench: read-4k-1: block "*": what was read is not what is in the image" ]]
}

@test "a request that fails ends it" {
	serve --read-only
	run "$driver" disk sock image --slice=10 </dev/null
	echo "$output"
	[ "$status" = 1 ]
	[[ ${lines[-1]} == "device-bench: write-4k-1: the request at block "*" was completed with status 1" ]]
}

@test "a device that dies under load ends it" {
	serve
	inside=$(pgrep -P $!)
	{ sleep 0.5; kill -9 "$inside"; } &
	run timeout 30 "$driver" disk sock image --slice=2000 </dev/null
	echo "$output"
	[ "$status" = 1 ]
	[[ ${lines[-1]} == "device-bench: the disk's ring: the device hung up" ]]
}
