/*
 * The queue thread. A round of its loop is these steps, each a function of its name, in this order:
 *
 *   pop        chains become requests; what needs no I/O is done at once
 *   submit     the batch goes to the engine, with one system call
 *   collect    operations that finished move their requests on: into the next round's batch, or to "done"
 *   push       done requests write their status and their used element
 *   publish    one store shows all of them to the driver, one interrupt tells it
 *
 * and when a round found nothing to do: poll the ring for a moment if that paid lately, then ask for kicks
 * and sleep.
 *
 * All memory is here from the start: requests on a last-in-first-out free list, so that a guest that keeps
 * few under way touches few pages. While none is free, nothing is popped.
 *
 * A broken ring stops the popping, and nothing is written to it any more: what was accepted is carried out
 * for the disk's sake alone, and the thread waits for blk_queue_stop().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "dev-blk/blk_queue_parts.h"

/* Requests popped before the first of them is completed: bounds what the first waits for when all are quick.
 */
#define QUEUE_BATCH 64
/* Bytes that a round zeroes or discards piece by piece: what else is done is not to wait for the rest. */
#define QUEUE_ROUND_PIECES (4u << 20)

/*
 * Polling the ring before sleeping: for this long, about what a kick and a wake-up cost together. It is given
 * up after so many vain attempts in a row, and then tried once in so many sleeps: how soon the driver comes
 * again cannot be seen from a sleep, whose end is itself late.
 */
#define POLL_NS		32000
#define POLL_PATIENCE	8
#define POLL_TRY_PERIOD 16
/* A queue without a kick eventfd is looked at this often. */
#define POLL_ONLY_INTERVAL_NS 200000

static void queue_count(struct blk_queue *queue, enum blk_counter counter, uint64_t amount)
{
	/* One writer: no read-modify-write needed. */
	uint64_t value = atomic_load_explicit(&queue->counters[counter], memory_order_relaxed);

	atomic_store_explicit(&queue->counters[counter], value + amount, memory_order_relaxed);
}

/* --- Pop --- */

static struct blk_request *queue_take_free(struct blk_queue *queue)
{
	struct blk_request *request = STAILQ_FIRST(&queue->free);

	if (request != NULL) {
		STAILQ_REMOVE_HEAD(&queue->free, link);
	} else if (queue->requests_used < QUEUE_REQUESTS) {
		request = &queue->requests[queue->requests_used];
		request->large_iov = queue->large_iovs + (size_t)queue->requests_used * VIRTQUEUE_IOV_MAX;
		queue->requests_used++;
	}
	return request;
}

static void queue_give_free(struct blk_queue *queue, struct blk_request *request)
{
	STAILQ_INSERT_HEAD(&queue->free, request, link);
}

/* Once, until the next start. */
static void queue_broke(struct blk_queue *queue)
{
	queue->broken = true;
	if (queue->on_broken != NULL)
		queue->on_broken(queue->on_broken_argument, queue->index);
}

/* Takes the next chain and makes a request of it. Whether there was one. */
static bool queue_pop_one(struct blk_queue *queue, struct blk_request *request)
{
	int result = virtqueue_pop(queue->virtqueue, queue->chain);

	if (result < 0)
		queue_broke(queue);
	if (result <= 0)
		return false;
	result = blk_request_parse(request, queue->chain, queue->disk);
	if (result < 0) {
		virtqueue_rewind(queue->virtqueue, &queue->chain->token);
		virtqueue_break(queue->virtqueue, "a request has no room for its status");
		queue_broke(queue);
		return false;
	}
	if (result == BLK_STEP_IO)
		STAILQ_INSERT_TAIL(&queue->batch, request, link);
	else
		STAILQ_INSERT_TAIL(&queue->done, request, link);
	return true;
}

/* Returns how many were popped. */
static unsigned queue_pop(struct blk_queue *queue)
{
	unsigned popped = 0;

	while (popped < QUEUE_BATCH && !queue->broken) {
		struct blk_request *request = queue_take_free(queue);

		if (request == NULL)
			break;
		if (!queue_pop_one(queue, request)) {
			queue_give_free(queue, request);
			break;
		}
		popped++;
	}
	atomic_fetch_add_explicit(&queue->popped, popped, memory_order_relaxed);
	return popped;
}

/* --- Syncs that the main thread asks for --- */

