/*
 * What a disk's process leaves to its successor: what the driver has negotiated and set, and whether data was lost. The
 * requests under way are not part of it (common/ring/inflight.h). See common/ring/device_state.h.
 *
 * The driver's part is forgotten at its reset. That data was lost is the medium's, and outlives each driver and each
 * reset of the VM: until the VM is ended, no flush succeeds.
 */
#ifndef ATOLL_DEV_BLK_BLK_STATE_H
#define ATOLL_DEV_BLK_BLK_STATE_H

#include <stdint.h>

#include "common/host/disk_image.h"
#include "common/ring/device_state.h"

#define BLK_STATE_VERSION 1u

struct blk_record {
	uint64_t features; /* as the driver acknowledged them; 0: there is no driver */
	int32_t lost; /* negative errno: data that was written is not on the medium; 0: none that we know of */
	uint8_t writeback;   /* the config field of that name: 0 or 1 */
	uint8_t asked;	     /* witnesses (blk_disk.h) that were asked, and whose answer is not noted yet */
	uint8_t reserved[2]; /* 0 */
};

_Static_assert(sizeof(struct blk_record) == 16, "a record has no padding");

/* fd: the state page, borrowed; -1: none. Call device_state_begin() or blk_state_take() next. 0 or -errno (logged). */
int blk_state_open(struct device_state *state, int fd);

/* Fills *record with what a predecessor left. offered: features that a driver may have acknowledged. NULL, or what is
 * wrong with it; then *record is untouched. */
const char *blk_state_take(struct device_state *state, uint64_t offered, struct blk_record *record);

#endif
