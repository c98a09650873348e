/*
 * The life of a queue's thread, and what the main thread does with it: it starts and stops the queue, asks for syncs
 * and heartbeats, and reads counters. State changes hands under the lock; what is asked in the middle of a round, by
 * atomics and wake_fd.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/jail/jail.h"
#include "dev-blk/blk_queue_parts.h"

#define QUEUE_STACK_BYTES (128 * 1024)
#define REQUESTS_BYTES	  (sizeof(struct blk_request) * QUEUE_REQUESTS)
#define LARGE_IOVS_BYTES  (sizeof(struct iovec) * VIRTQUEUE_IOV_MAX * QUEUE_REQUESTS)

/* With the lock held, which it lets go meanwhile. */
static void queue_seal_thread(struct blk_queue *queue)
{
	int result;

	pthread_mutex_unlock(&queue->lock);
	result = jail_seal_thread(queue->filter, NULL, 0);
	pthread_mutex_lock(&queue->lock);
	queue->seal = QUEUE_SEAL_TRIED;
	queue->seal_error = result;
	pthread_cond_broadcast(&queue->changed);
}

/* With the lock held, which it lets go meanwhile. No virtqueue is there, nobody else waits. */
static void queue_sync_here(struct blk_queue *queue)
{
	pthread_mutex_unlock(&queue->lock);
	blk_io_execute(queue->disk->fd, &queue->sync);
	atomic_store_explicit(&queue->host_io, false, memory_order_relaxed);
	blk_queue_sync_end(queue);
	pthread_mutex_lock(&queue->lock);
}

static void *queue_thread(void *argument)
{
	struct blk_queue *queue = argument;
	char name[16];
	int error;

	snprintf(name, sizeof(name), "queue-%u", queue->index);
	jail_name_thread(name);
	error = blk_engine_new(queue->engine_kind, queue->disk->fd, queue->wake_fd, QUEUE_REQUESTS,
			       queue->filter, &queue->engine);
	pthread_mutex_lock(&queue->lock);
	queue->start_error = error;
	queue->state = error == 0 ? QUEUE_STATE_IDLE : QUEUE_STATE_ENDING;
	pthread_cond_broadcast(&queue->changed);
	while (queue->state != QUEUE_STATE_ENDING) {
		if (queue->seal == QUEUE_SEAL_WANTED)
			queue_seal_thread(queue);
		if (queue->state == QUEUE_STATE_IDLE && blk_queue_sync_begin(queue)) {
			queue_sync_here(queue);
			continue;
		}
		if (queue->state != QUEUE_STATE_RUNNING) {
			pthread_cond_wait(&queue->changed, &queue->lock);
			continue;
		}
		pthread_mutex_unlock(&queue->lock);
		blk_queue_run(queue);
		pthread_mutex_lock(&queue->lock);
		queue->state = QUEUE_STATE_IDLE;
		pthread_cond_broadcast(&queue->changed);
		blk_queue_settled(queue);
	}
	pthread_mutex_unlock(&queue->lock);
	if (error == 0)
		blk_engine_free(queue->engine);
	return NULL;
}

/* Signals are the main thread's. */
static int queue_create_thread(struct blk_queue *queue)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	int result;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, QUEUE_STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = -pthread_create(&queue->thread, &attributes, queue_thread, queue);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return result;
}

