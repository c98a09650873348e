#!/usr/bin/env bats
# Who opens what: once all processes of a VM are ready, none of them but the supervisor names a path to the kernel any
# more. (That the data path makes no exit to the core is asserted from its counters, in guest-blk.bats and
# guest-net.bats.)

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	command -v strace >/dev/null || skip "strace is not installed"
}
teardown() { guest_teardown; }

# The last thing that a process sends before it serves: an Envelope with an empty Ready (proto/control.proto).
ready='\\362\\1\\0'

@test "after ready no process but the supervisor opens a path" {
	for disk in root second; do guest_disk $disk.img; done
	guest_config guest-blk '' 'disks:' '  - {id: root, path: root.img}' '  - {id: second, path: second.img}' \
		'consoles:' '  - {id: serial, type: serial, output: stdio}' '  - {id: port, type: virtio, output: socket}'
	guest_run strace -f -s 64 -e trace=%file,sendmsg -o trace
	[ "$status" = 33 ]
	supervisor=$(awk '{ print $1; exit }' trace)
	# Six: the core, two disks, two consoles, an entropy source. A call that strace saw begin and end apart counts where it began.
	grep "sendmsg(.*$ready" trace >readies
	cat readies
	[ "$(awk '{ print $1 }' readies | sort -u | wc -l)" = 6 ]
	awk -v supervisor="$supervisor" -v ready='\\\\362\\\\1\\\\0' '
		/sendmsg\(/ { if ($0 ~ ready) { last = NR; ready_count++ } next }
		/ (\+\+\+|---) / || /resumed>/ { next }
		# fstat(2), as the C library spells it: a descriptor, no path.
		/newfstatat\([0-9]+, "", .*AT_EMPTY_PATH/ { next }
		$1 != supervisor { calls[NR] = $0 }
		END {
			for (line in calls) { if (line + 0 > last) { print "after ready: " calls[line]; after++ } else before++ }
			# Programs start by opening libraries: a trace without that shows nothing.
			print before " calls before, " after + 0 " after"
			exit !(ready_count >= 6 && before >= 5 && after == 0)
		}' trace
}
