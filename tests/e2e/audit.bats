#!/usr/bin/env bats
# atoll audit on running VMs: in order, and with something changed that it must name.
# bats file_tags=guest

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; real=${ATOLL_LIBEXEC_DIR:?}; }
teardown() {
	[ -z "$user" ] || { kill -9 "$(cat "$user/run/hall/pid")"; rm -rf "$user"; } 2>/dev/null || :
	vm_teardown
}

# vm NAME [OPTION...]: starts a VM with two processors, a disk and two consoles.
vm() {
	local name=$1
	shift
	truncate -s 1M image
	config "$name" h <<-END
		cpus: 2
		disks:
		  - {id: root, path: image}
		consoles:
		  - {id: serial, type: serial, output: pty}
		  - {id: port, type: virtio, output: socket}
	END
	"$atoll" run --detach --log-file=log "$@" "$name.yaml"
}

root_only() { [ "$(id -u)" = 0 ] || skip "filters are read by root only"; }

# audited VERDICT STATUS: audits hall both ways; the JSON is in audit.json, the table in audit.txt.
audited() {
	local status=0
	"$atoll" audit hall >audit.txt || status=$?
	cat audit.txt
	[ "$status" = "$2" ]
	"$atoll" audit --json hall >audit.json || status=$?
	[ "$status" = "$2" ]
	[ "$(jq -r .verdict audit.json)" = "$1" ]
	[ "$(tail -n 1 audit.txt | grep -c "^hall: ")" = 1 ] || [ "$1" = unread ]
}

# deviating: the processes that deviate, one a line.
deviating() { jq -r '.processes[] | select(.verdict == "deviates") | .role + " " + .id' audit.json; }

# bats test_tags=quick
@test "every process and thread of a VM is as written" {
	root_only
	vm hall
	audited as-written 0
	grep -q "^hall: all as written: [0-9]* as written, [0-9]* inferred, 0 unread, 0 deviating$" audit.txt
	# Nothing was left out: processes, their threads, their descriptors.
	[ "$(jq -c '[.processes[].pid] | sort' audit.json)" = "$("$atoll" list --json | jq -c '[.[0].pid, .[0].starter, .[0].processes[].pid] | sort')" ]
	for pid in $(jq '.processes[].pid' audit.json); do
		[ "$(jq -c ".processes[] | select(.pid == $pid) | [.threads[].tid] | sort" audit.json)" = \
			"[$(ls "/proc/$pid/task" | sort -n | paste -sd,)]" ]
		[ "$(jq ".processes[] | select(.pid == $pid) | .checks | length" audit.json)" -ge 12 ]
	done
	# The filters in the kernel bear their names; a vCPU's is its own.
	jq -r '.processes[] | .role as $role | .threads[] | $role + " " + .name + " " + ([.seccomp.filters[]?.name] | join(","))' audit.json >worn
	cat worn
	grep -qx "supervisor main supervisor-sealed.main,supervisor.main" worn
	grep -qx "starter main supervisor.main" worn
	grep -qx "core main core.main,core.process,supervisor.main" worn
	grep -qx "core vcpu1 core.vcpu,core.process,supervisor.main" worn
	grep -qx "core attendant core.attendant,core.process,supervisor.main" worn
	grep -qx "blk queue-0 blk.queue,blk.process,supervisor.main" worn
	[ "$(grep -cx "console main console.main,supervisor.main" worn)" = 2 ]
	grep -q "filters vcpu1 .*its own descriptor [0-9]* is anon_inode:kvm-vcpu:1 " audit.txt
	# A disk has its image and no other.
	[ "$(jq -r '.processes[] | select(.role == "blk") | .descriptors[] | select(.kind == "file") | .target' audit.json)" = "$(realpath image)" ]
	"$atoll" kill hall
	nothing_left hall
}

