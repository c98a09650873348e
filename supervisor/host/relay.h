/*
 * Between stdio and the console process: bytes both ways, with back-pressure and nothing lost.
 *
 * The console process holds one end of a stream socket, never the terminal. The relay reads stdin only when
 * the stream has taken what came before, and the stream only when stdout has. A run's end is the end of its
 * stream; the relay tells when everything before it is out.
 */
#ifndef ATOLL_SUPERVISOR_HOST_RELAY_H
#define ATOLL_SUPERVISOR_HOST_RELAY_H

#include <stdbool.h>

#include "common/base/loop.h"
#include "supervisor/host/terminal.h"

struct relay;

struct relay_ops {
	/* Keys behind Ctrl-a; only when stdin is a terminal. */
	void (*command)(void *owner, enum terminal_command command);
	/* The stream has ended and all of its bytes are written, or cannot be any more. */
	void (*drained)(void *owner);
};

/* in_fd and out_fd stay the caller's. keys: look for Ctrl-a. Returns 0 or -errno. */
int relay_new(struct loop *loop, int in_fd, int out_fd, bool keys, const struct relay_ops *ops, void *owner,
	      struct relay **relay);
/* Starts with a stream; stream_fd (non-blocking) becomes the relay's. The one before has been drained. */
int relay_attach(struct relay *relay, int stream_fd);
/* Whether a stream is attached that is not drained. */
bool relay_busy(const struct relay *relay);
/* Writes text to stdout among the guest's, if there is room. */
void relay_print(struct relay *relay, const char *text);
/* The process is about to stop, or goes on: do not read stdin, or do. */
void relay_pause(struct relay *relay, bool paused);
void relay_free(struct relay *relay);

#endif
