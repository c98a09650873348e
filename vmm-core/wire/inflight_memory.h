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
	size_t size;
};

/* Zeroed, for `queues` rings of up to queue_size descriptors. 0 or -errno. */
int inflight_memory_create(struct inflight_memory *inflight, uint16_t queues, uint16_t queue_size);
/* The driver begins anew. No process uses it. */
void inflight_memory_clear(struct inflight_memory *inflight);
void inflight_memory_destroy(struct inflight_memory *inflight);

#endif
