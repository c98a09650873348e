/*
 * The requests of the vhost-user protocol, as the back end does and answers them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "common/vhost-user/vhost_user_backend_parts.h"

/* How long a reply may wait for a front end that does not read. */
#define SEND_TIMEOUT_MS 1000

/*
 * STATUS is not among them. QEMU sends a status of 0 when its guest is merely stopped (hw/virtio/vhost.c,
 * vhost_dev_stop()), and virtio knows that as a reset: what the driver has set would be gone when the guest goes on,
 * while QEMU shows the guest its own copy of the configuration. A reset comes as RESET_DEVICE.
 */
static uint64_t protocol_offered(const struct vhost_user_backend *backend)
{
	uint64_t offered = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			   VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			   VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			   VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

	if (!backend->ops->single_set)
		offered |= VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ);
	if (backend->ops->config_size > 0)
		offered |= VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	if (backend->ops->set_mtu != NULL)
		offered |= VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MTU);
	if (backend->ops->track_inflight)
		offered |= VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	return offered;
}

void vhost_user_fd_replace(int *fd, int new_fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = new_fd;
}

/* The ring of a request, or NULL for an index that does not exist. */
static struct vring *vring_of(struct vhost_user_backend *backend, uint32_t index)
{
	return index < backend->ops->queue_max ? &backend->vrings[index] : NULL;
}

/* --- Requests without a reply of their own --- */

/* Back to how the device was before the driver came; memory, eventfds and protocol features stay. */
static void device_reset(struct vhost_user_backend *backend)
{
	vhost_user_vrings_stop(backend);
	inflight_region_reset(&backend->inflight);
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		struct vring *vring = &backend->vrings[i];

		vring->base = 0;
		vring->kick_set = false;
		vring->enabled = false;
		vring->addressed = false;
	}
	backend->status = 0;
	if (backend->ops->reset != NULL)
		backend->ops->reset(backend->device);
}

static int take_features(struct vhost_user_backend *backend, uint64_t features)
{
	int result;

	if ((features & ~backend->offered) != 0) {
		log_error("the front end set features that were not offered: 0x%" PRIx64,
			  features & ~backend->offered);
		return -EPROTO;
	}
	vhost_user_vrings_stop(backend);
	result = backend->ops->set_features(backend->device, features);
	if (result < 0)
		return result;
	backend->features = features;
	backend->features_set = true;
	return vhost_user_vrings_update(backend);
}

static int take_protocol_features(struct vhost_user_backend *backend, uint64_t features)
{
	if ((features & ~protocol_offered(backend)) != 0) {
		log_error("the front end set protocol features that were not offered: 0x%" PRIx64,
			  features & ~protocol_offered(backend));
		return -EPROTO;
	}
	backend->protocol_features = features;
	return 0;
}

static int add_region(struct vhost_user_backend *backend, const struct vhost_user_memory_region *region,
		      int fd)
{
	int result = guest_memory_add(&backend->memory, region->guest_address, region->size,
				      region->user_address, region->mmap_offset, fd);

	if (result < 0)
		log_error("cannot map guest memory at 0x%" PRIx64 ", 0x%" PRIx64 " bytes: %s",
			  region->guest_address, region->size, strerror(-result));
	return result;
}

static int take_mem_table(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	const struct vhost_user_memory *memory = &message->payload.memory;
	uint32_t count = memory->region_count;

	if (count > VHOST_USER_MEM_TABLE_REGIONS_MAX || count != message->fd_count ||
	    message->header.size < VHOST_USER_MEMORY_HEADER_SIZE + count * sizeof(memory->regions[0]))
		return -EPROTO;
	vhost_user_vrings_stop(backend);
	guest_memory_clear(&backend->memory);
	for (uint32_t i = 0; i < count; i++) {
		int result = add_region(backend, &memory->regions[i], message->fds[i]);

		if (result < 0) {
			guest_memory_clear(&backend->memory);
			return result;
		}
	}
	return vhost_user_vrings_update(backend);
}

static int take_mem_region(struct vhost_user_backend *backend, const struct vhost_user_message *message,
			   bool add)
{
	const struct vhost_user_memory_region *region = &message->payload.memory_single.region;
	int result, updated;

	vhost_user_vrings_stop(backend);
	result = add ? add_region(backend, region, message->fds[0])
		     : guest_memory_remove(&backend->memory, region->guest_address, region->size,
					   region->user_address);
	updated = vhost_user_vrings_update(backend);
	return result < 0 ? result : updated;
}

static int take_vring_num(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num == 0 || state->num > VIRTQUEUE_SIZE_MAX ||
	    (state->num & (state->num - 1)) != 0)
		return -EPROTO;
	vhost_user_vring_stop(backend, (uint16_t)state->index);
	vring->size = (uint16_t)state->num;
	return vhost_user_vring_update(backend, (uint16_t)state->index);
}

static int take_vring_base(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num > UINT16_MAX)
		return -EPROTO;
	vhost_user_vring_stop(backend, (uint16_t)state->index);
	vring->base = (uint16_t)state->num;
	return vhost_user_vring_update(backend, (uint16_t)state->index);
}

