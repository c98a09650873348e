/*
 * The front-end half of vhost-user: the core's side of one queue wire.
 *
 * Every call is a short conversation with a back end that may lie or stay silent: replies are checked for
 * request, size and descriptors, and waited for at most FRONTEND_TIMEOUT_MS. After any failure the wire is
 * not used again. The owner serialises the calls; they may come from any thread. Notices of the back end
 * arrive on the main thread.
 *
 * Source: QEMU docs/interop/vhost-user.rst.
 */
#ifndef ATOLL_VMM_CORE_WIRE_VHOST_USER_FRONTEND_H
#define ATOLL_VMM_CORE_WIRE_VHOST_USER_FRONTEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "vmm-core/machine/guest_ram.h"

#define FRONTEND_TIMEOUT_MS	      10000
#define FRONTEND_CANCELLED_TIMEOUT_MS 1000

struct vhost_user_frontend;

/* Both on the main thread. */
struct vhost_user_frontend_ops {
	/* VHOST_USER_BACKEND_CONFIG_CHANGE_MSG came. */
	void (*config_changed)(void *owner);
	/* The back end is gone (0) or broke the protocol on its own channel (-errno). Called once. */
	void (*gone)(void *owner, int error);
};

/* A ring as the driver set it up: guest-physical addresses, each inside guest RAM. */
struct vhost_user_ring {
	uint16_t size;
	uint16_t base;
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	int kick_fd; /* borrowed; sent to the back end */
	int call_fd; /* -1: the driver polls */
};

/*
 * Negotiates on a connected socket, which becomes the front end's on success: features, protocol features,
 * the back end's own channel. 0 or -errno: -EPROTO for a back end that broke the protocol, -ETIMEDOUT,
 * -EPIPE. While *cancelled (the owner's) is set, no reply is waited for longer than
 * FRONTEND_CANCELLED_TIMEOUT_MS, not even one that is waited for when it is set.
 */
int vhost_user_frontend_new(int socket_fd, const _Atomic bool *cancelled,
			    const struct vhost_user_frontend_ops *ops, void *owner,
			    struct vhost_user_frontend **frontend);
/* Main thread: listens to the back end's notices from now on. 0 or -errno. */
int vhost_user_frontend_watch(struct vhost_user_frontend *frontend, struct loop *loop);
/* Main thread, once it is watched. */
void vhost_user_frontend_free(struct vhost_user_frontend *frontend);

/* What the back end offers to the driver; VHOST_USER_F_PROTOCOL_FEATURES is not among them. */
uint64_t vhost_user_frontend_features(const struct vhost_user_frontend *frontend);
/* GET_QUEUE_NUM; 0 when the back end does not say. */
unsigned vhost_user_frontend_queues(const struct vhost_user_frontend *frontend);
/* Whether it has a config space. */
bool vhost_user_frontend_has_config(const struct vhost_user_frontend *frontend);

int vhost_user_frontend_get_config(struct vhost_user_frontend *frontend, uint32_t offset, void *data,
				   uint32_t size);
int vhost_user_frontend_set_config(struct vhost_user_frontend *frontend, uint32_t offset, const void *data,
				   uint32_t size);

/* SET_FEATURES and SET_MEM_TABLE: once per DRIVER_OK, before the rings. */
int vhost_user_frontend_set_features(struct vhost_user_frontend *frontend, uint64_t features);
int vhost_user_frontend_set_memory(struct vhost_user_frontend *frontend, const struct guest_ram *ram);

/*
 * What the driver's status is now: SET_STATUS, where the back end has STATUS and not RESET_DEVICE; nothing where it
 * has not, and 0. Some back ends serve nothing before they are told of DRIVER_OK.
 */
int vhost_user_frontend_set_status(struct vhost_user_frontend *frontend, uint8_t status);
/* The driver reset the device: RESET_DEVICE, or SET_STATUS with 0; nothing where the back end has neither, and 0.
 * The rings have stopped. What was set up is set up again before the next ones start. */
int vhost_user_frontend_reset(struct vhost_user_frontend *frontend);

/* Whether it keeps track of its requests in a region of ours; and gives it that: `size` bytes of a file, laid
 * out for `queues` rings of `queue_size` descriptors (vhost_user_spec.h). */
bool vhost_user_frontend_has_inflight(const struct vhost_user_frontend *frontend);
int vhost_user_frontend_set_inflight(struct vhost_user_frontend *frontend, int fd, size_t size,
				     uint16_t queues, uint16_t queue_size);

int vhost_user_frontend_start_ring(struct vhost_user_frontend *frontend, uint16_t index,
				   const struct vhost_user_ring *ring);
/* Returns when the back end does not touch the ring any more; *base is where it would go on. */
int vhost_user_frontend_stop_ring(struct vhost_user_frontend *frontend, uint16_t index, uint16_t *base);
int vhost_user_frontend_set_call(struct vhost_user_frontend *frontend, uint16_t index, int call_fd);
/* The eventfd that the back end signals when it gives the ring up. Before it starts. */
int vhost_user_frontend_set_error(struct vhost_user_frontend *frontend, uint16_t index, int error_fd);

#endif
