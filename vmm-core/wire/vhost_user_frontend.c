/*
 * The front-end half of vhost-user.
 *
 * The back end's own channel does double duty: it brings the notices, and its end tells that the back end is
 * gone. The main socket is never watched, because between a request and its reply it belongs to the thread
 * that asks.
 *
 * Ring addresses are "user addresses" in the protocol. We number them as the guest does: a back end needs to
 * know where guest memory is in the guest, and nothing of where it is in us.
 */
#include "vmm-core/wire/vhost_user_frontend.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"

/* How often a wait looks whether it was cancelled. */
#define CANCEL_SLICE_MS 100

#define PROTOCOL_FEATURES_WANTED                                                                             \
	(VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |          \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) | \
	 VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS))

struct vhost_user_frontend {
	const struct vhost_user_frontend_ops *ops;
	void *owner;
	int socket_fd;
	int channel_fd; /* our end of the back end's channel, or -1 */
	struct loop_watch *channel_watch;
	struct vhost_user_receiver channel_receiver;
	struct vhost_user_receiver receiver;
	uint64_t features; /* offered, bit 30 included */
	uint64_t protocol_features;
	unsigned queues;
	int error; /* the first failure; the wire is not used after it */
	const _Atomic bool *cancelled;
};

static bool frontend_has(const struct vhost_user_frontend *frontend, unsigned bit)
{
	return (frontend->protocol_features & VIRTIO_BIT(bit)) != 0;
}

/* --- One request --- */

static int frontend_timeout_ms(const struct vhost_user_frontend *frontend)
{
	return atomic_load(frontend->cancelled) ? FRONTEND_CANCELLED_TIMEOUT_MS : FRONTEND_TIMEOUT_MS;
}

static int frontend_fail(struct vhost_user_frontend *frontend, int error)
{
	if (frontend->error == 0)
		frontend->error = error;
	return error;
}

/* Waits for the reply to `request` of exactly `size` bytes; it is in frontend->receiver.message then. */
static int frontend_reply(struct vhost_user_frontend *frontend, uint32_t request, uint32_t size)
{
	const struct vhost_user_message *message = &frontend->receiver.message;
	int waited = 0;
	int result;

	vhost_user_receiver_next(&frontend->receiver);
	do {
		result =
			vhost_user_receive_timeout(frontend->socket_fd, &frontend->receiver, CANCEL_SLICE_MS);
		waited += CANCEL_SLICE_MS;
	} while (result == -ETIMEDOUT && waited < frontend_timeout_ms(frontend));
	if (result == 0)
		result = -EPIPE;
	if (result < 0)
		return frontend_fail(frontend, result);
	if (message->header.request != request || (message->header.flags & VHOST_USER_REPLY_FLAG) == 0 ||
	    message->header.size != size || message->fd_count != 0) {
		vhost_user_receiver_next(&frontend->receiver);
		return frontend_fail(frontend, -EPROTO);
	}
	return 0;
}

static int frontend_send(struct vhost_user_frontend *frontend, uint32_t request, uint32_t flags,
			 const void *payload, uint32_t size, const int *fds, size_t fd_count)
{
	int result = frontend->error;

	if (result == 0)
		result = vhost_user_send(frontend->socket_fd, request, flags, payload, size, fds, fd_count,
					 frontend_timeout_ms(frontend));
	return result < 0 ? frontend_fail(frontend, result) : 0;
}

