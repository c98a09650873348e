/*
 * virtio-blk, the driver's side: one request at a time, or many in flight.
 */
#ifndef ATOLL_TESTS_GUEST_BLK_H
#define ATOLL_TESTS_GUEST_BLK_H

#include "tests/guest/lib/virtio.h"

#define SECTOR 512u

/* 5.2.3 Feature bits */
#define BLK_F_SIZE_MAX	   1
#define BLK_F_SEG_MAX	   2
#define BLK_F_GEOMETRY	   4
#define BLK_F_RO	   5
#define BLK_F_BLK_SIZE	   6
#define BLK_F_FLUSH	   9
#define BLK_F_TOPOLOGY	   10
#define BLK_F_CONFIG_WCE   11
#define BLK_F_MQ	   12
#define BLK_F_DISCARD	   13
#define BLK_F_WRITE_ZEROES 14

/* 5.2.6 Device Operation */
#define BLK_T_IN	   0
#define BLK_T_OUT	   1
#define BLK_T_FLUSH	   4
#define BLK_T_GET_ID	   8
#define BLK_T_DISCARD	   11
#define BLK_T_WRITE_ZEROES 13
#define BLK_S_OK	   0
#define BLK_S_IOERR	   1
#define BLK_S_UNSUPP	   2
#define BLK_NO_STATUS	   0xff /* ours: nobody wrote it */
#define BLK_ID_SIZE	   20

/* 5.2.4 Device configuration layout: offsets */
#define BLK_CONFIG_CAPACITY    0
#define BLK_CONFIG_SEG_MAX     12
#define BLK_CONFIG_BLK_SIZE    20
#define BLK_CONFIG_WRITEBACK   32
#define BLK_CONFIG_NUM_QUEUES  34
#define BLK_CONFIG_MAX_DISCARD 36
#define BLK_CONFIG_MAX_ZEROES  48

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t sectors, flags;
};
#define BLK_RANGE_UNMAP 1

/* A request's memory; one for each that is in flight. */
struct blk_request {
	struct blk_header header;
	volatile uint8_t status;
};

struct blk {
	struct virtio_device device;
	struct virtqueue queue;
	uint64_t sectors;
	bool take_vector; /* give queue 0 vector 1, masked: some back ends signal without asking first */
	struct blk_request request; /* of blk_do() */
};

/* The nth disk, not negotiated yet. */
bool blk_find(unsigned nth, struct blk *blk);
/* Reset, features (all that are offered of `wanted`), queue 0 of at most `size`, DRIVER_OK. */
bool blk_start(struct blk *blk, uint64_t wanted, unsigned size, bool indirect);

/* Puts a request with `count` data segments into the ring. The head, or -1. */
int blk_submit(struct blk *blk, struct blk_request *request, uint32_t type, uint64_t sector,
	       const struct segment *data, unsigned count);
/* One request from submission to status; BLK_NO_STATUS if it did not come back within 5 s. */
uint8_t blk_do_segments(struct blk *blk, uint32_t type, uint64_t sector, const struct segment *data,
			unsigned count);
uint8_t blk_do(struct blk *blk, uint32_t type, uint64_t sector, const volatile void *data, uint32_t length);

#endif
