#!/usr/bin/env bats
# Issue 9, 5: devices are attached to a core that has sealed itself, whose guest runs, and detached from it: with the
# policies that it has always had, and with nothing left behind. The guest finds them by looking at the bus.
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	. "$BATS_TEST_DIRNAME/core.bash"
	guest_setup
	core_setup
	blk="exec $ATOLL_LIBEXEC_DIR/atoll-blk --fd=4"
	serial=0
}

teardown() { core_teardown; }

# start CMDLINE [OPTION...]: a sealed core, with a serial port and whatever else the options say.
start() {
	local cmdline=$1
	shift
	"$helpers/core_harness" -s -d -m 64 -a "$cmdline patience=$patience" \
		-D "serial:serial:$ATOLL_LIBEXEC_DIR/atoll-console $PWD/console" "$@" \
		"$core" "$guests/guest-attach" <orders >out 2>err 9>&- &
	harness=$!
	told '^core ' 20
	pid=$(sed -n 's/^core //p' out)
}

guest_says() { told "$1" "${2:-30}" console; }

# order LINE: one that is answered; its answer is in $answer.
order() {
	serial=$((serial + 1))
	echo "$1" >&9
	told "^reply [^ ]* $serial " "${2:-20}"
	answer=$(sed -n "s/^reply [^ ]* $serial //p" out)
	echo "$1: ${answer:-done}"
}

done_order() { order "$@"; [ -z "$answer" ]; }

# refused LINE PATTERN [SECONDS]: why.
refused() { order "$1" "${3:-20}"; [[ $answer == $2 ]]; }

# kept: what the core has, a line a kind.
kept() {
	local link
	for link in /proc/"$pid"/fd/*; do readlink "$link"; done | sed 's/[0-9]\{3,\}/N/g' | sort | uniq -c
	echo "$(ls /proc/"$pid"/task | wc -l) threads"
	grep -c '' /proc/"$pid"/maps | sed 's/$/ mappings/'
}

resident() { awk '/^VmRSS/ { print $2 }' /proc/"$pid"/status; }

# ended: the guest ended as one does whose tests passed.
ended() {
	wait $harness
	harness=
	grep -v '^ok' console | tail -n 20
	tail -n 5 err
	grep -q '^end KIND_DEBUG_EXIT 33' out
	! grep -qE '^(not ok|Bail out)' console
}

# round N [NAME]: a disk comes and goes.
round() {
	done_order "add blk:root:$blk --blk-file=root.img"
	guest_says "^# round $1: attached"
	done_order "remove root"
	guest_says "^# round $1: detached"
}

@test "5: a disk is attached to a sealed core and detached from it, fifty times, and nothing is left behind" {
	local before after resident
	start 'rounds=51 others=1' -D "blk:second:$blk --blk-file=second.img"
	round 1
	# The vCPU's thread, the main one and all attendants have put on their filters.
	[ "$(grep -h '^Seccomp:' /proc/"$pid"/task/*/status | sort -u | awk '{ print $2 }')" = 2 ]
	before=$(kept)
	resident=$(resident)
	echo "$before"
	for n in $(seq 2 50); do round "$n"; done
	after=$(kept)
	echo "resident: $resident KiB, then $(resident) KiB"
	diff <(echo "$before") <(echo "$after")
	# What one disk's registers, rings and link take is some 20 KiB: fifty times that would show.
	[ "$(resident)" -lt $((resident + 512)) ]
	round 51
	ended
	! grep -qE 'KIND_(GONE|BROKEN)' out
}

@test "5: a disk that was there from the beginning is detached, and attached again" {
	start 'rounds=3' -D "blk:root:$blk --blk-file=root.img"
	guest_says '^# round 1: attached'
	done_order "remove root"
	guest_says '^# round 1: detached'
	round 2
	round 3
	ended
}

@test "5: detached while its process is gone, or silent: vCPUs that wait for it go on, and the next one works" {
	start 'rounds=3 others=1' -D "blk:second:$blk --blk-file=second.img"
	done_order "add blk:root:$blk --no-sandbox --blk-file=root.img"
	guest_says '^# round 1: attached'
	echo "kill root" >&9
	told '^device root KIND_GONE'
	# It is in an access of its configuration, which waits for a successor.
	done_order "remove root"
	guest_says '^# round 1: detached'
	done_order "add blk:root:$blk --no-sandbox --blk-file=root.img"
	guest_says '^# round 2: attached'
	echo "stop root" >&9
	done_order "remove root" 40
	guest_says '^# round 2: detached' 40
	round 3
	ended
}

@test "5: a successor of a disk that was attached later" {
	start 'rounds=1 calm'
	done_order "add blk:root:$blk --no-sandbox --blk-file=root.img"
	guest_says '^# round 1: attached'
	echo "kill root" >&9
	told '^device root KIND_GONE 1 '
	echo "attach root" >&9
	serial=$((serial + 1))
	# By hand a successor may find the image locked by what is left of its predecessor.
	until told "^device root KIND_SERVING $serial " 2; do
		echo "attach root" >&9
		serial=$((serial + 1))
	done
	done_order "remove root"
	guest_says '^# round 1: detached'
	ended
}

@test "5: what is wrong is refused, and harms nothing" {
	start 'rounds=2 others=1' -D "blk:second:$blk --blk-file=second.img"
	refused "try second 2 1 deaf" "there is a device of this id; detach it first"
	refused "try serial 2 1 deaf" "there is a device of this id; detach it first"
	refused "try new 2 1 none" "with it comes one descriptor, the core's end of its wire"
	refused "try new 2 1 two" "with it comes one descriptor, the core's end of its wire"
	refused "try new 0 0 deaf" "a serial port is there from the beginning, or not at all"
	refused "try new 77 0 deaf" "it has a type that is not known"
	refused "try new 2 65 deaf" "it is to have more queues than a device can have"
	refused "try a/b 2 1 deaf" "it has an id that no device can have"
	refused "try new 2 1 null" "its process cannot be connected: *"
	refused "try new 2 1 closed" "its process cannot be connected: its process is gone"
	refused "remove new" "there is no device of this id"
	refused "remove serial" "a serial port cannot be detached"
	round 1
	# As many at one time as there is room for: those that nobody answers are given up after ten seconds.
	for n in 1 2 3 4 5 6 7 8; do
		echo "try deaf$n 2 1 deaf" >&9
		serial=$((serial + 1))
	done
	refused "remove deaf8" "it is still being attached"
	refused "try late 2 1 deaf" "as many devices were attached as the core has room for; detach one"
	for n in 1 2 3 4 5 6 7 8; do told "^reply deaf$n [0-9]* its process cannot be connected: its process does not answer" 40; done
	round 2
	ended
}
