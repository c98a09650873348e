/*
 * The relay. stdio is borrowed: its open file description is shared with the shell and others, so its
 * O_NONBLOCK is left alone. What can be opened a second time, non-blocking, is (a terminal, a pipe); a socket
 * is used with MSG_DONTWAIT; a regular file does not block.
 */
#include "supervisor/host/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RELAY_BUFFER 4096

struct buffer {
	size_t start, end;
	char data[RELAY_BUFFER];
};

struct relay {
	struct loop *loop;
	const struct relay_ops *ops;
	void *owner;

	int in_fd, out_fd, stream_fd;
	bool in_owned, out_owned, out_socket;
	bool in_polled, out_polled; /* epoll takes them: no regular file, no /dev/null */
	bool in_ended, out_failed, stream_ended, paused;
	struct loop_watch *in_watch, *out_watch, *stream_watch;

	bool keys_wanted;
	struct terminal_keys keys;
	struct buffer to_guest, from_guest;
};

static bool buffer_empty(const struct buffer *buffer)
{
	return buffer->start == buffer->end;
}

/* A non-blocking descriptor for the same thing; or fd itself. */
static int relay_reopen(int fd, int mode, bool *owned, bool *is_socket)
{
	char path[32];
	struct stat status;
	int flags, own;

	*owned = *is_socket = false;
	if (fstat(fd, &status) < 0)
		return -errno;
	*is_socket = S_ISSOCK(status.st_mode);
	if (*is_socket || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
		return fd;
	flags = fcntl(fd, F_GETFL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (flags & O_APPEND));
	/* Not permitted, for instance a terminal of another user's (su): then each write waits for room
	 * first. */
	*owned = own >= 0;
	return own >= 0 ? own : fd;
}

static void relay_update(struct relay *relay);

static void relay_finish_stream(struct relay *relay)
{
	loop_unwatch(relay->stream_watch);
	relay->stream_watch = NULL;
	close(relay->stream_fd);
	relay->stream_fd = -1;
	relay->to_guest.start = relay->to_guest.end = 0;
	relay->ops->drained(relay->owner);
}

/* --- from the terminal to the guest --- */

/* Takes what was typed apart; a command is called back after the bytes before it were queued. */
static void relay_take_keys(struct relay *relay, const char *typed, size_t size)
{
	while (size > 0) {
		enum terminal_command command;
		size_t passed, taken;

		taken = terminal_keys_filter(&relay->keys, typed, size,
					     relay->to_guest.data + relay->to_guest.end, &passed, &command);
		relay->to_guest.end += passed;
		typed += taken;
		size -= taken;
		if (command != TERMINAL_COMMAND_NONE)
			relay->ops->command(relay->owner, command);
	}
}

/* Reads stdin into the empty buffer. */
static void relay_read_in(struct relay *relay)
{
	char typed[RELAY_BUFFER];
	ssize_t size = read(relay->in_fd, typed, sizeof(typed));

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0) {
		/* The end of stdin is not the end of the VM: a guest may run on with nobody typing. */
		relay->in_ended = true;
		return;
	}
	relay->to_guest.start = relay->to_guest.end = 0;
	if (relay->keys_wanted) {
		relay_take_keys(relay, typed, (size_t)size);
	} else {
		memcpy(relay->to_guest.data, typed, (size_t)size);
		relay->to_guest.end = (size_t)size;
	}
}

