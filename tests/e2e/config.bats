#!/usr/bin/env bats
# Bad input: each is refused with one line as it is documented; nothing is started, nothing left behind.

load vm.bash
bats_require_minimum_version 1.5.0

setup() { vm_setup; }
teardown() {
	vm_teardown
	[ -z "${place:-}" ] || { cd / && rm -rf "$place"; }
}

# but_kvm TEXT: without the line that a machine without KVM adds to whatever is asked of it. (What that line says is looked at
# in tests that take /dev/kvm away.)
but_kvm() { grep -vE '^(atoll: )?web.yaml:1: host: (warning: )?/dev/kvm: ' <<<"$1" || :; }

# refused STATUS PROBLEM: run and check of web.yaml tell this one line and leave nothing; run with status STATUS, check
# with 2, or with 0 and as a warning if it is the host that lacks something.
refused() {
	local before=$(ls -A) expected=2 told=$2 text
	if [ "$1" = 3 ]; then
		text=${2#*: }
		expected=0 told="${2%%: *}: ${text%%: *}: warning: ${text#*: }"
	fi
	run --separate-stderr within 10 "$atoll" run web.yaml </dev/null
	echo "run: $status: $output$stderr"
	[ "$status" = "$1" ]
	[ -z "$output" ]
	stderr=$(but_kvm "$stderr")
	[[ $stderr == "atoll: web.yaml:"$2 ]]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	[[ $stderr == *"; "* ]]
	[ "$(ls -A | grep -vx run)" = "$(grep -vx run <<<"$before")" ]
	nothing_left web
	run --separate-stderr within 10 "$atoll" check web.yaml
	echo "check: $status: $output$stderr"
	[ "$status" = $expected ]
	[ -z "$stderr" ]
	output=$(but_kvm "$output")
	[[ $output == "web.yaml:"$told ]]
	[ "$(wc -l <<<"$output")" = 1 ]
	nothing_left web
}

@test "a good one is not refused" {
	truncate -s 1M image
	config web <<<$'disks:\n  - id: root\n    path: image'
	run "$atoll" check web.yaml
	[ "$status" = 0 ]
	[ -z "$(but_kvm "$output")" ]
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

# bats test_tags=guest
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

# bats test_tags=guest
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

# elsewhere [-k] [-c CPUINFO] [-u] COMMAND...: in a mount namespace whose /dev has nothing but null, and with -k a kvm
# that is root's alone; whose /proc/cpuinfo is that file; with -u as an ordinary user with an empty environment.
elsewhere() {
	local prepare='mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3' user=()
	while :; do
		case $1 in
		-k) prepare+=' && mknod -m 600 /dev/kvm c 10 232' ;;
		-c) prepare+=" && mount --bind '$2' /proc/cpuinfo" && shift ;;
		-u) user=(setpriv --reuid=65534 --regid=65534 --clear-groups env -i ATOLL_LIBEXEC_DIR="$place") ;;
		*) break ;;
		esac
		shift
	done
	unshare --mount sh -c "$prepare"' && exec "$0" "$@"' timeout $((10 * patience)) "${user[@]}" "$@" </dev/null
}

# elsewhere_needs: skips where there can be no such namespace, also for want of a right.
elsewhere_needs() {
	[ "$(id -u)" = 0 ] || skip "needs to change its user"
	unshare --mount true 2>/dev/null || skip "no right to make a mount namespace"
	# Those of a machine's processors that tell: AMD's, Intel's, and a guest's whose host keeps it back.
	printf '%s\n' 'processor : 0' 'flags : fpu svm lahf_lm' >amd
	printf '%s\n' 'processor : 0' 'flags : fpu vmx lahf_lm' 'vmx flags : ept' >intel
	printf '%s\n' 'processor : 0' 'flags : fpu hypervisor lahf_lm' >guest
	# Nobody may have a way to the folders of this test and of the programs.
	place=$(mktemp -d)
	chmod 755 "$place"
	cp "$atoll" "${ATOLL_LIBEXEC_DIR:?}/atoll-supervisor" "$place"
}

