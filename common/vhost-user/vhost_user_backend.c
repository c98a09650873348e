/*
 * The back-end half of vhost-user: the session.
 *
 * A message is received, the queues that its request is going to stop come to rest, the request is done
 * (vhost_user_backend_requests.c, and vhost_user_backend_vring.c for the rings), and what it takes of the device's host
 * is waited for, if the device says so; then the next one is received.
 *
 * What goes wrong is one of three things. Broken framing or a request against the protocol (-EPROTO) ends the
 * session. A request that cannot be done is told in an acknowledgement; a front end that did not ask for one
 * would go on in a false belief, so its session ends too. But a ring that the *guest* laid out badly is the
 * guest's own loss (-EBADMSG): that ring stays stopped, its error eventfd says so, and everything else goes
 * on.
 */
#include "common/vhost-user/vhost_user_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_backend_parts.h"

/* --- Taking messages --- */

static int session_fail(const struct vhost_user_message *message, int error)
{
	if (error == -EPROTO)
		log_error("the front end broke the protocol with request %u (%u bytes, %zu descriptors)",
			  message->header.request, message->header.size, message->fd_count);
	else
		log_error("request %u cannot be answered: %s", message->header.request, strerror(-error));
	return error;
}

/* As vhost_user_request_check(); what this device does not offer is not known either. */
static int request_check(const struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	uint32_t request = message->header.request;

	if (!backend->ops->track_inflight &&
	    (request == VHOST_USER_GET_INFLIGHT_FD || request == VHOST_USER_SET_INFLIGHT_FD))
		return -ENOTSUP;
	return vhost_user_request_check(message);
}

/* Whether a request stops the queue, if it runs. */
static bool request_stops(const struct vhost_user_message *message, uint32_t index)
{
	switch (message->header.request) {
	case VHOST_USER_SET_FEATURES:
	case VHOST_USER_SET_MEM_TABLE:
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
	case VHOST_USER_SET_INFLIGHT_FD:
	case VHOST_USER_RESET_DEVICE:
		return true;
	case VHOST_USER_SET_STATUS:
		return message->payload.u64 == 0;
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_GET_VRING_BASE:
		return message->payload.state.index == index;
	case VHOST_USER_SET_VRING_ENABLE:
		return message->payload.state.index == index && message->payload.state.num == 0;
	case VHOST_USER_SET_VRING_ADDR:
		return message->payload.addr.index == index;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return (message->payload.u64 & VHOST_USER_VRING_INDEX_MASK) == index;
	default:
		return false;
	}
}

/* Stops the queues that the request in hand is going to stop. false: some have not come to rest yet. */
static bool session_stop_early(struct vhost_user_backend *backend)
{
	const struct vhost_user_message *message = &backend->receiver.message;
	bool rest = true;

	if (backend->ops->quiesce == NULL || request_check(backend, message) != 0)
		return true;
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		if (backend->vrings[i].queue == NULL || !request_stops(message, i))
			continue;
		if (!backend->ops->quiesce(backend->device, i)) {
			rest = false;
			continue;
		}
		vhost_user_vring_stop(backend, i);
		backend->stopped_early = true;
	}
	return rest;
}

/* Does a request that is known: 0 or -errno, as told above. *answered: it had a reply of its own. */
static int session_do(struct vhost_user_backend *backend, struct vhost_user_message *message, bool *answered)
{
	int result = request_check(backend, message);

	*answered = false;
	if (result < 0)
		return result;
	result = vhost_user_request_answer(backend, message);
	*answered = result != 0;
	if (result == 0)
		return vhost_user_request_take(backend, message);
	return result < 0 ? result : 0;
}

