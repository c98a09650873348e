#include "tests/unit/fake_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/spec/virtio_spec.h"

void fake_backend_init(struct fake_backend *backend)
{
	memset(backend, 0, sizeof(*backend));
	backend->features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
			    VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |
			    VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_BIT(9) | VIRTIO_BIT(11);
	backend->protocol_features =
		VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
		VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
		VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS) |
		VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE);
	backend->queue_num = FAKE_BACKEND_QUEUES;
	for (unsigned i = 0; i < sizeof(backend->config); i++)
		backend->config[i] = (uint8_t)(i + 1);
	backend->channel_fd = -1;
	backend->inflight_fd = -1;
	for (unsigned i = 0; i < VHOST_USER_MEM_TABLE_REGIONS_MAX; i++)
		backend->memory_fds[i] = -1;
	for (unsigned i = 0; i < FAKE_BACKEND_QUEUES; i++)
		backend->rings[i].kick_fd = backend->rings[i].call_fd = backend->rings[i].error_fd = -1;
}

static void check(bool good)
{
	if (!good)
		abort();
}

static void send_bytes(struct fake_backend *backend, const void *bytes, size_t size, int fd)
{
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};

	/* The front end may be gone already, because it was lied to. */
	fd_send(backend->socket_fd, &iov, 1, &fd, fd >= 0 ? 1 : 0, 0);
}

/* Sends a reply, or what the lie makes of it. */
static void reply(struct fake_backend *backend, uint32_t request, const void *payload, uint32_t size)
{
	struct {
		struct vhost_user_header header;
		uint8_t payload[sizeof(struct vhost_user_config) + 1];
	} message = {.header = {request, VHOST_USER_VERSION | VHOST_USER_REPLY_FLAG, size}};
	enum fake_lie lie = request == backend->lie_at ? backend->lie : LIE_NONE;
	int fd = -1;

	memcpy(message.payload, payload, size);
	switch (lie) {
	case LIE_SILENCE:
		return;
	case LIE_SHORT:
		message.header.size = --size;
		break;
	case LIE_LONG:
		message.header.size = ++size;
		break;
	case LIE_HUGE:
		message.header.size = 0xfffffff0;
		break;
	case LIE_HALF:
		send_bytes(backend, &message, 6, -1);
		return;
	case LIE_CUT:
		send_bytes(backend, &message, 6, -1);
		shutdown(backend->socket_fd, SHUT_RDWR);
		return;
	case LIE_HANG_UP:
		shutdown(backend->socket_fd, SHUT_RDWR);
		return;
	case LIE_OTHER_REQUEST:
		message.header.request++;
		break;
	case LIE_NO_REPLY_FLAG:
		message.header.flags &= ~VHOST_USER_REPLY_FLAG;
		break;
	case LIE_VERSION:
		message.header.flags ^= 3;
		break;
	case LIE_DESCRIPTOR:
		fd = STDERR_FILENO;
		break;
	case LIE_GARBAGE:
		memset(&message, 0xa5, sizeof(message));
		break;
	case LIE_VALUE:
		memset(message.payload, 0xff, size);
		break;
	default:
		break;
	}
	send_bytes(backend, &message, VHOST_USER_HEADER_SIZE + size, fd);
}

static int take_fd(struct vhost_user_message *message)
{
	int fd;

	if (message->fd_count == 0)
		return -1;
	fd = message->fds[0];
	message->fds[0] = -1;
	return fd;
}

