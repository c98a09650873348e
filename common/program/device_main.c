/*
 * The main program of a device's process (device_program.h): which of its two lives it has, and its end. The lives are
 * device_supervised.c's and device_by_hand.c's, and what they share is device_life.c's.
 */
#include "common/program/device_program.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/program/device_life.h"

static int device_run(struct device_life *life, int argc, char **argv)
{
	int result = child_attach(&life->child);

	if (result == 0)
		return device_run_supervised(life);
	if (result == -ENOENT)
		return device_run_by_hand(life, argc, argv);
	log_error(CHILD_CONTROL_FD_ENV ": %s", strerror(-result));
	return result;
}

/* What an error means for who started the program. The supervisor starts another one, whatever it was. */
static int device_exit_status(const struct device_life *life, int error)
{
	if (life->child != NULL)
		return DEVICE_EXIT_FAILED;
	switch (error) {
	case -EINVAL:
		return DEVICE_EXIT_USAGE;
	case -ENODEV:
	case -EACCES:
	case -EPERM:
		return DEVICE_EXIT_HOST;
	default:
		return DEVICE_EXIT_FAILED;
	}
}

static void device_close(struct device_life *life)
{
	virtio_server_free(life->virtio);
	if (life->program->close != NULL)
		life->program->close(life->device);
}

static void device_end(struct device_life *life)
{
	device_session_stop(life);
	log_flush_held(true);
	/* A sealed process may not take a signal's handler back, as it may not put another one in the place of the one that
	 * reports; and inside there is no path to unlink: the process outside does it. */
	if (life->side == DEVICE_SIDE_INSIDE) {
		device_close(life);
		return;
	}
	loop_unwatch(life->listen_watch);
	for (size_t i = 0; i < DEVICE_END_SIGNALS; i++)
		loop_unwatch(life->signal_watches[i]);
	device_socket_close(&life->socket);
	device_close(life);
	loop_free(life->loop);
	child_free(life->child);
}

int device_program_main(int argc, char **argv, const struct device_program *program, void *device)
{
	struct device_life life = {.program = program, .device = device, .socket = DEVICE_SOCKET_NONE};
	int result, status;

	log_identify(program->name, "");
	signal(SIGPIPE, SIG_IGN);
	/* A file that may not grow is an error of a write. */
	signal(SIGXFSZ, SIG_IGN);
	result = device_run(&life, argc, argv);
	status = result < 0 ? device_exit_status(&life, result) : life.status;
	device_end(&life);
	/* What stdio holds is the process outside's to write. */
	if (life.side == DEVICE_SIDE_INSIDE)
		_exit(status);
	return status;
}