/* One whole message: 0 to go on, -errno to end the session. */
static int session_message(struct vhost_user_backend *backend)
{
	struct vhost_user_message *message = &backend->receiver.message;
	/* Before the request is done: the one that negotiates REPLY_ACK is not acknowledged yet. */
	bool wants_ack = (message->header.flags & VHOST_USER_NEED_REPLY_FLAG) != 0 &&
			 vhost_user_protocol_has(backend, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	bool answered;
	int result = session_do(backend, message, &answered);

	if (result == -EPROTO || (answered && result < 0))
		return session_fail(message, result);
	if (answered)
		return 0;
	if (result == -ENOTSUP)
		log_warning("the front end sent request %u, which is not served", message->header.request);
	/* It failed before it came to the queues that it would have stopped and started. */
	if (result < 0 && result != -EBADMSG && backend->stopped_early)
		vhost_user_vrings_update(backend);
	if (result == 0 && backend->ops->settled != NULL && !backend->ops->settled(backend->device)) {
		backend->stage = SESSION_SETTLING;
		backend->ack_owed = wants_ack;
		return 0;
	}
	if (wants_ack)
		return vhost_user_reply_u64(backend, result < 0);
	/* Nobody relies on a request that is not known, and the guest's own faults are not the front end's. */
	return result == -ENOTSUP || result == -EBADMSG ? 0 : result;
}

/* Takes the message in hand a step on. 1: it is done with; 0: not yet, the device waits for its host; or -errno. */
static int session_advance(struct vhost_user_backend *backend)
{
	int result;

	if (backend->stage == SESSION_STOPPING) {
		if (!session_stop_early(backend))
			return 0;
		result = session_message(backend);
		if (result < 0)
			return result;
	}
	if (backend->stage == SESSION_SETTLING) {
		if (!backend->ops->settled(backend->device))
			return 0;
		result = backend->ack_owed ? vhost_user_reply_u64(backend, 0) : 0;
		if (result < 0)
			return result;
	}
	return 1;
}

/*
 * Receives the next message. 1: it is in hand; -EAGAIN: not whole yet; else the session is over, as
 * vhost_user_receive().
 */
static int session_receive(struct vhost_user_backend *backend)
{
	int result = vhost_user_receive(backend->socket_fd, &backend->receiver);

	if (result == 1) {
		backend->stage = SESSION_STOPPING;
		backend->stopped_early = false;
	}
	return result;
}

static void session_pause(struct vhost_user_backend *backend, bool paused)
{
	if (backend->paused == paused)
		return;
	backend->paused = paused;
	loop_watch_set_events(backend->watch, paused ? 0 : LOOP_READ);
}

/* Takes messages as far as they go. 1: there is more to wait for, 0: the front end has gone, -errno. */
static int session_work(struct vhost_user_backend *backend)
{
	for (;;) {
		int result = backend->stage == SESSION_RECEIVING ? session_receive(backend) : 1;

		if (result == -EAGAIN)
			return 1;
		if (result != 1)
			return result;
		result = session_advance(backend);
		if (result < 0)
			return result;
		session_pause(backend, result == 0);
		if (result == 0)
			return 1;
		backend->stage = SESSION_RECEIVING;
		vhost_user_receiver_next(&backend->receiver);
	}
}

static void session_go_on(struct vhost_user_backend *backend)
{
	int result = session_work(backend);

	if (result == 1)
		return;
	loop_unwatch(backend->watch);
	backend->watch = NULL;
	/* A front end that is killed resets the connection; for us that is an end like any other. */
	backend->ops->session_end(backend->device, result == -ECONNRESET ? 0 : result);
}

static void session_readable(int fd, unsigned events, void *argument)
{
	(void)fd;
	(void)events;
	session_go_on(argument);
}

void vhost_user_backend_resume(struct vhost_user_backend *backend)
{
	if (backend->stage != SESSION_RECEIVING && backend->watch != NULL)
		session_go_on(backend);
}

/* --- Life --- */

uint64_t vhost_user_backend_offers(const struct vhost_user_device_ops *ops)
{
	return ops->device_features | VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
	       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

bool vhost_user_backend_same_driver(uint64_t before, uint64_t features)
{
	/* Bit 30 is the front end's own. */
	return before != 0 && ((before ^ features) & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) == 0;
}

int vhost_user_backend_new(struct loop *loop, int socket_fd, const struct vhost_user_device_ops *ops,
			   void *device, struct vhost_user_backend **backend)
{
	struct vhost_user_backend *new_backend;
	int result;

	if (ops->queue_max == 0 || ops->queue_max > VHOST_USER_VRING_INDEX_MASK + 1 ||
	    ops->config_size > VHOST_USER_MAX_CONFIG_SIZE)
		return -EINVAL;
	result = peer_fd_nonblocking(socket_fd);
	if (result < 0)
		return result;
	new_backend = calloc(1, sizeof(*new_backend) + ops->queue_max * sizeof(struct vring));
	if (new_backend == NULL)
		return -ENOMEM;
	new_backend->loop = loop;
	new_backend->ops = ops;
	new_backend->device = device;
	new_backend->request_fd = -1;
	new_backend->offered = vhost_user_backend_offers(ops);
	guest_memory_init(&new_backend->memory);
	vhost_user_receiver_init(&new_backend->receiver);
	for (uint16_t i = 0; i < ops->queue_max; i++) {
		new_backend->vrings[i].kick_fd = -1;
		new_backend->vrings[i].call_fd = -1;
		new_backend->vrings[i].err_fd = -1;
	}
	new_backend->watch = loop_watch_fd(loop, socket_fd, LOOP_READ, session_readable, new_backend);
	if (new_backend->watch == NULL) {
		free(new_backend);
		return -ENOMEM;
	}
	new_backend->socket_fd = socket_fd;
	*backend = new_backend;
	return 0;
}

void vhost_user_backend_free(struct vhost_user_backend *backend)
{
	if (backend == NULL)
		return;
	loop_unwatch(backend->watch);
	vhost_user_vrings_stop(backend);
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		vhost_user_fd_replace(&backend->vrings[i].kick_fd, -1);
		vhost_user_fd_replace(&backend->vrings[i].call_fd, -1);
		vhost_user_fd_replace(&backend->vrings[i].err_fd, -1);
	}
	guest_memory_clear(&backend->memory);
	inflight_region_unmap(&backend->inflight);
	vhost_user_receiver_clear(&backend->receiver);
	vhost_user_fd_replace(&backend->request_fd, -1);
	close(backend->socket_fd);
	free(backend);
}

/* --- What the device tells and asks --- */

int vhost_user_backend_config_changed(struct vhost_user_backend *backend)
{
	if (backend->request_fd < 0 || !vhost_user_protocol_has(backend, VHOST_USER_PROTOCOL_F_CONFIG))
		return -ENOTCONN;
	return vhost_user_send(backend->request_fd, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, NULL, 0, NULL, 0,
			       0);
}

void vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index)
{
	const struct vring *vring = &backend->vrings[index];
	const char *reason = vring->queue != NULL ? virtqueue_broken(vring->queue) : NULL;

	log_error("queue %u is stopped: %s", index, reason != NULL ? reason : "the device gave it up");
	vhost_user_vring_signal_error(vring);
}

uint64_t vhost_user_backend_features(const struct vhost_user_backend *backend)
{
	return backend->features;
}