# place_config: web.yaml and its kernel, where everybody can read them.
place_config() { cp web.yaml kernel "$place" && chmod a+r "$place"/*; }

@test "no /dev/kvm: run says what is missing and what helps, check warns" {
	elsewhere_needs
	config web </dev/null
	demo="group kvm; meanwhile the source's ./demo shows a VM in an emulated machine"
	none="and the processor offers no virtualization (grep -wE 'svm|vmx' /proc/cpuinfo finds nothing); "
	for processor in amd="but the processor offers virtualization (svm in /proc/cpuinfo); load kvm-amd with modprobe, " \
		intel="but the processor offers virtualization (vmx in /proc/cpuinfo); load kvm-intel with modprobe, " guest="$none"; do
		what="/dev/kvm: No such file or directory, ${processor#*=}*$demo"
		run --separate-stderr elsewhere -c "$PWD/${processor%%=*}" "$atoll" run web.yaml
		echo "$processor: run: $status: $output$stderr"
		[ "$status" = 3 ]
		[ -z "$output" ]
		[[ $stderr == "atoll: web.yaml:1: host: "$what ]]
		[ "$(wc -l <<<"$stderr")" = 1 ]
		run --separate-stderr elsewhere -c "$PWD/${processor%%=*}" "$atoll" check web.yaml
		echo "$processor: check: $status: $output$stderr"
		[ "$status" = 0 ]
		[ -z "$stderr" ]
		[[ $output == "web.yaml:1: host: warning: "$what ]]
		[ "$(wc -l <<<"$output")" = 1 ]
	done
	nothing_left web
}

@test "no /dev/kvm: what is wrong with a config is found all the same" {
	elsewhere_needs
	config web <<<$'disks:\n  - id: root\n    path: nothing'
	run --separate-stderr elsewhere -c "$PWD/guest" "$atoll" check web.yaml
	echo "$status: $output$stderr"
	[ "$status" = 2 ]
	[ "$(cut -d ' ' -f 1-3 <<<"$output" | tr '\n' ' ')" = "web.yaml:1: host: warning: web.yaml:8: disks[0].path: nothing: " ]
	# run, too, says both.
	run --separate-stderr elsewhere -c "$PWD/guest" "$atoll" run web.yaml
	echo "$status: $output$stderr"
	[ "$status" = 2 ]
	[ "$(cut -d ' ' -f 2-4 <<<"$stderr" | tr '\n' ' ')" = "web.yaml:1: host: /dev/kvm: web.yaml:8: disks[0].path: nothing: " ]
	# And what no host is asked about.
	config web <<<'colour: blue'
	run --separate-stderr elsewhere -c "$PWD/guest" "$atoll" check web.yaml
	[ "$status" = 2 ]
	grep -q '^web.yaml:6: colour: unknown key; ' <<<"$output"
	nothing_left web
}

@test "check in a bare container: no right, no runtime directory, no devices, and a right config is right" {
	elsewhere_needs
	config web <<<$'consoles:\n  - {id: a, type: serial, output: pty}\n  - {id: b, type: virtio, output: socket}'
	place_config
	cd "$place"
	run --separate-stderr elsewhere -u ./atoll check web.yaml
	echo "check: $status: $output$stderr"
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[ "$(grep -c ': warning: ' <<<"$output")" = 3 ]
	[ "$(wc -l <<<"$output")" = 3 ]
	grep -q '^web.yaml:1: host: warning: no runtime directory: XDG_RUNTIME_DIR is not set; ' <<<"$output"
	grep -q '^web.yaml:1: host: warning: /dev/kvm: No such file or directory.*; ' <<<"$output"
	grep -q '^web.yaml:7: consoles\[0\].output: warning: no pseudo-terminal can be had: .*; ' <<<"$output"
	# run says the same, all at once.
	run --separate-stderr elsewhere -u ./atoll run web.yaml
	echo "run: $status: $output$stderr"
	[ "$status" = 3 ]
	grep -q '^atoll: web.yaml:1: host: no runtime directory: ' <<<"$stderr"
	grep -q '^atoll: web.yaml:1: host: /dev/kvm: ' <<<"$stderr"
	[ "$(wc -l <<<"$stderr")" = 3 ]
	# A runtime directory that cannot be made, or written.
	for dir in /nonexistent/x /proc/x / "$place"; do
		run --separate-stderr elsewhere -u ATOLL_RUNTIME_DIR=$dir ./atoll check web.yaml
		echo "$dir: $status: $output$stderr"
		[ "$status" = 0 ]
		grep -q "^web.yaml:1: host: warning: runtime directory $dir: .*; make it, or set ATOLL_RUNTIME_DIR" <<<"$output"
	done
	# A file that the config names and that this user may not read: run has the right, or says 3.
	chmod 600 kernel
	run --separate-stderr elsewhere -u ./atoll check web.yaml
	[ "$status" = 0 ]
	grep -q '^web.yaml:4: boot.kernel: warning: kernel: Permission denied; ' <<<"$output"
	rm kernel
	run --separate-stderr elsewhere -u ./atoll check web.yaml
	[ "$status" = 2 ]
	grep -q '^web.yaml:4: boot.kernel: kernel: No such file or directory; ' <<<"$output"
	# The command alone can still tell what is wrong with the file.
	rm atoll-supervisor
	run --separate-stderr elsewhere -u ./atoll check web.yaml
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output == "web.yaml:1: host: warning: cannot start $place/atoll-supervisor: No such file or directory; install Atoll as a whole, "* ]]
	sed -i s/16MiB/16/ web.yaml
	run --separate-stderr elsewhere -u ./atoll check web.yaml
	[ "$status" = 2 ]
	grep -q '^web.yaml:2: memory: ' <<<"$output"
}

@test "what asks nothing of KVM works without it" {
	elsewhere_needs
	mkdir "$place/mine" && chown 65534 "$place/mine"
	cp -r "${ATOLL_POLICY_DIR:?}" "$place/policy" && chmod -R a+rX "$place/policy"
	cd "$place"
	user=(elsewhere -u ATOLL_RUNTIME_DIR="$place/mine" ATOLL_POLICY_DIR="$place/policy" ./atoll)
	for arguments in --help --version "run --help" list "list --json" "policy check" "policy compile blk.main" \
		"policy explain blk.main read" "policy diff policy policy"; do
		run --separate-stderr "${user[@]}" $arguments
		echo "$arguments: $status: $stderr"
		[ "$status" = 0 ]
		[ -z "$stderr" ]
	done
	for arguments in "stop web" "kill web" "pause web" "restart web root" "reset web"; do
		run --separate-stderr "${user[@]}" $arguments
		echo "$arguments: $status: $stderr"
		[ "$status" = 1 ]
		[[ $stderr == "atoll: web: no VM of this name is running; "* ]]
	done
}

@test "no right to /dev/kvm" {
	elsewhere_needs
	config web </dev/null
	place_config
	mkdir "$place/mine" && chown 65534 "$place/mine"
	cd "$place"
	what="host: /dev/kvm: Permission denied; add this user to the group"
	run --separate-stderr elsewhere -k -u ATOLL_RUNTIME_DIR="$place/mine" ./atoll run web.yaml
	echo "$status: $stderr"
	[ "$status" = 3 ]
	[[ $stderr == "atoll: web.yaml:1: $what"* ]]
	[ "$(wc -l <<<"$stderr")" = 1 ]
	run --separate-stderr elsewhere -k -u ATOLL_RUNTIME_DIR="$place/mine" ./atoll check web.yaml
	echo "$status: $output"
	left=$(ls -A mine)
	[ "$status" = 0 ]
	[[ $output == "web.yaml:1: ${what/host:/host: warning:}"* ]]
	[ -z "$left" ]
}

@test "a tap, and no /dev/net/tun" {
	unshare --net --mount true 2>/dev/null || skip "no right to make a network namespace"
	config web <<<$'networks:\n  - id: lan\n    tap: tap0'
	cat >job <<-'END'
		ip tuntap add dev tap0 mode tap && mount -t tmpfs none /dev/net || exit 77
		timeout $((10 * patience)) "$ATOLL" check web.yaml
		echo "status $?"
		timeout $((10 * patience)) "$ATOLL" run web.yaml </dev/null 2>&1
		echo "status $?"
	END
	patience=$patience run unshare --net --mount bash job
	[ "$status" != 77 ] || skip "no right to make a tap"
	echo "$output"
	what="tap0: there is no /dev/net/tun; load the module: modprobe tun"
	[ "$(grep -v 'host: .*/dev/kvm: ' <<<"$output")" = "web.yaml:8: networks[0].tap: warning: $what
status 0
atoll: web.yaml:8: networks[0].tap: $what
status 3" ]
	nothing_left web
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

# bats test_tags=guest
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
	config web <<<$'consoles:\n  - id: a\n    output: socket\n    path: no/where'
	refused 2 "9: consoles\[0\].path: no/where: No such file or directory; *"
}

