/*
 * Output: gathered in a ring in the console's state, and written from there as far as it is committed.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "dev-console/output_parts.h"

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

void output_drop(struct output *output)
{
	struct console_state *state = output->state;

	output->counters.dropped += state->live.output_end - state->output_start;
	/* The state can drop what is committed alone; what is not goes first. */
	state->live.output_end = state->committed_end;
	console_state_drop(state);
}

/* A write failed for good: the peer is gone, or (file) the medium is full. */
static void output_write_failed(struct output *output, int error)
{
	if (!output_changes_peers(output) && !output->failing)
		log_warning("console output is lost: %s", strerror(error));
	output->failing = true;
	if (output->kind == OUTPUT_FILE)
		output_drop(output);
	else
		output_detach(output);
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

/*
 * Writes a piece of what is committed. Whether to go on: not when the host takes no more for now, nor when the peer or
 * the file is lost or full, which has been seen to then.
 */
static bool output_flush_piece(struct output *output)
{
	ssize_t written;

	if (output_file_full(output)) {
		output_next_file(output);
		return false;
	}
	written = output_write_piece(output);
	if (written > 0) {
		console_state_written(output->state, output->state->output_start + (uint64_t)written);
		output->failing = false;
		output->counters.written += (uint64_t)written;
		return true;
	}
	if (written == 0 || errno == EAGAIN)
		output->blocked = true;
	else if (errno == EINTR)
		return true;
	else if (errno == EFBIG && output_file_filled(output))
		output_next_file(output);
	else
		output_write_failed(output, errno);
	return false;
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
	while (state->output_start < state->committed_end && output_flush_piece(output))
		;
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
