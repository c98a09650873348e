/*
 * The parent's side of the jail.
 *
 * The child is made by clone3(2) directly: no C library call makes namespaces and a process in one step, and
 * two steps would leave an intermediate process or put ourselves into the namespaces. It is a copy of us, as
 * after fork(2), so only a process with one thread may do this. It waits on a socket until its user and group
 * maps are written, which is the parent's to do: the parent has the right to give a user id away, and to deny
 * setgroups(2) before the map makes it possible.
 *
 * The mount namespace is not among those made here: jail_enter() makes it, so that a jail_enter() in a process
 * that did not come from here can do no harm to anybody's mounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/line_file.h"
#include "common/base/log.h"
#include "common/jail/jail.h"
#include "common/jail/jail_user.h"

#define JAIL_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define GROUPS_MAX 256

static int jail_fork_problem(struct jail_fork *fork, int error, const char *step, const char *remedy)
{
	fork->step = step;
	fork->remedy = remedy;
	return error;
}

/* --- The parent --- */

static int map_write(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return line_file_write(AT_FDCWD, path, text);
}

static int map_write_one(pid_t pid, const char *name, unsigned outer)
{
	char text[32];

	snprintf(text, sizeof(text), "0 %u 1", outer);
	return map_write(pid, name, text);
}

/* Root gives each a user of its own. */
static int jail_give_user(pid_t pid, const struct jail_users *users)
{
	uint32_t id;
	int result = jail_user_choose(users, pid, &id);

	if (result == 0)
		result = map_write_one(pid, "uid_map", id);
	if (result == 0)
		result = map_write_one(pid, "gid_map", id);
	return result < 0 ? result : jail_user_verify(users, pid, id);
}

/* In a rootless container root is all the users that there are: then it is an ordinary user as far as we care. */
static int jail_write_maps(pid_t pid)
{
	struct jail_users users;
	int result = map_write(pid, "setgroups", "deny");

	if (result < 0)
		return result;
	if (geteuid() == 0) {
		jail_users_read(&users);
		result = jail_give_user(pid, &users);
		if (users.by_pid || users.count != 0)
			return result;
	}
	result = map_write_one(pid, "uid_map", geteuid());
	return result < 0 ? result : map_write_one(pid, "gid_map", getegid());
}

int jail_enter_cgroup(pid_t pid, int cgroup_fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return line_file_write(cgroup_fd, "cgroup.procs", text);
}

/* Whether an error of clone3(2) is the cgroup's, and not that of the namespaces. */
static bool jail_is_of_cgroup(int error)
{
	return error == -EAGAIN || error == -EACCES || error == -EBUSY || error == -ENODEV ||
	       error == -EOPNOTSUPP || error == -ENOENT;
}

/* What helps who cannot write them. */
static const char *jail_maps_remedy(int error)
{
	if (error == -ENOENT)
		return "mount /proc, that of this pid namespace";
	if (error == -EUSERS || error == -EBUSY)
		return "let this container's user namespace have more ids; 65536 are usual";
	if (error == -EPERM && geteuid() == 0)
		return "let root keep CAP_SETUID and CAP_SETGID (in a container with one user alone, "
		       "CAP_SETFCAP), or start it as a user that is not root";
	return "mount /proc so that it can be written, and let this host's security modules allow it";
}

static const char *jail_clone_remedy(int error)
{
	if (error == -ENOSPC || error == -EUSERS)
		return "raise the sysctls user.max_*_namespaces, or nest fewer containers";
	if (error == -EINVAL)
		return "use a kernel with user, pid, network, IPC, UTS and cgroup namespaces";
	if (error == -EPERM || error == -EACCES)
		return "allow user namespaces (sysctls user.max_user_namespaces, "
		       "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; "
		       "in a container, its seccomp profile), or use --no-sandbox for debugging";
	return "see that memory and processes are left";
}

/* --- The child --- */

/* The maps are there: become the user that they name. Raw calls: the C library's would be for all threads. */
static int jail_become_user(void)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* Nothing is said before the parent has said something; at its end we end. */
static void jail_await_maps(struct jail_fork *fork)
{
	char go;
	ssize_t size;
	int result;

	do
		size = recv(fork->link_fd, &go, sizeof(go), 0);
	while (size < 0 && errno == EINTR);
	if (size != sizeof(go))
		_exit(1);
	result = fork->outside ? 0 : jail_become_user();
	if (result < 0)
		jail_fork_fail(fork, result);
}

