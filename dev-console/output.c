/*
 * Outputs. A buffer gathers; "attached" says whether somebody takes what is in it. Kinds differ in how a peer
 * comes and goes:
 *
 *   stream    is there from the start, and may go once
 *   pty       the kernel tells a hang-up for as long as the other side is closed, and does not tell when it
 * is opened again: looked for by a timer listener  comes by accept(2), goes by an end of file
 *
 * epoll tells a hang-up only of descriptors that something else is watched for as well. A peer whose input is
 * not wanted at the moment is therefore looked after by the same timer.
 */
#include "dev-console/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* How soon we see that a pty was opened. */
#define OUTPUT_LOOK_US 100000

enum output_looking {
	OUTPUT_LOOK_NEVER,
	OUTPUT_LOOK_SOON,
	OUTPUT_LOOK_NOW,
};

struct output {
	struct loop *loop;
	enum output_kind kind;
	int in_fd;
	int out_fd;
	int listen_fd;
	struct loop_watch *in_watch;
	struct loop_watch *out_watch;
	struct loop_watch *listen_watch;
	struct loop_watch *look_timer;
	const struct output_ops *ops;
	void *owner;

	bool attached;		     /* somebody takes output */
	bool input_open;	     /* in_fd may bring input */
	bool input_wanted;	     /* by the owner */
	bool blocked;		     /* the host takes no more; out_watch waits */
	bool failing;		     /* a write error was logged */
	enum output_looking looking; /* what look_timer is armed for */

	uint8_t *buffer;
	size_t start;
	size_t end;
	struct output_counters counters;
};

/* --- Watching --- */

static bool output_changes_peers(const struct output *output)
{
	return output->kind == OUTPUT_PTY || output->kind == OUTPUT_LISTENER;
}

static void output_look_again(struct output *output, enum output_looking looking)
{
	if (output->looking == looking)
		return;
	output->looking = looking;
	if (looking == OUTPUT_LOOK_NEVER)
		loop_timer_disarm(output->look_timer);
	else
		loop_timer_arm(output->look_timer, looking == OUTPUT_LOOK_SOON ? OUTPUT_LOOK_US : 0);
}

/* Brings the watches in line with the state. */
static void output_update_watches(struct output *output)
{
	bool reading = output->input_open && output->input_wanted;
	bool unseen = output->kind == OUTPUT_PTY && !output->attached;
	/* No way to wait for input: in_fd is a file. */
	bool polled = reading && output->in_watch == NULL;

	if (output->in_watch != NULL)
		loop_watch_set_events(output->in_watch, reading ? LOOP_READ : 0);
	if (output->out_watch != NULL)
		loop_watch_set_events(output->out_watch, output->blocked ? LOOP_WRITE : 0);
	if (output->listen_watch != NULL)
		loop_watch_set_events(output->listen_watch, output->attached ? 0 : LOOP_READ);
	if (polled)
		output_look_again(output, OUTPUT_LOOK_NOW);
	else if (unseen || (output_changes_peers(output) && output->attached && !reading))
		output_look_again(output, OUTPUT_LOOK_SOON);
	else
		output_look_again(output, OUTPUT_LOOK_NEVER);
}

static bool output_hung_up(const struct output *output)
{
	struct pollfd peer = {.fd = output->out_fd, .events = POLLRDHUP};

	return poll(&peer, 1, 0) == 1 && peer.revents & (POLLHUP | POLLERR | POLLNVAL | POLLRDHUP);
}

/* --- Peers come and go --- */

static void output_attach(struct output *output)
{
	output->attached = true;
	output->input_open = true;
	output_update_watches(output);
}

/* Nobody takes output any more: what was gathered is dropped. */
static void output_detach(struct output *output)
{
	output->counters.dropped += output->end - output->start;
	output->start = output->end = 0;
	output->attached = false;
	output->input_open = false;
	output->blocked = false;
	if (output->kind == OUTPUT_LISTENER) {
		loop_unwatch(output->in_watch);
		loop_unwatch(output->out_watch);
		output->in_watch = output->out_watch = NULL;
		close(output->in_fd);
		output->in_fd = output->out_fd = -1;
	}
	output_update_watches(output);
}