@test "a device that was replaced is as written, whether it died or was told to end" {
	root_only
	vm hall
	blk() { "$atoll" list --json | jq '.[0].processes[] | select(.id == "root") | .pid'; }
	another() { local now=$(blk); [ "$now" != 0 ] && [ "$now" != "$before" ] && running hall && "$atoll" list | grep -q 'blk root .* running  restarted'; }
	before=$(blk)
	kill -9 "$before"
	wait_until 10 another
	audited as-written 0
	jq -r '.processes[] | select(.role == "blk") | .threads[] | .name + " " + ([.seccomp.filters[]?.name] | join(","))' audit.json >worn
	grep -qx "queue-0 blk.queue,blk.process,supervisor.main" worn
	grep -qx "main blk.main,blk.process,supervisor.main" worn
	# With its witnesses (restart.md): no guest has flushed.
	[ "$(jq -r '.processes[] | select(.role == "blk") | .descriptors[] | select(.kind == "file") | .target' audit.json)" = \
		"$(printf '%s\n' "$(realpath image)"{,,})" ]
	before=$(blk)
	"$atoll" restart hall root
	[ "$(blk)" != "$before" ]
	audited as-written 0
	"$atoll" restart hall serial
	audited as-written 0
	"$atoll" kill hall
	nothing_left hall
}

@test "a device without its sandbox is named, and no other" {
	root_only
	vm hall --no-sandbox=root
	audited deviates 1
	[ "$(deviating)" = "blk root" ]
	for subject in sandbox filters capabilities user namespaces root; do
		jq -e ".processes[] | select(.role == \"blk\") | .checks | any(.subject == \"$subject\" and .verdict == \"deviates\")" audit.json
	done
	grep -q "^hall: deviates from what is written: " audit.txt
	"$atoll" kill hall
}

@test "F1: a core that has a file on 1 and 2 is named, whatever the supervisor or the core says its log is" {
	root_only
	mkdir libexec
	for program in "${ATOLL_LIBEXEC_DIR:?}"/atoll-*; do
		[ "${program##*/}" = atoll-core ] || ln -s "$program" libexec/
	done
	echo "root:*:" >shadow
	cat >libexec/atoll-core <<-END
		#!/bin/sh
		exec 1<>$PWD/shadow 2>&1
		exec $ATOLL_LIBEXEC_DIR/atoll-core
	END
	chmod +x libexec/atoll-core
	ATOLL_LIBEXEC_DIR=$PWD/libexec vm hall --no-sandbox=core
	audited deviates 1
	[ "$(deviating)" = "core " ]
	jq -r '.processes[] | select(.role == "core") | .checks[] | select(.subject == "descriptors" and .verdict == "deviates") | .text' audit.json >text
	cat text
	grep -qF "0 log (written: 2)" text
	grep -qF "other $PWD/shadow" text
	"$atoll" kill hall
}

# finds ROLE SUBJECT TEXT: a check of the subject deviates for that process, and says so.
finds() {
	jq -r ".processes[] | select(.role == \"$1\") | .checks[] | select(.subject == \"$2\" and .verdict == \"deviates\") | .text" audit.json >text
	cat text
	grep -qF -- "$3" text
}

# disk OPTION...: hall with one disk of these further keys, served by a fake_child of libexec.
disk() {
	truncate -s 1M image
	chmod 666 image
	config hall h <<<"disks: [{id: root, path: image$1}]"
	"$atoll" run --detach --log-file=log hall.yaml
	running hall
	! grep "it cannot be" log
}

@test "F2: a descriptor that was sent and not received is found" {
	root_only
	fake blk=sender
	disk ""
	audited deviates 1
	finds blk "in flight" "1 descriptor sent to "
	[ "$(jq '.processes[] | select(.role == "blk") | [.descriptors[] | .target] | map(select(endswith("/image"))) | length' audit.json)" = 0 ]
	! finds core "in flight" ""
	"$atoll" kill hall
}

@test "F2: an image that is mapped is found, open or not" {
	root_only
	fake blk=mapper
	disk ""
	audited deviates 1
	finds blk memory "$(realpath image) is mapped shared to write (written: not)"
	! finds core memory ""
	"$atoll" kill hall
}