void jail_fork_done(struct jail_fork *fork)
{
	int none = 0;

	send(fork->link_fd, &none, sizeof(none), MSG_NOSIGNAL);
}

_Noreturn void jail_fork_fail(struct jail_fork *fork, int error)
{
	send(fork->link_fd, &error, sizeof(error), MSG_NOSIGNAL);
	_exit(1);
}

/* --- Both --- */

/*
 * Returns the pid, 0 in the child, or -errno. *moved: it needs not be put into the cgroup any more. The end of a
 * sibling is signalled as ours would be.
 */
static pid_t jail_clone(struct jail_fork *fork, int cgroup_fd, bool *moved)
{
	unsigned flags =
		(fork->outside ? 0 : JAIL_NAMESPACES) | (fork->beside ? CLONE_PARENT : 0) | CLONE_PIDFD;
	struct clone_args arguments = {
		.flags = flags,
		.pidfd = (uintptr_t)&fork->pidfd,
		.exit_signal = fork->beside ? 0 : SIGCHLD,
	};
	long pid;

	*moved = true;
	if (cgroup_fd >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup_fd;
	}
	pid = syscall(SYS_clone3, &arguments, sizeof(arguments));

	/* Filters of containers, which cannot look into its arguments, answer so. */
	if (pid < 0 && errno == ENOSYS) {
		pid = syscall(SYS_clone, flags | SIGCHLD, NULL, &fork->pidfd, NULL, 0);
		*moved = pid <= 0;
	}
	return pid < 0 ? -errno : (pid_t)pid;
}

/*
 * Supplementary groups cannot be dropped behind "setgroups deny", so root drops its own for the moment; of
 * this thread alone, which is the only one.
 */
static pid_t jail_clone_without_groups(struct jail_fork *fork, int cgroup_fd, bool *moved)
{
	gid_t groups[GROUPS_MAX];
	int count = geteuid() == 0 && !fork->outside ? getgroups(GROUPS_MAX, groups) : 0;
	bool dropped = count > 0 && syscall(SYS_setgroups, 0, NULL) == 0;
	pid_t pid = jail_clone(fork, cgroup_fd, moved);

	if (dropped && pid != 0)
		syscall(SYS_setgroups, count, groups);
	return pid;
}

/* Ends and reaps a child that got nowhere. */
static void jail_fork_abandon(struct jail_fork *fork)
{
	pidfd_send_signal(fork->pidfd, SIGKILL, NULL, 0);
	if (!fork->beside)
		waitid(P_PIDFD, (id_t)fork->pidfd, NULL, WEXITED);
	else if (fork->lost_count < JAIL_FORK_TRIES)
		fork->lost[fork->lost_count++] = fork->pid;
	close(fork->pidfd);
	close(fork->link_fd);
	fork->pidfd = fork->link_fd = -1;
}

/* cgroup_fd: where it is to be put first; -1: nowhere. */
static int jail_fork_release(struct jail_fork *fork, int cgroup_fd)
{
	const char go = 1;
	int result = cgroup_fd >= 0 ? jail_enter_cgroup(fork->pid, cgroup_fd) : 0;

	if (result < 0) {
		jail_fork_abandon(fork);
		return jail_fork_problem(fork, result, "cannot be put into its cgroup",
					 "see that its cgroup is there, and this user's");
	}
	result = fork->outside ? 0 : jail_write_maps(fork->pid);

	if (result < 0) {
		jail_fork_abandon(fork);
		return jail_fork_problem(fork, result, "cannot write its user and group maps in /proc",
					 jail_maps_remedy(result));
	}
	if (send(fork->link_fd, &go, sizeof(go), MSG_NOSIGNAL) < 0) {
		result = -errno;
		jail_fork_abandon(fork);
		return jail_fork_problem(fork, result, "it ended at once", "see the kernel's log");
	}
	return 0;
}

