/*
 * Starting programs, through posix_spawn(3): it does not copy our page tables, and the steps between fork and
 * exec are glibc's, not ours to get wrong.
 */
#include "supervisor/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"

#define SPAWN_CONTROL_FD 3

void spawn_program_path(const char *program, char *path, size_t size)
{
	const char *folder = getenv("ATOLL_LIBEXEC_DIR");

	snprintf(path, size, "%s/%s", folder != NULL && folder[0] != '\0' ? folder : ATOLL_LIBEXECDIR,
		 program);
}

/* The order matters: 0 to 2 are always open in us, so control_fd is none of them and is not overwritten. */
static int spawn_file_actions(posix_spawn_file_actions_t *actions, int control_fd)
{
	int result = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
	if (result == 0)
		result = posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDERR_FILENO);
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

int spawn_program(const char *program, const char *title, int control_fd, pid_t *pid, int *pidfd)
{
	static char control_variable[] = CHILD_CONTROL_FD_ENV "=3";
	char *arguments[] = {(char *)title, NULL}, *environment[] = {control_variable, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char path[PATH_MAX];
	pid_t new_pid;
	int result;

	_Static_assert(SPAWN_CONTROL_FD == 3, "the text of the variable");
	spawn_program_path(program, path, sizeof(path));
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	result = spawn_file_actions(&actions, control_fd);
	if (result == 0)
		result = spawn_attributes(&attributes);
	if (result == 0)
		result = -posix_spawn(&new_pid, path, &actions, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (result < 0)
		return result;
	/* It cannot be reaped by anybody else yet, so the pid is still its own. */
	*pidfd = pidfd_open(new_pid, 0);
	if (*pidfd < 0) {
		result = -errno;
		kill(new_pid, SIGKILL);
		waitpid(new_pid, NULL, 0);
		return result;
	}
	*pid = new_pid;
	return 0;
}
