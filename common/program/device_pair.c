/*
 * A device's program by hand: the process outside and the one inside. See device_pair.h.
 */
#include "common/program/device_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

/* --- Inside --- */

/* The process inside has no use of the terminal's or the shell's standard input and output. */
static int pair_leave_stdio(int null_fd)
{
	int result = dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ? -errno : 0;

	close(null_fd);
	return result;
}

/* From its first step. */
static int pair_go_inside(const char *program, unsigned files, struct jail_fork *fork, int null_fd)
{
	const struct jail jail = {.program = program, .parent_fd = fork->link_fd, .files = files};

	jail_fork_done(fork);
	/* A fork's child has their default actions. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (pair_leave_stdio(null_fd) < 0 || jail_enter(&jail) < 0 || jail_watch_violations(-1) < 0)
		return -EIO;
	return 0;
}

/* --- Both --- */

static void pair_log(const struct jail_fork *fork, int error)
{
	log_error("jail: %s: %s; %s", fork->step, strerror(-error), fork->remedy);
}

int device_pair_split(const char *program, unsigned files, struct jail_fork *fork, enum device_side *side)
{
	/* In the jail there is none. */
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int result;

	if (null_fd < 0) {
		log_error("/dev/null: %s; mount /dev as other programs need it", strerror(errno));
		return -ENODEV;
	}
	result = jail_fork(fork);
	if (result == 1) {
		*side = DEVICE_SIDE_INSIDE;
		return pair_go_inside(program, files, fork, null_fd);
	}
	close(null_fd);
	if (result < 0) {
		pair_log(fork, result);
		return -ENODEV;
	}
	*side = DEVICE_SIDE_OUTSIDE;
	return 0;
}

/* --- Outside --- */

int device_pair_attend(struct jail_fork *fork, struct device_socket *device_socket, int *status)
{
	int result = jail_fork_wait(fork);

	if (result < 0) {
		pair_log(fork, result);
		return -EIO;
	}
	/* A front end must see its socket close when the process inside closes it. */
	device_socket_leave(device_socket);
	*status = jail_fork_attend(fork);
	return 0;
}
