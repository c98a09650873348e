/*
 * The host side of a console: where its characters go to and come from. Both devices (serial.c,
 * virtio_console.c) stand on this. output_parts.h says which of output_*.c does what.
 *
 *   stream    a connected stream, or two descriptors (standard input and output). Nothing is lost: a reader that is
 *             slow fills the buffer, and then the device lets the guest wait. When the other end closes for good,
 *             output is dropped.
 *   pty       the master of a pseudo-terminal. While nobody has its other side open, output is dropped.
 *   file      a regular file, written as a whole and in order; no input. It may have a bound, at which another file
 *             takes its place.
 *   listener  a listening unix socket; one client at a time, the next one waits. Output is dropped while there is none.
 *   discard   nowhere.
 *
 * Output is gathered and written by output_flush(), so that a device which gets single characters decides how
 * many make a write(2). Input is not read ahead: what the device has no room for stays with the host.
 *
 * What was gathered and what came in stands in the console's state (console_state.h), so that the next process of the
 * same console goes on with it. Only what was committed there is written: the device commits before it flushes.
 *
 * One thread: the loop's. Callbacks come from the loop only, never from inside a call of the device's.
 */
#ifndef ATOLL_DEV_CONSOLE_OUTPUT_H
#define ATOLL_DEV_CONSOLE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "dev-console/console_state.h"

/* Bytes gathered at most; what output_room() is for an empty buffer. */
#define OUTPUT_BUFFER ((size_t)CONSOLE_STATE_OUTPUT)

struct output;

enum output_kind {
	OUTPUT_DISCARD,
	OUTPUT_STREAM,
	OUTPUT_PTY,
	OUTPUT_FILE,
	OUTPUT_LISTENER,
};

struct output_ops {
	/* Input may be there: call output_input(), or output_want_input() with false. */
	void (*input)(void *owner);
	/* The buffer took no more before; now it does. */
	void (*room)(void *owner);
};

/* Of a file that has a bound. */
struct output_file_ops {
	/*
	 * It is full, and another one is wanted: asks for it. 0; -EAGAIN: not now; another -errno: there will be none.
	 */
	int (*full)(void *owner);
	/*
	 * Waits for what was asked for, which comes by output_replace_file() from within. 0, or -errno: it does not
	 * come.
	 */
	int (*await)(void *owner, int timeout_ms);
};

struct output_counters {
	uint64_t written; /* bytes that the host took */
	uint64_t read;	  /* bytes of input */
	uint64_t dropped; /* bytes of output that nobody was there for */
};

/*
 * in_fd: the stream, the pty's master or the listening socket; -1 for the others. out_fd: where a stream
 * writes (may be in_fd), or the file; -1 for the others. They become the output's on success, and are made
 * non-blocking. state is borrowed. Returns 0 or -errno.
 */
int output_new(struct loop *loop, enum output_kind kind, int in_fd, int out_fd, struct console_state *state,
	       struct output **output);
/* Closes what there is; what is not written is lost (see output_drain()). NULL is allowed. */
void output_free(struct output *output);

/* Who is called back; before the loop runs. Input is wanted from here on. */
void output_set_owner(struct output *output, const struct output_ops *ops, void *owner);

/*
 * A file is to have `max` bytes at most (0: as many as come). At the bound the owner asks for another one, and what is
 * written waits until the answer. Before anything is written.
 */
void output_bound_file(struct output *output, uint64_t max, const struct output_file_ops *ops, void *owner);
/*
 * What was asked for: an empty file at its offset 0, which becomes the output's, or -1: there is none, and output is
 * dropped, until it is time to ask again. From the loop, or from ops->await. 0, or -EPROTO: nothing was asked for.
 */
int output_replace_file(struct output *output, int fd);

/* Bytes that output_write() takes now. */
size_t output_room(const struct output *output);
/* Takes bytes; size is at most output_room(). */
void output_write(struct output *output, const void *data, size_t size);
/* Writes what was gathered and committed as far as the host takes it; the rest follows when it does. */
void output_flush(struct output *output);
/* Whether something is gathered that output_flush() would try to write. */
bool output_unflushed(const struct output *output);
/* Writes all that was gathered and committed, waiting up to timeout_ms. Returns 0 or -ETIMEDOUT. */
int output_drain(struct output *output, int timeout_ms);

/* Whether ops->input is called when there is input. */
void output_want_input(struct output *output, bool wanted);
/*
 * The input that waits: of what is there already, or else of what the host has, up to `most` bytes (1 ..
 * CONSOLE_STATE_INPUT of them at a time). Returns how many, 0 when there is none now, and where they are. They wait
 * until they are taken. The host is asked once between two commits.
 */
size_t output_input(struct output *output, size_t most, const uint8_t **data);
void output_take(struct output *output, size_t size);
/* Whether input waits that the host need not be asked for. */
bool output_has_input(const struct output *output);

const struct output_counters *output_counters(const struct output *output);

#endif
