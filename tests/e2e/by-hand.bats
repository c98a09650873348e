#!/usr/bin/env bats
# A device program started by hand, with atoll-blk as the example: its socket, its end, its exit status; and what each of
# them may call then.

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

# E9: 80x24 at first; then 100x40, of which the front end is told.
@test "E9: atoll-console on a terminal tells its size, and that it changed" {
	for how in "" --no-sandbox; do
		within 30 python3 - "$ATOLL_LIBEXEC_DIR/atoll-console" $how <<'PYTHON'
import array, fcntl, os, pty, signal, socket, struct, sys, termios
ours, theirs = socket.socketpair()
os.set_inheritable(theirs.fileno(), True)
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execv(sys.argv[1], ["atoll-console", "--fd=%d" % theirs.fileno(), "--stdio"] + sys.argv[2:])
theirs.close()
for end in ours,:
    end.settimeout(20)
GET_FEATURES, SET_FEATURES, SET_OWNER, GET_PROTOCOL, SET_PROTOCOL, SET_BACKEND_REQ_FD, GET_CONFIG = 1, 2, 3, 15, 16, 21, 24
CONFIG, BACKEND_REQ = 1 << 9, 1 << 5
def send(request, payload=b"", fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    ours.sendmsg([struct.pack("III", request, 1, len(payload)) + payload], rights)
def receive(end):
    request, flags, size = struct.unpack("III", end.recv(12, socket.MSG_WAITALL))
    return request, end.recv(size, socket.MSG_WAITALL) if size else b""
def ask(request, payload=b""):
    send(request, payload)
    answer, payload = receive(ours)
    assert answer == request, answer
    return payload
def size():
    return struct.unpack("HH", ask(GET_CONFIG, struct.pack("III", 0, 4, 0) + bytes(4))[12:16])
features, = struct.unpack("Q", ask(GET_FEATURES))
assert features & 1, "VIRTIO_CONSOLE_F_SIZE is not offered"
send(SET_OWNER)
offered, = struct.unpack("Q", ask(GET_PROTOCOL))
assert offered & CONFIG and offered & BACKEND_REQ
send(SET_PROTOCOL, struct.pack("Q", CONFIG | BACKEND_REQ))
channel, end = socket.socketpair()
channel.settimeout(20)
send(SET_BACKEND_REQ_FD, fds=[end.fileno()])
assert size() == (80, 24), size()
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
request, payload = receive(channel)
assert request == 2, "not a CONFIG_CHANGE_MSG but %d" % request
assert size() == (100, 40), size()
ours.close()
_, status = os.waitpid(pid, 0)
assert status == 0, status
PYTHON
	done
}

# --- A4: policies of their own ---

# by_hand KIND PROGRAM ARGUMENT...: a front end that is not our core has its driver's requests done by the program, in its
# jail and sealed. Then once more, recorded: nothing was called that the policy does not allow, and each rule that it has more
# than that of a supervised process was needed.
by_hand() {
	local role=$1-hand.main rules record=$PWD/record
	export ATOLL_POLICY_TEST=$BATS_TEST_DESCRIPTION
	within 60 ${inside:-} python3 "$BATS_TEST_DIRNAME/front-end.py" "$@"
	rm -f sock
	within 60 ${inside:-} python3 "$BATS_TEST_DIRNAME/front-end.py" "$1" "$ATOLL_HELPER_DIR/recorded" $role "$record" "${@:2}" --no-sandbox
	"$ATOLL" policy cover "$record" >covered || true
	cat covered
	! grep '^refused' covered
	rules=$(grep -cE '^[a-z_0-9]+:' "$ATOLL_POLICY_DIR/$role.policy")
	[ "$rules" -ge 2 ]
	[ "$(grep -cE "$role\\.policy:[0-9]+: .*: needed by $role, first in A4: " covered)" = "$rules" ]
	[ -z "${ATOLL_POLICY_RECORD:-}" ] || cat "$record" >>"$ATOLL_POLICY_RECORD"
}

# bats test_tags=record
@test "A4: atoll-blk by hand makes a front end's eventfds not block, and its inflight region" {
	by_hand blk "$blk" --socket-path=sock --blk-file=image
}

# bats test_tags=record
@test "A4: atoll-net by hand polls for a front end that does not kick" {
	unshare -n true 2>/dev/null && [ -w /dev/net/tun ] || skip "no right to make a network namespace and a tap"
	unshare -n sleep infinity 3>&- &
	holder=$!
	wait_until 5 eval '[ "$(readlink /proc/$holder/ns/net)" != "$(readlink /proc/self/ns/net)" ]'
	inside="nsenter -t $holder -n"
	$inside ip tuntap add dev t0 mode tap
	$inside ip link set t0 up
	by_hand net "$ATOLL_LIBEXEC_DIR/atoll-net" --socket-path=sock --tap=t0
}

# bats test_tags=record
@test "A4: atoll-console by hand asks its terminal" {
	by_hand console "$ATOLL_LIBEXEC_DIR/atoll-console" --socket-path=sock --stdio
}

# bats test_tags=record
@test "A4: atoll-undertaker by hand" {
	by_hand undertaker "$ATOLL_LIBEXEC_DIR/atoll-undertaker" --socket-path=sock --type=net
}

# bats test_tags=record
@test "A4: atoll-rng by hand" {
	by_hand rng "$ATOLL_LIBEXEC_DIR/atoll-rng" --socket-path=sock
}
