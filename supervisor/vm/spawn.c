/*
 * Starting programs. Outside of a sandbox, which is for debugging, through posix_spawn(3). Into one through
 * jail_fork(), with the same steps between fork and exec; the program is executed through a descriptor that
 * we opened, for its user may not have the right to walk to it.
 */
#include "supervisor/vm/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/jail/jail.h"
#include "common/jail/jail_record.h"
#include "common/program/child.h"

#define SPAWN_CONTROL_FD 3

void spawn_program_path(const char *program, char *path, size_t size)
{
	const char *folder = getenv("ATOLL_LIBEXEC_DIR");

	snprintf(path, size, "%s/%s", folder != NULL && folder[0] != '\0' ? folder : ATOLL_LIBEXECDIR,
		 program);
}

int spawn_fix_paths(void)
{
	const char *folder = getenv("ATOLL_LIBEXEC_DIR");
	char absolute[PATH_MAX];

	if (folder == NULL || folder[0] == '\0' || folder[0] == '/')
		return 0;
	return realpath(folder, absolute) == NULL || setenv("ATOLL_LIBEXEC_DIR", absolute, 1) < 0 ? -errno
												  : 0;
}

/* The order matters: 0 to 2 are always open in us, so neither of ours is one of them and is overwritten; output_fd may be 3. */
static int spawn_file_actions(posix_spawn_file_actions_t *actions, int control_fd, int output_fd)
{
	int result = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO);
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, output_fd, STDERR_FILENO);
	/* Also when it is 3 already: then this clears its close-on-exec flag. */
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, control_fd, SPAWN_CONTROL_FD);
	if (result == 0)
		result = posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_CONTROL_FD + 1);
	return -result;
}

static int spawn_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int result;

	sigemptyset(&none);
	sigfillset(&all);
	result = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
							      POSIX_SPAWN_SETPGROUP);
	if (result == 0)
		result = posix_spawnattr_setsigmask(attributes, &none);
	if (result == 0)
		result = posix_spawnattr_setsigdefault(attributes, &all);
	if (result == 0)
		result = posix_spawnattr_setpgroup(attributes, 0);
	return -result;
}

static char *spawn_environment[] = {(char *)CHILD_CONTROL_FD_ENV "=3", NULL, NULL};
_Static_assert(SPAWN_CONTROL_FD == 3, "the text of the variable");

void spawn_recording(void)
{
	spawn_environment[1] = (char *)JAIL_RECORD_ENV "=1";
}

static int spawn_outside(const char *path, char *const *arguments, int cgroup_fd, int control_fd,
			 int output_fd, pid_t *pid, int *pidfd)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	pid_t new_pid;
	int result;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	result = spawn_file_actions(&actions, control_fd, output_fd);
	if (result == 0)
		result = spawn_attributes(&attributes);
	if (result == 0)
		result = -posix_spawn(&new_pid, path, &actions, &attributes, arguments, spawn_environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (result < 0)
		return result;
	/* It cannot be reaped by anybody else yet, so the pid is still its own. */
	*pidfd = pidfd_open(new_pid, 0);
	result = *pidfd < 0 ? -errno : 0;
	/* It has nothing of the guest's before its configuration comes. */
	if (result == 0 && cgroup_fd >= 0)
		result = jail_enter_cgroup(new_pid, cgroup_fd);
	if (result < 0) {
		if (*pidfd >= 0)
			close(*pidfd);
		*pidfd = -1;
		kill(new_pid, SIGKILL);
		waitpid(new_pid, NULL, 0);
		return result;
	}
	*pid = new_pid;
	return 0;
}

/* --- Into a sandbox --- */

/* The child: descriptors 0 to 3, then the socket to the parent and the program, which the exec closes. */
static int spawn_arrange_descriptors(struct jail_fork *fork, int control_fd, int output_fd, int program_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* Out of the way of the numbers that are about to be taken. */
	int link = fcntl(fork->link_fd, F_DUPFD_CLOEXEC, SPAWN_CONTROL_FD + 3);
	int program = fcntl(program_fd, F_DUPFD_CLOEXEC, SPAWN_CONTROL_FD + 3);
	int control = fcntl(control_fd, F_DUPFD_CLOEXEC, SPAWN_CONTROL_FD + 3);
	int output = fcntl(output_fd, F_DUPFD_CLOEXEC, SPAWN_CONTROL_FD + 3);

	if (null_fd < 0 || link < 0 || program < 0 || control < 0 || output < 0)
		return -errno;
	fork->link_fd = link;
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0 || dup2(control, SPAWN_CONTROL_FD) < 0 ||
	    dup2(link, SPAWN_CONTROL_FD + 1) < 0 || dup2(program, SPAWN_CONTROL_FD + 2) < 0)
		return -errno;
	fork->link_fd = SPAWN_CONTROL_FD + 1;
	if (fcntl(SPAWN_CONTROL_FD + 1, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(SPAWN_CONTROL_FD + 2, F_SETFD, FD_CLOEXEC) < 0 ||
	    close_range(SPAWN_CONTROL_FD + 3, ~0u, 0) < 0)
		return -errno;
	return 0;
}

