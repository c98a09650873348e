# What the bats files share that have a core and devices' processes without a supervisor. Sourced behind guest.bash.

# core_setup: behind guest_setup. Orders to core_harness go to descriptor 9.
core_setup() {
	core=${ATOLL_LIBEXEC_DIR:?}/atoll-core
	helpers=${ATOLL_HELPER_DIR:?}
	mkfifo orders
	exec 9<>orders
	for disk in root second; do guest_disk $disk.img; done
}

core_teardown() {
	[ -z "$harness" ] || kill "$harness" 2>/dev/null || true
	exec 9>&-
}

# told PATTERN [SECONDS [FILE]]: waits until the file has the line.
told() {
	local deadline=$((SECONDS + ${2:-20} * patience))
	until grep -qs -- "$1" "${3:-out}"; do
		[ $SECONDS -lt $deadline ] || { echo "waited in vain for $1"; tail -n 20 out err console; return 1; }
		read -r -t $blink <> <(:) || :
	done
}