@test "F2: a read-only disk's image that is open to write is found" {
	root_only
	fake blk=opener
	disk ", readonly: true"
	audited deviates 1
	finds blk descriptors "($(realpath image)) is open read-write (written: read-only)"
	"$atoll" kill hall
	# A real one has it as its config says.
	export ATOLL_LIBEXEC_DIR=$real
	"$atoll" run --detach --log-file=log hall.yaml
	audited as-written 0
	"$atoll" kill hall
}

@test "F2: a process outside of the VM that is in a namespace of one of its processes is found" {
	root_only
	vm hall
	audited as-written 0
	blk=$("$atoll" list --json | jq '.[0].processes[] | select(.id == "root") | .pid')
	for kind in net ipc uts; do
		nsenter -t "$blk" --$kind=/proc/$blk/ns/$kind sleep 600 3>&- &
		other=$!
		inside() { [ "$(readlink /proc/$other/ns/$kind)" = "$(readlink "/proc/$blk/ns/$kind")" ]; }
		wait_until 5 inside
		audited deviates 1
		[ "$(deviating)" = "blk root" ]
		finds blk namespaces "process $other outside of the VM is in its $kind (written: nobody)"
		kill $other
		wait $other || :
	done
	audited as-written 0
	"$atoll" kill hall
}

@test "F2: the supervisor has nothing open but what is written, whoever started it" {
	root_only
	echo secret >shadow
	exec 9<>shadow
	vm hall
	exec 9>&-
	audited as-written 0
	! jq -e '.processes[] | .descriptors[] | select(.kind == "other")' audit.json
	supervisor=$(jq '.processes[0].pid' audit.json)
	! ls -l "/proc/$supervisor/fd" | grep shadow
	[ "$(jq -r '.processes[0].descriptors[] | select(.kind == "boot") | .target' audit.json)" = "$(realpath kernel)" ]
	# What a failed device had is kept for it, and is all that is kept.
	"$atoll" kill hall
	sed -i "s/id: root,/id: root, restart: {policy: never},/" hall.yaml
	"$atoll" run --detach --log-file=log hall.yaml
	kill -9 "$("$atoll" list --json | jq '.[0].processes[] | select(.id == "root") | .pid')"
	buried() { "$atoll" list | grep -q "undertaker root .* running"; }
	wait_until 10 buried
	audited as-written 0
	jq -e '.processes[0].descriptors[] | select(.kind == "file" and .role == "kept for a device")' audit.json
	"$atoll" kill hall
	# A config that the shell hands over by a descriptor is read before that is closed.
	"$atoll" run --detach --log-file=log <(sed "s,kernel: kernel,kernel: $PWD/kernel,; s,path: image,path: $PWD/image," hall.yaml)
	running hall
	"$atoll" kill hall
}

@test "F2: a VM on a terminal, and with a console that writes a file, is as written" {
	root_only
	truncate -s 1M image
	config hall h <<-END
		disks: [{id: root, path: image}]
		consoles:
		  - {id: serial, type: serial, output: stdio}
		  - {id: port, type: virtio, output: file, path: out}
	END
	mkfifo keys
	script -qec "$atoll run hall.yaml" typescript <keys >/dev/null 2>&1 3>&- &
	exec 9>keys
	wait_until 10 running hall
	audited as-written 0
	"$atoll" restart hall serial
	audited as-written 0
	"$atoll" kill hall
	exec 9>&-
	wait
}

@test "a filter that is another than the compiled one is named, with its thread" {
	root_only
	mkdir libexec
	ln -s "${ATOLL_LIBEXEC_DIR:?}"/atoll-* libexec/
	rm libexec/atoll-blk
	cp "$ATOLL_HELPER_DIR/swapped_blk" libexec/atoll-blk
	ATOLL_LIBEXEC_DIR=$PWD/libexec vm hall
	audited deviates 1
	[ "$(deviating)" = "blk root" ]
	[ "$(jq -r '[.processes[].checks[] | select(.verdict == "deviates") | .subject + " " + .thread] | join(",")' audit.json)" = "filters queue-0" ]
	grep -q "DEVIATES  filters queue-0 .*blk.queue is written, and there is another of [0-9]* instructions" audit.txt
	"$atoll" kill hall
}

