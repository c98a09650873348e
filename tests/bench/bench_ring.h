/*
 * The split virtqueue, driver's side, in memory that it shares with a device's process (virtio 1.2, 2.7): with indirect
 * tables and EVENT_IDX, as a Linux guest has them. It polls: no interrupt is asked for. A kick is written when the
 * device asked for it.
 */
#ifndef ATOLL_TESTS_BENCH_BENCH_RING_H
#define ATOLL_TESTS_BENCH_BENCH_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/spec/virtio_spec.h"

/* Of one chain. */
#define BENCH_SEGMENTS_MAX 4
/* Of no completion; then the bench has failed. */
#define BENCH_PATIENCE_MS 10000

struct bench_segment {
	void *memory; /* in the memory that is shared */
	uint32_t length;
};

struct bench_ring {
	const char *name; /* for messages */
	const uint8_t *memory;
	uint16_t size;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtq_desc *tables; /* BENCH_SEGMENTS_MAX descriptors for each head */
	uint16_t *free;		   /* heads */
	bool *busy;		   /* by head */
	uint16_t free_count;
	uint16_t available_idx, kicked_idx, used_idx;
	int kick_fd, call_fd;
	int socket_fd; /* the wire's, which ends with the device */
};

/* Makes a chain available, without a kick: `out` segments that the device reads, then `in` that it writes. Returns its
 * head. */
uint16_t bench_ring_add(struct bench_ring *ring, const struct bench_segment *segments, unsigned out,
			unsigned in);
/* Kicks if the device wants to be told of what was added since the last kick. */
void bench_ring_kick(struct bench_ring *ring);
/* Waits until the device has asked to be kicked for the next chain, having found none. */
void bench_ring_wait_starved(const struct bench_ring *ring);
/* Asks for no interrupts; for who has just made the ring. */
void bench_ring_silence(struct bench_ring *ring);
/* The next completion. Returns its head, or -1 when there is none. */
int bench_ring_take(struct bench_ring *ring, uint32_t *length);
/* The same, waited for; the program ends when none comes. */
uint16_t bench_ring_wait(struct bench_ring *ring, uint32_t *length);

#endif
