/*
 * The rings of a back end.
 *
 * A ring runs while four things are so: it has a size and addresses, its kick has been set, it is enabled,
 * and the guest's memory is known. Every request that touches one of them goes through the same three steps:
 * stop what runs, change, and vhost_user_vring_update() starts again what may run. So the order in which a front end
 * sends its requests does not matter, and a device never sees anything change under a queue that it serves.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/base/log.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "common/vhost-user/vhost_user_backend_parts.h"

static bool vring_may_run(const struct vhost_user_backend *backend, const struct vring *vring)
{
	/* "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled
	 * state." */
	bool enabled =
		vring->enabled || (backend->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) == 0;

	return backend->features_set && vring->size > 0 && vring->addressed && vring->kick_set && enabled &&
	       backend->memory.count > 0;
}

void vhost_user_vring_stop(struct vhost_user_backend *backend, uint16_t index)
{
	struct vring *vring = &backend->vrings[index];

	if (vring->queue == NULL)
		return;
	backend->ops->stop_queue(backend->device, index);
	vring->base = virtqueue_next_available(vring->queue);
	virtqueue_free(vring->queue);
	vring->queue = NULL;
}

void vhost_user_vring_signal_error(const struct vring *vring)
{
	if (vring->err_fd >= 0)
		eventfd_write(vring->err_fd, 1);
}

/* The guest chose the addresses, so this is not the front end's fault; it may come with other ones. */
static int vring_refuse(const struct vring *vring, uint16_t index, const char *reason)
{
	log_error("queue %u is not served: %s", index, reason);
	vhost_user_vring_signal_error(vring);
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
	if (!vring->ran && virtqueue_served_before(vring->queue))
		virtqueue_interrupt(vring->queue);
	vring->ran = true;
	result = backend->ops->start_queue(backend->device, index, vring->queue);
	if (result < 0) {
		log_error("queue %u: cannot be started: %s", index, strerror(-result));
		virtqueue_free(vring->queue);
		vring->queue = NULL;
	}
	return result;
}

int vhost_user_vring_update(struct vhost_user_backend *backend, uint16_t index)
{
	struct vring *vring = &backend->vrings[index];
	bool may_run = vring_may_run(backend, vring);

	if (may_run && vring->queue == NULL)
		return vring_start(backend, index);
	if (!may_run)
		vhost_user_vring_stop(backend, index);
	return 0;
}

void vhost_user_vrings_stop(struct vhost_user_backend *backend)
{
	for (uint16_t i = 0; i < backend->ops->queue_max; i++)
		vhost_user_vring_stop(backend, i);
}

int vhost_user_vrings_update(struct vhost_user_backend *backend)
{
	for (uint16_t i = 0; i < backend->ops->queue_max; i++) {
		int result = vhost_user_vring_update(backend, i);

		if (result < 0 && result != -EBADMSG)
			return result;
	}
	return 0;
}
