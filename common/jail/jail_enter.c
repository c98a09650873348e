/*
 * Theory of operation.
 *
 * A process that comes here has namespaces of its own, all capabilities in them, a host's root directory that
 * it sees through them, and a user id with no rights. It gives these away in an order that is not free:
 *
 *   parent        PR_SET_PDEATHSIG is cleared by a change of the user id, so it comes after it; a parent that
 *                 ended before it is found by its end of the socket
 *   root          needs CAP_SYS_ADMIN: mounts made private, an empty tmpfs put over the root, the old one let go
 *   limits
 *   capabilities  the bounding set and securebits need CAP_SETPCAP, so they go first; then all sets are emptied
 *   privileges    no_new_privs, which Landlock and seccomp ask of one without CAP_SYS_ADMIN
 *   Landlock      of kernels that have it: a second lock, should a filter let an open through
 *   memory        MDWE (Linux 6.3): memory cannot become executable any more
 *   dumps         no core dump, no ptrace by others of the same user
 *
 * What an unshare(CLONE_NEWUSER) would give back is the filter's to refuse (jail_seal.c).
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/jail/jail.h"

/* Younger than the headers of some hosts: Linux 6.3. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE		 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
/* linux/securebits.h, all of them locked. KEEP_CAPS itself stays off. */
#define JAIL_SECUREBITS (0x3u | 0x3u << 2 | 0x2u << 4 | 0x3u << 6)
/* The mount point for a moment; there is one in every root, and nothing behind it is needed any more. */
#define JAIL_MOUNT_POINT "/proc"

/* --- Steps, in their order --- */

/* Everything below is harmless only to a process of jail_fork(). */
static int enter_check(const struct jail *jail)
{
	(void)jail;
	return getpid() == 1 && geteuid() == 0 ? 0 : -EPERM;
}

static int enter_parent(const struct jail *jail)
{
	struct pollfd parent = {.fd = jail->parent_fd, .events = POLLRDHUP};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (poll(&parent, 1, 0) < 0)
		return -errno;
	return (parent.revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0 ? -EPIPE : 0;
}

static int enter_root(const struct jail *jail)
{
	(void)jail;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", JAIL_MOUNT_POINT, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,nr_inodes=1,mode=555") < 0)
		return -errno;
	/* pivot_root(".", "."): the old root lies over the new one, and is taken off. */
	if (chdir(JAIL_MOUNT_POINT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int limit(int resource, rlim_t most)
{
	struct rlimit now;

	if (getrlimit((enum __rlimit_resource)resource, &now) < 0)
		return -errno;
	if (now.rlim_max < most)
		most = now.rlim_max;
	return setrlimit((enum __rlimit_resource)resource, &(struct rlimit){most, most}) < 0 ? -errno : 0;
}

static int enter_limits(const struct jail *jail)
{
	int result = limit(RLIMIT_NOFILE, jail->files);

	for (const int *resource =
		     (const int[]){RLIMIT_CORE, RLIMIT_MSGQUEUE, RLIMIT_RTPRIO, RLIMIT_NICE, -1};
	     result == 0 && *resource >= 0; resource++)
		result = limit(*resource, 0);
	return result;
}

static int enter_capabilities(const struct jail *jail)
{
	cap_t none;
	int result = 0;

	(void)jail;
	/* Up to the last one that this kernel has, which may be more than our headers know. */
	for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++)
		if (cap_drop_bound(capability) < 0)
			return -errno;
	if (cap_reset_ambient() < 0 || prctl(PR_SET_SECUREBITS, JAIL_SECUREBITS) < 0)
		return -errno;
	none = cap_init();
	if (none == NULL)
		return -errno;
	if (cap_set_proc(none) < 0)
		result = -errno;
	cap_free(none);
	return result;
}

static int enter_privileges(const struct jail *jail)
{
	(void)jail;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int enter_landlock(const struct jail *jail)
{
	(void)jail;
	return jail_restrict_landlock();
}

static int enter_memory(const struct jail *jail)
{
	(void)jail;
	/* EINVAL: a kernel before 6.3; the filter refuses the same by its arguments. */
	return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0 && errno != EINVAL ? -errno : 0;
}

static int enter_dumps(const struct jail *jail)
{
	(void)jail;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/*
 * abort(3) ends a process by a signal that the kernel does not deliver to the first process of a pid
 * namespace, and then by a crash that looks like another fault.
 */
static void jail_aborted(int number)
{
	(void)number;
	syscall(SYS_exit_group, JAIL_EXIT_ABORTED);
}

static int enter_process(const struct jail *jail)
{
	const struct sigaction action = {.sa_handler = jail_aborted};

	/* What the C library reads once, to tell times in the log; later there is no file. */
	tzset();
	/* Executed through a descriptor, it bears the descriptor's name. */
	prctl(PR_SET_NAME, jail->program);
	return sigaction(SIGABRT, &action, NULL) < 0 ? -errno : 0;
}

#define REMEDY_NAMESPACES "allow user namespaces to be used, see the host's AppArmor or SELinux"

static const struct {
	const char *name;
	int (*take)(const struct jail *jail);
	const char *remedy;
} jail_steps[] = {
	{"namespaces", enter_check, "start it with atoll, or by hand"},
	{"process", enter_process, "see the kernel's log"},
	{"parent", enter_parent, "start it again"},
	{"root", enter_root, REMEDY_NAMESPACES},
	{"limits", enter_limits, "see the limits that it was started with"},
	{"capabilities", enter_capabilities, REMEDY_NAMESPACES},
	{"no new privileges", enter_privileges, "use a newer kernel"},
	{"Landlock", enter_landlock, "see the kernel's log"},
	{"memory", enter_memory, "see the kernel's log"},
	{"dumps", enter_dumps, "see the kernel's log"},
};

int jail_enter(const struct jail *jail)
{
	for (size_t i = 0; i < sizeof(jail_steps) / sizeof(jail_steps[0]); i++) {
		int result = jail_steps[i].take(jail);

		if (result < 0) {
			log_error("jail: %s: %s; %s, or use --no-sandbox for debugging", jail_steps[i].name,
				  strerror(-result), jail_steps[i].remedy);
			return result;
		}
	}
	return 0;
}