static bool queue_sync_wanted(const struct blk_queue *queue)
{
	return queue->syncs_begun != atomic_load_explicit(&queue->syncs_asked, memory_order_acquire);
}

/* One at a time; whoever asks while one is under way waits for the next. */
bool blk_queue_sync_begin(struct blk_queue *queue)
{
	if (!queue_sync_wanted(queue) || queue->syncs_begun != atomic_load(&queue->syncs_done))
		return false;
	queue->syncs_begun = atomic_load_explicit(&queue->syncs_asked, memory_order_acquire);
	queue->sync = (struct blk_io){.kind = BLK_IO_SYNC};
	atomic_store_explicit(&queue->host_io, true, memory_order_relaxed);
	return true;
}

void blk_queue_settled(const struct blk_queue *queue)
{
	if (queue->on_settled != NULL)
		queue->on_settled(queue->on_settled_argument);
}

void blk_queue_sync_end(struct blk_queue *queue)
{
	if (queue->sync.result < 0)
		blk_disk_lost(queue->disk, (int)queue->sync.result);
	atomic_store_explicit(&queue->syncs_done, queue->syncs_begun, memory_order_release);
	blk_queue_settled(queue);
}

/* --- The witness, which one queue asks for all --- */

static void queue_witness_begin(struct blk_queue *queue)
{
	int fd = blk_disk_ask_witness(queue->disk);

	if (fd < 0)
		return;
	queue->witness = (struct blk_io){.kind = BLK_IO_WITNESS, .fd = fd};
	blk_engine_start(queue->engine, &queue->witness);
}

static void queue_witness_end(struct blk_queue *queue)
{
	blk_disk_witness_told(queue->disk, (int)queue->witness.result);
	if (queue->on_witnessed != NULL)
		queue->on_witnessed(queue->on_witnessed_argument);
}

static void queue_hold(struct blk_queue *queue, struct blk_request *request)
{
	STAILQ_INSERT_TAIL(&queue->held, request, link);
	queue_witness_begin(queue);
}

static bool queue_may_release(const struct blk_queue *queue)
{
	return !STAILQ_EMPTY(&queue->held) && blk_disk_witnessed(queue->disk);
}

static void queue_release(struct blk_queue *queue)
{
	struct blk_request *request;

	if (!queue_may_release(queue))
		return;
	while ((request = STAILQ_FIRST(&queue->held)) != NULL) {
		STAILQ_REMOVE_HEAD(&queue->held, link);
		blk_request_advance(request, queue->disk);
		STAILQ_INSERT_TAIL(&queue->done, request, link);
	}
}

/* --- Submit --- */

/*
 * An image that was cut under us: what lies behind its end is not there, and to write it would bring the end back, with
 * zeroes before it. (What is on its way already when the image is cut may still do so.) `end` is where the image ends,
 * or negative as long as nobody looked. A block device cannot grow, but clips ranges.
 */
static bool queue_refuses(const struct blk_queue *queue, struct blk_request *request, int64_t *end)
{
	const struct blk_disk *disk = queue->disk;
	uint64_t last = blk_request_changes_up_to(request);

	if (last == 0 || (disk->image.block_device && request->io.kind == BLK_IO_WRITE))
		return false;
	if (*end < 0) {
		*end = lseek(disk->fd, 0, SEEK_END);
		if (*end < 0)
			*end = INT64_MAX;
	}
	if (last <= (uint64_t)*end)
		return false;
	blk_request_refuse(request, -ENODATA);
	return true;
}

/* Whether there was anything. What would make the round long stays in the batch. */
static bool queue_submit(struct blk_queue *queue)
{
	struct blk_request_list later = STAILQ_HEAD_INITIALIZER(later);
	bool any = !STAILQ_EMPTY(&queue->batch);
	struct blk_request *request;
	uint64_t pieces = 0;
	int64_t end = -1;

	while ((request = STAILQ_FIRST(&queue->batch)) != NULL) {
		uint64_t piece = blk_request_piece(request);

		STAILQ_REMOVE_HEAD(&queue->batch, link);
		if (piece != 0 && pieces >= QUEUE_ROUND_PIECES) {
			STAILQ_INSERT_TAIL(&later, request, link);
		} else if (queue_refuses(queue, request, &end)) {
			STAILQ_INSERT_TAIL(&queue->done, request, link);
		} else {
			pieces += piece;
			blk_engine_start(queue->engine, &request->io);
		}
	}
	STAILQ_CONCAT(&queue->batch, &later);
	return any;
}

