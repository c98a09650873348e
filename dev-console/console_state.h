/*
 * What a console's process leaves to its successor: the state of the guest's device, what the guest wrote and the host
 * has not taken yet, what the host sent and the guest has not taken yet. It stands in a state page
 * (common/ring/state_page.h), so that a process may be killed between any two instructions: a record as every device
 * has one (common/ring/device_state.h), and behind it the bytes that wait.
 *
 * A process works on a record of its own (`live`); at the end of each step that belongs together - a register access
 * with all that it caused, a chain of a queue - console_state_commit() makes it the one that counts, by one store. A
 * step that was not committed has not been: its cause is issued again, by the core or by the host.
 *
 * Two things do not wait for a commit, because they cannot be undone:
 *
 *   output_start  how much of the output the host has. Stored right behind write(2), which is given committed bytes
 *                 only. A process that dies between the two leaves the same bytes to be written once more; nothing is
 *                 lost. (A file's offset tells how much it has; that of a successor's is the same. When the file was
 *                 changed for another one, whose offset is 0, output_base may still be of the one before, which was at
 *                 its bound: what comes of the two is behind output_start by that bound, and output_start counts.)
 *   the landings  where input comes to. Before a read(2) the landing is filled with INPUT_UNREAD, so that also what was
 *                 read by a process that died in the same moment is found: all up to the last byte that is another.
 *                 (It is one that UTF-8 has not; input that ends with it may lose this end.) There are two, in turn, so
 *                 that input which the committed record still counts on stays where it is.
 *
 * The page is hostile when it is taken over: whoever had it before may have been taken over by the guest. It is read
 * once, each value is checked, and one that cannot be makes the device start as after a power cycle. From then on the
 * page is only written, except for input that waits in it and output_start, of which a copy is kept.
 */
#ifndef ATOLL_DEV_CONSOLE_CONSOLE_STATE_H
#define ATOLL_DEV_CONSOLE_CONSOLE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/device_state.h"
#include "dev-console/uart16550.h"

#define CONSOLE_STATE_VERSION 2u
/* Bytes of output gathered at most; a power of two. */
#define CONSOLE_STATE_OUTPUT 65536
/* Bytes of input that one read(2) may bring. */
#define CONSOLE_STATE_INPUT  4096
#define CONSOLE_INPUT_UNREAD 0xff

enum console_kind {
	CONSOLE_KIND_SERIAL = DEVICE_STATE_SERIAL,
	CONSOLE_KIND_VIRTIO = DEVICE_STATE_CONSOLE,
};

/* What is committed as a whole. */
struct console_record {
	/* The output: bytes that the guest has written since the beginning. */
	uint64_t output_end;
	/* The input: which read(2) it came by, counted, and which bytes of that are not taken. */
	uint32_t landing;
	uint32_t input_start;
	uint32_t input_end;

	/* Serial. */
	struct uart16550 uart;
	uint8_t listens; /* the guest, for long enough to be spoken to */
	/* The last access that was carried out, so that it is not carried out again. */
	uint8_t access_known;
	uint16_t access_id;
	uint8_t access_data[UART16550_REGISTERS]; /* what it read */

	/* virtio-console; chains as virtqueue_taken() counts them. */
	uint8_t transmit_running;
	uint8_t receive_running;
	uint32_t transmitted;	/* so much of the chain behind transmit_next is in the output */
	uint64_t transmit_next; /* chains that are in the output as a whole */
	uint64_t receive_next;	/* chains that were given input, */
	uint32_t
		receive_pending; /* the last of them this much, which counts as taken once the driver can see it */
};

struct console_page {
	struct device_state_page device; /* the committed record */
	uint64_t output_start;		 /* bytes of the output that the host has */
	uint64_t output_base;		 /* where in a file the output's byte 0 is, modulo 2^64 */
	uint64_t landing;		 /* of the last read(2): its number << 32 | its size */
	uint8_t landings[2][CONSOLE_STATE_INPUT] __attribute__((aligned(4096)));
	uint8_t output[CONSOLE_STATE_OUTPUT];
};

_Static_assert(sizeof(struct console_record) % 8 == 0 &&
		       sizeof(struct console_record) <= DEVICE_STATE_RECORD_MAX,
	       "a console's record is one of a device");
_Static_assert(sizeof(struct console_page) <= STATE_PAGE_SIZE, "a console fits into a state page");

struct console_state {
	struct device_state device;
	struct console_page *page; /* the same one */
	struct console_record live;
	/* Of the committed record. */
	uint64_t committed_end;
	uint32_t committed_landing;
	uint64_t output_start;
	/* Bytes in the landing behind live.landing that a predecessor read and did not commit. */
	uint32_t unclaimed;
	bool taken_over; /* a predecessor's state was taken over */
};

/*
 * fd: the state page, borrowed; -1: there is none, and no successor either. successor: a predecessor may have left its
 * state there; otherwise the device begins anew, whatever the page holds. 0 or -errno (logged).
 */
int console_state_open(struct console_state *state, enum console_kind kind, int fd, bool successor);
/* Unmaps the page. */
void console_state_close(struct console_state *state);

/* All that was done so far has been done. */
void console_state_commit(struct console_state *state);
/* The host has the output up to here. */
void console_state_written(struct console_state *state, uint64_t output_start);

/* What is committed and not written shall not be: the host's own loss. */
void console_state_drop(struct console_state *state);
/* The output's file stands at this offset. It moves with each write(2), so it knows better than output_start. */
void console_state_file_offset(struct console_state *state, uint64_t offset);

/*
 * The file was changed for an empty one. Of the one before, output_start is what it took: nothing of that is on its
 * way.
 */
void console_state_new_file(struct console_state *state);
/* Where in its file the next byte of the output goes. */
uint64_t console_state_offset(const struct console_state *state);

/* Prepares the landing behind live.landing for a read(2) of `size` bytes; they are what the pointer leads to. */
uint8_t *console_state_land(struct console_state *state, uint32_t size);
/* So many bytes came there, and are the input that waits; all that waited before was taken. */
void console_state_landed(struct console_state *state, uint32_t size);

/* The input that waits. */
static inline const uint8_t *console_state_input(const struct console_state *state)
{
	return state->page->landings[state->live.landing & 1] + state->live.input_start;
}

#endif