static int take_vring_addr(struct vhost_user_backend *backend, const struct vhost_user_vring_addr *addr)
{
	struct vring *vring = vring_of(backend, addr->index);

	if (vring == NULL)
		return -EPROTO;
	vhost_user_vring_stop(backend, (uint16_t)addr->index);
	vring->addresses = *addr;
	vring->addressed = true;
	return vhost_user_vring_update(backend, (uint16_t)addr->index);
}

static int take_vring_enable(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num > 1)
		return -EPROTO;
	vring->enabled = state->num == 1;
	return vhost_user_vring_update(backend, (uint16_t)state->index);
}

/* SET_VRING_KICK, _CALL and _ERR: a descriptor, or the bit that says that there is none. */
static int take_vring_fd(struct vhost_user_backend *backend, struct vhost_user_message *message)
{
	uint64_t word = message->payload.u64;
	uint32_t index = (uint32_t)(word & VHOST_USER_VRING_INDEX_MASK);
	struct vring *vring = vring_of(backend, index);
	int fd = -1;

	if (vring == NULL || (word & ~(uint64_t)(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD)) != 0 ||
	    ((word & VHOST_USER_VRING_NOFD) != 0) != (message->fd_count == 0))
		return -EPROTO;
	/* Ours kicks: a device need not have a clock to poll by. */
	if (message->fd_count == 0 && message->header.request == VHOST_USER_SET_VRING_KICK && peers_ours())
		return -EPROTO;
	if (message->fd_count == 1) {
		/* Neither a full nor an empty eventfd may ever make us wait. */
		int result = peer_fd_nonblocking(message->fds[0]);

		if (result < 0)
			return result;
		fd = message->fds[0];
		message->fds[0] = -1;
	}
	vhost_user_vring_stop(backend, (uint16_t)index);
	switch (message->header.request) {
	case VHOST_USER_SET_VRING_KICK:
		vhost_user_fd_replace(&vring->kick_fd, fd);
		vring->kick_set = true;
		break;
	case VHOST_USER_SET_VRING_CALL:
		vhost_user_fd_replace(&vring->call_fd, fd);
		break;
	default:
		vhost_user_fd_replace(&vring->err_fd, fd);
	}
	return vhost_user_vring_update(backend, (uint16_t)index);
}

/* What the driver may not write it may still try to (-EBADMSG): virtio lets such a write vanish. */
static int take_config(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	const struct vhost_user_config *config = &message->payload.config;

	if (config->size > VHOST_USER_MAX_CONFIG_SIZE ||
	    message->header.size != VHOST_USER_CONFIG_HEADER_SIZE + config->size)
		return -EPROTO;
	if (config->size == 0 || config->offset > backend->ops->config_size ||
	    config->size > backend->ops->config_size - config->offset || backend->ops->set_config == NULL ||
	    backend->ops->set_config(backend->device, config->offset, config->payload, config->size) < 0)
		return -EBADMSG;
	return 0;
}

static int take_status(struct vhost_user_backend *backend, uint64_t status)
{
	if (status > UINT8_MAX)
		return -EPROTO;
	backend->status = (uint8_t)status;
	/* Virtio 2.1: "Writing 0 into this field resets the device." */
	if (status == 0)
		device_reset(backend);
	return 0;
}

static int take_mtu(struct vhost_user_backend *backend, uint64_t mtu)
{
	if (backend->ops->set_mtu == NULL || mtu > UINT16_MAX)
		return -EINVAL;
	return backend->ops->set_mtu(backend->device, (uint16_t)mtu);
}

static int take_inflight(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	struct inflight_region region = {0};
	int result;

	result = inflight_region_map(&region, &message->payload.inflight, message->fds[0]);
	if (result < 0) {
		log_error("the inflight region (%u queues of %u, %" PRIu64 " bytes at %" PRIu64
			  ") cannot be mapped: %s",
			  message->payload.inflight.num_queues, message->payload.inflight.queue_size,
			  message->payload.inflight.mmap_size, message->payload.inflight.mmap_offset,
			  strerror(-result));
		return result;
	}
	vhost_user_vrings_stop(backend);
	inflight_region_unmap(&backend->inflight);
	backend->inflight = region;
	return vhost_user_vrings_update(backend);
}

static int take_request_fd(struct vhost_user_backend *backend, struct vhost_user_message *message)
{
	int result = peer_fd_nonblocking(message->fds[0]);

	if (result < 0)
		return result;
	vhost_user_fd_replace(&backend->request_fd, message->fds[0]);
	message->fds[0] = -1;
	return 0;
}