/* --- Collect --- */

static struct blk_request *request_of(struct blk_io *io)
{
	return (struct blk_request *)((uint8_t *)io - offsetof(struct blk_request, io));
}

static void queue_collect(struct blk_queue *queue)
{
	struct blk_io *io;

	while ((io = blk_engine_finished(queue->engine)) != NULL) {
		struct blk_request *request = request_of(io);

		if (io == &queue->sync) {
			blk_queue_sync_end(queue);
			continue;
		}
		if (io == &queue->witness) {
			queue_witness_end(queue);
			continue;
		}
		switch (blk_request_advance(request, queue->disk)) {
		case BLK_STEP_DONE:
			STAILQ_INSERT_TAIL(&queue->done, request, link);
			break;
		case BLK_STEP_IO:
			STAILQ_INSERT_TAIL(&queue->batch, request, link);
			break;
		case BLK_STEP_HELD:
			queue_hold(queue, request);
			break;
		}
	}
	queue_release(queue);
}

/* --- Push --- */

static void queue_log_host_error(struct blk_queue *queue, const struct blk_request *request)
{
	log_warning("queue %u: request of type %u at byte %llu failed: %s", queue->index, request->type,
		    (unsigned long long)request->io.offset, strerror(-request->error));
}

static void queue_count_request(struct blk_queue *queue, const struct blk_request *request)
{
	if (request->status != VIRTIO_BLK_S_OK) {
		queue_count(queue, BLK_COUNTER_ERRORS, 1);
		/* What a block device says of a write behind its end. */
		if (request->error == -ENODATA ||
		    (request->error == -ENOSPC && queue->disk->image.block_device))
			blk_disk_cut(queue->disk);
		else if (request->error != 0)
			queue_log_host_error(queue, request);
		return;
	}
	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		queue_count(queue, BLK_COUNTER_READS, 1);
		queue_count(queue, BLK_COUNTER_READ_BYTES, request->data_bytes);
		break;
	case VIRTIO_BLK_T_OUT:
		queue_count(queue, BLK_COUNTER_WRITES, 1);
		queue_count(queue, BLK_COUNTER_WRITTEN_BYTES, request->data_bytes);
		break;
	case VIRTIO_BLK_T_FLUSH:
		queue_count(queue, BLK_COUNTER_FLUSHES, 1);
		break;
	case VIRTIO_BLK_T_DISCARD:
		queue_count(queue, BLK_COUNTER_DISCARDS, 1);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		queue_count(queue, BLK_COUNTER_WRITE_ZEROES, 1);
		break;
	}
}

/* Writes statuses and used elements; the driver does not see them yet. Returns how many. */
static unsigned queue_push(struct blk_queue *queue)
{
	struct blk_request *request;
	unsigned pushed = 0;

	while ((request = STAILQ_FIRST(&queue->done)) != NULL) {
		STAILQ_REMOVE_HEAD(&queue->done, link);
		queue_count_request(queue, request);
		blk_request_finish(request);
		CRASH_POINT(STATUS);
		virtqueue_push(queue->virtqueue, &request->token, request->written);
		queue_give_free(queue, request);
		pushed++;
	}
	atomic_fetch_add_explicit(&queue->pushed, pushed, memory_order_release);
	return pushed;
}

/* --- Publish --- */

static void queue_publish(struct blk_queue *queue)
{
	queue_count(queue, BLK_COUNTER_BATCHES, 1);
	if (virtqueue_complete(queue->virtqueue))
		queue_count(queue, BLK_COUNTER_INTERRUPTS, 1);
}

/* --- Rest --- */

/* Whether requests can be taken at all. */
static bool queue_open(const struct blk_queue *queue)
{
	return !queue->broken && (!STAILQ_EMPTY(&queue->free) || queue->requests_used < QUEUE_REQUESTS);
}

static bool queue_something(const struct blk_queue *queue)
{
	return (queue_open(queue) && virtqueue_ready(queue->virtqueue)) || blk_engine_ready(queue->engine) ||
	       atomic_load_explicit(&queue->stopping, memory_order_relaxed);
}

/* Looks for work without sleeping, for a moment. */
static bool queue_poll(struct blk_queue *queue)
{
	int64_t until = (int64_t)clock_ns(CLOCK_MONOTONIC) + POLL_NS;

	do {
		for (int i = 0; i < 16; i++) {
			if (queue_something(queue))
				return true;
			__builtin_ia32_pause();
		}
	} while ((int64_t)clock_ns(CLOCK_MONOTONIC) < until);
	return false;
}

