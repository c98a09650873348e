#!/usr/bin/env bats
# Bad input: each is refused with one line as it is documented; nothing is started, nothing left behind.

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; }
teardown() { vm_teardown; }

# refused STATUS PROBLEM: run and check of web.yaml tell this one line, with status STATUS and 2, and leave nothing.
refused() {
	local before=$(ls -A)
	run --separate-stderr timeout 10 "$atoll" run web.yaml </dev/null
	echo "run: $status: $output$stderr"
	[ "$status" = "$1" ]
	[ -z "$output" ]
	[[ $stderr == "atoll: web.yaml:"$2 ]]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[[ $stderr == *"; "* ]]
	[ "$(ls -A | grep -vx run)" = "$(grep -vx run <<<"$before")" ]
	nothing_left web
	run --separate-stderr timeout 10 "$atoll" check web.yaml
	echo "check: $status: $output$stderr"
	[ "$status" = 2 ]
	[ -z "$stderr" ]
	[[ $output == "web.yaml:"$2 ]]
	[ "$(wc -l <<<"$output")" = 1 ]
	nothing_left web
}

@test "a good one is not refused" {
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	run "$atoll" check web.yaml
	[ "$status" = 0 ]
	[ -z "$output" ]
	nothing_left web
}

@test "unknown key" {
	config web <<<"colour: blue"
	refused 2 "6: colour: unknown key; *"
}

@test "wrong type" {
	config web <<<"cpus: two"
	refused 2 '6: cpus: "two" is not a whole number; *'
}

@test "duplicate id" {
	truncate -s 1M a b
	config web <<<$'disks:\n  - id: root\n    path: a\n  - id: root\n    path: b'
	refused 2 '9: disks\[1\].id: the id "root" is taken, on line 7; *'
}

@test "not YAML" {
	config web <<<$'disks: ['
	refused 2 "?: yaml: *"
}

@test "no config file" {
	refused 2 "1: file: cannot read the config file: No such file or directory; *"
}

@test "missing kernel" {
	rm kernel
	config web </dev/null
	refused 2 "4: boot.kernel: kernel: No such file or directory; *"
}

@test "missing initrd" {
	config web </dev/null
	sed -i '/cmdline/a\  initrd: nothing' web.yaml
	refused 2 "6: boot.initrd: nothing: No such file or directory; *"
}

@test "a kernel that is neither bzImage nor PVH ELF" {
	head -c 100000 /dev/urandom >kernel
	config web </dev/null
	refused 2 "4: boot.kernel: kernel: *; give a Linux bzImage, or an ELF file with a PVH note"
	cp /bin/true kernel
	refused 2 "4: boot.kernel: kernel: *; give a Linux bzImage, or an ELF file with a PVH note"
	: >kernel
	refused 2 "4: boot.kernel: kernel: *; give a Linux bzImage, or an ELF file with a PVH note"
	rm kernel
	mkfifo kernel
	refused 2 "4: boot.kernel: kernel: not a regular file; *"
}

@test "missing image" {
	config web <<<$'disks:\n  - id: root\n    path: nothing'
	refused 2 "8: disks\[0\].path: nothing: No such file or directory; *"
}

@test "image of zero size" {
	: >image
	config web <<<$'disks:\n  - id: root\n    path: image'
	refused 2 "8: disks\[0\].path: image: the image is empty; *"
}

@test "image of odd size" {
	truncate -s 1000 image
	config web <<<$'disks:\n  - id: root\n    path: image'
	refused 2 "8: disks\[0\].path: image: the size is not a multiple of 512 bytes; *"
}

@test "image in use, by another program and by another VM" {
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	"$ATOLL_LIBEXEC_DIR/atoll-blk" --socket-path=sock --blk-file=image 2>/dev/null &
	pid=$!
	wait_until 5 test -S sock
	refused 2 "8: disks\[0\].path: image: in use by pid $pid (atoll-blk); *"
	kill $pid
	wait $pid || true
	config other <<<$'disks:\n  - id: root\n    path: image'
	"$atoll" run --detach other.yaml
	pid=$(cat run/other/pid)
	run "$atoll" run web.yaml </dev/null
	[ "$status" = 2 ]
	[[ $output == *"image: in use by pid $pid (atoll)"* ]]
	"$atoll" kill other
	nothing_left other
}

@test "tap that does not exist" {
	config web <<<$'networks:\n  - id: lan\n    tap: atoll-none0'
	refused 2 "8: networks\[0\].tap: atoll-none0: there is no such interface; *"
}

@test "tap that is busy, and interface that is no tap" {
	if [ -z "${IN_NAMESPACE:-}" ]; then
		unshare --net true 2>/dev/null || skip "no right to make a network namespace"
		[ -w /dev/net/tun ] || skip "no /dev/net/tun"
	fi
	cat >job <<-'END'
		. "$1/vm.bash"
		ip tuntap add dev tap0 mode tap && ip link add dummy0 type bridge || exit 77
		"$ATOLL" run --detach one.yaml || exit 1
		"$ATOLL" run web.yaml </dev/null 2>busy
		echo "status $?" >>busy
		"$ATOLL" kill one
		sed -i s/tap0/dummy0/ web.yaml
		"$ATOLL" run web.yaml </dev/null 2>bridge
		echo "status $?" >>bridge
	END
	config one <<<$'networks:\n  - id: lan\n    tap: tap0'
	config web <<<$'networks:\n  - id: lan\n    tap: tap0'
	run unshare --net bash job "$BATS_TEST_DIRNAME"
	[ "$status" != 77 ] || skip "no right to make a tap"
	echo "$output"
	cat busy bridge
	[ "$status" = 0 ]
	[[ $(cat busy) == "atoll: web.yaml:8: networks[0].tap: tap0: "*"; "*$'\n'"status 2" ]]
	[[ $(cat bridge) == "atoll: web.yaml:8: networks[0].tap: dummy0: "*"; "*$'\n'"status 2" ]]
	nothing_left web
}