/* A request that changes something: acknowledged where the back end can, so that its refusal is seen. */
static int frontend_set(struct vhost_user_frontend *frontend, uint32_t request, const void *payload,
			uint32_t size, const int *fds, size_t fd_count)
{
	bool ack = frontend_has(frontend, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	int result = frontend_send(frontend, request, ack ? VHOST_USER_NEED_REPLY_FLAG : 0, payload, size,
				   fds, fd_count);

	if (result < 0 || !ack)
		return result;
	result = frontend_reply(frontend, request, sizeof(uint64_t));
	if (result < 0)
		return result;
	return frontend->receiver.message.payload.u64 == 0 ? 0 : -EREMOTEIO;
}

static int frontend_set_u64(struct vhost_user_frontend *frontend, uint32_t request, uint64_t value)
{
	return frontend_set(frontend, request, &value, sizeof(value), NULL, 0);
}

static int frontend_set_state(struct vhost_user_frontend *frontend, uint32_t request, uint32_t index,
			      uint32_t num)
{
	struct vhost_user_vring_state state = {.index = index, .num = num};

	return frontend_set(frontend, request, &state, sizeof(state), NULL, 0);
}

static int frontend_get_u64(struct vhost_user_frontend *frontend, uint32_t request, uint64_t *value)
{
	int result = frontend_send(frontend, request, 0, NULL, 0, NULL, 0);

	if (result == 0)
		result = frontend_reply(frontend, request, sizeof(uint64_t));
	if (result == 0)
		*value = frontend->receiver.message.payload.u64;
	return result;
}

/* --- The back end's channel --- */

/*
 * A notice; we acknowledge what asks for it, and refuse what we did not negotiate. The acknowledgement comes
 * before what follows from the notice: a back end with one thread waits for it and answers no other question.
 */
static int channel_notice(struct vhost_user_frontend *frontend)
{
	const struct vhost_user_message *message = &frontend->channel_receiver.message;
	bool config_changed = message->header.request == VHOST_USER_BACKEND_CONFIG_CHANGE_MSG;
	uint64_t answer = config_changed ? 0 : 1;
	int result = 0;

	if (config_changed && (message->header.size != 0 || message->fd_count != 0))
		return -EPROTO;
	if ((message->header.flags & VHOST_USER_NEED_REPLY_FLAG) != 0)
		result = vhost_user_send(frontend->channel_fd, message->header.request, VHOST_USER_REPLY_FLAG,
					 &answer, sizeof(answer), NULL, 0, 0);
	if (result == 0 && config_changed)
		frontend->ops->config_changed(frontend->owner);
	return result;
}

static void channel_readable(int fd, unsigned events, void *argument)
{
	struct vhost_user_frontend *frontend = argument;
	int result = vhost_user_receive(fd, &frontend->channel_receiver);

	(void)events;
	if (result == -EAGAIN)
		return;
	/* One notice a call, so that a back end that sends without end does not hold the main thread. */
	if (result == 1) {
		result = channel_notice(frontend);
		vhost_user_receiver_next(&frontend->channel_receiver);
		if (result == 0)
			return;
	}
	loop_unwatch(frontend->channel_watch);
	frontend->channel_watch = NULL;
	frontend->ops->gone(frontend->owner, result == -ECONNRESET ? 0 : result);
}

static int channel_open(struct vhost_user_frontend *frontend)
{
	int pair[2];
	int result;

	if (!frontend_has(frontend, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		return 0;
	/* No end may ever make its owner wait, and neither could change that: the filters know no F_SETFL. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	frontend->channel_fd = pair[0];
	result = frontend_set(frontend, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
	close(pair[1]);
	return result;
}

int vhost_user_frontend_watch(struct vhost_user_frontend *frontend, struct loop *loop)
{
	if (frontend->channel_fd < 0)
		return 0;
	frontend->channel_watch =
		loop_watch_fd(loop, frontend->channel_fd, LOOP_READ, channel_readable, frontend);
	return frontend->channel_watch != NULL ? 0 : -ENOMEM;
}

/* --- The session --- */

static int frontend_negotiate(struct vhost_user_frontend *frontend)
{
	uint64_t value;
	int result = frontend_get_u64(frontend, VHOST_USER_GET_FEATURES, &frontend->features);

	if (result == 0)
		result = frontend_send(frontend, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0);
	if (result < 0 || (frontend->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) == 0)
		return result;
	result = frontend_get_u64(frontend, VHOST_USER_GET_PROTOCOL_FEATURES, &value);
	if (result < 0)
		return result;
	value &= PROTOCOL_FEATURES_WANTED;
	/* Of the two ways to tell of a reset, the one that brings no more than that. */
	if ((value & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE)) != 0)
		value &= ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS);
	result = frontend_send(frontend, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &value, sizeof(value), NULL, 0);
	if (result < 0)
		return result;
	frontend->protocol_features = value;
	if (frontend_has(frontend, VHOST_USER_PROTOCOL_F_MQ)) {
		result = frontend_get_u64(frontend, VHOST_USER_GET_QUEUE_NUM, &value);
		if (result < 0)
			return result;
		frontend->queues = value < UINT16_MAX ? (unsigned)value : UINT16_MAX;
	}
	return channel_open(frontend);
}

int vhost_user_frontend_new(int socket_fd, const _Atomic bool *cancelled,
			    const struct vhost_user_frontend_ops *ops, void *owner,
			    struct vhost_user_frontend **frontend)
{
	struct vhost_user_frontend *new_frontend = calloc(1, sizeof(*new_frontend));
	int result;

	if (new_frontend == NULL)
		return -ENOMEM;
	new_frontend->cancelled = cancelled;
	new_frontend->ops = ops;
	new_frontend->owner = owner;
	new_frontend->socket_fd = socket_fd;
	new_frontend->channel_fd = -1;
	vhost_user_receiver_init(&new_frontend->receiver);
	vhost_user_receiver_init(&new_frontend->channel_receiver);
	result = frontend_negotiate(new_frontend);
	if (result < 0) {
		new_frontend->socket_fd = -1;
		vhost_user_frontend_free(new_frontend);
		return result;
	}
	*frontend = new_frontend;
	return 0;
}

void vhost_user_frontend_free(struct vhost_user_frontend *frontend)
{
	if (frontend == NULL)
		return;
	loop_unwatch(frontend->channel_watch);
	vhost_user_receiver_clear(&frontend->channel_receiver);
	vhost_user_receiver_clear(&frontend->receiver);
	if (frontend->channel_fd >= 0)
		close(frontend->channel_fd);
	if (frontend->socket_fd >= 0)
		close(frontend->socket_fd);
	free(frontend);
}

uint64_t vhost_user_frontend_features(const struct vhost_user_frontend *frontend)
{
	return frontend->features & ~VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

unsigned vhost_user_frontend_queues(const struct vhost_user_frontend *frontend)
{
	return frontend->queues;
}

bool vhost_user_frontend_has_config(const struct vhost_user_frontend *frontend)
{
	return frontend_has(frontend, VHOST_USER_PROTOCOL_F_CONFIG);
}

bool vhost_user_frontend_has_inflight(const struct vhost_user_frontend *frontend)
{
	return frontend_has(frontend, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
}

int vhost_user_frontend_get_config(struct vhost_user_frontend *frontend, uint32_t offset, void *data,
				   uint32_t size)
{
	struct vhost_user_config config = {.offset = offset, .size = size};
	const struct vhost_user_config *answer = &frontend->receiver.message.payload.config;
	uint32_t length = VHOST_USER_CONFIG_HEADER_SIZE + size;
	int result;

	if (size > VHOST_USER_MAX_CONFIG_SIZE)
		return -EINVAL;
	result = frontend_send(frontend, VHOST_USER_GET_CONFIG, 0, &config, length, NULL, 0);
	if (result == 0)
		result = frontend_reply(frontend, VHOST_USER_GET_CONFIG, length);
	if (result < 0)
		return result;
	if (answer->offset != offset || answer->size != size)
		return frontend_fail(frontend, -EPROTO);
	memcpy(data, answer->payload, size);
	return 0;
}

int vhost_user_frontend_set_config(struct vhost_user_frontend *frontend, uint32_t offset, const void *data,
				   uint32_t size)
{
	struct vhost_user_config config = {.offset = offset, .size = size};

	if (size > VHOST_USER_MAX_CONFIG_SIZE)
		return -EINVAL;
	memcpy(config.payload, data, size);
	return frontend_set(frontend, VHOST_USER_SET_CONFIG, &config, VHOST_USER_CONFIG_HEADER_SIZE + size,
			    NULL, 0);
}

int vhost_user_frontend_set_features(struct vhost_user_frontend *frontend, uint64_t features)
{
	/* Bit 30 is the front end's to acknowledge; without it rust-vmm's back ends refuse SET_VRING_ENABLE.
	 */
	return frontend_set_u64(frontend, VHOST_USER_SET_FEATURES,
				features | (frontend->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
}

int vhost_user_frontend_set_status(struct vhost_user_frontend *frontend, uint8_t status)
{
	if (!frontend_has(frontend, VHOST_USER_PROTOCOL_F_STATUS))
		return 0;
	return frontend_set_u64(frontend, VHOST_USER_SET_STATUS, status);
}

int vhost_user_frontend_reset(struct vhost_user_frontend *frontend)
{
	if (frontend_has(frontend, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
		return frontend_set(frontend, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0);
	return vhost_user_frontend_set_status(frontend, 0);
}

int vhost_user_frontend_set_memory(struct vhost_user_frontend *frontend, const struct guest_ram *ram)
{
	struct vhost_user_memory memory = {.region_count = (uint32_t)ram->region_count};
	int fds[GUEST_RAM_REGIONS_MAX];

	for (size_t i = 0; i < ram->region_count; i++) {
		memory.regions[i] = (struct vhost_user_memory_region){
			.guest_address = ram->regions[i].guest_address,
			.size = ram->regions[i].size,
			.user_address = ram->regions[i].guest_address,
			.mmap_offset = ram->regions[i].file_offset,
		};
		fds[i] = ram->memfd;
	}
	return frontend_set(
		frontend, VHOST_USER_SET_MEM_TABLE, &memory,
		(uint32_t)(VHOST_USER_MEMORY_HEADER_SIZE + ram->region_count * sizeof(memory.regions[0])),
		fds, ram->region_count);
}

int vhost_user_frontend_set_inflight(struct vhost_user_frontend *frontend, int fd, size_t size,
				     uint16_t queues, uint16_t queue_size)
{
	struct vhost_user_inflight inflight = {
		.mmap_size = size, .num_queues = queues, .queue_size = queue_size};

	return frontend_set(frontend, VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), &fd, 1);
}

static int frontend_set_ring_fd(struct vhost_user_frontend *frontend, uint32_t request, uint16_t index,
				int fd)
{
	uint64_t word = index | (fd < 0 ? VHOST_USER_VRING_NOFD : 0);

	return frontend_set(frontend, request, &word, sizeof(word), &fd, fd < 0 ? 0 : 1);
}

int vhost_user_frontend_set_call(struct vhost_user_frontend *frontend, uint16_t index, int call_fd)
{
	return frontend_set_ring_fd(frontend, VHOST_USER_SET_VRING_CALL, index, call_fd);
}

int vhost_user_frontend_set_error(struct vhost_user_frontend *frontend, uint16_t index, int error_fd)
{
	int result = frontend_set_ring_fd(frontend, VHOST_USER_SET_VRING_ERR, index, error_fd);

	/* A back end that cannot tell serves all the same. */
	return result == -EREMOTEIO ? 0 : result;
}

int vhost_user_frontend_start_ring(struct vhost_user_frontend *frontend, uint16_t index,
				   const struct vhost_user_ring *ring)
{
	struct vhost_user_vring_addr addresses = {
		.index = index,
		.descriptor = ring->descriptors,
		.used = ring->used,
		.available = ring->available,
	};
	int result = frontend_set_state(frontend, VHOST_USER_SET_VRING_NUM, index, ring->size);

	if (result == 0)
		result = frontend_set_state(frontend, VHOST_USER_SET_VRING_BASE, index, ring->base);
	if (result == 0)
		result = frontend_set(frontend, VHOST_USER_SET_VRING_ADDR, &addresses, sizeof(addresses),
				      NULL, 0);
	if (result == 0)
		result = vhost_user_frontend_set_call(frontend, index, ring->call_fd);
	if (result == 0)
		result = frontend_set_ring_fd(frontend, VHOST_USER_SET_VRING_KICK, index, ring->kick_fd);
	if (result == 0 && (frontend->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) != 0)
		result = frontend_set_state(frontend, VHOST_USER_SET_VRING_ENABLE, index, 1);
	return result;
}

int vhost_user_frontend_stop_ring(struct vhost_user_frontend *frontend, uint16_t index, uint16_t *base)
{
	struct vhost_user_vring_state state = {.index = index};
	const struct vhost_user_vring_state *answer = &frontend->receiver.message.payload.state;
	int result = frontend_send(frontend, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), NULL, 0);

	if (result == 0)
		result = frontend_reply(frontend, VHOST_USER_GET_VRING_BASE, sizeof(state));
	if (result < 0)
		return result;
	if (answer->index != index || answer->num > UINT16_MAX)
		return frontend_fail(frontend, -EPROTO);
	*base = (uint16_t)answer->num;
	return 0;
}