@test "a refused VM does not touch the file of its console" {
	echo precious >file
	config web <<<$'consoles:\n  - id: a\n    output: file\n    path: file\ndisks:\n  - id: root\n    path: nothing'
	run "$atoll" run web.yaml
	[ "$status" = 2 ]
	[ "$(cat file)" = precious ]
}

# bats test_tags=guest
@test "small: another program's image is no raw one, unless the config says so" {
	local what
	for what in "qcow2:0:QFI\\xfb" "VMDK:0:KDMV" "VMDK:0:# Disk DescriptorFile" "VDI:64:\\x7f\\x10\\xda\\xbe" \
		"VHDX:0:vhdxfile" "VHD:0:conectix"; do
		rm -f image
		printf "${what##*:}" | dd of=image bs=1 seek="$(cut -d: -f2 <<<"$what")" status=none
		# Its size is mostly no multiple of 512.
		truncate -s 197120 image
		truncate -s +8 image
		config web <<<$'disks:\n  - id: root\n    path: image'
		refused 2 "8: disks\[0\].path: image: looks like a ${what%%:*} image, and *; convert it (qemu-img convert -O raw), or write format: raw"
		truncate -s -8 image
		config web o <<<$'disks:\n  - id: root\n    path: image\n    format: raw'
		run "$atoll" check web.yaml
		[ "$status" = 0 ]
	done
	# By hand it is what was asked for, with a word about it.
	"$ATOLL_LIBEXEC_DIR/atoll-blk" --socket-path=sock --blk-file=image 2>err &
	pid=$!
	wait_until 5 test -S sock
	kill $pid
	wait $pid || true
	rm -f sock
	grep -q "image looks like a VHD image; it is served as a raw one" err
	run within 20 "$atoll" run web.yaml </dev/null
	[ "$status" = 0 ]
	nothing_left web
}

