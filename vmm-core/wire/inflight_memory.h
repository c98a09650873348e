/*
 * The inflight region of one virtio device: a sealed memfd of the core, in which the device's process writes
 * down which requests it has accepted, and in which its successor reads them. It outlives processes, and is
 * forgotten when the driver resets the device. The core does not believe a word of it.
 */
#ifndef ATOLL_VMM_CORE_WIRE_INFLIGHT_MEMORY_H
#define ATOLL_VMM_CORE_WIRE_INFLIGHT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct inflight_memory {
	int memfd; /* -1: none */
	void *memory;
	size_t size;   /* bytes that a back end is told of */
	size_t mapped; /* bytes of the file, which may be larger */
};

/* Zeroed, for `queues` rings of up to queue_size descriptors. 0 or -errno. */
int inflight_memory_create(struct inflight_memory *inflight, uint16_t queues, uint16_t queue_size);
/* Makes it one for fewer queues. */
void inflight_memory_trim(struct inflight_memory *inflight, uint16_t queues, uint16_t queue_size);
/* The driver begins anew. No process uses it. */
void inflight_memory_clear(struct inflight_memory *inflight);
void inflight_memory_destroy(struct inflight_memory *inflight);

/*
 * Regions for devices that are attached later: a sealed core makes none. What a device gives back has been its process's, too;
 * it may go to another device once that process has ended, as the supervisor sees to (docs/control-wire.md). Main thread.
 */
struct inflight_pool;

/* With `count` of them, each for up to `queues` rings of up to queue_size descriptors; room: how many it may have. 0 or -errno. */
int inflight_pool_new(unsigned count, unsigned room, uint16_t queues, uint16_t queue_size,
		      struct inflight_pool **pool);
/* NULL: nothing. */
void inflight_pool_free(struct inflight_pool *pool);
/* Takes one, zeroed, which is for all rings that it has room for; NULL: makes one for so many rings. -ENOSPC, or -errno. */
int inflight_pool_take(struct inflight_pool *pool, uint16_t queues, uint16_t queue_size,
		       struct inflight_memory *inflight);
/* NULL: destroys it. */
void inflight_pool_give(struct inflight_pool *pool, struct inflight_memory *inflight);

#endif
