#!/usr/bin/env bats
# What a process that a guest has taken over tells its supervisor, and what it gets for a call that it may not make.
# Processes that do so on purpose stand in the places of real ones (helpers/fake_child.c).
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; }
teardown() { vm_teardown; }

# of ROLE KEY: a value of the first process of that role, from the list.
of() { "$atoll" list --json | jq -r "[.[0].processes[] | select(.role == \"$1\")][0].$2"; }

is() { [ "$(of "$1" "$2")" = "$3" ]; }

# disk YAML: a VM with a disk that is a fake one in its mode; more YAML.
disk() {
	truncate -s 1M image
	config bad h <<<$'disks:\n  - {id: root, path: image}\n'"${1:-}"
	rm -f log
	"$atoll" run --detach --log-file=log bad.yaml 2>err
}

end() {
	within 10 "$atoll" kill bad
	nothing_left bad
}

# --- on-violation (F5) ---

call='main called openat\(.*\), which blk\.main\.policy does not allow; see atoll policy explain blk\.main openat'

@test "F5: a device that calls what it may not is failed at once, with the call's name, and revived by a command" {
	fake blk=asked
	disk
	wait_until 5 is blk state failed
	cat log
	grep -qE "atoll-blk: bad/root was ended by its filter: $call; the device is failed, for its process called what it may not \(on-violation: fail\); the VM goes on; revive it with \"atoll restart bad root\"" log
	is blk restarts 0
	[[ "$(of blk trouble)" == "was ended by its filter: main called openat("* ]]
	running bad
	is console state running
	fake
	"$atoll" restart bad root
	is blk state running
	end
}

@test "F5: restart, for the VM or for a device, restarts it as after a crash; a device's own word counts" {
	fake blk=asked
	disk $'on-violation: restart\nrestart: {backoff: 1ms, limit: 2}'
	wait_until 10 is blk state failed
	cat log
	[ "$(grep -cE "bad/root was ended by its filter: $call; its successor starts" log)" = 2 ]
	grep -q "the device is failed, after 2 restarts within 60 s" log
	end
	truncate -s 1M image
	config bad h <<<$'on-violation: hold\ndisks:\n  - {id: root, path: image, on-violation: fail}'
	"$atoll" run --detach --log-file=log2 bad.yaml
	wait_until 5 is blk state failed
	running bad
	end
}

@test "F5: hold pauses the VM; restart and resume bring both back, resume alone fails the device" {
	fake blk=asked
	disk "on-violation: hold"
	wait_until 5 is blk state held
	cat log
	running bad paused
	grep -qE "bad/root was ended by its filter: $call; the device has no process and the VM is paused \(on-violation: hold\); " log
	is blk restarts 0
	fake
	"$atoll" restart bad root
	is blk state running
	running bad paused
	"$atoll" resume bad
	running bad
	fake blk=asked
	"$atoll" restart bad root
	wait_until 5 is blk state held
	running bad paused
	"$atoll" resume bad
	running bad
	is blk state failed
	grep -q "the device is failed, for the VM was resumed without it" log
	end
}

# --- its own filter, before it serves (H) ---

@test "H: a process that its filter ends before it serves names both libraries, and its device's budget stays whole" {
	fake blk=library
	truncate -s 1M image
	config bad <<<$'disks:\n  - {id: root, path: image}'
	run --separate-stderr within 20 "$atoll" run bad.yaml </dev/null
	echo "$stderr"
	[ "$status" = 1 ]
	fits="; it had not served yet: the policy blk.main of Atoll $("$atoll" --version | cut -d' ' -f2) and the C library do not fit (built with glibc 2.36, runs with glibc 2.99); install an Atoll that knows this library"
	grep -qF "$fits" <<<"$stderr"
	nothing_left bad
	# Under a running guest: a planned replacement, and a process that died.
	for mode in library vague early; do
		for how in restart kill; do
			fake
			disk $'on-violation: restart\nrestart: {backoff: 1ms, limit: 5}'
			fake blk=$mode
			if [ $how = restart ]; then
				run --separate-stderr "$atoll" restart bad root
				[ "$status" = 1 ]
				[[ $stderr == "atoll: bad: root: the device is failed: its process was ended by its filter"* ]]
			else
				kill -9 "$(of blk pid)"
			fi
			wait_until 5 is blk state failed
			cat log
			grep -qE "bad/root was ended by its filter.*; the device is failed, and no restart is tried: it ended before it served; the VM goes on" log
			[ $mode = vague ] || grep -qE "and the C library do not fit \(built with glibc [0-9.]+, runs with glibc [0-9.]+\)" log
			running bad
			# The one after the kill is all that was counted.
			[ "$(grep -c "its successor starts" log)" = "$([ $how = kill ] && echo 1 || echo 0)" ]
			fake
			"$atoll" restart bad root
			is blk state running
			end
		done
	done
}

