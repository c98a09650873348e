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
