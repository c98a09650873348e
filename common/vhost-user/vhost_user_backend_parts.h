/*
 * A back end's session from within, for vhost_user_backend*.c alone; vhost_user_backend.h is what others see.
 *
 * vhost_user_backend.c receives and is the session's life, vhost_user_backend_requests.c does what a message asks for,
 * vhost_user_backend_vring.c starts and stops rings.
 */
#ifndef ATOLL_COMMON_VHOST_USER_VHOST_USER_BACKEND_PARTS_H
#define ATOLL_COMMON_VHOST_USER_VHOST_USER_BACKEND_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/ring/guest_memory.h"
#include "common/ring/inflight.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"

struct vhost_user_device_ops;

struct vring {
	uint16_t size;
	uint16_t base;
	bool addressed;
	bool kick_set; /* SET_VRING_KICK came since the last stop */
	bool enabled;
	bool ran; /* since the session began: what a predecessor left undone has been seen to */
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

static inline bool vhost_user_protocol_has(const struct vhost_user_backend *backend, unsigned bit)
{
	return (backend->protocol_features & VIRTIO_BIT(bit)) != 0;
}

/* Closes what is there, and keeps the new one; -1: none. */
void vhost_user_fd_replace(int *fd, int new_fd);

/* --- Rings: vhost_user_backend_vring.c --- */

/* Stops it if it runs; starts or stops it as its state says now: 0 or -errno, -EBADMSG: the guest laid it out badly. */
void vhost_user_vring_stop(struct vhost_user_backend *backend, uint16_t index);
int vhost_user_vring_update(struct vhost_user_backend *backend, uint16_t index);
/* The same for all of them; one that is badly laid out must not keep the others from running. */
void vhost_user_vrings_stop(struct vhost_user_backend *backend);
int vhost_user_vrings_update(struct vhost_user_backend *backend);
/* By the front end's error eventfd, where there is one: this ring is not served any more. */
void vhost_user_vring_signal_error(const struct vring *vring);

/* --- Requests: vhost_user_backend_requests.c --- */

/* 1: answered; 0: this request has no reply of its own; -errno. */
int vhost_user_request_answer(struct vhost_user_backend *backend, const struct vhost_user_message *message);
/* Does a request without a reply of its own: 0 or -errno, as vhost_user_backend.c tells. */
int vhost_user_request_take(struct vhost_user_backend *backend, struct vhost_user_message *message);
int vhost_user_reply_u64(struct vhost_user_backend *backend, uint64_t value);

#endif
