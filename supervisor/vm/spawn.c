/*
 * Starting programs, through jail_fork_beside(). Into a sandbox a program is executed through a descriptor that we
 * opened, for its user may not have the right to walk to it; outside of one, which is for debugging, by its path, so that it
 * bears its name, and may be a script.
 */
#include "supervisor/vm/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/jail/jail.h"
#include "common/jail/jail_record.h"
#include "common/program/child.h"
#include "common/program/program_path.h"

#define SPAWN_CONTROL_FD 3

int spawn_fix_paths(void)
{
	const char *folder = getenv(PROGRAM_FOLDER_ENV);
	char absolute[PATH_MAX];

	if (folder == NULL || folder[0] == '\0' || folder[0] == '/')
		return 0;
	return realpath(folder, absolute) == NULL || setenv(PROGRAM_FOLDER_ENV, absolute, 1) < 0 ? -errno : 0;
}

static char *spawn_environment[] = {(char *)CHILD_CONTROL_FD_ENV "=3", NULL, NULL};
_Static_assert(SPAWN_CONTROL_FD == 3, "the text of the variable");

void spawn_recording(void)
{
	spawn_environment[1] = (char *)JAIL_RECORD_ENV "=1";
}

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

static _Noreturn void spawn_execute(struct jail_fork *fork, const struct spawn_request *request,
				    const char *path, int program_fd)
{
	char *arguments[] = {(char *)request->title, NULL};
	sigset_t none;
	int result = spawn_arrange_descriptors(fork, request->control_fd, request->output_fd, program_fd);

	if (result == 0 && request->sandbox)
		result = spawn_apply_limits(&request->limits);
	if (result < 0)
		jail_fork_fail(fork, result);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (request->sandbox)
		execveat(SPAWN_CONTROL_FD + 2, "", arguments, spawn_environment, AT_EMPTY_PATH);
	else
		execve(path, arguments, spawn_environment);
	jail_fork_fail(fork, -errno);
}

static int spawn_start(const char *path, const struct spawn_request *request, struct spawned *spawned,
		       struct spawn_problem *problem)
{
	struct jail_fork fork;
	int program_fd = open(path, O_PATH | O_CLOEXEC), result;
	bool host;

	if (program_fd < 0)
		return -errno;
	result = jail_fork_beside(&fork, request->limits.cgroup_fd, request->sandbox);
	if (result == 1)
		spawn_execute(&fork, request, path, program_fd);
	close(program_fd);
	/* What comes later is the program's. */
	host = result < 0 && request->sandbox;
	if (result == 0)
		result = jail_fork_wait(&fork);
	spawned->lost_count = fork.lost_count;
	memcpy(spawned->lost, fork.lost, sizeof(spawned->lost));
	if (result < 0) {
		*problem = (struct spawn_problem){fork.step, fork.remedy, host};
		return result;
	}
	close(fork.link_fd);
	spawned->pid = fork.pid;
	spawned->pidfd = fork.pidfd;
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

int spawn_program(const struct spawn_request *request, struct spawned *spawned, struct spawn_problem *problem)
{
	char path[PATH_MAX];
	int result;

	program_path(request->program, path, sizeof(path));
	*spawned = (struct spawned){.pidfd = -1};
	*problem = (struct spawn_problem){0};
	result = spawn_start(path, request, spawned, problem);
	if (result < 0 && problem->step == NULL) {
		problem->step = "";
		problem->remedy = result == -ENOENT ? PROGRAM_MISSING_REMEDY
						    : "see that this host can start more processes";
	}
	return result;
}