@test "H: an undertaker that its filter ends before it serves is not tried again, and that is said" {
	fake blk=asked undertaker=library
	disk
	# It does so when it is asked for its counters.
	wait_until 5 is blk state failed
	wait_until 10 grep -q "nobody answers the guest for this device" log
	cat log
	grep -qE "atoll-undertaker: bad/root was ended by its filter: .*it had not served yet: .*, and no other is tried; nobody answers the guest for this device; revive it with \"atoll restart bad root\"" log
	! grep -q "another takes its place" log
	running bad
	end
}

# --- counters and texts (F3), answers that nobody asked for (F4) ---

@test "F3: as many long counters as there may be, of each of many devices, are listed and audited" {
	fake blk=many console=many
	truncate -s 1M image{1,2,3,4,5,6,7}
	config bad h <<-END
		disks:
		$(for i in 1 2 3 4 5 6 7; do echo "  - {id: disk$i, path: image$i}"; done)
	END
	"$atoll" run --detach --log-file=log bad.yaml
	within 10 "$atoll" list --json >list
	[ "$(jq '.[0].processes | length' list)" = 10 ]
	[ "$(jq '[.[0].processes[] | select(.role == "blk") | .id] | unique | length' list)" = 7 ]
	[ "$(jq '.[0].processes[] | select(.role == "blk" or .role == "console") | .counters | length' list | sort -u)" = 256 ]
	# It finds that they are no real ones.
	run --separate-stderr within 30 "$atoll" audit --json bad
	echo "$stderr"
	[ "$status" = 1 ]
	[ "$(jq '.processes | length' <<<"$output")" = 12 ]
	end
}

@test "F3: counters that there cannot be cost the process that tells them its life" {
	for mode in more odd; do
		fake blk=$mode
		disk 'restart: {policy: never}'
		wait_until 5 is blk state failed
		grep -q "bad/root was killed: it told counters that there cannot be; " log
		running bad
		end
	done
}

@test "F3: text that is no UTF-8 makes no process vanish from the list" {
	fake blk=latin
	disk 'restart: {policy: never}'
	wait_until 5 is blk state failed
	is blk trouble 'ended with status 7: "caf\xe9"'
	# With the undertaker of the failed one.
	count() { [ "$("$atoll" list --json | jq '.[0].processes | length')" = 5 ]; }
	wait_until 5 count
	end
	# A thread has a name; else it is a violation that there cannot be.
	fake blk=bytes
	run --separate-stderr within 20 "$atoll" run bad.yaml </dev/null
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == *"bad/root was killed: it told of a violation that there cannot be"* ]]
	nothing_left bad
}

@test "F4: counters that nobody asked for get their sender killed" {
	fake blk=gossip
	disk $'restart: {policy: never}\nheartbeat: '$((400 * patience))ms
	wait_until 5 is blk state failed
	cat log
	grep -q "bad/root was killed: it told its counters, and was not asked for them; " log
	running bad
	end
}

@test "B5: a process that says over and over that its file is full, and it is not, costs itself its life" {
	local console
	for console in 'output: file, path: out, max-size: 64KiB' 'output: file, path: out, max-size: unlimited' 'output: pty'; do
		fake console=full
		config bad h <<<$'consoles:\n  - {id: a, '"$console"$'}\nrestart: {policy: never}\nheartbeat: '$((400 * patience))ms
		rm -f log
		"$atoll" run --detach --log-file=log bad.yaml
		wait_until 5 is console state failed
		cat log
		grep -q "bad/a was killed: it told of a full file that it has not, or has told of; " log
		running bad
		[ ! -e out.1 ]
		end
	done
	fake blk=full
	disk $'restart: {policy: never}\nheartbeat: '$((400 * patience))ms
	wait_until 5 is blk state failed
	grep -q "bad/root was killed: it told of a full file that it has not, or has told of; " log
	end
}

@test "F4: a core cannot answer for a device that is being replaced" {
	fake core=answerer
	disk
	run --separate-stderr within 20 "$atoll" restart bad root
	echo "$status: $stderr"
	[ "$status" = 1 ]
	[[ $stderr != "" ]]
	wait_until 10 grep -q "atoll-core: bad was killed: it answered a heartbeat that it was not asked for" log
	wait_until 10 nothing_left bad
}

@test "F4: a core that tells twice that it serves a device is killed, and does not fill the log" {
	fake core=eager
	disk
	"$atoll" restart bad root || :
	wait_until 10 grep -q "atoll-core: bad was killed: it told of a device's wire what cannot be" log
	wait_until 10 nothing_left bad
}
