/*
 * Device state: what a device's process leaves to the next process of the same device. It is a record of one struct,
 * which the device lays out, at the beginning of a state page (common/ring/state_page.h). Who uses it: the consoles
 * (dev-console/console_state.h), a disk (dev-blk/blk_state.h), a network (dev-net/net_state.h).
 *
 * There are two slots. A commit fills the one that does not count, and makes it the one that counts by one store: a
 * process that is killed between any two instructions leaves the old record or the new one, whole. So a slot that
 * counts and that its checksum does not fit was not left by a program of ours, and the other slot is never looked at:
 * what stands there is out of date.
 *
 * A record that is taken over is hostile: whoever had the page before may have been taken over by the guest. It is
 * copied once, its format, kind, version, length and checksum are checked here, and each of its fields by the device,
 * on the copy. What cannot be makes the device start as a fresh one, which its log says.
 *
 * A record is made to be carried further than to a successor on the same host: it has fixed-width fields in the
 * host's byte order (x86-64), no pointers and no descriptors. It grows at its end alone: a program takes a shorter
 * record of its version as one whose newer fields are zero, so zero must mean "as before there was this field". A
 * change of another kind makes another version, which is refused. A longer one is of a newer program, and is refused.
 *
 * One thread commits at a time.
 */
#ifndef ATOLL_COMMON_RING_DEVICE_STATE_H
#define ATOLL_COMMON_RING_DEVICE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ring/state_page.h"

/* Of the page: the fields of struct device_state_page, as "ATS1". 0: nothing is there. */
#define DEVICE_STATE_FORMAT 0x31535441u
/* Bytes of a record at most. */
#define DEVICE_STATE_RECORD_MAX 2032

enum device_state_kind {
	DEVICE_STATE_SERIAL = 1,
	DEVICE_STATE_CONSOLE,
	DEVICE_STATE_BLK,
	DEVICE_STATE_NET,
};

/* What a program knows of its device's records. */
struct device_state_layout {
	uint32_t version;
	uint32_t size;	   /* of the record; a multiple of 8, DEVICE_STATE_RECORD_MAX at most */
	uint32_t size_min; /* of the shortest of this version */
};

struct device_state_slot {
	uint32_t sequence; /* the value of commits that makes it count */
	uint32_t length;
	uint64_t checksum; /* device_state_checksum() */
	uint8_t record[DEVICE_STATE_RECORD_MAX];
};

struct device_state_page {
	uint32_t format;
	uint32_t kind; /* enum device_state_kind */
	uint32_t version;
	uint32_t commits; /* the slot that counts is the one of its lowest bit */
	struct device_state_slot slots[2] __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct device_state_page) <= STATE_PAGE_SIZE, "the slots fit into a state page");

struct device_state {
	struct device_state_page *page;
	const struct device_state_layout *layout;
	enum device_state_kind kind;
	uint32_t commits;
};

/*
 * Maps the page. fd: borrowed; -1: there is none, and no successor either. layout: of which a reference is kept.
 * 0, -EINVAL for what is no state page, or -errno (logged). device_state_close() afterwards; then device_state_take()
 * or device_state_begin() before the first commit.
 */
int device_state_open(struct device_state *state, enum device_state_kind kind,
		      const struct device_state_layout *layout, int fd);
void device_state_close(struct device_state *state);

/* Nothing was ever begun in the page. */
bool device_state_empty(const struct device_state *state);
/*
 * Copies the record that a predecessor committed into *record, of layout->size bytes, and goes on behind it. NULL, or
 * what is wrong with it, for the log; then *record is untouched.
 */
const char *device_state_take(struct device_state *state, void *record);

/* There is nothing in the page any more. */
void device_state_clear(struct device_state *state);
/* Begins with this record, whatever the page holds. */
void device_state_begin(struct device_state *state, const void *record);
/* The record is this one from now on. A state that was never opened keeps nothing. */
void device_state_commit(struct device_state *state, const void *record);

/* Against accidents, and no proof of who wrote it. size: a multiple of 8. */
uint64_t device_state_checksum(uint32_t sequence, const void *record, size_t size);

/* Logs that a record cannot be relied on. */
void device_state_refused(const char *problem);

#endif
