/*
 * Front ends of a device's program, one at a time: a session begins with a connected socket and ends by either side.
 *
 * Who serves it is the device, or the library's virtio_server for a device that is no more than a table.
 */
#include <string.h>

#include "common/base/log.h"
#include "common/program/device_life.h"

/* The front end has ended it. By hand on a listening socket the next one is awaited; otherwise the program ends. */
static void device_session_ended(void *argument, int error)
{
	struct device_life *life = argument;

	life->session = false;
	if (error < 0)
		log_warning("the front end's session ended: %s", strerror(-error));
	log_flush_held(false);
	if (life->listen_watch != NULL) {
		log_info("waiting for the next front end");
		loop_watch_set_events(life->listen_watch, LOOP_READ);
		return;
	}
	if (error < 0)
		life->status = DEVICE_EXIT_FAILED;
	/* A supervised device stays until it is told to go: the supervisor learns the reason from the core. */
	if (life->child == NULL || error < 0)
		loop_stop(life->loop);
}

int device_session_start(struct device_life *life, int socket_fd)
{
	const struct device_program *program = life->program;
	int result = life->virtio != NULL
			     ? virtio_server_start(life->virtio, socket_fd, device_session_ended, life)
			     : program->session_start(life->device, life->loop, socket_fd,
						      device_session_ended, life);

	if (result < 0) {
		log_error("cannot start a session: %s", strerror(-result));
		return result;
	}
	life->session = true;
	return 0;
}

void device_session_stop(struct device_life *life)
{
	if (!life->session)
		return;
	life->session = false;
	if (life->virtio != NULL)
		virtio_server_stop(life->virtio);
	else
		life->program->session_stop(life->device);
}

void device_stop(struct device_life *life)
{
	device_session_stop(life);
	loop_stop(life->loop);
}