/* Sleeps until the driver kicked, an operation finished, or the queue is to stop. */
static void queue_sleep(struct blk_queue *queue)
{
	bool open = queue_open(queue);
	int64_t timeout = -1;

	if (open && virtqueue_enable_kicks(queue->virtqueue)) {
		virtqueue_disable_kicks(queue->virtqueue);
		return;
	}
	if (open && virtqueue_kick_fd(queue->virtqueue) < 0)
		timeout = POLL_ONLY_INTERVAL_NS;
	if (blk_engine_wait(queue->engine, timeout) & BLK_EVENT_KICK)
		queue_count(queue, BLK_COUNTER_KICKS, 1);
	if (open)
		virtqueue_disable_kicks(queue->virtqueue);
}

static void queue_rest(struct blk_queue *queue)
{
	if (queue->may_poll && (queue->poll_patience > 0 || queue->sleeps % POLL_TRY_PERIOD == 0)) {
		if (queue_poll(queue)) {
			queue->poll_patience = POLL_PATIENCE;
			return;
		}
		if (queue->poll_patience > 0)
			queue->poll_patience--;
	}
	queue->sleeps++;
	queue_sleep(queue);
}

/* --- The loop --- */

/* Whether the host carries something out for us, or has the next piece of it to come. */
static bool queue_under_way(const struct blk_queue *queue)
{
	return blk_engine_in_flight(queue->engine) != 0 || !STAILQ_EMPTY(&queue->batch) ||
	       !STAILQ_EMPTY(&queue->held);
}

/* Answers the main thread's heartbeat, and says whether the host is at work for us. */
static void queue_answer_beat(struct blk_queue *queue)
{
	atomic_store_explicit(&queue->beats_answered,
			      atomic_load_explicit(&queue->beats_asked, memory_order_relaxed),
			      memory_order_relaxed);
	if (!STAILQ_EMPTY(&queue->batch))
		atomic_store_explicit(&queue->host_io, true, memory_order_relaxed);
}

/* A round from the submission on. Whether anything was completed. */
static bool queue_round(struct blk_queue *queue)
{
	unsigned events;
	bool submitted;

	queue_answer_beat(queue);
	if (blk_queue_sync_begin(queue))
		blk_engine_start(queue->engine, &queue->sync);
	submitted = queue_submit(queue);
	events = blk_engine_wait(queue->engine, 0);
	if (events & BLK_EVENT_KICK)
		queue_count(queue, BLK_COUNTER_KICKS, 1);
	queue->woken = (events & BLK_EVENT_WAKE) != 0;
	if (submitted)
		CRASH_POINT(SUBMITTED);
	queue_collect(queue);
	atomic_store_explicit(&queue->host_io, queue_under_way(queue), memory_order_relaxed);
	if (!STAILQ_EMPTY(&queue->done))
		CRASH_POINT(FINISHED);
	if (queue_push(queue) == 0)
		return false;
	queue_publish(queue);
	return true;
}

void blk_queue_run(struct blk_queue *queue)
{
	int kick_fd = virtqueue_kick_fd(queue->virtqueue);

	queue->broken = false;
	queue->poll_patience = 0;
	queue->sleeps = 0;
	if (kick_fd >= 0 && blk_engine_watch(queue->engine, kick_fd) < 0)
		log_warning("queue %u: the kick eventfd cannot be watched; the queue stalls", queue->index);
	virtqueue_disable_kicks(queue->virtqueue);
	while (!atomic_load_explicit(&queue->stopping, memory_order_acquire)) {
		unsigned popped;
		bool completed;

		popped = queue_pop(queue);
		completed = queue_round(queue);

		if (popped == 0 && !completed && !queue->woken && STAILQ_EMPTY(&queue->batch))
			queue_rest(queue);
	}
	/* What waits in the ring stays there; chains of a predecessor that were not taken yet stay in its log. */
	while (queue_under_way(queue)) {
		/* The wake that told of the witness may be the one that ended the loop above. */
		if (STAILQ_EMPTY(&queue->batch) && !queue_may_release(queue))
			blk_engine_wait(queue->engine, -1);
		queue_round(queue);
	}
	blk_engine_unwatch(queue->engine);
}