static void replace_fd(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

static void take_memory(struct fake_backend *backend, struct vhost_user_message *message)
{
	backend->memory = message->payload.memory;
	check(message->fd_count == backend->memory.region_count);
	for (size_t i = 0; i < message->fd_count; i++) {
		replace_fd(&backend->memory_fds[i], message->fds[i]);
		message->fds[i] = -1;
	}
}

/* Requests of one ring. True if it was one. */
static bool serve_ring(struct fake_backend *backend, struct vhost_user_message *message)
{
	const struct vhost_user_vring_state *state = &message->payload.state;
	uint32_t index = state->index & VHOST_USER_VRING_INDEX_MASK;
	struct fake_backend_ring *ring = &backend->rings[index % FAKE_BACKEND_QUEUES];

	switch (message->header.request) {
	case VHOST_USER_SET_VRING_NUM:
		ring->size = state->num;
		break;
	case VHOST_USER_SET_VRING_BASE:
		ring->base = state->num;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		ring->addresses = message->payload.addr;
		break;
	case VHOST_USER_SET_VRING_KICK:
		replace_fd(&ring->kick_fd, take_fd(message));
		break;
	case VHOST_USER_SET_VRING_CALL:
		replace_fd(&ring->call_fd, take_fd(message));
		break;
	case VHOST_USER_SET_VRING_ERR:
		replace_fd(&ring->error_fd, take_fd(message));
		break;
	case VHOST_USER_SET_VRING_ENABLE:
		ring->enabled = state->num != 0;
		ring->stopped = false;
		break;
	default:
		return false;
	}
	check(index < FAKE_BACKEND_QUEUES);
	return true;
}

static void serve(struct fake_backend *backend, struct vhost_user_message *message)
{
	uint32_t request = message->header.request;
	struct vhost_user_config *config = &message->payload.config;
	bool ack = (message->header.flags & VHOST_USER_NEED_REPLY_FLAG) != 0;
	uint64_t result = 0;

	check(vhost_user_request_check(message) == 0);
	if (backend->request_count < FAKE_BACKEND_REQUESTS)
		backend->requests[backend->request_count] = request;
	atomic_fetch_add(&backend->request_count, 1);
	if (serve_ring(backend, message))
		goto answer;
	switch (request) {
	case VHOST_USER_GET_FEATURES:
		reply(backend, request, &backend->features, 8);
		return;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		reply(backend, request, &backend->protocol_features, 8);
		return;
	case VHOST_USER_GET_QUEUE_NUM:
		reply(backend, request, &backend->queue_num, 8);
		return;
	case VHOST_USER_GET_CONFIG:
		memcpy(config->payload, backend->config + config->offset, config->size);
		reply(backend, request, config, VHOST_USER_CONFIG_HEADER_SIZE + config->size);
		return;
	case VHOST_USER_GET_VRING_BASE: {
		struct vhost_user_vring_state state = message->payload.state;

		backend->rings[state.index % FAKE_BACKEND_QUEUES].stopped = true;
		state.num = backend->rings[state.index % FAKE_BACKEND_QUEUES].base + 5;
		reply(backend, request, &state, sizeof(state));
		return;
	}
	case VHOST_USER_SET_FEATURES:
		backend->acked_features = message->payload.u64;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		backend->acked_protocol_features = message->payload.u64;
		break;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		replace_fd(&backend->channel_fd, take_fd(message));
		break;
	case VHOST_USER_SET_MEM_TABLE:
		take_memory(backend, message);
		break;
	case VHOST_USER_SET_INFLIGHT_FD:
		backend->inflight = message->payload.inflight;
		replace_fd(&backend->inflight_fd, take_fd(message));
		break;
	case VHOST_USER_RESET_DEVICE:
		atomic_fetch_add(&backend->resets, 1);
		break;
	case VHOST_USER_SET_STATUS:
		check(backend->statuses_count < sizeof(backend->statuses));
		backend->statuses[backend->statuses_count++] = (uint8_t)message->payload.u64;
		break;
	case VHOST_USER_SET_CONFIG:
		if (backend->refuse_config)
			result = 1;
		else
			memcpy(backend->config + config->offset, config->payload, config->size);
		break;
	default:
		break;
	}
answer:
	if (ack)
		reply(backend, request, &result, 8);
}

static void *run(void *argument)
{
	struct fake_backend *backend = argument;
	struct vhost_user_receiver receiver;

	vhost_user_receiver_init(&receiver);
	while (vhost_user_receive(backend->socket_fd, &receiver) == 1) {
		serve(backend, &receiver.message);
		vhost_user_receiver_next(&receiver);
	}
	vhost_user_receiver_clear(&receiver);
	return NULL;
}

int fake_backend_start(struct fake_backend *backend)
{
	int pair[2];

	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	backend->socket_fd = pair[0];
	check(pthread_create(&backend->thread, NULL, run, backend) == 0);
	return pair[1];
}

void fake_backend_hang_up(struct fake_backend *backend)
{
	shutdown(backend->socket_fd, SHUT_RDWR);
}

void fake_backend_join(struct fake_backend *backend)
{
	pthread_join(backend->thread, NULL);
	close(backend->socket_fd);
	replace_fd(&backend->channel_fd, -1);
	replace_fd(&backend->inflight_fd, -1);
	for (unsigned i = 0; i < VHOST_USER_MEM_TABLE_REGIONS_MAX; i++)
		replace_fd(&backend->memory_fds[i], -1);
	for (unsigned i = 0; i < FAKE_BACKEND_QUEUES; i++) {
		replace_fd(&backend->rings[i].kick_fd, -1);
		replace_fd(&backend->rings[i].call_fd, -1);
		replace_fd(&backend->rings[i].error_fd, -1);
	}
}