static void output_readable(int fd, unsigned events, void *argument)
{
	struct output *output = argument;

	(void)fd;
	(void)events;
	if (output->ops != NULL)
		output->ops->input(output->owner);
}

static void output_writable(int fd, unsigned events, void *argument)
{
	struct output *output = argument;

	(void)fd;
	(void)events;
	output->blocked = false;
	output_flush(output);
	if (output->ops != NULL && output_room(output) > 0)
		output->ops->room(output->owner);
}

/* Watches the peer's descriptors. A file cannot be watched (EPERM) and needs no watch. */
static int output_watch_peer(struct output *output)
{
	struct stat status;

	if (fstat(output->out_fd, &status) == 0 && !S_ISREG(status.st_mode)) {
		output->out_watch = loop_watch_fd(output->loop, output->out_fd, 0, output_writable, output);
		if (output->out_watch == NULL)
			return -ENOMEM;
	}
	if (output->in_fd >= 0 && fstat(output->in_fd, &status) == 0 &&
	    (S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode) || isatty(output->in_fd))) {
		output->in_watch = loop_watch_fd(output->loop, output->in_fd, 0, output_readable, output);
		if (output->in_watch == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void output_acceptable(int fd, unsigned events, void *argument)
{
	struct output *output = argument;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (client < 0)
		return;
	output->in_fd = output->out_fd = client;
	if (output_watch_peer(output) < 0)
		output_detach(output);
	else
		output_attach(output);
}

/* The timer: looks whether a peer came or went unseen, or gives an unwatchable input its turn. */
static void output_look(void *argument)
{
	struct output *output = argument;

	output->looking = OUTPUT_LOOK_NEVER;
	if (!output_changes_peers(output)) {
		output_readable(output->in_fd, LOOP_READ, output);
		output_update_watches(output);
		return;
	}
	if (output->attached && output_hung_up(output)) {
		output_detach(output);
		if (output->ops != NULL)
			output->ops->room(output->owner);
	} else if (!output->attached && output->kind == OUTPUT_PTY && !output_hung_up(output)) {
		output_attach(output);
	} else {
		output_update_watches(output);
	}
}

/* --- Writing --- */

size_t output_room(const struct output *output)
{
	return OUTPUT_BUFFER - (output->end - output->start);
}

bool output_unflushed(const struct output *output)
{
	return output->end > output->start && !output->blocked;
}

void output_write(struct output *output, const void *data, size_t size)
{
	if (!output->attached) {
		output->counters.dropped += size;
		return;
	}
	if (size > OUTPUT_BUFFER - output->end) {
		memmove(output->buffer, output->buffer + output->start, output->end - output->start);
		output->end -= output->start;
		output->start = 0;
	}
	memcpy(output->buffer + output->end, data, size);
	output->end += size;
}

/* A write failed for good: the peer is gone, or (file) the medium is full. */
static void output_write_failed(struct output *output, int error)
{
	if (!output_changes_peers(output) && !output->failing)
		log_warning("console output is lost: %s", strerror(error));
	output->failing = true;
	if (output->kind != OUTPUT_FILE) {
		output_detach(output);
		return;
	}
	output->counters.dropped += output->end - output->start;
	output->start = output->end = 0;
}

void output_flush(struct output *output)
{
	if (!output_unflushed(output))
		return;
	/* A pty takes output also when nobody has it open, and shows it to whoever comes. */
	if (output->kind == OUTPUT_PTY && output_hung_up(output)) {
		output_detach(output);
		return;
	}
	while (output->start < output->end) {
		ssize_t written =
			write(output->out_fd, output->buffer + output->start, output->end - output->start);

		if (written < 0 && errno == EINTR)
			continue;
		if (written == 0 || (written < 0 && errno == EAGAIN)) {
			output->blocked = true;
			output_update_watches(output);
			return;
		}
		if (written < 0) {
			output_write_failed(output, errno);
			return;
		}
		output->failing = false;
		output->counters.written += (uint64_t)written;
		output->start += (size_t)written;
	}
	output->start = output->end = 0;
	output_update_watches(output);
}

static int64_t output_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int output_drain(struct output *output, int timeout_ms)
{
	int64_t deadline = output_now_ms() + timeout_ms;

	while (output->end > output->start) {
		struct pollfd writable = {.fd = output->out_fd, .events = POLLOUT};
		int64_t left = deadline - output_now_ms();

		output->blocked = false;
		output_flush(output);
		if (!output->blocked)
			continue;
		if (left <= 0 || poll(&writable, 1, (int)left) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

/* --- Reading --- */

void output_want_input(struct output *output, bool wanted)
{
	if (output->input_wanted == wanted)
		return;
	output->input_wanted = wanted;
	output_update_watches(output);
}

size_t output_read(struct output *output, const struct iovec *iov, size_t count)
{
	ssize_t received;

	if (!output->input_open)
		return 0;
	do
		received = readv(output->in_fd, iov, (int)count);
	while (received < 0 && errno == EINTR);
	if (received > 0) {
		output->counters.read += (uint64_t)received;
		return (size_t)received;
	}
	if (received < 0 && errno == EAGAIN)
		return 0;
	/* The end of input. A stream may go on to take output. */
	output->input_open = false;
	if (output_changes_peers(output))
		output_detach(output);
	else
		output_update_watches(output);
	return 0;
}

/* --- Making and freeing --- */

static int output_set_nonblocking(int fd)
{
	int flags;

	if (fd < 0)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int output_open(struct output *output)
{
	int result = output_set_nonblocking(output->in_fd);

	if (result == 0)
		result = output_set_nonblocking(output->out_fd);
	if (result < 0)
		return result;
	switch (output->kind) {
	case OUTPUT_LISTENER:
		output->listen_fd = output->in_fd;
		output->in_fd = -1;
		output->listen_watch =
			loop_watch_fd(output->loop, output->listen_fd, LOOP_READ, output_acceptable, output);
		return output->listen_watch != NULL ? 0 : -ENOMEM;
	case OUTPUT_PTY:
		output->out_fd = output->in_fd;
		return output_watch_peer(output);
	case OUTPUT_STREAM:
		output->attached = output->input_open = true;
		return output_watch_peer(output);
	case OUTPUT_FILE:
		output->attached = true;
		return output_watch_peer(output);
	default:
		return 0;
	}
}

int output_new(struct loop *loop, enum output_kind kind, int in_fd, int out_fd, struct output **output)
{
	struct output *new = calloc(1, sizeof(*new));
	int result = -ENOMEM;

	if (new == NULL)
		return -ENOMEM;
	*new = (struct output){.loop = loop, .kind = kind, .in_fd = in_fd, .out_fd = out_fd, .listen_fd = -1};
	new->buffer = malloc(OUTPUT_BUFFER);
	new->look_timer = loop_watch_timer(loop, output_look, new);
	if (new->buffer != NULL &&new->look_timer != NULL)
		result = output_open(new);
	if (result < 0) {
		new->in_fd = new->out_fd = new->listen_fd = -1;
		output_free(new);
		return result;
	}
	*output = new;
	return 0;
}

void output_free(struct output *output)
{
	if (output == NULL)
		return;
	loop_unwatch(output->in_watch);
	loop_unwatch(output->out_watch);
	loop_unwatch(output->listen_watch);
	loop_unwatch(output->look_timer);
	if (output->in_fd >= 0)
		close(output->in_fd);
	if (output->out_fd >= 0 && output->out_fd != output->in_fd)
		close(output->out_fd);
	if (output->listen_fd >= 0)
		close(output->listen_fd);
	free(output->buffer);
	free(output);
}

void output_set_owner(struct output *output, const struct output_ops *ops, void *owner)
{
	output->ops = ops;
	output->owner = owner;
	output->input_wanted = true;
	output_update_watches(output);
}

const struct output_counters *output_counters(const struct output *output)
{
	return &output->counters;
}
