# What ./demo and ./check share: packages, the build, and talking about it. Sourced by bash; top is the tree.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$*"; exit 1; }

# as_root COMMAND...: as it is for root, else through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; return; fi
	command -v sudo >/dev/null || fail "$1 needs root and there is no sudo; run this as root"
	sudo -- "$@"
}

# packages_of SECTION...: the package names of tests/packages; of alternatives the first that apt could install, else the last.
packages_of() {
	local section names name
	for section in "$@"; do
		awk -v want="[$section]" '/^\[/ { on = $0 == want; next } on && NF && !/^#/' "$top/tests/packages"
	done | while IFS=' |' read -r -a names; do
		name=${names[0]}
		# Known by its name alone, as one that others refer to, is not enough.
		[ ${#names[@]} = 1 ] || for name in "${names[@]}"; do
			[[ $(LC_ALL=C apt-cache policy "$name" 2>/dev/null) =~ Candidate:\ [^\(] ]] && break
		done
		printf '%s\n' "$name"
	done
}

# missing_packages SECTION...: those that are not installed.
missing_packages() {
	local package
	for package in $(packages_of "$@"); do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
	done
}

# install_packages SECTION...: installs what is missing, and says what.
install_packages() {
	local missing
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} = 0 ] && return
	as_root apt-get update -q >"$logs/apt.log" 2>&1 || { tail -5 "$logs/apt.log" >&2; fail "apt-get update failed; see $logs/apt.log"; }
	# Once more: apt may know more alternatives now.
	mapfile -t missing < <(missing_packages "$@")
	say "installing ${#missing[@]} packages: ${missing[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" \
		>>"$logs/apt.log" 2>&1 || { tail -5 "$logs/apt.log" >&2; fail "apt-get install failed; see $logs/apt.log"; }
}

# logged NAME COMMAND...: runs it with its output in $logs/NAME.log; shows the end of that on failure.
logged() {
	local log=$logs/$1.log
	shift
	"$@" >"$log" 2>&1 && return
	tail -n 40 "$log" >&2
	say "failed: $*; the whole output is in $log"
	return 1
}

# prepare_configure: makes configure, where it is missing or old.
prepare_configure() {
	[ -x "$top/configure" ] && [ ! "$top/configure.ac" -nt "$top/configure" ] && return
	(cd "$top" && logged autoreconf autoreconf -fi)
}

# build_tree DIR CONFIGURE-OPTION...: configures (once) and builds in DIR.
build_tree() {
	local dir=$1
	shift
	mkdir -p "$dir"
	prepare_configure || return 1
	if [ ! -e "$dir/config.status" ]; then
		(cd "$dir" && logged "configure-${dir##*/}" "$top/configure" "$@") || return 1
	fi
	logged "make-${dir##*/}" make -C "$dir" -j"$(nproc)"
}

# stage_tree DIR: installs the build into DIR/stage and points the environment at it.
stage_tree() {
	logged "install-${1##*/}" make -C "$1" install DESTDIR="$1/stage" || return 1
	export ATOLL="$1/stage/usr/local/bin/atoll"
	export ATOLL_LIBEXEC_DIR="$1/stage/usr/local/libexec/atoll" ATOLL_POLICY_DIR="$1/stage/usr/local/share/atoll/policy"
}

# kvm_kind: what this machine's /dev/kvm can run, in a word, and why it is not more: "hardware" (a kernel), "software" (a
# KVM without the processor's own virtualization interprets kernel code, too slowly and not all of it), "none".
kvm_kind() {
	if [ ! -e /dev/kvm ]; then
		echo "none no /dev/kvm here"
	elif ! (: <>/dev/kvm) 2>/dev/null; then
		echo "none no right to /dev/kvm (its group is $(stat -c %G /dev/kvm))"
	elif grep -qwE 'svm|vmx' /proc/cpuinfo; then
		echo hardware
	else
		echo "software this KVM interprets kernels (no svm or vmx in /proc/cpuinfo)"
	fi
}
