#!/usr/bin/env bats
# The UART and virtio-console, driven by hand: registers and interrupts, and nothing lost in either direction.
# bats file_tags=guest,user

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
}
teardown() { guest_teardown; }

# pattern COUNT: what the guests send and expect on the UART.
pattern() {
	python3 -c 'import sys
sys.stdout.write("".join("\n" if i % 64 == 63 else chr(97 + i % 23) for i in range(int(sys.argv[1]))))' "$1"
}

# echoes WORDS: types 16 KiB (4 in an emulated machine) into the guest as fast as it takes them; each byte must come back.
echoes() {
	bytes=$(amount 16384 4096)
	guest_config guest-console "echo=$bytes $1"
	vm_start guest vm.yaml
	vm_expect guest 10 '^# echo'
	pattern $bytes >&"$vm_in_guest"
	status=0
	vm_wait guest 60 || status=$?
	grep -E '^(not )?ok' guest.out
	[ $status = 33 ]
	tr -d '\r' <guest.out | sed -n '/^# echo/,/^ok/p' | sed '1d;$d' | head -c $bytes | cmp - <(pattern $bytes)
}

# bats test_tags=quick
@test "registers, loopback, FIFO, every kind of interrupt" {
	guest_config guest-console ''
	guest_run
	guest_passed
}

@test "16 KiB of input, polled: none lost" { echoes ''; }
@test "16 KiB of input, by interrupt: none lost" { echoes interrupts; }

@test "64 KiB of output into a file: none lost" {
	bytes=$(amount 65536 16384)
	guest_config guest-console "flood=$bytes" 'consoles:' '  - {id: serial, type: serial, output: file, path: serial.log}'
	guest_run
	[ "$status" = 33 ]
	tr -d '\r' <serial.log | sed '1d' | head -c $bytes | cmp - <(pattern $bytes)
}

@test "B5: a guest that writes far beyond the bound of a file has two files, with its newest bytes" {
	bytes=$(($(amount 4194304 1048576) + 1000))
	guest_config guest-console "flood-virtio=$bytes" 'consoles:' '  - {id: serial, type: serial, output: stdio}' \
		'  - {id: port, type: virtio, output: file, path: port.log, max-size: 64KiB}'
	vm_start guest vm.yaml
	vm_expect guest 10 '^# flooding'
	# What the audit sees of a file that is being changed for another. (An ordinary user leaves something unread.)
	# An emulated guest has written it all before an audit there has begun.
	for count in 1 2 3 4 5; do
		"$ATOLL" audit guest >audit || [ $? = 1 ] || { [ "$(amount here bed)" = bed ] && break; }
		grep -q '^console port' audit
		! grep DEVIATES audit || return 1
	done
	guest_finished 60
	[ "$(stat -c '%s %a' port.log)" = "1000 600" ]
	[ "$(stat -c '%s %a' port.log.1)" = "65536 600" ]
	[ "$(ls port.log*)" = $'port.log\nport.log.1' ]
	cat port.log.1 port.log | cmp - <(pattern $bytes | tail -c 66536)
}

@test "B5: output beyond a file's bound is dropped when there is no place for it, and that is said once" {
	mkdir shut
	touch shut/port.log
	chmod 555 shut
	bytes=$(amount 4194304 1048576)
	guest_config guest-console "flood-virtio=$bytes" 'consoles:' '  - {id: serial, type: serial, output: stdio}' \
		'  - {id: port, type: virtio, output: file, path: shut/port.log, max-size: 64KiB}'
	guest_run
	chmod 755 shut
	guest_passed
	[ "$(ls shut)" = port.log ]
	cmp shut/port.log <(pattern 65536)
	[ "$(grep -c "guest/port: its file .*/shut/port.log has reached its max-size, and a second file beside it, .*, cannot be made (Permission denied): what the guest writes is dropped" atoll.err)" = 1 ]
}

