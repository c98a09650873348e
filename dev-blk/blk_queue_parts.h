/*
 * A queue from within, for blk_queue_*.c alone; blk_queue.h is what others see.
 *
 * blk_queue_round.c is what the queue's thread does while the queue runs; blk_queue_thread.c is the thread's life, and
 * what the main thread does and asks.
 */
#ifndef ATOLL_DEV_BLK_BLK_QUEUE_PARTS_H
#define ATOLL_DEV_BLK_BLK_QUEUE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dev-blk/blk_queue.h"
#include "dev-blk/blk_request.h"

/* Requests under way at most; a longer ring is worked off as they complete. */
#define QUEUE_REQUESTS 256

enum queue_state {
	QUEUE_STATE_STARTING, /* the thread makes its engine */
	QUEUE_STATE_IDLE,
	QUEUE_STATE_RUNNING,
	QUEUE_STATE_ENDING,
};

enum queue_seal {
	QUEUE_SEAL_NONE,
	QUEUE_SEAL_WANTED,
	QUEUE_SEAL_TRIED,
};

struct blk_queue {
	struct blk_disk *disk;
	uint16_t index;
	enum blk_engine_kind engine_kind;
	const struct seccomp_filter *filter;

	/* Between the main thread and ours. */
	pthread_t thread;
	pthread_mutex_t lock; /* of state, seal, virtqueue's hand-over, and the errors */
	pthread_cond_t changed;
	enum queue_state state;
	enum queue_seal seal;
	int start_error, seal_error;
	atomic_bool stopping; /* a running queue is to stop; wake_fd says so too */
	int wake_fd;
	struct virtqueue *virtqueue;
	void (*on_broken)(void *argument, uint16_t index);
	void *on_broken_argument;
	void (*on_settled)(void *argument);
	void *on_settled_argument;
	void (*on_witnessed)(void *argument);
	void *on_witnessed_argument;
	/* fdatasyncs of blk_queue_sync(): how many were asked for, and how many of those are done. */
	_Atomic uint64_t syncs_asked, syncs_done;
	_Atomic uint64_t counters[BLK_COUNTERS];
	/* For heartbeats. The main thread asks by the first and wake_fd; we answer in each round by the second. */
	_Atomic uint64_t beats_asked, beats_answered;
	_Atomic uint64_t popped, pushed;
	atomic_bool host_io; /* the host has something to do for us */

	/* Ours alone. */
	struct blk_engine *engine;
	struct virtqueue_chain *chain; /* the one being parsed */
	struct blk_io sync;	       /* of blk_queue_sync() */
	uint64_t syncs_begun;
	struct blk_io witness;	      /* the question to the disk's witness, if it is ours to ask */
	struct blk_request *requests; /* QUEUE_REQUESTS of them */
	struct iovec *large_iovs;     /* VIRTQUEUE_IOV_MAX for each request */
	unsigned requests_used;	      /* how many of them were ever taken */
	struct blk_request_list free;
	struct blk_request_list batch; /* popped, or with a next operation; to be submitted */
	struct blk_request_list held;  /* until the disk's witness has told */
	struct blk_request_list done;  /* to be pushed */
	bool broken;
	bool woken; /* the last round took a wake up: what is wanted is looked at once more before a sleep */
	bool may_poll;		/* there is another processor for the driver to run on */
	unsigned poll_patience; /* vain attempts left */
	unsigned sleeps;
};

/* --- blk_queue_round.c: the queue's thread --- */

/* Serves the ring until the queue is to stop, and then what is under way to its end. */
void blk_queue_run(struct blk_queue *queue);
/* A sync that the main thread asked for: whether one is to be done, as queue->sync; and when it is done. */
bool blk_queue_sync_begin(struct blk_queue *queue);
void blk_queue_sync_end(struct blk_queue *queue);
/* Tells the main thread that what it waits for may be so. */
void blk_queue_settled(const struct blk_queue *queue);

#endif
