/*
 * What is known of system calls: the kinds of their arguments, and which are dangerous.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_names.h"

/* A letter an argument: w(ord), l(ong), p(ointer). Values that may be pointers for some commands are l. */
static const struct {
	const char *name, *kinds;
} call_kinds[] = {
	{"accept4", "wppw"},
	{"arch_prctl", "wl"},
	{"capget", "pp"},
	{"capset", "pp"},
	{"clock_gettime", "wp"},
	{"clock_nanosleep", "wwpp"},
	{"clone", "lpppl"},
	{"clone3", "pl"},
	{"close", "w"},
	{"close_range", "www"},
	{"dup", "w"},
	{"dup3", "www"},
	{"epoll_create1", "w"},
	{"epoll_ctl", "wwwp"},
	{"epoll_pwait", "wpwwpl"},
	{"epoll_pwait2", "wpwppl"},
	{"epoll_wait", "wpww"},
	{"eventfd2", "ww"},
	{"exit", "w"},
	{"exit_group", "w"},
	{"fallocate", "wwll"},
	{"fcntl", "wwl"},
	{"fdatasync", "w"},
	{"fstat", "wp"},
	{"fsync", "w"},
	{"ftruncate", "wl"},
	{"futex", "pwwppw"},
	{"getrandom", "plw"},
	{"getrusage", "wp"},
	{"getsockopt", "wwwpp"},
	{"io_uring_enter", "wwwwpl"},
	{"io_uring_register", "wwpw"},
	{"io_uring_setup", "wp"},
	{"ioctl", "wwl"},
	{"kill", "ww"},
	{"landlock_restrict_self", "ww"},
	{"lseek", "wlw"},
	{"madvise", "plw"},
	{"memfd_create", "pw"},
	{"mmap", "plllwl"},
	{"mount", "ppplp"},
	{"mprotect", "pll"},
	{"mremap", "plllp"},
	{"msync", "plw"},
	{"munmap", "pl"},
	{"newfstatat", "wppw"},
	{"open", "pww"},
	{"openat", "wpww"},
	{"personality", "w"},
	{"pidfd_open", "ww"},
	{"pidfd_send_signal", "wwpw"},
	{"pipe2", "pw"},
	{"poll", "pww"},
	{"ppoll", "pwppl"},
	{"prctl", "wllll"},
	{"pread64", "wpll"},
	{"preadv", "wplll"},
	{"preadv2", "wplllw"},
	{"prlimit64", "wwpp"},
	{"ptrace", "llll"},
	{"pwrite64", "wpll"},
	{"pwritev", "wplll"},
	{"pwritev2", "wplllw"},
	{"read", "wpl"},
	{"readv", "wpl"},
	{"recvfrom", "wplwpp"},
	{"recvmsg", "wpw"},
	{"rt_sigaction", "wppl"},
	{"rt_sigprocmask", "wppl"},
	{"rt_sigqueueinfo", "wwp"},
	{"rt_tgsigqueueinfo", "wwwp"},
	{"sched_getaffinity", "wwp"},
	{"sched_setaffinity", "wwp"},
	{"seccomp", "wwp"},
	{"sendmsg", "wpw"},
	{"sendto", "wplwpw"},
	{"set_robust_list", "pl"},
	{"setns", "ww"},
	{"setsockopt", "wwwpw"},
	{"shutdown", "ww"},
	{"signalfd4", "wplw"},
	{"socket", "www"},
	{"socketpair", "wwwp"},
	{"sync_file_range", "wllw"},
	{"tgkill", "www"},
	{"timerfd_create", "ww"},
	{"timerfd_settime", "wwpp"},
	{"tkill", "ww"},
	{"umount2", "pw"},
	{"unshare", "l"},
	{"wait4", "wpwp"},
	{"waitid", "wwpwp"},
	{"write", "wpl"},
	{"writev", "wpl"},
};

enum policy_argument_kind policy_argument_kind(int call, unsigned argument)
{
	const char *name = call < 0 ? NULL : syscall_name((unsigned)call);

	for (size_t i = 0; name != NULL && i < sizeof(call_kinds) / sizeof(call_kinds[0]); i++) {
		if (strcmp(call_kinds[i].name, name) != 0)
			continue;
		if (argument >= strlen(call_kinds[i].kinds))
			return POLICY_ARGUMENT_NONE;
		switch (call_kinds[i].kinds[argument]) {
		case 'w':
			return POLICY_ARGUMENT_WORD;
		case 'l':
			return POLICY_ARGUMENT_LONG;
		default:
			return POLICY_ARGUMENT_POINTER;
		}
	}
	return POLICY_ARGUMENT_UNKNOWN;
}

const char *const policy_dangerous_calls[] = {
	/* new programs and processes, and power over others */
	"execve", "execveat", "fork", "vfork", "clone", "clone3", "ptrace", "process_vm_readv",
	"process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp", "kill", "tkill",
	"tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
	/* rights */
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid",
	"setfsgid", "capset", "personality", "seccomp", "keyctl", "add_key", "request_key",
	/* the tree of files */
	"mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen",
	"fsconfig", "fsmount", "fspick", "mount_setattr", "open", "openat", "openat2", "open_by_handle_at",
	"creat", "mknod", "mknodat", "rename", "renameat", "renameat2", "link", "linkat", "symlink",
	"symlinkat", "unlink", "unlinkat", "chmod", "fchmodat", "chown", "fchownat", "truncate",
	/* the network */
	"socket", "connect", "bind", "listen", "accept", "accept4",
	/* the kernel's large surfaces */
	"bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_register", "io_setup",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
	"swapoff", "iopl", "ioperm", "modify_ldt", "quotactl", "acct", "syslog", "memfd_secret",
	"fanotify_init", "vmsplice", "remap_file_pages", "uselib", "sysfs", "name_to_handle_at", NULL};

bool policy_call_is_dangerous(const char *name)
{
	for (size_t i = 0; policy_dangerous_calls[i] != NULL; i++)
		if (strcmp(policy_dangerous_calls[i], name) == 0)
			return true;
	return false;
}

bool policy_call_needs_conditions(const char *name)
{
	static const char *const calls[] = {"ioctl", "prctl",  "mmap",	 "mprotect",  "fcntl",
					    "clone", "tgkill", "socket", "prlimit64", "arch_prctl"};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i], name) == 0)
			return true;
	return false;
}
