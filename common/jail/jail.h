/*
 * The jail: what every process of a VM but the supervisor goes through before it reads a byte of a guest.
 *
 *   the parent   jail_fork(): new namespaces, and a user id that is nobody else's
 *   the child    jail_enter(): its end is tied to its parent's, an empty root, limits, no capabilities, no new
 *                privileges, Landlock, no memory that becomes executable, no dumps
 *                ... then it prepares: threads, rings, memory ...
 *                jail_seal_process(), and jail_seal_thread() in each thread that has a filter of its own
 *                ... then it says that it is ready.
 *
 * The filters are compiled from policy/; what happens to a call that they do not list is jail_violation.c's.
 * Each function logs what fails, with the step's name and a remedy; a process that cannot be sealed must not
 * start.
 */
#ifndef ATOLL_COMMON_JAIL_JAIL_H
#define ATOLL_COMMON_JAIL_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/seccomp_filter.h"

/* What a process ends with after a system call that its filter does not allow: 128 + SIGSYS. */
#define JAIL_EXIT_VIOLATION 159
/* And after abort(3), whose signal does nothing to the first process of a pid namespace: 128 + SIGABRT. */
#define JAIL_EXIT_ABORTED 134

/* --- The parent's side: jail_fork.c --- */

/* Attempts at a user that nobody else takes at the same time. */
#define JAIL_FORK_TRIES 8

struct jail_fork {
	pid_t pid;
	int pidfd;
	/* A SEQPACKET socket to the other side. The parent's end hangs up when the parent ends. */
	int link_fd;
	/* jail_fork_beside(): those that were made and got nowhere, for the parent to reap. */
	pid_t lost[JAIL_FORK_TRIES];
	unsigned lost_count;
	const char *step;   /* what failed, if something did: "cannot make its namespaces" */
	const char *remedy; /* and what helps */
	bool beside;	    /* jail_fork_beside(): the child is a sibling */
	bool outside;	    /* in no namespaces of its own, and its user is the caller's */
};

/*
 * As fork(2), but the child is the first process of user, pid, network, IPC, UTS and cgroup namespaces of its
 * own; its user is root in there and without any right outside: for a parent that is root a user id of its
 * own, else the parent's. Only a process with one thread may call it.
 *
 * Returns 0 in the parent, which must call jail_fork_wait() next; 1 in the child; or -errno.
 */
int jail_fork(struct jail_fork *fork);
/*
 * The same, and the child is in the cgroup (of version 2) of this directory from its first moment; where the kernel or
 * a filter has no clone3(2), from before it goes on. -1: in the parent's.
 */
int jail_fork_into(struct jail_fork *fork, int cgroup_fd);
/*
 * The same, but the child is a child of the caller's parent: who calls this cannot reap it. sandbox: false for one that
 * stays in the caller's namespaces, as its user.
 */
int jail_fork_beside(struct jail_fork *fork, int cgroup_fd, bool sandbox);
/* Puts a process into a cgroup. 0 or -errno. */
int jail_enter_cgroup(pid_t pid, int cgroup_fd);

/*
 * The parent: waits until the child has called exec or jail_fork_done(). 0, and pid, pidfd and link_fd are the
 * caller's; or -errno when the child failed, which is reaped then.
 */
int jail_fork_wait(struct jail_fork *fork);

/* The child: goes on without an exec. link_fd stays open: it is jail_enter()'s parent_fd. */
void jail_fork_done(struct jail_fork *fork);
/* The child: cannot go on; tells the parent and ends. */
_Noreturn void jail_fork_fail(struct jail_fork *fork, int error);

/*
 * For a program started by hand: stays outside, passes SIGTERM, SIGINT, SIGHUP and job control on to the
 * child, and returns the child's exit status (128 + signal if one killed it) once it has ended. The caller has
 * these signals and SIGCHLD blocked.
 */
int jail_fork_attend(struct jail_fork *fork);

/* --- The child's side: jail_enter.c --- */

struct jail {
	const char *program; /* "atoll-blk" */
	int parent_fd;	     /* a socket whose hang-up is the parent's end */
	unsigned files;	     /* descriptors that it may have open */
};

/* Goes in. For a process that came from jail_fork(), while it has one thread. 0 or -errno (logged). */
int jail_enter(const struct jail *jail);

/* --- Landlock: jail_landlock.c --- */

/* Denies all that Landlock of this kernel can. 0, also where there is none; or -errno. */
int jail_restrict_landlock(void);

/* The rights of LANDLOCK_ACCESS_FS_..., with the kernel's numbers. */
enum jail_path_right {
	JAIL_PATH_WRITE_FILE = 1 << 1,
	JAIL_PATH_READ_FILE = 1 << 2,
	JAIL_PATH_READ_DIR = 1 << 3,
	JAIL_PATH_REMOVE_DIR = 1 << 4,
	JAIL_PATH_REMOVE_FILE = 1 << 5,
	JAIL_PATH_MAKE_REG = 1 << 8,
	JAIL_PATH_TRUNCATE = 1 << 14,  /* ABI 3 */
	JAIL_PATH_IOCTL_DEV = 1 << 15, /* ABI 5 */
};

/* What stays in reach: a file, or a directory and all below it. */
struct jail_path {
	int fd; /* may be O_PATH */
	unsigned rights;
};

/*
 * The same, but for these, and for signals: who has children outside of its domain could not end them. What is open
 * stays usable. 0, also where there is no Landlock; or -errno.
 */
int jail_restrict_landlock_to(const struct jail_path *paths, size_t count);

/* The ABI of this kernel's Landlock; 0: it has none. */
int jail_landlock_version(void);

/* --- Sealing: jail_seal.c --- */

/*
 * Violations are reported on control_fd from now on (-1: on standard error alone). Called before the first
 * seal.
 */
int jail_watch_violations(int control_fd);

/*
 * The process is about to serve a guest: until here, a call that its filters do not allow shows that they and the C
 * library do not fit, and is reported as that.
 */
void jail_serves(void);

/*
 * Installs the filter in every thread of the process; none may have one of its own yet. tasks: whether the
 * kernel may still have to start threads for us (io_uring's workers, KVM's). 0 or -errno (logged).
 */
int jail_seal_process(const struct seccomp_filter *filter, bool tasks);

/* Names the calling thread, for ps(1) and for reports; a thread other than the main one does it as its first step. */
void jail_name_thread(const char *name);

/* A value for a slot of the filter: {"OWN_FD", 7}. */
struct jail_slot {
	const char *name;
	uint32_t value;
};

/*
 * Installs the filter in the calling thread, on top of what it has, which must allow seccomp(2) and write(2). The
 * thread does not block SIGSYS: the kernel would end it without a report. 0 or -errno (logged).
 */
int jail_seal_thread(const struct seccomp_filter *filter, const struct jail_slot *slots, size_t slot_count);

#endif