static void relay_write_stream(struct relay *relay)
{
	struct buffer *buffer = &relay->to_guest;
	ssize_t size;

	if (relay->stream_fd < 0 || buffer_empty(buffer))
		return;
	size = send(relay->stream_fd, buffer->data + buffer->start, buffer->end - buffer->start,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (size > 0)
		buffer->start += (size_t)size;
	else if (size < 0 && errno != EAGAIN && errno != EINTR)
		/* The console process closed its end; what was typed has nowhere to go. */
		buffer->start = buffer->end = 0;
}

static void relay_in_readable(int fd, unsigned events, void *argument)
{
	struct relay *relay = argument;

	(void)fd;
	(void)events;
	if (buffer_empty(&relay->to_guest))
		relay_read_in(relay);
	relay_write_stream(relay);
	relay_update(relay);
}

/* --- from the guest to the terminal --- */

static ssize_t relay_write_some(struct relay *relay, const char *data, size_t size)
{
	struct pollfd poll_fd = {.fd = relay->out_fd, .events = POLLOUT};

	if (relay->out_socket)
		return send(relay->out_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!relay->out_owned && relay->out_polled) {
		/* A blocking descriptor: PIPE_BUF, or little on a terminal, fits when it polls writable. */
		if (poll(&poll_fd, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		if (size > 128)
			size = 128;
	}
	return write(relay->out_fd, data, size);
}

static void relay_write_out(struct relay *relay)
{
	struct buffer *buffer = &relay->from_guest;

	while (!buffer_empty(buffer)) {
		ssize_t size = relay->out_failed ? (ssize_t)(buffer->end - buffer->start)
						 : relay_write_some(relay, buffer->data + buffer->start,
								    buffer->end - buffer->start);

		if (size > 0)
			buffer->start += (size_t)size;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			/* Nobody reads any more (a closed pipe, a terminal that hung up, a full disk): the
			 * guest's output is dropped, the VM goes on. */
			relay->out_failed = true;
	}
}

static void relay_read_stream(struct relay *relay)
{
	struct buffer *buffer = &relay->from_guest;
	ssize_t size = recv(relay->stream_fd, buffer->data, sizeof(buffer->data), MSG_DONTWAIT);

	if (size > 0) {
		buffer->start = 0;
		buffer->end = (size_t)size;
	} else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
		relay->stream_ended = true;
	}
}

static void relay_stream_event(int fd, unsigned events, void *argument)
{
	struct relay *relay = argument;

	(void)fd;
	if (events & LOOP_WRITE) {
		/* A stdin that cannot be watched always has something, or its end. */
		if (buffer_empty(&relay->to_guest) && !relay->in_polled && !relay->in_ended && !relay->paused)
			relay_read_in(relay);
		relay_write_stream(relay);
	}
	if ((events & LOOP_READ) && buffer_empty(&relay->from_guest)) {
		relay_read_stream(relay);
		relay_write_out(relay);
	}
	relay_update(relay);
}

static void relay_out_writable(int fd, unsigned events, void *argument)
{
	struct relay *relay = argument;

	(void)fd;
	(void)events;
	relay_write_out(relay);
	relay_update(relay);
}

/* --- what is waited for --- */

static void relay_update(struct relay *relay)
{
	bool attached = relay->stream_fd >= 0;
	unsigned stream_events = 0;

	if (relay->in_watch != NULL)
		loop_watch_set_events(relay->in_watch, attached && !relay->in_ended && !relay->paused &&
								       buffer_empty(&relay->to_guest)
							       ? LOOP_READ
							       : 0);
	if (relay->out_watch != NULL)
		loop_watch_set_events(relay->out_watch, buffer_empty(&relay->from_guest) ? 0 : LOOP_WRITE);
	if (!attached)
		return;
	if (relay->stream_ended) {
		if (buffer_empty(&relay->from_guest))
			relay_finish_stream(relay);
		else
			loop_watch_set_events(relay->stream_watch, 0);
		return;
	}
	if (buffer_empty(&relay->from_guest))
		stream_events |= LOOP_READ;
	if (!buffer_empty(&relay->to_guest) || (!relay->in_polled && !relay->in_ended && !relay->paused))
		stream_events |= LOOP_WRITE;
	loop_watch_set_events(relay->stream_watch, stream_events);
}

/* Whether epoll takes it. */
static bool relay_can_watch(int fd)
{
	struct stat status;
	struct pollfd poll_fd = {.fd = fd, .events = 0};

	if (fstat(fd, &status) < 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
		return false;
	/* /dev/null and its like are always ready and have no poll of their own, which epoll refuses. */
	if (S_ISCHR(status.st_mode) && !isatty(fd))
		return false;
	return poll(&poll_fd, 1, 0) >= 0;
}

int relay_new(struct loop *loop, int in_fd, int out_fd, bool keys, const struct relay_ops *ops, void *owner,
	      struct relay **relay)
{
	struct relay *new_relay = calloc(1, sizeof(*new_relay));
	bool in_socket;

	if (new_relay == NULL)
		return -ENOMEM;
	new_relay->loop = loop;
	new_relay->ops = ops;
	new_relay->owner = owner;
	new_relay->keys_wanted = keys;
	new_relay->stream_fd = -1;
	new_relay->in_fd = relay_reopen(in_fd, O_RDONLY, &new_relay->in_owned, &in_socket);
	new_relay->out_fd = relay_reopen(out_fd, O_WRONLY, &new_relay->out_owned, &new_relay->out_socket);
	new_relay->in_ended = new_relay->in_fd < 0;
	new_relay->out_failed = new_relay->out_fd < 0;
	new_relay->in_polled = new_relay->in_fd >= 0 && relay_can_watch(new_relay->in_fd);
	new_relay->out_polled = new_relay->out_fd >= 0 && relay_can_watch(new_relay->out_fd);
	if (new_relay->in_polled)
		new_relay->in_watch =
			loop_watch_fd(loop, new_relay->in_fd, LOOP_READ, relay_in_readable, new_relay);
	if (new_relay->out_polled)
		new_relay->out_watch =
			loop_watch_fd(loop, new_relay->out_fd, LOOP_WRITE, relay_out_writable, new_relay);
	if ((new_relay->in_polled && new_relay->in_watch == NULL) ||
	    (new_relay->out_polled && new_relay->out_watch == NULL)) {
		relay_free(new_relay);
		return -ENOMEM;
	}
	relay_update(new_relay);
	*relay = new_relay;
	return 0;
}

int relay_attach(struct relay *relay, int stream_fd)
{
	relay->stream_watch = loop_watch_fd(relay->loop, stream_fd, LOOP_READ, relay_stream_event, relay);
	if (relay->stream_watch == NULL)
		return -ENOMEM;
	relay->stream_fd = stream_fd;
	relay->stream_ended = false;
	relay_update(relay);
	return 0;
}

bool relay_busy(const struct relay *relay)
{
	return relay->stream_fd >= 0;
}

void relay_print(struct relay *relay, const char *text)
{
	/* Between two chunks of the guest's bytes, and lost if the terminal is stuck: this is for a person at
	 * it. */
	if (!relay->out_failed)
		relay_write_some(relay, text, strlen(text));
}

void relay_pause(struct relay *relay, bool paused)
{
	relay->paused = paused;
	relay_update(relay);
}

void relay_free(struct relay *relay)
{
	if (relay == NULL)
		return;
	loop_unwatch(relay->in_watch);
	loop_unwatch(relay->out_watch);
	loop_unwatch(relay->stream_watch);
	if (relay->in_owned)
		close(relay->in_fd);
	if (relay->out_owned)
		close(relay->out_fd);
	if (relay->stream_fd >= 0)
		close(relay->stream_fd);
	free(relay);
}
