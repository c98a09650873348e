#!/usr/bin/env bats
# A console's process is killed over and over while bytes go through it, each way: none is lost, none comes in another
# order, and none twice but those of a write(2) that the process did not live to note. docs/restart.md has the promise.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
}
teardown() { guest_teardown; }

generous='restart: {backoff: 1ms, limit: 1000}'

# torture WHAT DEVICE KILLS TWICE BYTES: runs vm.yaml, feeds it with what its guest expects of WHAT, and kills the process of DEVICE so
# many times while it goes on. Then compares what came; TWICE: yes if a write to the host may be seen twice.
torture() {
	within 100 python3 - "$@" <<'END'
import json, os, re, signal, socket, subprocess, sys, threading, time

what, device, kills, twice = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "yes"
amount = int(sys.argv[5])
letters = bytes(10 if i % 64 == 63 else 97 + i % 23 for i in range(amount))
numbers = bytes((i * 7 + i // 256) & 255 for i in range(amount))
atoll = os.environ["ATOLL"]
patience = int(os.environ.get("ATOLL_TEST_PATIENCE", "1"))
vm = subprocess.Popen([atoll, "run", "vm.yaml"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      stderr=open("atoll.err", "wb"))
got = bytearray()
more = threading.Condition()

def read_output():
    while chunk := os.read(vm.stdout.fileno(), 65536):
        with more:
            got.extend(chunk)
            more.notify_all()
    with more:
        more.notify_all()

threading.Thread(target=read_output, daemon=True).start()

def wait_for(condition, seconds, why):
    deadline = time.monotonic() + seconds * patience
    with more:
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or (vm.poll() is not None and not more.wait(0.5) and not condition()):
                vm.kill()
                sys.exit("%s; %d bytes came, the last: %r" % (why, len(got), bytes(got[-200:])))
            more.wait(min(left, 0.2))

def process():
    machine = json.loads(subprocess.run([atoll, "list", "--json"], capture_output=True, check=True).stdout)[0]
    return next(p for p in machine["processes"] if p["id"] == device)

def kill():
    before = process()
    assert before["state"] == "running" and before["pid"] > 0, before
    if "REPLACE" in os.environ:
        subprocess.run([atoll, "restart", "guest", device], check=True)
        return
    os.kill(before["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 10 * patience
    while (now := process())["state"] != "running" or now["restarts"] == before["restarts"]:
        assert time.monotonic() < deadline, now

def without_repeats(came, want):
    """How often a stretch of `want` comes again at once; None if something is missing or wrong."""
    repeats, at, i = 0, 0, 0
    while i < len(came):
        if at < len(want) and came[i] == want[at]:
            i, at = i + 1, at + 1
            continue
        # Back to where the rest of it goes on longest.
        piece = bytes(came[i:i + 256])
        back = want.rfind(piece, 0, at + len(piece) - 1)
        if back < 0 or back >= at:
            return None
        repeats, at = repeats + 1, back
    return repeats if at == len(want) else None

def send(data):
    view = memoryview(data)
    while view:
        view = view[os.write(vm.stdin.fileno(), view):]

# Behind an empty line, which our bytes have not.
verdict = re.compile(rb"\r?\n(1\.\.|(not )?ok )")
status = None
if what == "echo":
    want = letters
    wait_for(lambda: b"# echo" in got and got.count(b"\n", got.index(b"# echo")) > 0, 20, "no guest")
    start = got.index(b"\n", got.index(b"# echo")) + 1
    piece = len(want) // (kills + 1) + 1
    for i in range(0, len(want), piece):
        part = want[i:i + piece]
        send(part)
        # In the middle of it.
        wait_for(lambda: len(got) - start >= i + len(part) // 3, 30, "the echo stopped")
        if i + piece < len(want):
            kill()
    wait_for(lambda: verdict.search(got, start), 30, "no verdict")
    came = bytes(got[start:verdict.search(got, start).start()]).replace(b"\r", b"")
elif what == "rotate":
    # The supervisor is held while the process asks it for the next file; then the process dies. What is full is moved away:
    # that is its owner's right.
    want = letters
    bound = 65536
    parts = []
    deadline = time.monotonic() + 90 * patience
    size = lambda name: os.stat(name).st_size if os.path.exists(name) else 0
    def archive():
        if size("serial.log.1") == bound:
            parts.append(open("serial.log.1", "rb").read())
            os.rename("serial.log.1", "part.%d" % len(parts))
    def go_on(condition):
        while not condition():
            archive()
            assert time.monotonic() < deadline and vm.poll() is None, "the flood stopped"
            time.sleep(0.005)
    for i in range(kills):
        part = len(parts)
        go_on(lambda: size("serial.log") > bound // 2)
        kill()
        go_on(lambda: size("serial.log") > bound * 9 // 10)
        before = process()
        os.kill(vm.pid, signal.SIGSTOP)
        go_on(lambda: size("serial.log") == bound)
        time.sleep(0.02 if i % 2 else 0)  # not for anything: it dies before it asks, or behind it
        os.kill(before["pid"], signal.SIGKILL)
        os.kill(vm.pid, signal.SIGCONT)
        go_on(lambda: len(parts) > part and process()["state"] == "running")
    while vm.poll() is None:
        archive()
        assert time.monotonic() < deadline, "no end"
        time.sleep(0.005)
    archive()
    status = vm.returncode
    came = b"".join(parts) + open("serial.log", "rb").read()
    assert len(parts) >= kills and all(len(part) == bound for part in parts), [len(part) for part in parts]
    came = came.replace(b"\r", b"").split(b"\n", 1)[1]
    came = came[:verdict.search(came).start()]
elif what == "flood":
    want = letters
    deadline = time.monotonic() + 60 * patience
    for i in range(kills):
        while not os.path.exists("serial.log") or os.stat("serial.log").st_size < (i + 1) * len(want) // (kills + 2):
            assert time.monotonic() < deadline and vm.poll() is None, "the flood stopped"
        kill()
    status = vm.wait(60 * patience)
    came = open("serial.log", "rb").read().replace(b"\r", b"").split(b"\n", 1)[1]
    came = came[:verdict.search(came).start()]
else:
    want = numbers
    ready = time.monotonic() + 20 * patience
    while not os.path.exists("serial.log") or b"# virtio-console ready" not in open("serial.log", "rb").read():
        assert time.monotonic() < ready and vm.poll() is None, "no guest"
    piece = len(want) // (kills + 1) + 1
    feeder = None
    for i in range(0, len(want), piece):
        if feeder:
            feeder.join()
        feeder = threading.Thread(target=send, args=(want[i:i + piece],), daemon=True)
        feeder.start()
        wait_for(lambda: len(got) >= min(i, len(want) - 1) // 2, 30, "nothing came")
        if i + piece < len(want):
            kill()
    feeder.join()
    status = vm.wait(60 * patience)
    wait_for(lambda: len(got) >= len(want), 10, "bytes are missing")
    came = bytes(got)

if status is None:
    status = vm.wait(30 * patience)
repeats = without_repeats(came, want)
print("# %s: %d kills, %d bytes, %s repeats" % (what, kills, len(came), repeats))
if status != 33 or repeats is None or repeats > (kills if twice else 0):
    first = next((i for i, (a, b) in enumerate(zip(came, want)) if a != b), min(len(came), len(want)))
    print(bytes(got[-400:]))
    sys.exit("status %d; %d bytes for %d, other from %d on: %r for %r" %
             (status, len(came), len(want), first, came[first:first + 40], want[first:first + 40]))
END
	local result=$?
	cat atoll.err
	return $result
}

@test "16 KiB of input, polled, and 10 kills of the UART's process" {
	bytes=$(amount 16384 4096)
	guest_config guest-console "echo=$bytes" "$generous"
	torture echo serial $(amount 10 5) yes $bytes
}

@test "16 KiB of input, by interrupt, and 10 kills of the UART's process" {
	bytes=$(amount 16384 4096)
	guest_config guest-console "echo=$bytes interrupts" "$generous"
	torture echo serial $(amount 10 5) yes $bytes
}

@test "64 KiB of output into a file, and 10 kills of the UART's process: exactly once" {
	bytes=$(amount 65536 16384)
	guest_config guest-console "flood=$bytes" "$generous" 'consoles:' '  - {id: serial, type: serial, output: file, path: serial.log}'
	torture flood serial $(amount 10 5) no $bytes
}

@test "B5: a file that reaches its bound over and over, and kills of the UART's process while it is changed: exactly once" {
	kills=$(amount 2 1)
	bytes=$((65536 * kills + 20000))
	guest_config guest-console "flood=$bytes" "$generous" 'consoles:' \
		'  - {id: serial, type: serial, output: file, path: serial.log, max-size: 64KiB}'
	torture rotate serial $kills no $bytes
}

@test "virtio-console: 256 KiB each way, and 10 kills of its process" {
	guest_config guest-console 'virtio=262144' "$generous" 'consoles:' '  - {id: serial, type: serial, output: file, path: serial.log}' \
		'  - {id: port, type: virtio, output: stdio}'
	torture virtio port $(amount 10 5) yes 262144
	grep -q '^ok' serial.log
	! grep -q '^not ok' serial.log
}

@test "a planned replacement of the UART's process is not seen at all" {
	bytes=$(amount 16384 4096)
	guest_config guest-console "echo=$bytes interrupts" "$generous"
	REPLACE=1 torture echo serial 5 no $bytes
}