/* The limits of our own stay: nobody is given more than we have. */
static int spawn_limit(int resource, uint64_t most)
{
	struct rlimit limit;

	if (getrlimit((enum __rlimit_resource)resource, &limit) < 0)
		return -errno;
	if (most < limit.rlim_max)
		limit.rlim_max = most;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit((enum __rlimit_resource)resource, &limit) < 0 ? -errno : 0;
}

static int spawn_apply_limits(const struct spawn_limits *limits)
{
	int result;

	/* A write beyond is an error of the write, no signal. */
	signal(SIGXFSZ, SIG_IGN);
	result = spawn_limit(RLIMIT_FSIZE, limits->file);
	if (result == 0)
		result = spawn_limit(RLIMIT_CORE, 0);
	if (result == 0 && SPAWN_LIMITS_MEMORY)
		result = spawn_limit(RLIMIT_AS, limits->memory);
	return result;
}

static _Noreturn void spawn_execute(struct jail_fork *fork, char *const *arguments,
				    const struct spawn_limits *limits, int control_fd, int output_fd,
				    int program_fd)
{
	sigset_t none;
	int result = spawn_arrange_descriptors(fork, control_fd, output_fd, program_fd);

	if (result == 0 && limits != NULL)
		result = spawn_apply_limits(limits);
	if (result < 0)
		jail_fork_fail(fork, result);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execveat(SPAWN_CONTROL_FD + 2, "", arguments, spawn_environment, AT_EMPTY_PATH);
	jail_fork_fail(fork, -errno);
}

static int spawn_inside(const char *path, char *const *arguments, const struct spawn_limits *limits,
			int control_fd, int output_fd, pid_t *pid, int *pidfd, struct spawn_problem *problem)
{
	struct jail_fork fork;
	int program_fd = open(path, O_PATH | O_CLOEXEC), result;
	bool host;

	if (program_fd < 0)
		return -errno;
	result = jail_fork_into(&fork, limits != NULL ? limits->cgroup_fd : -1);
	if (result == 1)
		spawn_execute(&fork, arguments, limits, control_fd, output_fd, program_fd);
	close(program_fd);
	/* What comes later is the program's. */
	host = result < 0;
	if (result == 0)
		result = jail_fork_wait(&fork);
	if (result < 0) {
		*problem = (struct spawn_problem){fork.step, fork.remedy, host};
		return result;
	}
	close(fork.link_fd);
	*pid = fork.pid;
	*pidfd = fork.pidfd;
	return 0;
}

int spawn_probe(struct spawn_problem *problem)
{
	struct jail_fork fork;
	int result = jail_fork(&fork);

	if (result == 1) {
		jail_fork_done(&fork);
		_exit(0);
	}
	if (result == 0)
		result = jail_fork_wait(&fork);
	if (result < 0) {
		*problem = (struct spawn_problem){fork.step, fork.remedy, true};
		return result;
	}
	waitid(P_PIDFD, (id_t)fork.pidfd, NULL, WEXITED);
	close(fork.pidfd);
	close(fork.link_fd);
	return 0;
}

int spawn_program(const char *program, const char *title, bool sandbox, const struct spawn_limits *limits,
		  int control_fd, int output_fd, pid_t *pid, int *pidfd, struct spawn_problem *problem)
{
	char *arguments[] = {(char *)title, NULL};
	char path[PATH_MAX];
	int result;

	spawn_program_path(program, path, sizeof(path));
	*problem = (struct spawn_problem){0};
	result = sandbox ? spawn_inside(path, arguments, limits, control_fd, output_fd, pid, pidfd, problem)
			 : spawn_outside(path, arguments, limits != NULL ? limits->cgroup_fd : -1, control_fd,
					 output_fd, pid, pidfd);
	if (result < 0 && problem->step == NULL) {
		problem->step = "";
		problem->remedy = result == -ENOENT ? "install Atoll as a whole, or set ATOLL_LIBEXEC_DIR"
						    : "see that this host can start more processes";
	}
	return result;
}
