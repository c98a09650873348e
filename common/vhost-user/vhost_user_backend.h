/*
 * The back-end half of vhost-user: a session on a connected socket, driven by the owner's event loop.
 *
 * The session answers the protocol; the device says in an ops struct what it is and gets its queues started
 * and stopped. Any front end of the published specification is served: our core, QEMU, libblkio, DPDK.
 * Requests that we do not know are answered as the specification says (an error reply when need_reply is
 * set), sizes, fd counts and the state machine are checked, and a front end that breaks them loses its
 * session, not the process.
 *
 * All callbacks run in the session's thread. start_queue() hands over a queue with its kick fd; the device
 * serves it from any one thread it likes until stop_queue() returns. Between the two nothing underneath
 * changes: the session stops a queue before it changes memory, addresses or fds, and starts it again.
 *
 * Source: QEMU docs/interop/vhost-user.rst.
 */
#ifndef ATOLL_COMMON_VHOST_USER_VHOST_USER_BACKEND_H
#define ATOLL_COMMON_VHOST_USER_VHOST_USER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/ring/virtqueue.h"

/* VHOST_USER_MAX_CONFIG_SIZE. */
#define VHOST_USER_CONFIG_MAX 256

struct vhost_user_backend;

struct vhost_user_device_ops {
	/* VIRTIO feature bits of the device type. The session adds VERSION_1, INDIRECT_DESC, EVENT_IDX and
	 * VHOST_USER_F_PROTOCOL_FEATURES. */
	uint64_t device_features;
	/* Queues at most; what GET_QUEUE_NUM says, but for a device of one set of queues. */
	uint16_t queue_max;
	/*
	 * The queues come as one set and never as several: MQ is not offered, and GET_QUEUE_NUM says 1. Front ends
	 * differ in what they count in a network device, queues (Cloud Hypervisor) or pairs of them (QEMU, DPDK);
	 * without MQ all of them take one pair.
	 */
	bool single_set;
	/* Size of the config space that the device fills, 0 .. VHOST_USER_CONFIG_MAX; 0: CONFIG is not
	 * offered. */
	uint32_t config_size;
	/* Whether chains may be given back in another order than they were taken in, and each must be carried out: then
	 * INFLIGHT_SHMFD is offered, and where the front end uses it, the first chains of a queue may be ones that a
	 * predecessor took and did not finish. */
	bool track_inflight;

	/*
	 * The driver's features, before any queue starts. A front end may say them again, without a reset between: then
	 * the driver is the same one, and what it has set counts. 0, or -errno to refuse (logged; the session ends).
	 */
	int (*set_features)(void *device, uint64_t features);
	/* Fills config[0..config_size). */
	void (*get_config)(void *device, uint8_t *config);
	/* The driver wrote [offset, +size), all of it within config_size. 0 or -EINVAL for a field that is
	 * not writable. NULL: nothing is. */
	int (*set_config)(void *device, uint32_t offset, const uint8_t *data, uint32_t size);
	/* Chains may be waiting already: look once without a kick. virtqueue_kick_fd() is -1 for a front end
	 * that wants to be polled. 0 or -errno (logged; the session ends unless an ack can tell). */
	int (*start_queue)(void *device, uint16_t index, struct virtqueue *queue);
	/* Returns once no thread touches the queue and every popped chain has been pushed or rewound. */
	void (*stop_queue)(void *device, uint16_t index);
	/*
	 * A device that may have to wait for its host, which may be slow, does so outside of the session's thread: that
	 * has heartbeats to answer. Both NULL: it never has to. A device that answers "no" calls
	 * vhost_user_backend_resume() when that may have changed; until then no further request is taken.
	 * quiesce: stop_queue() will come for this queue; begin to stop it. Whether that would return at once by now.
	 * settled: whether what set_config() brought about has been done; only then it is acknowledged.
	 */
	bool (*quiesce)(void *device, uint16_t index);
	bool (*settled)(void *device);
	/*
	 * RESET_DEVICE, or a status of 0: forget the driver. May be NULL. Queues are stopped. The end of a session is
	 * none: the driver may go on with the next process of the device.
	 */
	void (*reset)(void *device);
	/* NET_SET_MTU; NULL: not offered. 0 or -EINVAL. */
	int (*set_mtu)(void *device, uint16_t mtu);
	/* The session is over: end of file (error 0) or -errno. The callee calls vhost_user_backend_free().
	 */
	void (*session_end)(void *device, int error);
};

/* socket_fd becomes the session's. Returns 0 or -errno; on failure socket_fd is still the caller's. */
int vhost_user_backend_new(struct loop *loop, int socket_fd, const struct vhost_user_device_ops *ops,
			   void *device, struct vhost_user_backend **backend);

/* Stops every queue, unmaps memory, closes all fds. Allowed from session_end(). */
void vhost_user_backend_free(struct vhost_user_backend *backend);

/* What quiesce() or settled() said "no" to may be "yes" now. In the session's thread; allowed at any time, and may end
 * the session. */
void vhost_user_backend_resume(struct vhost_user_backend *backend);

/* Tells the front end that the config space changed (VHOST_USER_BACKEND_CONFIG_CHANGE_MSG). -ENOTCONN where
 * it cannot hear it, -ETIMEDOUT or -EPIPE where it does not listen: nothing to end a session for. */
int vhost_user_backend_config_changed(struct vhost_user_backend *backend);

/*
 * A queue that a device serves broke (virtqueue_pop() said -EPROTO): says why in the log and signals the
 * front end's error eventfd. Call it once, between start_queue() and the return of stop_queue(), from the
 * thread that serves it.
 */
void vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index);

/* All feature bits that a session with such a device offers. */
uint64_t vhost_user_backend_offers(const struct vhost_user_device_ops *ops);

/*
 * Whether SET_FEATURES with `features` is said again of the driver that has negotiated `before` (0: there was none, or
 * it was reset): front ends do that when a guest that was stopped goes on, and to a successor. A driver changes its
 * features by a reset alone (virtio 1.2, 2.2), so other ones are another driver's.
 */
bool vhost_user_backend_same_driver(uint64_t before, uint64_t features);

/* The negotiated features; 0 before SET_FEATURES. */
uint64_t vhost_user_backend_features(const struct vhost_user_backend *backend);

#endif