int vhost_user_request_take(struct vhost_user_backend *backend, struct vhost_user_message *message)
{
	switch (message->header.request) {
	case VHOST_USER_SET_FEATURES:
		return take_features(backend, message->payload.u64);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		return take_protocol_features(backend, message->payload.u64);
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER: /* "no longer used": ignored, as the specification recommends */
		return 0;
	case VHOST_USER_SET_MEM_TABLE:
		return take_mem_table(backend, message);
	case VHOST_USER_ADD_MEM_REG:
		return take_mem_region(backend, message, true);
	case VHOST_USER_REM_MEM_REG:
		return take_mem_region(backend, message, false);
	case VHOST_USER_SET_VRING_NUM:
		return take_vring_num(backend, &message->payload.state);
	case VHOST_USER_SET_VRING_BASE:
		return take_vring_base(backend, &message->payload.state);
	case VHOST_USER_SET_VRING_ADDR:
		return take_vring_addr(backend, &message->payload.addr);
	case VHOST_USER_SET_VRING_ENABLE:
		return take_vring_enable(backend, &message->payload.state);
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return take_vring_fd(backend, message);
	case VHOST_USER_SET_CONFIG:
		return take_config(backend, message);
	case VHOST_USER_SET_STATUS:
		return take_status(backend, message->payload.u64);
	case VHOST_USER_NET_SET_MTU:
		return take_mtu(backend, message->payload.u64);
	case VHOST_USER_SET_INFLIGHT_FD:
		return take_inflight(backend, message);
	case VHOST_USER_SET_BACKEND_REQ_FD:
		return take_request_fd(backend, message);
	case VHOST_USER_RESET_DEVICE:
		device_reset(backend);
		return 0;
	default:
		return -ENOTSUP;
	}
}

/* --- Requests with a reply --- */

static int reply(struct vhost_user_backend *backend, const void *payload, uint32_t size)
{
	return vhost_user_send(backend->socket_fd, backend->receiver.message.header.request,
			       VHOST_USER_REPLY_FLAG, payload, size, NULL, 0, SEND_TIMEOUT_MS);
}

int vhost_user_reply_u64(struct vhost_user_backend *backend, uint64_t value)
{
	return reply(backend, &value, sizeof(value));
}

/* GET_VRING_BASE stops the ring; it starts again with the next kick descriptor. */
static int answer_vring_base(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);
	struct vhost_user_vring_state answer = {.index = state->index};

	if (vring == NULL)
		return -EPROTO;
	vhost_user_vring_stop(backend, (uint16_t)state->index);
	vring->kick_set = false;
	answer.num = vring->base;
	return reply(backend, &answer, sizeof(answer));
}

/* The reply is exactly as long as was asked; what lies behind our config space reads as zero. */
static int answer_config(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	const struct vhost_user_config *asked = &message->payload.config;
	struct vhost_user_config answer = {
		.offset = asked->offset, .size = asked->size, .flags = asked->flags};
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE] = {0};

	/* Some front ends send the header alone, some as many bytes as they want back. */
	if (asked->size > VHOST_USER_MAX_CONFIG_SIZE ||
	    asked->offset > VHOST_USER_MAX_CONFIG_SIZE - asked->size ||
	    (message->header.size != VHOST_USER_CONFIG_HEADER_SIZE &&
	     message->header.size != VHOST_USER_CONFIG_HEADER_SIZE + asked->size))
		return -EPROTO;
	if (backend->ops->config_size > 0)
		backend->ops->get_config(backend->device, config);
	memcpy(answer.payload, config + asked->offset, asked->size);
	return reply(backend, &answer, VHOST_USER_CONFIG_HEADER_SIZE + asked->size);
}

/* A region for the front end to keep, and to give back with SET_INFLIGHT_FD; it is not ours before that. */
static int answer_inflight(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	struct vhost_user_inflight answer = message->payload.inflight;
	int fd, result;

	if (answer.num_queues == 0 || answer.num_queues > VHOST_USER_VRING_INDEX_MASK + 1)
		return -EPROTO;
	/* Ours makes its own, for a successor's sake. */
	if (peers_ours())
		return -EPROTO;
	result = inflight_region_create(answer.num_queues, answer.queue_size, &fd);
	if (result < 0)
		return result == -EINVAL ? -EPROTO : result;
	answer.mmap_size = inflight_region_size(answer.num_queues, answer.queue_size);
	answer.mmap_offset = 0;
	/* As long as it was asked: with the padding of a C struct, or without. */
	result = vhost_user_send(backend->socket_fd, VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_REPLY_FLAG,
				 &answer, message->header.size, &fd, 1, SEND_TIMEOUT_MS);
	close(fd);
	return result;
}

int vhost_user_request_answer(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	int result;

	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES:
		result = vhost_user_reply_u64(backend, backend->offered);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		result = vhost_user_reply_u64(backend, protocol_offered(backend));
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		result =
			vhost_user_reply_u64(backend, backend->ops->single_set ? 1 : backend->ops->queue_max);
		break;
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		result = vhost_user_reply_u64(backend, GUEST_MEMORY_REGIONS_MAX);
		break;
	case VHOST_USER_GET_STATUS:
		result = vhost_user_reply_u64(backend, backend->status);
		break;
	case VHOST_USER_GET_VRING_BASE:
		result = answer_vring_base(backend, &message->payload.state);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
		result = answer_inflight(backend, message);
		break;
	case VHOST_USER_GET_CONFIG:
		result = answer_config(backend, message);
		break;
	default:
		return 0;
	}
	return result < 0 ? result : 1;
}