# bats test_tags=record
@test "virtio-console: 256 KiB each way over a socket" {
	guest_config guest-console 'virtio=262144' 'consoles:' '  - {id: serial, type: serial, output: stdio}' \
		'  - {id: port, type: virtio, output: socket}'
	vm_start guest vm.yaml
	vm_expect guest 10 '^# virtio-console ready'
	python3 - run/guest/console-port <<'END'
import os, socket, sys, threading
want = bytes((i * 7 + i // 256) & 255 for i in range(262144))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(20 * int(os.environ.get("ATOLL_TEST_PATIENCE", "1")))
threading.Thread(target=s.sendall, args=(want,), daemon=True).start()
got = b""
while len(got) < len(want):
    chunk = s.recv(65536)
    if not chunk: break
    got += chunk
sys.exit(0 if got == want else "%d bytes came, of %d" % (len(got), len(want)))
END
	status=0
	vm_wait guest 30 || status=$?
	cat guest.out
	[ $status = 33 ]
}

# serve TYPE OUTPUT: runs a guest that answers on a console of that type and output, and looks for its end by x.
serve() {
	if [ $1 = serial ]; then
		guest_config guest-console serve 'consoles:' "  - {id: port, type: serial, output: $2}"
	else
		guest_config guest-console serve-virtio 'consoles:' '  - {id: serial, type: serial, output: "null"}' \
			"  - {id: port, type: virtio, output: $2}"
	fi
	vm_start guest vm.yaml
	wait_until 10 test -e run/guest/console-port
}

serve_ends() {
	status=0
	vm_wait guest 20 || status=$?
	cat guest.err
	[ $status = 33 ]
}

# host SCRIPT FLOOD: Python that talks to the console: peer() opens it anew, stuck(peer) waits until nothing moves any more.
host() {
	within 60 python3 - run/guest/console-port <<END
import array, errno, fcntl, os, select, socket, stat, sys, termios, time
path = os.path.realpath(sys.argv[1])
patience = int(os.environ.get("ATOLL_TEST_PATIENCE", "1"))
class Peer:
    def __init__(self):
        self.socket = None
        if stat.S_ISSOCK(os.stat(path).st_mode):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(path)
            self.socket.setblocking(False)
            self.fd = self.socket.fileno()
        else:
            self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    def send(self, data):
        while data:
            data = data[os.write(self.fd, data):]
    def paste(self, data):
        "As much of it as is taken, until nothing is for a while."
        while data and select.select([], [self.fd], [], 0.5)[1]:
            try:
                data = data[os.write(self.fd, data):]
            except BlockingIOError:
                pass
        return data
    def waiting(self):
        count = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, count)
        return count[0]
    def read(self, until=None, seconds=15):
        "What comes, up to and with this, or up to the end."
        got, deadline = b"", time.time() + seconds * patience
        while until is None or until not in got:
            if not select.select([self.fd], [], [], max(0, deadline - time.time()))[0]:
                sys.exit("no %r within %d s, but %d bytes, at the end %r" % (until, seconds * patience, len(got), got[-80:]))
            try:
                chunk = os.read(self.fd, 65536)
            except BlockingIOError:
                continue
            if not chunk:
                break
            got += chunk
        return got
    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
    def close(self):
        self.socket.close() if self.socket else os.close(self.fd)
def stuck(peer):
    seen, since = 0, time.time()
    while seen == 0 or time.time() - since < 0.4:
        now = peer.waiting()
        if now != seen:
            seen, since = now, time.time()
        time.sleep(0.02)
def answers(peer):
    "Whether the guest is there, when all that it had to say before has been said."
    peer.send(b"?")
    peer.read(b"<here>")
flood = $2
first = Peer()
answers(first)
$1
last = Peer()
answers(last)
last.send(b"x")
END
}

# D2: the end of input is not the end of output.
half_close_gets_answers() {
	serve $1 socket
	host '
first.close()
for i in range(3):
    peer = Peer()
    peer.send(b"?")
    peer.half_close()
    peer.read(b"<here>")
    peer.close()
peer = Peer()
peer.send(b"F?")
stuck(peer)
peer.half_close()
stuck(peer)
got = peer.read(b"<here>").replace(b"\r", b"")
assert got.count(b"." * 63 + b"\n") == flood // 64, "%d bytes came" % len(got)
peer.close()' $2
	serve_ends
}
@test "D2: a client that ends its input gets its answers, on a serial port" { half_close_gets_answers serial 4096; }
@test "D2: a client that ends its input gets its answers, on a virtio console" { half_close_gets_answers virtio 524288; }

# D2: who goes while output waits for him does not keep the guest. (A bare-metal guest's serial port is too slow to fill what
# the host has room for; for it, this is in test_serial.c.)
@test "D2: a client that goes while output waits for it does not keep a virtio console" {
	serve virtio socket
	host '
first.send(b"F")
stuck(first)
first.half_close()
stuck(first)
first.close()
peer = Peer()
answers(peer)
peer.send(b"F")
stuck(peer)
peer.close()' 524288
	serve_ends
}

@test "D2: a reader that goes in a flood does not keep a virtio console's pty" {
	serve virtio pty
	host '
for i in range(5):
    first.send(b"F")
    stuck(first)
    first.close()
    first = Peer()
    answers(first)
first.close()' 524288
	serve_ends
}

@test "D2: a paste that is closed in its middle does not keep a virtio console's pty" {
	serve virtio pty
	host '
for i in range(5):
    first.send(b"F")
    stuck(first)
    rest = first.paste(b"a" * 100000)
    assert rest, "the guest took all of it"
    first.close()
    first = Peer()
    answers(first)
first.close()' 524288
	serve_ends
}
