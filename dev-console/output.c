/*
 * Outputs. A ring in the console's state gathers; "attached" says whether somebody takes what is in it. Kinds differ in how a peer
 * comes and goes:
 *
 *   stream    is there from the start, and may go once
 *   pty       the kernel tells a hang-up for as long as the other side is closed, and does not tell when it
 *             is opened again: looked for by a timer
 *   listener  comes by accept(2), goes by closing its socket. An end of file is the end of its input alone: who has said
 *             all that he has to say (`echo COMMAND | nc -N -U`) waits for the answer
 *
 * A peer that goes may leave an owner behind that waits for room, and there is room then: output_detach() sees to it that
 * the owner is told, by the timer, whoever noticed that the peer was gone.
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

#include "common/base/clock.h"
#include "common/base/control_wire.h"
#include "common/base/log.h"

/* How soon we see that a pty was opened. */
#define OUTPUT_LOOK_US 100000

enum output_looking {
	OUTPUT_LOOK_NEVER,
	OUTPUT_LOOK_SOON,
	OUTPUT_LOOK_NOW,
};

struct output {
	struct loop *loop;
	struct console_state *state;
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
	bool room_owed;		     /* what was gathered was dropped, and the owner does not know yet */
	enum output_looking looking; /* what look_timer is armed for */
	bool draining;		     /* the owner waits, and is not called */

	/* A file's bound. */
	uint64_t file_max; /* 0: none */
	const struct output_file_ops *file_ops;
	void *file_owner;
	bool file_asked;	 /* for another file; blocked meanwhile */
	bool file_unasked;	 /* it could not be asked for; look_timer tries again */
	int64_t file_refused_ms; /* when there was none; 0: it was not so */

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
	if (polled || output->room_owed)
		output_look_again(output, OUTPUT_LOOK_NOW);
	else if (unseen || output->file_unasked ||
		 (output_changes_peers(output) && output->attached && !reading))
		output_look_again(output, OUTPUT_LOOK_SOON);
	else
		output_look_again(output, OUTPUT_LOOK_NEVER);
}

