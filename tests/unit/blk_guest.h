/*
 * A driver of atoll-blk in memory: rings and buffers in a memfd, requests built descriptor by descriptor, a
 * blk_device driven through the same ops as the vhost-user session drives it. For test_blk.c and
 * fuzz_blk_request.c.
 */
#ifndef ATOLL_TESTS_UNIT_BLK_GUEST_H
#define ATOLL_TESTS_UNIT_BLK_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "dev-blk/blk_device.h"

/* Guest memory is two regions, adjacent in the guest's view and apart in ours: a buffer may lie across. */
#define GUEST_REGION_BYTES (4u << 20)
#define GUEST_MEMORY_BYTES (2 * GUEST_REGION_BYTES)
/* Where buffers may be; below it are the rings. */
#define GUEST_DATA 0x40000u

struct guest {
	struct blk_device device;
	struct guest_memory memory;
	int memory_fd;
	uint8_t *base; /* all of guest memory, in one piece */
	uint16_t size;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtqueue *queue;
	uint64_t features;
	int kick_fd, call_fd;
	uint16_t next_descriptor; /* to be filled */
	uint16_t chain_head;	  /* of the chain under construction */
	bool chain_open;
	uint16_t published; /* of available */
	uint16_t seen;	    /* of used */
};

/*
 * Of the devices that are made from now on: the state page, borrowed (-1: none), and whether what stands there counts.
 */
extern int guest_state_fd;
/* What the device is given duplicates of; none at first. */
extern int guest_witnesses[DISK_WITNESSES];
extern bool guest_resume;

/* Makes a device over image_fd (which it takes), and starts its first queue. Ends the test program on
 * failure. */
void guest_start(struct guest *guest, int image_fd, bool readonly, uint64_t features,
		 enum blk_engine_kind engine, uint16_t ring_size);
void guest_stop(struct guest *guest);
/* Stops and starts the queue with fresh rings. Returns the index the device would have read next. */
uint16_t guest_restart_queue(struct guest *guest);

/* Adds a descriptor to the chain under construction; the first one opens it. Returns the buffer. */
void *guest_out(struct guest *guest, uint32_t address, uint32_t length);
void *guest_in(struct guest *guest, uint32_t address, uint32_t length);
/* Makes the chain available, without a kick. Returns its head. */
uint16_t guest_offer(struct guest *guest);
void guest_kick(struct guest *guest);

/* Waits for the next used element; false when none comes within the time. */
bool guest_wait(struct guest *guest, int timeout_ms, uint32_t *id, uint32_t *length);

#endif
