/*
 * The undertaker of a failed virtio device. A table says what becomes of each queue's chains; a round takes a bounded
 * number of them, so that a driver that always has more holds up no other queue, nor the session.
 */
#include "dev-undertaker/undertaker.h"

#include <errno.h>

/* Chains of one queue in one callback. */
#define ROUND_CHAINS 256

/* VIRTIO_BLK_S_IOERR (5.2.6) and VIRTIO_NET_ERR (5.1.6.5). */
#define REFUSED 1

/* Every bit of a device type, for it is the front end that knows what the driver was promised (6). */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | (((UINT64_C(1) << 14) - 1) << 50))

/* --- Queues --- */

/* False: the ring is broken. */
static bool chain_bury(struct undertaker_queue *queue, const struct virtqueue_chain *chain)
{
	struct undertaker *undertaker = queue->undertaker;
	static const uint8_t refused = REFUSED;
	bool first = queue->rite == DEVICE_RITE_REFUSE_FIRST;

	if (queue->rite == DEVICE_RITE_DROP) {
		virtqueue_push(queue->virtqueue, &chain->token, 0);
		undertaker->dropped++;
		return true;
	}
	if (chain->in_bytes == 0) {
		virtqueue_break(queue->virtqueue, "a request has no room for its status");
		return false;
	}
	virtqueue_chain_write(chain, first ? 0 : chain->in_bytes - 1, &refused, sizeof(refused));
	/* What the device has written counts from the beginning (2.7.8.2): nothing before the status is. */
	virtqueue_push(queue->virtqueue, &chain->token, first || chain->in_bytes == 1 ? 1 : 0);
	undertaker->refused++;
	return true;
}

static void queue_broken(struct undertaker_queue *queue)
{
	queue->broken = true;
	loop_watch_set_events(queue->kick_watch, 0);
	if (queue->undertaker->session != NULL)
		vhost_user_backend_queue_broken(queue->undertaker->session, queue->index);
}

/* One round; whether there is more. */
static bool queue_round(struct undertaker_queue *queue)
{
	struct virtqueue_chain *chain = &queue->undertaker->chain;
	int result = 0;

	for (unsigned i = 0; i < ROUND_CHAINS; i++) {
		result = virtqueue_pop(queue->virtqueue, chain);
		if (result != 1 || !chain_bury(queue, chain))
			break;
	}
	virtqueue_complete(queue->virtqueue);
	if (virtqueue_broken(queue->virtqueue) != NULL) {
		queue_broken(queue);
		return false;
	}
	return result == 1;
}

static void queue_run(struct undertaker_queue *queue)
{
	queue->waits = false;
	if (queue->virtqueue == NULL || queue->broken || queue->rite == DEVICE_RITE_LEAVE)
		return;
	virtqueue_disable_kicks(queue->virtqueue);
	queue->waits = queue_round(queue) || (!queue->broken && virtqueue_enable_kicks(queue->virtqueue));
	if (queue->waits)
		loop_timer_arm(queue->undertaker->round_timer, 0);
}

static void next_round(void *argument)
{
	struct undertaker *undertaker = argument;

	for (unsigned i = 0; i < undertaker->ops.queue_max; i++)
		if (undertaker->queues[i].waits)
			queue_run(&undertaker->queues[i]);
}

static void queue_kicked(int fd, unsigned events, void *argument)
{
	struct undertaker_queue *queue = argument;

	(void)fd;
	(void)events;
	virtqueue_kick_drain(queue->virtqueue);
	queue_run(queue);
}

/* --- The session --- */

static int device_set_features(void *argument, uint64_t features)
{
	(void)argument;
	(void)features;
	return 0;
}

static int device_start_queue(void *argument, uint16_t index, struct virtqueue *virtqueue)
{
	struct undertaker *undertaker = argument;
	struct undertaker_queue *queue = &undertaker->queues[index];

	queue->broken = false;
	queue->virtqueue = virtqueue;
	if (queue->rite == DEVICE_RITE_LEAVE)
		return 0;
	/* A front end that wants to be polled is not ours: it is looked at once. */
	if (virtqueue_kick_fd(virtqueue) >= 0) {
		queue->kick_watch = loop_watch_fd(undertaker->loop, virtqueue_kick_fd(virtqueue), LOOP_READ,
						  queue_kicked, queue);
		if (queue->kick_watch == NULL)
			return -ENOMEM;
	}
	queue->waits = true;
	loop_timer_arm(undertaker->round_timer, 0);
	return 0;
}

static void device_stop_queue(void *argument, uint16_t index)
{
	struct undertaker *undertaker = argument;
	struct undertaker_queue *queue = &undertaker->queues[index];

	loop_unwatch(queue->kick_watch);
	queue->kick_watch = NULL;
	queue->virtqueue = NULL;
	queue->waits = false;
}

static void device_session_end(void *argument, int error)
{
	struct undertaker *undertaker = argument;

	undertaker_session_stop(undertaker);
	undertaker->session_ended(undertaker->argument, error);
}

/* --- Life --- */

int undertaker_init(struct undertaker *undertaker, const struct device_type *type, unsigned queues)
{
	unsigned count = type->queues != 0 ? type->queues : queues;

	if (count == 0 || count > UNDERTAKER_QUEUES_MAX)
		return -EINVAL;
	*undertaker = (struct undertaker){
		.ops =
			{
				.device_features = FEATURES_OF_DEVICES,
				.queue_max = (uint16_t)count,
				/* Requests that its predecessors took and did not give back are failed too. */
				.track_inflight = type->tracks_inflight,
				.set_features = device_set_features,
				.start_queue = device_start_queue,
				.stop_queue = device_stop_queue,
				.session_end = device_session_end,
			},
	};
	for (unsigned i = 0; i < count; i++)
		undertaker->queues[i] = (struct undertaker_queue){.undertaker = undertaker,
								  .index = (uint16_t)i,
								  .rite = type->rites[i % type->rite_count]};
	return 0;
}

int undertaker_prepare(struct undertaker *undertaker, struct loop *loop)
{
	undertaker->loop = loop;
	undertaker->round_timer = loop_watch_timer(loop, next_round, undertaker);
	return undertaker->round_timer != NULL ? 0 : -ENOMEM;
}

int undertaker_session_start(struct undertaker *undertaker, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument)
{
	undertaker->session_ended = session_ended;
	undertaker->argument = argument;
	return vhost_user_backend_new(undertaker->loop, socket_fd, &undertaker->ops, undertaker,
				      &undertaker->session);
}

void undertaker_session_stop(struct undertaker *undertaker)
{
	if (undertaker->session == NULL)
		return;
	vhost_user_backend_free(undertaker->session);
	undertaker->session = NULL;
}

void undertaker_close(struct undertaker *undertaker)
{
	undertaker_session_stop(undertaker);
	loop_unwatch(undertaker->round_timer);
	undertaker->round_timer = NULL;
}