# bats test_tags=guest
@test "B2: no file is used for two things of which one writes, and none is changed by a VM that is refused" {
	local name
	echo precious >image
	truncate -s 1M image
	ln image other
	ln -s image link
	cp image before
	disk=$'disks:\n  - id: root\n    path: image'
	for name in image other link; do
		config web <<<"$disk"$'\nconsoles:\n  - id: a\n    output: file\n    path: '$name
		refused 2 "12: consoles\[0\].path: $name: the same file as the disk \"root\", and it would be written over; *"
		config web <<<"$disk"$'\n  - id: data\n    path: '$name
		refused 2 "10: disks\[1\].path: $name: the same file as the disk \"root\", and *"
	done
	# What boots, and the config itself.
	cp kernel kernel.before
	config web <<<$'consoles:\n  - id: a\n    output: file\n    path: kernel'
	refused 2 "9: consoles\[0\].path: kernel: the same file as boot.kernel, and *"
	cmp kernel kernel.before
	config web <<<$'consoles:\n  - id: a\n    output: file\n    path: ./web.yaml'
	refused 2 "9: consoles\[0\].path: ./web.yaml: the same file as the config file, and *"
	# Two that are not there yet, under two names.
	config web <<<$'consoles:\n  - {id: a, output: file, path: new}\n  - {id: b, output: file, path: ./new}'
	refused 2 "8: consoles\[1\].path: ./new: the same file as the console \"a\", and *"
	config web <<<$'consoles:\n  - {id: a, output: file, path: new}\n  - {id: b, output: socket, path: ./new}'
	refused 2 "8: consoles\[1\].path: ./new: the same file as the console \"a\", and *"
	# The log, which only run has.
	config web <<<"$disk"
	run "$atoll" run --detach --log-file=other web.yaml
	[ "$status" = 2 ]
	[[ $(but_kvm "$output") == "atoll: web.yaml:8: disks[0].path: image: the same file as the log file, and "* ]]
	run sh -c "'$atoll' run web.yaml 2>>image"
	[ "$status" = 2 ]
	cmp -n 100 image before
	# To read one twice, and to write /dev/null twice, is no harm.
	config web o <<<$'consoles:\n  - {id: a, output: file, path: /dev/null}\n  - {id: b, output: file, path: /dev/null}
disks:\n  - {id: c, path: before, readonly: true}\n  - {id: d, path: before, readonly: true}'
	run "$atoll" check web.yaml
	[ "$status" = 0 ]
	run within 20 "$atoll" run web.yaml </dev/null
	[ "$status" = 0 ]
	nothing_left web
}