static int jail_fork_once(struct jail_fork *fork, int cgroup_fd)
{
	bool moved;
	sigset_t all, before;
	int sockets[2];

	fork->pidfd = fork->link_fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return jail_fork_problem(fork, -errno, "cannot make a socket", "see that files are left");
	/* A handler of ours that ran in the child would write to what the two share. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	fork->pid = jail_clone_without_groups(fork, cgroup_fd, &moved);
	if (fork->pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	if (fork->pid == 0) {
		close(sockets[0]);
		fork->link_fd = sockets[1];
		jail_await_maps(fork);
		for (int number = 1; number < NSIG; number++)
			signal(number, SIG_DFL);
		sigprocmask(SIG_SETMASK, &before, NULL);
		return 1;
	}
	close(sockets[1]);
	if (fork->pid < 0) {
		close(sockets[0]);
		if (cgroup_fd >= 0 && jail_is_of_cgroup(fork->pid))
			return jail_fork_problem(
				fork, fork->pid, "cannot be made in its cgroup",
				fork->pid == -EAGAIN
					? "raise limits.pids, or see that this host has processes left"
					: "see that its cgroup is there, and this user's");
		return jail_fork_problem(fork, fork->pid,
					 fork->outside ? "cannot be made" : "cannot make its namespaces",
					 jail_clone_remedy(fork->pid));
	}
	fork->link_fd = sockets[0];
	return jail_fork_release(fork, moved ? -1 : cgroup_fd);
}

/* Users that others took at the same time are tried no second time. */
static int jail_fork_try(struct jail_fork *fork, int cgroup_fd)
{
	int result = -EBUSY;

	for (unsigned i = 0; result == -EBUSY && i < JAIL_FORK_TRIES; i++)
		result = jail_fork_once(fork, cgroup_fd);
	return result;
}

int jail_fork_into(struct jail_fork *fork, int cgroup_fd)
{
	*fork = (struct jail_fork){0};
	return jail_fork_try(fork, cgroup_fd);
}

int jail_fork_beside(struct jail_fork *fork, int cgroup_fd, bool sandbox)
{
	*fork = (struct jail_fork){.beside = true, .outside = !sandbox};
	return jail_fork_try(fork, cgroup_fd);
}

int jail_fork(struct jail_fork *fork)
{
	return jail_fork_into(fork, -1);
}

int jail_fork_wait(struct jail_fork *fork)
{
	int error = 0;
	ssize_t size;

	do
		size = recv(fork->link_fd, &error, sizeof(error), 0);
	while (size < 0 && errno == EINTR);
	/* End of file: it was closed by an exec, or by the child's end, which the caller will see. */
	if (size != sizeof(error) || error == 0)
		return 0;
	jail_fork_abandon(fork);
	return jail_fork_problem(fork, error, "cannot be executed",
				 error == -EACCES ? "let everybody execute it: its user is one without rights"
						  : "install Atoll as a whole");
}

/* --- By hand: the process outside --- */

/* The child is stopped, then we; what continues us continues it. */
static void jail_fork_stop(struct jail_fork *fork)
{
	pidfd_send_signal(fork->pidfd, SIGSTOP, NULL, 0);
	raise(SIGSTOP);
	pidfd_send_signal(fork->pidfd, SIGCONT, NULL, 0);
}

/* Returns -1 while it lives. */
static int jail_fork_status(struct jail_fork *fork)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)fork->pidfd, &info, WEXITED | WNOHANG) < 0)
		return 1;
	if (info.si_pid == 0)
		return -1;
	if (info.si_code == CLD_EXITED)
		return info.si_status;
	log_error("it was killed by signal %d (%s)", info.si_status, strsignal(info.si_status));
	return 128 + info.si_status;
}

int jail_fork_attend(struct jail_fork *fork)
{
	sigset_t awaited;
	int status;

	sigemptyset(&awaited);
	for (const int *number = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCHLD, 0}; *number != 0;
	     number++)
		sigaddset(&awaited, *number);
	while ((status = jail_fork_status(fork)) < 0) {
		int number = sigwaitinfo(&awaited, NULL);

		if (number == SIGTSTP)
			jail_fork_stop(fork);
		else if (number > 0 && number != SIGCHLD)
			pidfd_send_signal(fork->pidfd, number, NULL, 0);
	}
	close(fork->pidfd);
	close(fork->link_fd);
	return status;
}
