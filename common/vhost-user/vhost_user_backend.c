/*
 * The back-end half of vhost-user.
 *
 * A ring runs while four things are so: it has a size and addresses, its kick has been set, it is enabled,
 * and the guest's memory is known. Every request that touches one of them goes through the same three steps:
 * stop what runs, change, and vring_update() starts again what may run. So the order in which a front end
 * sends its requests does not matter, and a device never sees anything change under a queue that it serves.
 *
 * What goes wrong is one of three things. Broken framing or a request against the protocol (-EPROTO) ends the
 * session. A request that cannot be done is told in an acknowledgement; a front end that did not ask for one
 * would go on in a false belief, so its session ends too. But a ring that the *guest* laid out badly is the
 * guest's own loss (-EBADMSG): that ring stays stopped, its error eventfd says so, and everything else goes
 * on.
 */
#include "common/vhost-user/vhost_user_backend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/ring/inflight.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"

/* How long a reply may wait for a front end that does not read. */
#define SEND_TIMEOUT_MS 1000

struct vring {
	uint16_t size;
	uint16_t base;
	bool addressed;
	bool kicked; /* SET_VRING_KICK came since the last stop */
	bool enabled;
	bool resumed; /* it ran since the session began: nothing of a predecessor's is missing any more */
	struct vhost_user_vring_addr addresses;
	int kick_fd;
	int call_fd;
	int err_fd;
	struct virtqueue *queue; /* not NULL while it runs */
};

/* Where the session stands with the request in its receiver. */
enum session_stage {
	SESSION_RECEIVING,
	SESSION_STOPPING, /* its queues come to rest */
	SESSION_SETTLING, /* it is done, but for what the device's host does */
};

struct vhost_user_backend {
	struct loop *loop;
	struct loop_watch *watch;
	const struct vhost_user_device_ops *ops;
	void *device;
	int socket_fd;
	int request_fd; /* the back-end channel, or -1 */
	uint64_t offered;
	uint64_t features;
	bool features_set;
	uint64_t protocol_features;
	uint8_t status;
	struct guest_memory memory;
	struct inflight_region inflight;
	bool untracked; /* a ring for which the region has no room was started, and that has been said */
	struct vhost_user_receiver receiver;
	enum session_stage stage;
	bool stopped_early; /* queues were stopped for the request in hand, whether or not it is then done */
	bool ack_owed;
	bool paused;
	struct vring vrings[];
};

static bool protocol_has(const struct vhost_user_backend *backend, unsigned bit)
{
	return (backend->protocol_features & VIRTIO_BIT(bit)) != 0;
}

/*
 * STATUS is not among them. QEMU sends a status of 0 when its guest is merely stopped (hw/virtio/vhost.c, vhost_dev_stop()),
 * and virtio knows that as a reset: what the driver has set would be gone when the guest goes on, while QEMU shows the guest
 * its own copy of the configuration. A reset comes as RESET_DEVICE.
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

/* --- Rings --- */

static bool vring_may_run(const struct vhost_user_backend *backend, const struct vring *vring)
{
	/* "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled
	 * state." */
	bool enabled =
		vring->enabled || (backend->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) == 0;

	return backend->features_set && vring->size > 0 && vring->addressed && vring->kicked && enabled &&
	       backend->memory.count > 0;
}

static void vring_stop(struct vhost_user_backend *backend, uint16_t index)
{
	struct vring *vring = &backend->vrings[index];

	if (vring->queue == NULL)
		return;
	backend->ops->stop_queue(backend->device, index);
	vring->base = virtqueue_next_available(vring->queue);
	virtqueue_free(vring->queue);
	vring->queue = NULL;
}

/* The front end's error eventfd, where there is one: this ring is not served any more. */
static void vring_signal_error(const struct vring *vring)
{
	if (vring->err_fd >= 0)
		eventfd_write(vring->err_fd, 1);
}

/* The guest chose the addresses, so this is not the front end's fault; it may come with other ones. */
static int vring_refuse(const struct vring *vring, uint16_t index, const char *reason)
{
	log_error("queue %u is not served: %s", index, reason);
	vring_signal_error(vring);
	return -EBADMSG;
}

