/*
 * The undertaker of a virtio device whose process has failed for good: it completes what the driver asks for with
 * the error that its class has for it, so that no driver waits for ever, resets and removals work, and a guest boots
 * past the device. It has nothing of the host's.
 *
 *     disk      each request has the status VIRTIO_BLK_S_IOERR (virtio 1.2, 5.2.6)
 *     network   frames are taken and dropped, none come; commands are answered VIRTIO_NET_ERR (5.1.6.5)
 *     console   output is taken and dropped, no input comes (5.3.6)
 *
 * One thread, the loop's, calls everything.
 */
#ifndef ATOLL_DEV_UNDERTAKER_UNDERTAKER_H
#define ATOLL_DEV_UNDERTAKER_UNDERTAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/roles/device_type.h"
#include "common/vhost-user/vhost_user_backend.h"

#define UNDERTAKER_QUEUES_MAX 256

struct undertaker;

struct undertaker_queue {
	struct undertaker *undertaker;
	uint16_t index;
	enum device_rite rite;
	struct virtqueue *virtqueue; /* NULL: it does not run */
	struct loop_watch *kick_watch;
	bool waits; /* chains are left for the next round */
	bool broken;
};

struct undertaker {
	struct vhost_user_device_ops ops;
	struct vhost_user_backend *session; /* NULL: none */
	struct loop *loop;
	struct loop_watch *round_timer; /* the next round, where one is not enough */
	uint64_t refused, dropped;	/* chains */
	struct undertaker_queue queues[UNDERTAKER_QUEUES_MAX];
	struct virtqueue_chain chain;
	void (*session_ended)(void *argument, int error);
	void *argument;
};

/* queues: of a type that has as many as it is given, 1 or more; of others it does not count. 0 or -EINVAL. */
int undertaker_init(struct undertaker *undertaker, const struct device_type *type, unsigned queues);
/* What it needs of the loop, which outlives it. Before the process is sealed. 0 or -ENOMEM. */
int undertaker_prepare(struct undertaker *undertaker, struct loop *loop);

/*
 * socket_fd becomes the session's. 0 or -errno: then it stays the caller's. session_ended: 0 for end of file, or
 * -errno.
 */
int undertaker_session_start(struct undertaker *undertaker, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument);
/* Allowed without one. */
void undertaker_session_stop(struct undertaker *undertaker);
/* The last call. */
void undertaker_close(struct undertaker *undertaker);

#endif
