/*
 * virtio-console with one port (virtio 1.2, 5.3) behind vhost-user, over an output.
 *
 * One thread, the loop's: a console is never worth a thread of its own.
 */
#ifndef ATOLL_DEV_CONSOLE_VIRTIO_CONSOLE_H
#define ATOLL_DEV_CONSOLE_VIRTIO_CONSOLE_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "dev-console/output.h"

struct virtio_console;

/* output and its state are borrowed. Returns 0 or -errno. */
int virtio_console_new(struct loop *loop, struct output *output, struct console_state *state,
		       struct virtio_console **console);
/* Ends a session that still runs. NULL is allowed. */
void virtio_console_free(struct virtio_console *console);

/* What the device is to a vhost-user session, with the console as its device argument. */
extern const struct vhost_user_device_ops virtio_console_ops;

/* Serves vhost-user on a connected socket, which becomes the session's on success. ended() is called when the session is over, as
 * session_end() of vhost_user_backend.h. Returns 0 or -errno. */
int virtio_console_start(struct virtio_console *console, int socket_fd,
			 void (*ended)(void *argument, int error), void *argument);
/* Takes what the driver has made available so far (waiting at most a second for the host), ends the session.
 */
void virtio_console_stop(struct virtio_console *console);

/* The size of the terminal, in characters; 0: unknown. The driver is told. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

#endif
