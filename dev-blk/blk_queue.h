/*
 * A queue and its thread: chains out of the ring, requests through the engine, completions into the ring.
 *
 * The thread, its engine and its memory are made before the process seals itself and live as long as the
 * device; the virtqueue comes and goes with blk_queue_start() and blk_queue_stop(). All functions here are
 * the main thread's.
 */
#ifndef ATOLL_DEV_BLK_BLK_QUEUE_H
#define ATOLL_DEV_BLK_BLK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/seccomp_filter.h"
#include "common/ring/virtqueue.h"
#include "dev-blk/blk_disk.h"
#include "dev-blk/blk_engine_kind.h"

/* What a queue counted since it was made. */
enum blk_counter {
	BLK_COUNTER_READS,
	BLK_COUNTER_WRITES,
	BLK_COUNTER_FLUSHES,
	BLK_COUNTER_DISCARDS,
	BLK_COUNTER_WRITE_ZEROES,
	BLK_COUNTER_READ_BYTES,
	BLK_COUNTER_WRITTEN_BYTES,
	BLK_COUNTER_ERRORS, /* requests that ended otherwise than with OK */
	BLK_COUNTER_KICKS,  /* wake-ups by the driver */
	BLK_COUNTER_INTERRUPTS,
	BLK_COUNTER_BATCHES, /* publications of the used index */
	BLK_COUNTERS,
};

struct blk_queue;

/*
 * Makes the queue and its thread, and returns when the thread has its engine. filter: what the thread is to be
 * sealed with, NULL for nothing; its ring's operations are restricted to the policy's from the start. disk and
 * filter outlive it. 0 or -errno.
 */
int blk_queue_new(struct blk_disk *disk, uint16_t index, enum blk_engine_kind engine,
		  const struct seccomp_filter *filter, struct blk_queue **queue);
/* The process has its filter: the thread puts on its own. Returns when it has; 0 or -errno (logged). */
int blk_queue_seal(struct blk_queue *queue);
/* The queue must be stopped. NULL is allowed. */
void blk_queue_free(struct blk_queue *queue);

/* What the thread calls when the driver broke the ring, once between a start and a stop. The queue is stopped. */
void blk_queue_on_broken(struct blk_queue *queue, void (*broken)(void *argument, uint16_t index),
			 void *argument);

/* Hands a virtqueue over to the thread. */
void blk_queue_start(struct blk_queue *queue, struct virtqueue *virtqueue);
/* Begins to stop: the thread lets go of the virtqueue once every request that was popped has been completed. Whether it
 * has; then blk_queue_stop() does not wait. */
bool blk_queue_quiesce(struct blk_queue *queue);
/* Returns once every request that was popped has been completed, and the thread has let go of the virtqueue.
 */
void blk_queue_stop(struct blk_queue *queue);

/* Asks the thread for an fdatasync that begins after this call; an error is the disk's loss (blk_disk_lost()). */
void blk_queue_sync(struct blk_queue *queue);
/* Whether all that were asked for are done. */
bool blk_queue_synced(const struct blk_queue *queue);
/* What the thread calls when it stopped, or did what blk_queue_sync() asked for. Before the first start. */
void blk_queue_on_settled(struct blk_queue *queue, void (*settled)(void *argument), void *argument);

/*
 * What the thread calls when it has asked the disk's witness: flushes that other queues hold may complete. Before the
 * first start.
 */
void blk_queue_on_witnessed(struct blk_queue *queue, void (*witnessed)(void *argument), void *argument);
/* Lets the thread come round. Any thread. */
void blk_queue_wake(struct blk_queue *queue);

/* Adds the queue's counters to totals[BLK_COUNTERS]. */
void blk_queue_count(const struct blk_queue *queue, uint64_t *totals);
/* What the thread of a queue has to say when it is asked whether it lives. */
struct blk_heartbeat {
	uint64_t accepted, completed; /* requests */
	bool kicked;		      /* it has not come round since it was asked last */
	bool host_io;		      /* the host carries something out for it */
};

/* Adds the queue's to *heartbeat, and asks its thread to come round. */
void blk_queue_heartbeat(struct blk_queue *queue, struct blk_heartbeat *heartbeat);
/* Adds what its ring was asked to do to totals[BLK_RING_OPERATIONS]. */
void blk_queue_count_ring(const struct blk_queue *queue, uint64_t *totals);
/* "io_uring" or "sync". */
const char *blk_queue_engine_name(const struct blk_queue *queue);

#endif