# here COMMAND...: in a mount namespace where /dev/kvm is everybody's; as_user: there, as nobody.
here() { nsenter -t "$namespace" -m env -C "$user" ATOLL_RUNTIME_DIR="$user/run" "$@"; }
as_user() { here setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

@test "an ordinary user is told what was unread, and nothing unread passes" {
	root_only
	mknod kvm c 10 232 && chmod 666 kvm || skip "no right to make a device node"
	unshare -m sh -c 'mount --bind kvm /dev/kvm && echo there && exec sleep 600' >mounted 3>&- &
	namespace=$!
	wait_until 5 grep -q there mounted
	# The tests' own folder is root's alone.
	user=$(mktemp -d)
	cp -r kernel "$(dirname "$atoll")" "$user/"
	cp -r "${ATOLL_LIBEXEC_DIR:?}" "$user/libexec"
	atoll=$user/bin/atoll
	export ATOLL_LIBEXEC_DIR=$user/libexec
	truncate -s 1M "$user/image"
	(cd "$user" && config hall h <<<$'disks:\n  - {id: root, path: image}')
	chown -R 65534:65534 "$user"
	as_user test -w /dev/kvm || skip "no device nodes in the tests' folder"
	as_user test -x "$atoll" || skip "an ordinary user cannot reach the programs"
	as_user "$atoll" run --detach --log-file="$user/log" hall.yaml
	run --separate-stderr as_user "$atoll" audit hall
	echo "$output"
	[ "$status" = 0 ]
	grep -q "^hall: as written, as far as could be read: " <<<"$output"
	[[ $output == *"Run it as root to read the rest." ]]
	grep -q "^  unread    filters queue-0 .*needs root; 3 installed" <<<"$output"
	! grep -qE "^  (ok|inferred) +(Landlock|MDWE|dumps|filters (main|vcpu|queue))" <<<"$output"
	[ "$(grep -cE "^  ok +capabilities +none" <<<"$output")" = "$(as_user "$atoll" list --json | jq '.[0].processes | length')" ]
	[ "$(as_user "$atoll" audit --json hall | jq -r .verdict)" = unread ]
	# Root reads all of it.
	run --separate-stderr here "$atoll" audit hall
	echo "$output"
	[ "$status" = 0 ]
	grep -q "^hall: all as written: " <<<"$output"
	as_user "$atoll" kill hall
	kill "$namespace"
	rm -r "$user"
}

@test "without a VM there is no verdict" {
	run --separate-stderr "$atoll" audit hall
	[ "$status" = 3 ]
	[ -z "$output" ]
	[[ $stderr == 'atoll: hall: no VM of this name is running; see "atoll list"' ]]
	run "$atoll" audit
	[ "$status" = 2 ]
	run "$atoll" audit --yaml hall
	[ "$status" = 2 ]
}

@test "the VM goes on during audits, also one that is killed; its end ends an audit" {
	vm hall
	pids=$("$atoll" list --json | jq '.[0].pid, .[0].processes[].pid')
	for ((i = 0; i < $(amount 30 6); i++)); do
		"$atoll" audit hall >/dev/null &
		auditor=$!
		# At another moment of its life each time.
		for ((k = 0; k < i * 20; k++)); do :; done
		kill -9 $auditor 2>/dev/null || true
		wait $auditor || true
	done
	for pid in $pids; do
		grep -q '^TracerPid:.0$' "/proc/$pid/status"
		! grep -qE '^State:.[tT]' /proc/"$pid"/task/*/status
	done
	running hall
	"$atoll" audit hall >/dev/null || [ $? = 1 ]
	for ((i = 0; i < 20; i++)); do
		status=0
		within 20 "$atoll" audit hall >/dev/null 2>err || status=$?
		[ "$status" -le 1 ] || [ "$status" = 3 ]
		[ $i != 5 ] || "$atoll" kill hall &
	done
	wait
	[ "$status" = 3 ]
	nothing_left hall
}

@test "colour is for terminals" {
	vm hall
	"$atoll" audit hall >plain || true
	! grep -q $'\033' plain
	script -qec "$atoll audit hall" typescript </dev/null >/dev/null || true
	grep -q $'\033\\[' typescript
	"$atoll" kill hall
}