static bool another_processor(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

/* Memory that costs nothing before it is touched; NULL when there is none. */
static void *memory_map(size_t size)
{
	void *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory != MAP_FAILED ? memory : NULL;
}

static void queue_free_memory(struct blk_queue *queue)
{
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
	if (queue->large_iovs != NULL)
		munmap(queue->large_iovs, LARGE_IOVS_BYTES);
	if (queue->requests != NULL)
		munmap(queue->requests, REQUESTS_BYTES);
	free(queue->chain);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

static int queue_make_memory(struct blk_queue *queue)
{
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wake_fd < 0)
		return -errno;
	queue->chain = malloc(sizeof(*queue->chain));
	queue->requests = memory_map(REQUESTS_BYTES);
	queue->large_iovs = memory_map(LARGE_IOVS_BYTES);
	if (queue->chain == NULL || queue->requests == NULL || queue->large_iovs == NULL)
		return -ENOMEM;
	STAILQ_INIT(&queue->free);
	STAILQ_INIT(&queue->batch);
	STAILQ_INIT(&queue->held);
	STAILQ_INIT(&queue->done);
	return 0;
}

int blk_queue_new(struct blk_disk *disk, uint16_t index, enum blk_engine_kind engine,
		  const struct seccomp_filter *filter, struct blk_queue **made)
{
	struct blk_queue *queue = calloc(1, sizeof(*queue));
	int result;

	if (queue == NULL)
		return -ENOMEM;
	queue->disk = disk;
	queue->index = index;
	queue->engine_kind = engine;
	queue->filter = filter;
	queue->wake_fd = -1;
	queue->may_poll = another_processor();
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	result = queue_make_memory(queue);
	if (result == 0)
		result = queue_create_thread(queue);
	if (result < 0) {
		queue_free_memory(queue);
		return result;
	}
	pthread_mutex_lock(&queue->lock);
	while (queue->state == QUEUE_STATE_STARTING)
		pthread_cond_wait(&queue->changed, &queue->lock);
	result = queue->start_error;
	pthread_mutex_unlock(&queue->lock);
	if (result < 0) {
		pthread_join(queue->thread, NULL);
		queue_free_memory(queue);
		return result;
	}
	*made = queue;
	return 0;
}

int blk_queue_seal(struct blk_queue *queue)
{
	int result;

	if (queue->filter == NULL)
		return 0;
	pthread_mutex_lock(&queue->lock);
	queue->seal = QUEUE_SEAL_WANTED;
	pthread_cond_broadcast(&queue->changed);
	while (queue->seal == QUEUE_SEAL_WANTED)
		pthread_cond_wait(&queue->changed, &queue->lock);
	result = queue->seal_error;
	pthread_mutex_unlock(&queue->lock);
	return result;
}

void blk_queue_free(struct blk_queue *queue)
{
	if (queue == NULL)
		return;
	pthread_mutex_lock(&queue->lock);
	queue->state = QUEUE_STATE_ENDING;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
	pthread_join(queue->thread, NULL);
	queue_free_memory(queue);
}

void blk_queue_on_broken(struct blk_queue *queue, void (*broken)(void *argument, uint16_t index),
			 void *argument)
{
	queue->on_broken = broken;
	queue->on_broken_argument = argument;
}

void blk_queue_start(struct blk_queue *queue, struct virtqueue *virtqueue)
{
	pthread_mutex_lock(&queue->lock);
	queue->virtqueue = virtqueue;
	atomic_store(&queue->stopping, false);
	queue->state = QUEUE_STATE_RUNNING;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

bool blk_queue_quiesce(struct blk_queue *queue)
{
	bool rests;

	atomic_store_explicit(&queue->stopping, true, memory_order_release);
	eventfd_write(queue->wake_fd, 1);
	pthread_mutex_lock(&queue->lock);
	rests = queue->state != QUEUE_STATE_RUNNING;
	pthread_mutex_unlock(&queue->lock);
	return rests;
}

void blk_queue_stop(struct blk_queue *queue)
{
	blk_queue_quiesce(queue);
	pthread_mutex_lock(&queue->lock);
	while (queue->state == QUEUE_STATE_RUNNING)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->virtqueue = NULL;
	pthread_mutex_unlock(&queue->lock);
}

void blk_queue_sync(struct blk_queue *queue)
{
	atomic_fetch_add(&queue->syncs_asked, 1);
	eventfd_write(queue->wake_fd, 1);
	pthread_mutex_lock(&queue->lock);
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

bool blk_queue_synced(const struct blk_queue *queue)
{
	return atomic_load_explicit(&queue->syncs_done, memory_order_acquire) ==
	       atomic_load(&queue->syncs_asked);
}

void blk_queue_on_settled(struct blk_queue *queue, void (*settled)(void *argument), void *argument)
{
	queue->on_settled = settled;
	queue->on_settled_argument = argument;
}

void blk_queue_on_witnessed(struct blk_queue *queue, void (*witnessed)(void *argument), void *argument)
{
	queue->on_witnessed = witnessed;
	queue->on_witnessed_argument = argument;
}

void blk_queue_wake(struct blk_queue *queue)
{
	eventfd_write(queue->wake_fd, 1);
}

void blk_queue_count(const struct blk_queue *queue, uint64_t *totals)
{
	for (size_t i = 0; i < BLK_COUNTERS; i++)
		totals[i] += atomic_load_explicit(&queue->counters[i], memory_order_relaxed);
}

void blk_queue_heartbeat(struct blk_queue *queue, struct blk_heartbeat *heartbeat)
{
	uint64_t asked = atomic_load_explicit(&queue->beats_asked, memory_order_relaxed);

	/* In this order: what is completed has been accepted. */
	heartbeat->completed += atomic_load_explicit(&queue->pushed, memory_order_acquire);
	heartbeat->accepted += atomic_load_explicit(&queue->popped, memory_order_relaxed);
	heartbeat->host_io |= atomic_load_explicit(&queue->host_io, memory_order_relaxed);
	if (queue->virtqueue == NULL)
		return;
	if (atomic_load_explicit(&queue->beats_answered, memory_order_relaxed) != asked) {
		heartbeat->kicked = true;
		return;
	}
	atomic_store_explicit(&queue->beats_asked, asked + 1, memory_order_relaxed);
	eventfd_write(queue->wake_fd, 1);
}

void blk_queue_count_ring(const struct blk_queue *queue, uint64_t *totals)
{
	for (size_t i = 0; i < BLK_RING_OPERATIONS; i++)
		totals[i] += atomic_load_explicit(&queue->engine->ring_operations[i], memory_order_relaxed);
}

const char *blk_queue_engine_name(const struct blk_queue *queue)
{
	return queue->engine->ops->name;
}