# In a mount namespace in which /dev/kvm is gone, or is not this user's.
@test "no /dev/kvm" {
	unshare --mount true 2>/dev/null || skip "no right to make a mount namespace"
	config web </dev/null
	for command in run check; do
		run --separate-stderr unshare --mount sh -c "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && exec '$atoll' $command web.yaml 2>&1" </dev/null
		echo "$command: $status: $output"
		[ $command = run ] && expected=3 || expected=2
		[ "$status" = $expected ]
		[[ ${output#atoll: } == "web.yaml:1: host: /dev/kvm: No such file or directory"*"; meanwhile the source's ./demo shows a VM in an emulated machine"* ]]
	done
	nothing_left web
}

@test "no right to /dev/kvm" {
	[ "$(id -u)" = 0 ] || skip "needs to change its user"
	config web </dev/null
	folder=$(mktemp -d)
	cp -r web.yaml kernel "$atoll" "$folder"
	mkdir "$folder/mine" && chown -R 65534 "$folder"
	cd "$folder"
	run setpriv --reuid=65534 --clear-groups test -w /dev/kvm
	[ "$status" != 0 ] || skip "/dev/kvm is everybody's here"
	ATOLL_RUNTIME_DIR=$PWD/mine run --separate-stderr setpriv --reuid=65534 --clear-groups ./atoll run web.yaml </dev/null
	echo "$status: $stderr"
	left=$(ls -A mine)
	rm -rf "$folder"
	[ "$status" = 3 ]
	[[ $stderr == "atoll: web.yaml:1: host: /dev/kvm: Permission denied; add this user to the group"* ]]
	[ -z "$left" ]
}

@test "too little memory, for anything and for this kernel" {
	config web </dev/null
	sed -i 's/16MiB/1MiB/' web.yaml
	refused 2 '2: memory: "1MiB" is too little memory for any guest; *'
	truncate -s 20M initrd
	config web </dev/null
	sed -i '/cmdline/a\  initrd: initrd' web.yaml
	refused 2 "2: memory: 16 MiB is too little for this kernel and its initrd, *; write more"
}

@test "more memory than this host can ever give" {
	total=$(awk '/MemTotal|SwapTotal/ { sum += $2 } END { print int(sum / 1024 / 1024) }' /proc/meminfo)
	[ $((total * 8 + 16)) -le 512 ] || skip "this host has more than a guest can want"
	config web </dev/null
	sed -i "s/16MiB/$((total * 8 + 16))GiB/" web.yaml
	refused 3 "2: memory: * is more than 8 times what this host has *; write less"
}

@test "name already running" {
	config web </dev/null
	"$atoll" run --detach web.yaml
	pid=$(cat run/web/pid)
	for command in run check; do
		run "$atoll" $command web.yaml </dev/null
		[ "$status" = 2 ]
		[[ ${output#atoll: } == "web.yaml:1: name: \"web\" is already running, as process $pid; end it with \"atoll stop web\","* ]]
	done
	running web
	"$atoll" kill web
	nothing_left web
}

@test "a console's file and socket that cannot be" {
	config web <<<$'consoles:\n  - id: a\n    output: file\n    path: no/where'
	refused 2 "9: consoles\[0\].path: no/where: No such file or directory; *"
	echo precious >file
	config web <<<$'consoles:\n  - id: a\n    output: socket\n    path: file'
	refused 2 "9: consoles\[0\].path: file: there is a file that is no socket; *"
	[ "$(cat file)" = precious ]
}

@test "a refused VM does not touch the file of its console" {
	echo precious >file
	config web <<<$'consoles:\n  - id: a\n    output: file\n    path: file\ndisks:\n  - id: root\n    path: nothing'
	run "$atoll" run web.yaml
	[ "$status" = 2 ]
	[ "$(cat file)" = precious ]
}

@test "check tells all problems, in the order of lines" {
	cat >web.yaml <<-END
		name: Web
		memory: 16
		boot:
		  kernel: nothing
		disks:
		  - id: root
		    path: image
		    queues: 99
	END
	run "$atoll" check web.yaml
	[ "$status" = 2 ]
	[ "$(cut -d: -f2 <<<"$output" | tr '\n' ' ')" = "1 2 4 7 8 " ]
}

@test "a detached VM needs no stdio" {
	config web <<<$'consoles:\n  - id: a\n    output: stdio'
	run "$atoll" run --detach web.yaml
	[ "$status" = 2 ]
	[[ $output == "atoll: web.yaml:8: consoles[0].output: stdio is not there with --detach; write output: pty" ]]
	nothing_left web
}
