/*
 * The state page of a console: see console_state.h.
 *
 * Order between what stands beside the record is a matter of the compiler alone, as in common/ring/device_state.c.
 */
#include "dev-console/console_state.h"

#include <stdatomic.h>
#include <string.h>

#define state_load(location) __atomic_load_n(&(location), __ATOMIC_ACQUIRE)

/* Neither the stores before it move behind this one, nor those behind it before. */
#define state_store(location, value)                                    \
	do {                                                            \
		__atomic_store_n(&(location), value, __ATOMIC_RELEASE); \
		atomic_signal_fence(memory_order_seq_cst);              \
	} while (0)

/* No ring can have had so many chains. A counter that goes on from below it does not wrap around. */
#define CHAINS_MAX (UINT64_MAX / 2)

/* --- Taking over --- */

/* NULL, or what cannot be. */
static const char *record_problem(const struct console_record *record, uint64_t output_start)
{
	if (output_start > record->output_end || record->output_end - output_start > CONSOLE_STATE_OUTPUT)
		return "its output ends where it cannot";
	if (record->input_end > CONSOLE_STATE_INPUT || record->input_start > record->input_end)
		return "its input ends where it cannot";
	if (record->listens > 1 || record->access_known > 1 || record->transmit_running > 1 ||
	    record->receive_running > 1)
		return "one of its flags is neither set nor clear";
	if (record->receive_pending > record->input_end - record->input_start)
		return "it gave the guest more input than there was";
	if (record->transmit_next > CHAINS_MAX || record->receive_next > CHAINS_MAX)
		return "it counts more chains than there can have been";
	if (!uart16550_valid(&record->uart))
		return "its UART is in a state that no UART is ever in";
	return NULL;
}

/* Bytes that came by a read(2) of which nobody had time to note how many it brought. */
static uint32_t landing_count(const uint8_t *landing, uint32_t size)
{
	while (size > 0 && landing[size - 1] == CONSOLE_INPUT_UNREAD)
		size--;
	return size;
}

/* NULL, or what cannot be; then nothing is taken over. */
static const char *state_take_over(struct console_state *state)
{
	const struct console_page *page = state->page;
	struct console_record record = {0};
	const char *problem = device_state_take(&state->device, &record);
	uint64_t landing = state_load(page->landing), output_start = state_load(page->output_start);
	uint32_t number = (uint32_t)(landing >> 32), size = (uint32_t)landing;

	if (problem == NULL)
		problem = record_problem(&record, output_start);
	if (problem != NULL)
		return problem;
	if (size > CONSOLE_STATE_INPUT || (number != record.landing && number != record.landing + 1))
		return "its input landed where it cannot";
	state->live = record;
	state->committed_end = record.output_end;
	state->committed_landing = record.landing;
	state->output_start = output_start;
	state->unclaimed = number != record.landing ? landing_count(page->landings[number & 1], size) : 0;
	state->taken_over = true;
	return NULL;
}

static void state_begin(struct console_state *state)
{
	struct console_page *page = state->page;

	/* Until all of it is in order there is nothing. */
	device_state_clear(&state->device);
	page->output_start = 0;
	page->landing = 0;
	uart16550_reset(&state->live.uart);
	device_state_begin(&state->device, &state->live);
}

int console_state_open(struct console_state *state, enum console_kind kind, int fd, bool successor)
{
	static const struct device_state_layout layout = {
		CONSOLE_STATE_VERSION, sizeof(struct console_record), sizeof(struct console_record)};
	const char *problem;
	int result;

	*state = (struct console_state){0};
	result = device_state_open(&state->device, (enum device_state_kind)kind, &layout, fd);
	if (result < 0)
		return result;
	state->page = (struct console_page *)state->device.page;
	if (!successor) {
		state_begin(state);
		return 0;
	}
	problem = state_take_over(state);
	if (problem == NULL)
		return 0;
	device_state_refused(problem);
	state_begin(state);
	return 0;
}

void console_state_close(struct console_state *state)
{
	device_state_close(&state->device);
	state->page = NULL;
}

/* --- Going on --- */

void console_state_commit(struct console_state *state)
{
	device_state_commit(&state->device, &state->live);
	state->committed_end = state->live.output_end;
	state->committed_landing = state->live.landing;
}

void console_state_written(struct console_state *state, uint64_t output_start)
{
	state->output_start = output_start;
	state_store(state->page->output_start, output_start);
}

void console_state_drop(struct console_state *state)
{
	uint64_t skipped = state->committed_end - state->output_start;

	/* From here on the file's offset says so, too. */
	state_store(state->page->output_base, state->page->output_base - skipped);
	console_state_written(state, state->committed_end);
}

void console_state_file_offset(struct console_state *state, uint64_t offset)
{
	uint64_t written = offset - state_load(state->page->output_base);

	if (state->taken_over && written >= state->output_start && written <= state->committed_end)
		console_state_written(state, written);
	state_store(state->page->output_base, offset - state->output_start);
}

void console_state_new_file(struct console_state *state)
{
	state_store(state->page->output_base, 0 - state->output_start);
}

uint64_t console_state_offset(const struct console_state *state)
{
	return state->output_start + state_load(state->page->output_base);
}

uint8_t *console_state_land(struct console_state *state, uint32_t size)
{
	uint32_t number = state->live.landing + 1;
	uint8_t *landing = state->page->landings[number & 1];

	memset(landing, CONSOLE_INPUT_UNREAD, size);
	atomic_signal_fence(memory_order_seq_cst);
	state_store(state->page->landing, (uint64_t)number << 32 | size);
	return landing;
}

void console_state_landed(struct console_state *state, uint32_t size)
{
	state->live.landing++;
	state->live.input_start = 0;
	state->live.input_end = size;
}