/*
 * By the specification a front end asks for a region as large as its rings; QEMU 10 asks for 128 descriptors, whatever
 * the driver then sets. A ring that does not fit is served as if there were no region: that loses something only when
 * this process ends before the front end does.
 */
static void vring_warn_untracked(struct vhost_user_backend *backend, uint16_t index)
{
	if (backend->untracked)
		return;
	backend->untracked = true;
	log_warning(
		"queue %u has %u descriptors, and the front end's inflight region (%u queues of %u) has no "
		"room for it: it is served, but should this process end, its requests under way are lost to "
		"the guest; with QEMU, queue-size=1024 for the device mends it",
		index, backend->vrings[index].size, backend->inflight.queues, backend->inflight.queue_size);
}

static int vring_start(struct vhost_user_backend *backend, uint16_t index)
{
	struct vring *vring = &backend->vrings[index];
	uint64_t size = vring->size;
	struct virtqueue_setup setup = {
		.memory = &backend->memory,
		.size = vring->size,
		/* 2.7: the areas' sizes; the event words behind the rings count whether or not they are used.
		 */
		.descriptor_table =
			guest_memory_user_range(&backend->memory, vring->addresses.descriptor, 16 * size),
		.available_ring =
			guest_memory_user_range(&backend->memory, vring->addresses.available, 6 + 2 * size),
		.used_ring = guest_memory_user_range(&backend->memory, vring->addresses.used, 6 + 8 * size),
		.next_available = vring->base,
		.features = backend->features,
		.kick_fd = vring->kick_fd,
		.call_fd = vring->call_fd,
	};
	int result;

	if (setup.descriptor_table == NULL || setup.available_ring == NULL || setup.used_ring == NULL)
		return vring_refuse(vring, index, "a ring is outside of guest memory");
	if (backend->inflight.mapping != NULL) {
		setup.inflight = inflight_region_queue(&backend->inflight, index, vring->size);
		if (setup.inflight == NULL)
			vring_warn_untracked(backend, index);
	}
	result = virtqueue_new(&setup, &vring->queue);
	if (result == -EINVAL)
		return vring_refuse(vring, index, "a ring is not aligned");
	if (result == -EBADMSG)
		return vring_refuse(vring, index, "its part of the inflight region cannot be relied on");
	if (result < 0)
		return result;
	/* A predecessor may have died between the used index and the interrupt; one too many does no harm. */
	if (!vring->resumed && virtqueue_resumed(vring->queue))
		virtqueue_interrupt(vring->queue);
	vring->resumed = true;
	result = backend->ops->start_queue(backend->device, index, vring->queue);
	if (result < 0) {
		log_error("queue %u: cannot be started: %s", index, strerror(-result));
		virtqueue_free(vring->queue);
		vring->queue = NULL;
	}
	return result;
}

static int vring_update(struct vhost_user_backend *backend, uint16_t index)
{
	struct vring *vring = &backend->vrings[index];
	bool may_run = vring_may_run(backend, vring);

	if (may_run && vring->queue == NULL)
		return vring_start(backend, index);
	if (!may_run)
		vring_stop(backend, index);
	return 0;
}

static void vrings_stop(struct vhost_user_backend *backend)
{
	for (uint16_t i = 0; i < backend->ops->queue_max; i++)
		vring_stop(backend, i);
}

/* All of them; one that is badly laid out must not keep the others from running. */
static int vrings_update(struct vhost_user_backend *backend)
{
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		int result = vring_update(backend, i);

		if (result < 0 && result != -EBADMSG)
			return result;
	}
	return 0;
}

static void fd_replace(int *fd, int new_fd)
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

/* Back to how the device was before the driver came; memory, eventfds and protocol features stay. */
static void device_reset(struct vhost_user_backend *backend)
{
	vrings_stop(backend);
	inflight_region_reset(&backend->inflight);
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		struct vring *vring = &backend->vrings[i];

		vring->base = 0;
		vring->kicked = false;
		vring->enabled = false;
		vring->addressed = false;
	}
	backend->status = 0;
	if (backend->ops->reset != NULL)
		backend->ops->reset(backend->device);
}

