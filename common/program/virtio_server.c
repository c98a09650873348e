/*
 * Queues of a simple virtio device, served in the loop: see virtio_server.h. A round takes a bounded number of chains of one
 * queue; what is left waits for the next one, behind a timer, so that a driver that always has more holds up no other queue,
 * nor the session.
 */
#include "common/program/virtio_server.h"

#include <errno.h>
#include <stdlib.h>

/* Chains of one queue in one round. */
#define ROUND_CHAINS 256

struct server_queue {
	struct virtio_server *server;
	uint16_t index;
	struct virtqueue *virtqueue;   /* NULL: it does not run, or nobody is to take its chains */
	struct loop_watch *kick_watch; /* NULL: its front end gives no kicks */
	bool waits;		       /* chains are left for the next round */
	bool broken;
};

struct virtio_server {
	const struct virtio_device *virtio;
	void *device;
	struct vhost_user_device_ops ops;
	struct vhost_user_backend *session; /* NULL: none */
	bool served;			    /* a session was there */
	struct loop *loop;
	struct loop_watch *round_timer; /* the next round, where one is not enough, or nobody kicks */
	uint64_t completed;
	struct virtqueue_chain chain;
	void (*ended)(void *argument, int error);
	void *argument;
	struct server_queue queues[]; /* ops.queue_max */
};

/* --- Queues --- */

static void queue_broken(struct server_queue *queue)
{
	queue->broken = true;
	if (queue->kick_watch != NULL)
		loop_watch_set_events(queue->kick_watch, 0);
	if (queue->server->session != NULL)
		vhost_user_backend_queue_broken(queue->server->session, queue->index);
}

/* False: the chain breaks the rules. */
static bool queue_serve(struct server_queue *queue, const struct virtqueue_chain *chain)
{
	struct virtio_server *server = queue->server;
	const char *problem = "a chain is none of this device";
	uint32_t written = 0;

	if (server->virtio->serve(server->device, queue->index, chain, &written, &problem) < 0) {
		virtqueue_break(queue->virtqueue, problem);
		return false;
	}
	virtqueue_push(queue->virtqueue, &chain->token, written);
	server->completed++;
	return true;
}

/* One round; whether there is more. */
static bool queue_round(struct server_queue *queue)
{
	struct virtqueue_chain *chain = &queue->server->chain;
	int result = 0;

	for (unsigned i = 0; i < ROUND_CHAINS; i++) {
		result = virtqueue_pop(queue->virtqueue, chain);
		if (result != 1 || !queue_serve(queue, chain))
			break;
	}
	virtqueue_complete(queue->virtqueue);
	if (virtqueue_broken(queue->virtqueue) != NULL) {
		queue_broken(queue);
		return false;
	}
	return result == 1;
}

/* Whether nobody tells when it has something. */
static bool queue_polled(const struct server_queue *queue)
{
	return queue->virtqueue != NULL && !queue->broken && queue->kick_watch == NULL;
}

static void queue_run(struct server_queue *queue)
{
	queue->waits = false;
	if (queue->virtqueue == NULL || queue->broken)
		return;
	virtqueue_disable_kicks(queue->virtqueue);
	queue->waits = queue_round(queue) || (!queue->broken && virtqueue_enable_kicks(queue->virtqueue));
	if (queue->waits)
		loop_timer_arm(queue->server->round_timer, 0);
}

static void server_next_round(void *argument)
{
	struct virtio_server *server = argument;
	bool waits = false, polled = false;

	for (unsigned i = 0; i < server->ops.queue_max; i++) {
		struct server_queue *queue = &server->queues[i];

		if (queue->waits || queue_polled(queue))
			queue_run(queue);
		waits |= queue->waits;
		polled |= queue_polled(queue);
	}
	if (polled && !waits)
		loop_timer_arm(server->round_timer, VIRTIO_SERVER_POLL_US);
}

static void queue_kicked(int fd, unsigned events, void *argument)
{
	struct server_queue *queue = argument;

	(void)fd;
	(void)events;
	virtqueue_kick_drain(queue->virtqueue);
	queue_run(queue);
}

/* --- What the session asks: vhost_user_backend.h --- */

