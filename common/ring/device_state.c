/*
 * Device state: see device_state.h.
 *
 * Between processes there is no concurrency: a successor starts when its predecessor is reaped. So order is a matter
 * of the compiler alone, which must put each store where the text has it; release stores and the fences behind them say
 * so.
 */
#include "common/ring/device_state.h"

#include <stdatomic.h>
#include <string.h>

#include "common/base/log.h"

#define state_load(location) __atomic_load_n(&(location), __ATOMIC_ACQUIRE)

/* Neither the stores before it move behind this one, nor those behind it before. */
#define state_store(location, value)                                    \
	do {                                                            \
		__atomic_store_n(&(location), value, __ATOMIC_RELEASE); \
		atomic_signal_fence(memory_order_seq_cst);              \
	} while (0)

int device_state_open(struct device_state *state, enum device_state_kind kind,
		      const struct device_state_layout *layout, int fd)
{
	void *page;
	int result = state_page_map(fd, &page);

	if (result < 0) {
		log_error("the state page cannot be mapped: %s", strerror(-result));
		return result;
	}
	*state = (struct device_state){.page = page, .layout = layout, .kind = kind};
	return 0;
}

void device_state_close(struct device_state *state)
{
	state_page_unmap(state->page);
	state->page = NULL;
}

/* FNV-1a (64 bits) over words instead of bytes: a console commits at each access to a register. */
uint64_t device_state_checksum(uint32_t sequence, const void *record, size_t size)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325), word = sequence;
	const uint8_t *bytes = record;

	for (size_t at = 0;; at += sizeof(word)) {
		sum = (sum ^ word) * UINT64_C(0x100000001b3);
		/* A product carries upwards only. */
		sum ^= sum >> 32;
		if (at >= size)
			return sum;
		memcpy(&word, bytes + at, sizeof(word));
	}
}

bool device_state_empty(const struct device_state *state)
{
	return state_load(state->page->format) == 0;
}

const char *device_state_take(struct device_state *state, void *record)
{
	const struct device_state_page *page = state->page;
	const struct device_state_layout *layout = state->layout;
	uint32_t format = state_load(page->format), commits = state_load(page->commits);
	uint64_t words[DEVICE_STATE_RECORD_MAX / sizeof(uint64_t)] = {0};
	const struct device_state_slot *slot = &page->slots[commits & 1];
	uint32_t length = state_load(slot->length);

	if (format == 0)
		return "there is none";
	if (format != DEVICE_STATE_FORMAT)
		return "its page has another format";
	if (state_load(page->kind) != (uint32_t)state->kind)
		return "it is of a device of another kind";
	if (state_load(page->version) != layout->version)
		return "it is of another version";
	if (length < layout->size_min || length > layout->size || length % sizeof(words[0]) != 0)
		return "it has a length that it cannot have";
	/* A copy, which nobody can change any more. */
	memcpy(words, slot->record, length);
	atomic_signal_fence(memory_order_seq_cst);
	if (state_load(slot->sequence) != commits ||
	    state_load(slot->checksum) != device_state_checksum(commits, words, length))
		return "its checksum is another one";
	memcpy(record, words, layout->size);
	state->commits = commits;
	return NULL;
}

/* The slot counts once page->commits is its sequence. */
static void slot_fill(struct device_state *state, uint32_t sequence, const void *record)
{
	struct device_state_slot *slot = &state->page->slots[sequence & 1];
	uint32_t size = state->layout->size;

	memcpy(slot->record, record, size);
	slot->length = size;
	slot->sequence = sequence;
	slot->checksum = device_state_checksum(sequence, record, size);
}

void device_state_clear(struct device_state *state)
{
	state_store(state->page->format, 0);
}

void device_state_begin(struct device_state *state, const void *record)
{
	struct device_state_page *page = state->page;

	/* Until all of it is in order there is nothing. */
	device_state_clear(state);
	state->commits = 0;
	slot_fill(state, 0, record);
	page->kind = (uint32_t)state->kind;
	page->version = state->layout->version;
	page->commits = 0;
	state_store(page->format, DEVICE_STATE_FORMAT);
}

void device_state_commit(struct device_state *state, const void *record)
{
	if (state->page == NULL)
		return;
	slot_fill(state, state->commits + 1, record);
	state_store(state->page->commits, ++state->commits);
}

void device_state_refused(const char *problem)
{
	log_error(
		"the state that the process before left cannot be relied on: %s; the device starts as after "
		"a power cycle",
		problem);
}
