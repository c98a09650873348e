#!/usr/bin/env bats
# A device program started by hand, with atoll-blk as the example: its socket, its end, its exit status.

load ../patience.bash

setup() {
	blk=$ATOLL_LIBEXEC_DIR/atoll-blk
	cd "$BATS_TEST_TMPDIR"
	truncate -s 1M image
}

teardown() {
	for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null || true; done
}

serve() {
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 test -S sock
}

@test "SIGTERM ends it with status 0 and the socket's path is gone" {
	serve
	kill -TERM $pid
	wait $pid
	[ ! -e sock ]
}

@test "front ends come and go, the program stays" {
	serve
	for _ in 1 2 3; do socat -u OPEN:/dev/null UNIX-CONNECT:sock; done
	kill -0 $pid
	kill -INT $pid
	wait $pid
}

@test "a socket file that nobody listens on is replaced" {
	socat UNIX-LISTEN:sock,unlink-close=0 /dev/null &
	pid=$!
	wait_until 5 test -S sock
	kill -9 $pid
	wait $pid || true
	"$blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	kill -TERM $pid
	wait $pid
}

@test "a socket that another program listens on is refused, and left alone" {
	serve
	truncate -s 1M other
	run "$blk" --socket-path=sock --blk-file=other
	[ "$status" = 1 ]
	[[ $output == *"another program listens"* ]]
	kill -0 $pid && [ -S sock ]
}

@test "an image that another process writes is refused with its pid" {
	serve
	run "$blk" --socket-path=second --blk-file=image
	[ "$status" = 1 ]
	[[ $output == *"$pid"* ]]
	[ ! -e second ]
}

@test "bad usage is status 2 and one line" {
	for arguments in "" "--socket-path=sock" "--nonsense" "--socket-path=sock --blk-file=image extra" "--fd=x --blk-file=image" \
		"--fd=0 --socket-path=sock --blk-file=image" "--socket-path=sock --blk-file=image --num-queues=0"; do
		run "$blk" $arguments
		echo "$arguments: $status: $output"
		[ "$status" = 2 ]
	done
	[ ! -e sock ]
}

@test "garbage from a front end ends its session, not the program" {
	serve
	head -c 4096 /dev/urandom | socat -u - UNIX-CONNECT:sock || true
	printf 'x' | socat -u - UNIX-CONNECT:sock
	kill -0 $pid
	wait_until 5 socat -u OPEN:/dev/null UNIX-CONNECT:sock
	kill -TERM $pid
	wait $pid
}
