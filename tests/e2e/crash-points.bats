#!/usr/bin/env bats
# A disk's process that dies at each step of a request's way, under a bare-metal guest that numbers its requests: direct and
# indirect, with and without EVENT_IDX. The program is atoll-blk with crash points (common/base/crash_point.h).
# bats file_tags=guest

setup() {
	. "$BATS_TEST_DIRNAME/guest.bash"
	guest_setup
	core=${ATOLL_LIBEXEC_DIR:?}/atoll-core
	helpers=${ATOLL_HELPER_DIR:?}
	mkfifo orders
	exec 9<>orders
}

teardown() {
	[ -z "$harness" ] || kill "$harness" 2>/dev/null || true
	exec 9>&-
}

# die_at POINT...: runs the guest; the first process dies at the first point, its successor at the next one, and so on around,
# until eight have died. (In an emulated machine it is four, and all counts are a quarter.) By hand a successor opens the image
# itself, and finds it locked until its predecessor's is free.
die_at() {
	local dead=0 next line point less most points=()
	most=$(amount 8 4)
	less=$(amount 1 4)
	for point; do points+=("${point%:*}:$(((${point#*:} + less - 1) / less))"); done
	guest_disk root.img
	: >out
	echo "${points[0]}" >point
	cat >blk <<-EOF
		export ATOLL_CRASH_POINT=\$(cat point)
		[ -n "\$ATOLL_CRASH_POINT" ] || unset ATOLL_CRASH_POINT
		until "$helpers/crash_blk" --no-sandbox --fd=4 --blk-file=root.img; do
			[ \$? = 1 ] || kill -9 \$\$
			sleep 0.01
		done
	EOF
	"$helpers/core_harness" -d -m 64 -a "numbered=$(amount 3000 300) patience=$patience" \
		-D "serial:serial:$ATOLL_LIBEXEC_DIR/atoll-console $PWD/console" \
		-D "blk:root:. ./blk" "$core" "$guests/guest-blk" <orders >out 2>err 9>&- &
	harness=$!
	# What the core tells of, line by line, without a fork a look. A successor that dies while it is attached is a death too.
	exec 7<out 6<> <(:)
	while :; do
		while read -r -u 7 line; do
			case $line in
			"device root KIND_GONE"* | "device root KIND_BROKEN"*)
				dead=$((dead + 1))
				next=$((dead % $#))
				[ $dead -lt $most ] && echo "${points[next]}" >point || : >point
				echo "attach root" >&9
				;;
			end*) break 2 ;;
			esac
		done
		kill -0 $harness 2>/dev/null || break
		read -r -t 0.02 -u 6 || :
	done
	exec 7<&- 6<&-
	wait $harness
	harness=
	echo "$*: $dead deaths"
	grep -v '^ok' console || true
	tail -n 3 err
	grep -q '^end KIND_DEBUG_EXIT 33' out
	! grep -qE '^(not ok|Bail out)' console
	[ $dead -gt 2 ]
	# What it does not write to, nobody wrote to.
	cmp <(head -c 4194304 root.img) <(seq -f '%015.0f' 0 262143)
}

@test "after a chain was popped, numbered or not yet marked" {
	die_at NUMBERED:400
	die_at POPPED:401
}

@test "after a batch was submitted, after it finished, after a status" {
	die_at SUBMITTED:50
	die_at FINISHED:50
	die_at STATUS:402
}

@test "between the used element and the used index" {
	die_at USED:403
	die_at LINKED:404
	die_at PUSHED:405
}

@test "between the used index and the end of the batch" {
	die_at PUBLISHED:50
	die_at CLEARED:406
	die_at RECORDED:50
}

@test "before and after the interrupt, and after asking for kicks" {
	die_at INTERRUPT:50
	die_at INTERRUPTED:50
	die_at KICKS:5
}

@test "at the beginning and at the end of a queue" {
	die_at FRESH:1
	die_at RETIRED:1
}

@test "in recovery from a death" {
	die_at PUBLISHED:50 RECOVER_CLEARED:1 RECOVERED:1
}