@test "B5: the former part of a console's file is no other file" {
	truncate -s 1M file.1
	console=$'consoles:\n  - id: a\n    output: file\n    path: file'
	config web <<<$'disks:\n  - {id: root, path: file.1}\n'"$console"
	refused 2 "11: consoles\[0\].path: file.1: the same file as the disk \"root\", and it would be written over; *"
	rm file.1
	config web <<<$'consoles:\n  - {id: a, output: file, path: file}\n  - {id: b, output: file, path: ./file.1}'
	refused 2 "8: consoles\[1\].path: ./file.1: the same file as the former part of the console \"a\", and *"
	config web <<<"$console"
	for other in directory link hardlink fifo; do
		echo precious >other
		case $other in
		directory) mkdir file.1 ;;
		link) ln -s other file.1 ;;
		hardlink) ln other file.1 ;;
		fifo) mkfifo file.1 ;;
		esac
		refused 2 "9: consoles\[0\].path: file: its first part is kept under this name with .1 behind it when it is full, and there is something else; remove that, or write max-size: unlimited"
		[ "$(cat other)" = precious ]
		rm -r file.1
	done
	mkdir file.1
	config web <<<"$console"$'\n    max-size: unlimited'
	run "$atoll" check web.yaml
	[[ $(but_kvm "$output") != *max-size* ]]
	[ ! -e file ]
}

# bats test_tags=guest
@test "B2: a start-up check that fails leaves consoles' files and sockets as they were" {
	echo precious >file
	config web <<<$'consoles:\n  - {id: a, output: file, path: file}\n  - {id: b, output: file, path: new}\n  - {id: c, output: socket, path: sock}'
	run within 10 "$atoll" run --no-sandbox=roott web.yaml
	[ "$status" = 2 ]
	run within 10 "$atoll" run --detach --log-file=no/where web.yaml
	[ "$status" = 3 ]
	run within 10 env ATOLL_POLICY_RECORD=no/where "$atoll" run web.yaml
	[ "$status" != 0 ]
	[ "$(cat file)" = precious ]
	[ ! -e new ]
	[ ! -e sock ]
	nothing_left web
	# And one that starts begins with empty ones.
	sed -i 's/cmdline: h/cmdline: o/' web.yaml
	run within 20 "$atoll" run web.yaml
	[ "$status" = 0 ]
	[ ! -s file ]
	[ -e new ]
	nothing_left web
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
