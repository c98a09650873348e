/*
 * Input: read when the device has room for it, into the console's state.
 */
#include <errno.h>
#include <unistd.h>

#include "dev-console/output_parts.h"

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
		/* What a predecessor read and gave nobody comes first. */
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
