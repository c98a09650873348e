/*
 * vhost-user as a back end: each operation is the front end's function for it.
 */
#include "vmm-core/wire/backend_vhost_user.h"

#include <errno.h>
#include <stdlib.h>

#include "common/spec/vhost_user_spec.h"
#include "vmm-core/wire/vhost_user_frontend.h"

_Static_assert(BACKEND_CONFIG_MAX == VHOST_USER_MAX_CONFIG_SIZE, "a configuration fits into a message");

struct vhost_user {
	struct backend backend; /* first: each is found by the other's address */
	struct vhost_user_frontend *frontend;
	const struct backend_notices *notices;
	void *owner;
};

static struct vhost_user_frontend *frontend_of(struct backend *backend)
{
	return ((struct vhost_user *)backend)->frontend;
}

static void vhost_user_config_changed(void *owner)
{
	const struct vhost_user *self = owner;

	self->notices->config_changed(self->owner);
}

static void vhost_user_gone(void *owner, int error)
{
	const struct vhost_user *self = owner;

	self->notices->gone(self->owner, error);
}

static int vhost_user_connect(int fd, const _Atomic bool *cancelled, const struct backend_notices *notices,
			      void *owner, struct backend **backend)
{
	static const struct vhost_user_frontend_ops ops = {
		.config_changed = vhost_user_config_changed,
		.gone = vhost_user_gone,
	};
	struct vhost_user *self = calloc(1, sizeof(*self));
	int result;

	if (self == NULL)
		return -ENOMEM;
	self->notices = notices;
	self->owner = owner;
	result = vhost_user_frontend_new(fd, cancelled, &ops, self, &self->frontend);
	if (result < 0) {
		free(self);
		return result;
	}
	self->backend = (struct backend){
		.ops = &backend_vhost_user,
		.features = vhost_user_frontend_features(self->frontend),
		.queues = vhost_user_frontend_queues(self->frontend),
		.has_config = vhost_user_frontend_has_config(self->frontend),
		.has_inflight = vhost_user_frontend_has_inflight(self->frontend),
	};
	*backend = &self->backend;
	return 0;
}

static int vhost_user_watch(struct backend *backend, struct loop *loop)
{
	return vhost_user_frontend_watch(frontend_of(backend), loop);
}

static void vhost_user_free(struct backend *backend)
{
	vhost_user_frontend_free(frontend_of(backend));
	free(backend);
}

static int vhost_user_get_config(struct backend *backend, uint32_t offset, void *data, uint32_t size)
{
	return vhost_user_frontend_get_config(frontend_of(backend), offset, data, size);
}

static int vhost_user_set_config(struct backend *backend, uint32_t offset, const void *data, uint32_t size)
{
	return vhost_user_frontend_set_config(frontend_of(backend), offset, data, size);
}

static int vhost_user_set_features(struct backend *backend, uint64_t features)
{
	return vhost_user_frontend_set_features(frontend_of(backend), features);
}

static int vhost_user_set_memory(struct backend *backend, const struct guest_ram *ram)
{
	return vhost_user_frontend_set_memory(frontend_of(backend), ram);
}

static int vhost_user_set_inflight(struct backend *backend, int fd, size_t size, uint16_t queues,
				   uint16_t queue_size)
{
	return vhost_user_frontend_set_inflight(frontend_of(backend), fd, size, queues, queue_size);
}

static int vhost_user_set_status(struct backend *backend, uint8_t status)
{
	return vhost_user_frontend_set_status(frontend_of(backend), status);
}

static int vhost_user_reset(struct backend *backend)
{
	return vhost_user_frontend_reset(frontend_of(backend));
}

static int vhost_user_set_error(struct backend *backend, uint16_t index, int error_fd)
{
	return vhost_user_frontend_set_error(frontend_of(backend), index, error_fd);
}

static int vhost_user_start_ring(struct backend *backend, uint16_t index, const struct backend_ring *ring)
{
	struct vhost_user_ring theirs = {
		.size = ring->size,
		.base = ring->base,
		.descriptors = ring->descriptors,
		.available = ring->available,
		.used = ring->used,
		.kick_fd = ring->kick_fd,
		.call_fd = ring->call_fd,
	};

	return vhost_user_frontend_start_ring(frontend_of(backend), index, &theirs);
}

static int vhost_user_set_call(struct backend *backend, uint16_t index, int call_fd)
{
	return vhost_user_frontend_set_call(frontend_of(backend), index, call_fd);
}

static int vhost_user_stop_ring(struct backend *backend, uint16_t index, uint16_t *base)
{
	return vhost_user_frontend_stop_ring(frontend_of(backend), index, base);
}

const struct backend_ops backend_vhost_user = {
	.connect = vhost_user_connect,
	.watch = vhost_user_watch,
	.free = vhost_user_free,
	.get_config = vhost_user_get_config,
	.set_config = vhost_user_set_config,
	.set_features = vhost_user_set_features,
	.set_memory = vhost_user_set_memory,
	.set_inflight = vhost_user_set_inflight,
	.set_status = vhost_user_set_status,
	.reset = vhost_user_reset,
	.set_error = vhost_user_set_error,
	.start_ring = vhost_user_start_ring,
	.set_call = vhost_user_set_call,
	.stop_ring = vhost_user_stop_ring,
};