/* Whether nobody is there any more who could take output. */
static bool output_hung_up(const struct output *output)
{
	struct pollfd peer = {.fd = output->out_fd};

	return poll(&peer, 1, 0) == 1 && peer.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* --- Peers come and go --- */

static void output_attach(struct output *output)
{
	output->attached = true;
	output->input_open = true;
	output_update_watches(output);
}

/* How much a file has of the output, its offset tells, if it has one. */
static void output_look_up_offset(struct output *output)
{
	off_t offset = output->kind == OUTPUT_FILE ? lseek(output->out_fd, 0, SEEK_CUR) : -1;

	if (offset >= 0)
		console_state_file_offset(output->state, (uint64_t)offset);
}

/* What is not committed has not been gathered yet. */
static void output_drop(struct output *output)
{
	struct console_state *state = output->state;

	output->counters.dropped += state->live.output_end - state->output_start;
	state->live.output_end = state->committed_end;
	console_state_drop(state);
}

/* Nobody takes output any more: what was gathered is dropped. */
static void output_detach(struct output *output)
{
	output_drop(output);
	output->attached = false;
	output->input_open = false;
	output->blocked = false;
	output->room_owed = true;
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
	if (output->room_owed) {
		output->room_owed = false;
		if (output->ops != NULL)
			output->ops->room(output->owner);
	}
	if (output->file_unasked) {
		output->file_unasked = false;
		output_writable(output->out_fd, LOOP_WRITE, output);
	}
	if (!output_changes_peers(output)) {
		if (output->input_open && output->input_wanted && output->in_watch == NULL)
			output_readable(output->in_fd, LOOP_READ, output);
		output_update_watches(output);
		return;
	}
	if (output->attached && output_hung_up(output)) {
		output_detach(output);
	} else if (!output->attached && output->kind == OUTPUT_PTY && !output_hung_up(output)) {
		output_attach(output);
	} else {
		output_update_watches(output);
	}
}

/* --- Writing --- */

static size_t output_gathered(const struct output *output)
{
	return (size_t)(output->state->live.output_end - output->state->output_start);
}

size_t output_room(const struct output *output)
{
	return OUTPUT_BUFFER - output_gathered(output);
}

bool output_unflushed(const struct output *output)
{
	return output_gathered(output) > 0 && !output->blocked;
}

void output_write(struct output *output, const void *data, size_t size)
{
	struct console_state *state = output->state;
	size_t at = (size_t)(state->live.output_end % OUTPUT_BUFFER);
	size_t first = size < OUTPUT_BUFFER - at ? size : OUTPUT_BUFFER - at;

	if (!output->attached) {
		output->counters.dropped += size;
		return;
	}
	memcpy(state->page->output + at, data, first);
	memcpy(state->page->output, (const uint8_t *)data + first, size - first);
	state->live.output_end += size;
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
	output_drop(output);
}

static bool output_file_full(const struct output *output)
{
	return output->file_max > 0 && console_state_offset(output->state) >= output->file_max;
}

/* It is, though we did not fill it: by whoever had it before and changed how it is written. */
static bool output_file_filled(const struct output *output)
{
	struct stat status;

	return output->file_max > 0 && fstat(output->out_fd, &status) == 0 &&
	       (uint64_t)status.st_size >= output->file_max;
}

/* The file takes no more: another one is asked for, or what is gathered is dropped while there is none. */
static void output_next_file(struct output *output)
{
	int result;

	if (output->file_refused_ms != 0 &&
	    clock_ms(CLOCK_MONOTONIC) - output->file_refused_ms <= CONSOLE_REFUSED_US / 1000) {
		output_drop(output);
		return;
	}
	result = output->file_ops->full(output->file_owner);
	output->file_unasked = result == -EAGAIN;
	output->file_asked = result == 0;
	output->blocked = result == 0 || result == -EAGAIN;
	if (!output->blocked)
		output_drop(output);
	output_update_watches(output);
}

/* One write(2) of what is committed and in one piece. */
static ssize_t output_write_piece(struct output *output)
{
	const struct console_state *state = output->state;
	size_t at = (size_t)(state->output_start % OUTPUT_BUFFER);
	size_t size = (size_t)(state->committed_end - state->output_start);

	if (size > OUTPUT_BUFFER - at)
		size = OUTPUT_BUFFER - at;
	if (output->file_max > 0 && size > output->file_max - console_state_offset(state))
		size = (size_t)(output->file_max - console_state_offset(state));
	return write(output->out_fd, state->page->output + at, size);
}

void output_flush(struct output *output)
{
	struct console_state *state = output->state;

	if (!output_unflushed(output))
		return;
	/* A pty takes output also when nobody has it open, and shows it to whoever comes. */
	if (output->kind == OUTPUT_PTY && output_hung_up(output)) {
		output_detach(output);
		return;
	}
	while (state->output_start < state->committed_end) {
		ssize_t written;

		if (output_file_full(output)) {
			output_next_file(output);
			return;
		}
		written = output_write_piece(output);
		if (written > 0)
			console_state_written(state, state->output_start + (uint64_t)written);
		if (written < 0 && errno == EINTR)
			continue;
		if (written == 0 || (written < 0 && errno == EAGAIN)) {
			output->blocked = true;
			break;
		}
		if (written < 0 && errno == EFBIG && output_file_filled(output)) {
			output_next_file(output);
			return;
		}
		if (written < 0) {
			output_write_failed(output, errno);
			return;
		}
		output->failing = false;
		output->counters.written += (uint64_t)written;
	}
	output_update_watches(output);
}

/* Whether the host, or whoever gives us files, has something new within that time. */
static bool output_wait(struct output *output, int timeout_ms)
{
	struct pollfd writable = {.fd = output->out_fd, .events = POLLOUT};

	if (output->file_asked)
		return output->file_ops->await(output->file_owner, timeout_ms) == 0;
	return poll(&writable, 1, timeout_ms) != 0;
}

int output_drain(struct output *output, int timeout_ms)
{
	int64_t deadline = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	int result = 0;

	output->draining = true;
	while (result == 0 && output->state->committed_end > output->state->output_start) {
		int64_t left = deadline - clock_ms(CLOCK_MONOTONIC);

		output->blocked = output->file_asked;
		output_flush(output);
		if (output->blocked && (left <= 0 || !output_wait(output, (int)left)))
			result = -ETIMEDOUT;
	}
	output->draining = false;
	return result;
}

/* --- A file's bound --- */

void output_bound_file(struct output *output, uint64_t max, const struct output_file_ops *ops, void *owner)
{
	output->file_max = max;
	output->file_ops = ops;
	output->file_owner = owner;
}

int output_replace_file(struct output *output, int fd)
{
	if (!output->file_asked)
		return -EPROTO;
	output->file_asked = output->blocked = false;
	if (fd >= 0) {
		console_state_new_file(output->state);
		close(output->out_fd);
		output->out_fd = fd;
		output->file_refused_ms = 0;
	} else {
		output->file_refused_ms = clock_ms(CLOCK_MONOTONIC);
		output_drop(output);
	}
	/* Who drains goes on by himself. */
	if (!output->draining)
		output_writable(output->out_fd, LOOP_WRITE, output);
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

/* Reads into the next landing. */
static size_t output_read(struct output *output, size_t most)
{
	ssize_t received;
	uint8_t *landing;

	if (!output->input_open)
		return 0;
	if (most > CONSOLE_STATE_INPUT)
		most = CONSOLE_STATE_INPUT;
	landing = console_state_land(output->state, (uint32_t)most);
	do
		received = read(output->in_fd, landing, most);
	while (received < 0 && errno == EINTR);
	if (received > 0) {
		output->counters.read += (uint64_t)received;
		return (size_t)received;
	}
	if (received < 0 && errno == EAGAIN)
		return 0;
	/* The end of input, and of a pty's peer; another's may go on to take output. */
	output->input_open = false;
	if (output->kind == OUTPUT_PTY || (output->kind == OUTPUT_LISTENER && output_hung_up(output)))
		output_detach(output);
	else
		output_update_watches(output);
	return 0;
}

size_t output_input(struct output *output, size_t most, const uint8_t **data)
{
	struct console_state *state = output->state;
	size_t waiting = state->live.input_end - state->live.input_start, size;

	if (waiting == 0) {
		/* The landing behind the next one is still the committed record's. */
		if (state->live.landing != state->committed_landing)
			return 0;
		/* A predecessor's last, first. */
		size = state->unclaimed;
		state->unclaimed = 0;
		if (size == 0)
			size = output_read(output, most);
		if (size == 0)
			return 0;
		console_state_landed(state, (uint32_t)size);
		waiting = size;
	}
	*data = console_state_input(state);
	return waiting < most ? waiting : most;
}

void output_take(struct output *output, size_t size)
{
	output->state->live.input_start += (uint32_t)size;
}

bool output_has_input(const struct output *output)
{
	const struct console_state *state = output->state;

	return state->live.input_end > state->live.input_start || state->unclaimed > 0;
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
		/* A successor's peer is there already. */
		output->attached = output->input_open = !output_hung_up(output);
		return output_watch_peer(output);
	case OUTPUT_STREAM:
		output->attached = output->input_open = true;
		return output_watch_peer(output);
	case OUTPUT_FILE:
		output->attached = true;
		output_look_up_offset(output);
		return output_watch_peer(output);
	default:
		return 0;
	}
}

int output_new(struct loop *loop, enum output_kind kind, int in_fd, int out_fd, struct console_state *state,
	       struct output **output)
{
	struct output *new = calloc(1, sizeof(*new));
	int result = -ENOMEM;

	if (new == NULL)
		return -ENOMEM;
	*new = (struct output){.loop = loop,
			       .kind = kind,
			       .in_fd = in_fd,
			       .out_fd = out_fd,
			       .listen_fd = -1,
			       .state = state};
	new->look_timer = loop_watch_timer(loop, output_look, new);
	if (new->look_timer != NULL)
		result = output_open(new);
	/* For whom a predecessor gathered it, nobody knows any more. */
	if (result == 0 && !new->attached)
		output_drop(new);
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