/* --- Requests without a reply of their own: 0 or -errno, as told above --- */

static int take_features(struct vhost_user_backend *backend, uint64_t features)
{
	int result;

	if ((features & ~backend->offered) != 0) {
		log_error("the front end set features that were not offered: 0x%" PRIx64,
			  features & ~backend->offered);
		return -EPROTO;
	}
	vrings_stop(backend);
	result = backend->ops->set_features(backend->device, features);
	if (result < 0)
		return result;
	backend->features = features;
	backend->features_set = true;
	return vrings_update(backend);
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
	vrings_stop(backend);
	guest_memory_clear(&backend->memory);
	for (uint32_t i = 0; i < count; i++) {
		int result = add_region(backend, &memory->regions[i], message->fds[i]);

		if (result < 0) {
			guest_memory_clear(&backend->memory);
			return result;
		}
	}
	return vrings_update(backend);
}

static int take_mem_region(struct vhost_user_backend *backend, const struct vhost_user_message *message,
			   bool add)
{
	const struct vhost_user_memory_region *region = &message->payload.memory_single.region;
	int result, updated;

	vrings_stop(backend);
	result = add ? add_region(backend, region, message->fds[0])
		     : guest_memory_remove(&backend->memory, region->guest_address, region->size,
					   region->user_address);
	updated = vrings_update(backend);
	return result < 0 ? result : updated;
}

static int take_vring_num(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num == 0 || state->num > VIRTQUEUE_SIZE_MAX ||
	    (state->num & (state->num - 1)) != 0)
		return -EPROTO;
	vring_stop(backend, (uint16_t)state->index);
	vring->size = (uint16_t)state->num;
	return vring_update(backend, (uint16_t)state->index);
}

static int take_vring_base(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num > UINT16_MAX)
		return -EPROTO;
	vring_stop(backend, (uint16_t)state->index);
	vring->base = (uint16_t)state->num;
	return vring_update(backend, (uint16_t)state->index);
}

static int take_vring_addr(struct vhost_user_backend *backend, const struct vhost_user_vring_addr *addr)
{
	struct vring *vring = vring_of(backend, addr->index);

	if (vring == NULL)
		return -EPROTO;
	vring_stop(backend, (uint16_t)addr->index);
	vring->addresses = *addr;
	vring->addressed = true;
	return vring_update(backend, (uint16_t)addr->index);
}

static int take_vring_enable(struct vhost_user_backend *backend, const struct vhost_user_vring_state *state)
{
	struct vring *vring = vring_of(backend, state->index);

	if (vring == NULL || state->num > 1)
		return -EPROTO;
	vring->enabled = state->num == 1;
	return vring_update(backend, (uint16_t)state->index);
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
	vring_stop(backend, (uint16_t)index);
	switch (message->header.request) {
	case VHOST_USER_SET_VRING_KICK:
		fd_replace(&vring->kick_fd, fd);
		vring->kicked = true;
		break;
	case VHOST_USER_SET_VRING_CALL:
		fd_replace(&vring->call_fd, fd);
		break;
	default:
		fd_replace(&vring->err_fd, fd);
	}
	return vring_update(backend, (uint16_t)index);
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
	vrings_stop(backend);
	inflight_region_unmap(&backend->inflight);
	backend->inflight = region;
	return vrings_update(backend);
}

static int take_request_fd(struct vhost_user_backend *backend, struct vhost_user_message *message)
{
	int result = peer_fd_nonblocking(message->fds[0]);

	if (result < 0)
		return result;
	fd_replace(&backend->request_fd, message->fds[0]);
	message->fds[0] = -1;
	return 0;
}

static int request_take(struct vhost_user_backend *backend, struct vhost_user_message *message)
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

static int reply_u64(struct vhost_user_backend *backend, uint64_t value)
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
	vring_stop(backend, (uint16_t)state->index);
	vring->kicked = false;
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

