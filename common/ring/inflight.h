/*
 * The inflight region of vhost-user: which chains of a split ring a device has taken and not yet given back, in shared
 * memory that outlives the process, so that its successor can do again what was left undone.
 *
 * The region is the front end's; a struct inflight_region is our mapping of it. An inflight_log is the part of one
 * queue, while a virtqueue uses it: virtqueue.c calls the functions at the end of this file as chains come and go, the
 * device notices nothing but that its first chains may be a predecessor's.
 *
 * The region is hostile: it was written by a process that may have been taken over, and is shared with the front end.
 * It is read by inflight_log_new() alone, each word once, and judged there; from then on it is only written, and what
 * the log needs to know it has in its own memory.
 *
 * Source: QEMU docs/interop/vhost-user.rst, "Inflight I/O tracking".
 */
#ifndef ATOLL_COMMON_RING_INFLIGHT_H
#define ATOLL_COMMON_RING_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/crash_point.h"
#include "common/spec/vhost_user_spec.h"

/* --- The region --- */

struct inflight_region {
	void *mapping; /* NULL: there is none */
	size_t mapping_size;
	uint8_t *host; /* the first queue's part */
	uint16_t queues;
	uint16_t queue_size; /* descriptors at most, of each queue */
};

/* The bytes of a region, 0 for numbers that no ring can have (queue_size up to 32768). */
uint64_t inflight_region_size(uint16_t queues, uint16_t queue_size);

/* Bytes of a region of the core's at the most: it makes no other files, and its limit of their length is this. */
#define INFLIGHT_FILE_MAX ((uint64_t)1 << 20)

/* A new region, all zero, as a memfd sealed against resizing. 0 or -errno. */
int inflight_region_create(uint16_t queues, uint16_t queue_size, int *fd);

/* Maps what the front end describes; fd is borrowed. 0, -EINVAL for a description that cannot be, or -errno. */
int inflight_region_map(struct inflight_region *region, const struct vhost_user_inflight *description,
			int fd);
/* Allowed when there is none. */
void inflight_region_unmap(struct inflight_region *region);

/* The part of a queue with this many descriptors; NULL when the region has no room for it. */
struct vhost_user_inflight_queue *inflight_region_queue(const struct inflight_region *region, uint16_t index,
							uint16_t size);

/* Makes every queue's part as new: the driver has forgotten what it asked for. No log may be open. */
void inflight_region_reset(struct inflight_region *region);

/* --- The log of one queue --- */

struct inflight_log {
	struct vhost_user_inflight_queue *shared;
	uint64_t counter;	  /* the next chain's */
	uint64_t first_counter;	  /* counter - this: chains taken anew, and not rewound */
	uint16_t size;		  /* descriptors */
	uint16_t batch_head;	  /* the last head that was pushed */
	uint16_t batch_count;	  /* heads pushed and not published */
	uint16_t unfinished;	  /* a predecessor's chains */
	uint16_t unfinished_next; /* of those, how many were taken again */
	bool recovered;		  /* a predecessor used it */
	uint16_t *batch;	  /* `size` heads */
	uint16_t heads[];	  /* the unfinished ones, in their order; behind them the batch */
};

/*
 * Judges what a predecessor left in a queue's part, repairs it against the ring's used index, and takes over: the chains
 * that it left undone are then log->unfinished. 0, -ENOMEM, or -EBADMSG (logged) when no predecessor that kept to the
 * algorithm can have left it so: then it is not touched.
 */
int inflight_log_new(struct vhost_user_inflight_queue *shared, uint16_t size, uint16_t used_index,
		     struct inflight_log **log);
/* retire: the queue stopped with nothing under way; the next use starts afresh, whatever the ring looks like then. */
void inflight_log_free(struct inflight_log *log, bool retire);

/* --- For virtqueue.c; inline, for they are on each request's way --- */

/* The stores' order is the algorithm: a process may die between any two of them. */
#define inflight_store(location, value) __atomic_store_n(&(location), (value), __ATOMIC_RELEASE)

/* Whether a predecessor's chain waits to be taken again. */
static inline bool inflight_log_pending(const struct inflight_log *log)
{
	return log->unfinished_next < log->unfinished;
}

/* Whether the last chain that was taken, and may be rewound, is not a predecessor's. */
static inline bool inflight_log_took_new(const struct inflight_log *log)
{
	return log->counter != log->first_counter;
}

/* A chain was taken from the available ring. head < size. */
static inline void inflight_log_pop(struct inflight_log *log, uint16_t head)
{
	struct vhost_user_inflight_entry *descriptor = &log->shared->entries[head];

	inflight_store(descriptor->counter, log->counter);
	log->counter++;
	CRASH_POINT(NUMBERED);
	inflight_store(descriptor->inflight, 1);
	CRASH_POINT(POPPED);
}

/* ... and is given back untouched. */
static inline void inflight_log_rewind(struct inflight_log *log, uint16_t head)
{
	inflight_store(log->shared->entries[head].inflight, 0);
	log->first_counter++;
}

/* Its used element is written. At most `size` times before inflight_log_publish(). */
static inline void inflight_log_push(struct inflight_log *log, uint16_t head)
{
	inflight_store(log->shared->entries[head].next, log->batch_head);
	CRASH_POINT(LINKED);
	inflight_store(log->shared->last_batch_head, head);
	log->batch_head = head;
	log->batch[log->batch_count++] = head;
	CRASH_POINT(PUSHED);
}

/* The ring's used index is stored. */
static inline void inflight_log_publish(struct inflight_log *log, uint16_t used_index)
{
	for (uint16_t i = 0; i < log->batch_count; i++) {
		inflight_store(log->shared->entries[log->batch[i]].inflight, 0);
		CRASH_POINT(CLEARED);
	}
	log->batch_count = 0;
	inflight_store(log->shared->used_idx, used_index);
	CRASH_POINT(RECORDED);
}

#endif