static int server_set_features(void *argument, uint64_t features)
{
	struct virtio_server *server = argument;

	if (server->virtio->set_features != NULL)
		server->virtio->set_features(server->device, features);
	return 0;
}

static void server_get_config(void *argument, uint8_t *config)
{
	struct virtio_server *server = argument;

	server->virtio->get_config(server->device, config);
}

static int server_set_config(void *argument, uint32_t offset, const uint8_t *data, uint32_t size)
{
	struct virtio_server *server = argument;

	return server->virtio->set_config(server->device, offset, data, size);
}

static int server_start_queue(void *argument, uint16_t index, struct virtqueue *virtqueue)
{
	struct virtio_server *server = argument;
	struct server_queue *queue = &server->queues[index];

	queue->broken = false;
	if (server->virtio->serves != NULL && !server->virtio->serves(server->device, index))
		return 0;
	if (virtqueue_kick_fd(virtqueue) >= 0) {
		queue->kick_watch = loop_watch_fd(server->loop, virtqueue_kick_fd(virtqueue), LOOP_READ,
						  queue_kicked, queue);
		if (queue->kick_watch == NULL)
			return -ENOMEM;
	}
	queue->virtqueue = virtqueue;
	/* Chains may be there already. */
	queue->waits = true;
	loop_timer_arm(server->round_timer, 0);
	return 0;
}

static void server_stop_queue(void *argument, uint16_t index)
{
	struct virtio_server *server = argument;
	struct server_queue *queue = &server->queues[index];

	loop_unwatch(queue->kick_watch);
	queue->kick_watch = NULL;
	queue->virtqueue = NULL;
	queue->waits = false;
}

static void server_reset(void *argument)
{
	struct virtio_server *server = argument;

	if (server->virtio->reset != NULL)
		server->virtio->reset(server->device);
}

static void server_session_end(void *argument, int error)
{
	struct virtio_server *server = argument;

	virtio_server_stop(server);
	server->ended(server->argument, error);
}

/* --- Life --- */

int virtio_server_new(struct loop *loop, const struct virtio_device *virtio, void *device,
		      struct virtio_server **server)
{
	struct virtio_server *new = calloc(1, sizeof(*new) + virtio->queue_count * sizeof(new->queues[0]));

	if (new == NULL)
		return -ENOMEM;
	new->round_timer = loop_watch_timer(loop, server_next_round, new);
	if (new->round_timer == NULL) {
		free(new);
		return -ENOMEM;
	}
	new->virtio = virtio;
	new->device = device;
	new->loop = loop;
	new->ops = (struct vhost_user_device_ops){
		.device_features = virtio->features,
		.queue_max = virtio->queue_count,
		.config_size = virtio->config_size,
		.track_inflight = virtio->track_inflight,
		.set_features = server_set_features,
		.get_config = virtio->get_config != NULL ? server_get_config : NULL,
		.set_config = virtio->set_config != NULL ? server_set_config : NULL,
		.start_queue = server_start_queue,
		.stop_queue = server_stop_queue,
		.reset = server_reset,
		.session_end = server_session_end,
	};
	for (uint16_t i = 0; i < virtio->queue_count; i++)
		new->queues[i] = (struct server_queue){.server = new, .index = i};
	*server = new;
	return 0;
}

int virtio_server_start(struct virtio_server *server, int socket_fd, void (*ended)(void *argument, int error),
			void *argument)
{
	/* By hand, one front end after the other: this one has a driver of its own. */
	if (server->served)
		server_reset(server);
	server->served = true;
	server->ended = ended;
	server->argument = argument;
	return vhost_user_backend_new(server->loop, socket_fd, &server->ops, server, &server->session);
}

void virtio_server_stop(struct virtio_server *server)
{
	if (server->session == NULL)
		return;
	vhost_user_backend_free(server->session);
	server->session = NULL;
}

void virtio_server_free(struct virtio_server *server)
{
	if (server == NULL)
		return;
	virtio_server_stop(server);
	loop_unwatch(server->round_timer);
	free(server);
}

uint64_t virtio_server_completed(const struct virtio_server *server)
{
	return server->completed;
}

const struct vhost_user_device_ops *virtio_server_ops(const struct virtio_server *server)
{
	return &server->ops;
}