/* 1: answered; 0: this request has no reply of its own; -errno. */
static int request_answer(struct vhost_user_backend *backend, const struct vhost_user_message *message)
{
	int result;

	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES:
		result = reply_u64(backend, backend->offered);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		result = reply_u64(backend, protocol_offered(backend));
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		result = reply_u64(backend, backend->ops->single_set ? 1 : backend->ops->queue_max);
		break;
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		result = reply_u64(backend, GUEST_MEMORY_REGIONS_MAX);
		break;
	case VHOST_USER_GET_STATUS:
		result = reply_u64(backend, backend->status);
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

/* --- The session --- */

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
		vring_stop(backend, i);
		backend->stopped_early = true;
	}
	return rest;
}

/* One whole message: 0 to go on, -errno to end the session. */
static int session_message(struct vhost_user_backend *backend)
{
	struct vhost_user_message *message = &backend->receiver.message;
	/* Before the request is done: the one that negotiates REPLY_ACK is not acknowledged yet. */
	bool wants_ack = (message->header.flags & VHOST_USER_NEED_REPLY_FLAG) != 0 &&
			 protocol_has(backend, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	int result = request_check(backend, message);

	if (result == 0) {
		result = request_answer(backend, message);
		if (result == 1)
			return 0;
		if (result < 0)
			return session_fail(message, result);
		result = request_take(backend, message);
	}
	if (result == -EPROTO)
		return session_fail(message, result);
	if (result == -ENOTSUP)
		log_warning("the front end sent request %u, which is not served", message->header.request);
	/* It failed before it came to the queues that it would have stopped and started. */
	if (result < 0 && result != -EBADMSG && backend->stopped_early)
		vrings_update(backend);
	if (result == 0 && backend->ops->settled != NULL && !backend->ops->settled(backend->device)) {
		backend->stage = SESSION_SETTLING;
		backend->ack_owed = wants_ack;
		return 0;
	}
	if (wants_ack)
		return reply_u64(backend, result < 0);
	/* Nobody relies on a request that is not known, and the guest's own faults are not the front end's.
	 */
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
		result = backend->ack_owed ? reply_u64(backend, 0) : 0;
		if (result < 0)
			return result;
	}
	return 1;
}

static void session_go_on(struct vhost_user_backend *backend)
{
	int result;

	for (;;) {
		if (backend->stage == SESSION_RECEIVING) {
			result = vhost_user_receive(backend->socket_fd, &backend->receiver);
			if (result == -EAGAIN)
				return;
			if (result != 1)
				break;
			backend->stage = SESSION_STOPPING;
			backend->stopped_early = false;
		}
		result = session_advance(backend);
		if (result < 0)
			break;
		if (backend->paused != (result == 0)) {
			backend->paused = result == 0;
			loop_watch_set_events(backend->watch, backend->paused ? 0 : LOOP_READ);
		}
		if (backend->paused)
			return;
		backend->stage = SESSION_RECEIVING;
		vhost_user_receiver_next(&backend->receiver);
	}
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
	vrings_stop(backend);
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		fd_replace(&backend->vrings[i].kick_fd, -1);
		fd_replace(&backend->vrings[i].call_fd, -1);
		fd_replace(&backend->vrings[i].err_fd, -1);
	}
	guest_memory_clear(&backend->memory);
	inflight_region_unmap(&backend->inflight);
	vhost_user_receiver_clear(&backend->receiver);
	fd_replace(&backend->request_fd, -1);
	close(backend->socket_fd);
	free(backend);
}

int vhost_user_backend_config_changed(struct vhost_user_backend *backend)
{
	if (backend->request_fd < 0 || !protocol_has(backend, VHOST_USER_PROTOCOL_F_CONFIG))
		return -ENOTCONN;
	return vhost_user_send(backend->request_fd, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, NULL, 0, NULL, 0,
			       0);
}

void vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index)
{
	const struct vring *vring = &backend->vrings[index];
	const char *reason = vring->queue != NULL ? virtqueue_broken(vring->queue) : NULL;

	log_error("queue %u is stopped: %s", index, reason != NULL ? reason : "the device gave it up");
	vring_signal_error(vring);
}

uint64_t vhost_user_backend_features(const struct vhost_user_backend *backend)
{
	return backend->features;
}
