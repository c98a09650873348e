/*
 * A virtio device that is no more than a table: its queues are served in the loop's thread, a chain at a time and in order,
 * behind vhost-user. The device knows nothing of sessions, kicks, interrupts and rings; it is asked what becomes of a chain.
 *
 * It is for devices whose work is done at once. One that waits for its host, takes chains out of order, or has threads,
 * brings its own vhost_user_device_ops (vhost_user_backend.h) instead.
 *
 * A queue has a bounded number of chains carried out before the others, and the session, have their turn. A ring or a chain
 * that breaks the rules stops its queue, and no other. A front end that gives a queue no kick is served by looking again.
 *
 * All is the loop's thread's.
 */
#ifndef ATOLL_COMMON_PROGRAM_VIRTIO_SERVER_H
#define ATOLL_COMMON_PROGRAM_VIRTIO_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/vhost-user/vhost_user_backend.h"

/* How often queues without a kick are looked at, in microseconds. */
#define VIRTIO_SERVER_POLL_US 1000

/* What the device is. The functions get the device that virtio_server_new() was given. */
struct virtio_device {
	uint64_t features;    /* of its type; those of rings and transport the session adds */
	uint16_t queue_count; /* 1 or more */
	uint32_t config_size; /* bytes of its configuration, 0 .. VHOST_USER_CONFIG_MAX; 0: it has none */
	/* Whether chains that a predecessor took and did not give back are to be taken once more, for one that took them out of
	 * order (vhost_user_device_ops). */
	bool track_inflight;

	/*
	 * What the driver asks for with this chain. Sets *written to the bytes that it wrote into it (virtqueue_chain_write()),
	 * counted from the beginning of what it may write. Returns 0, or -EPROTO for a chain that breaks the rules, with *problem
	 * a static string that says how; then the queue is stopped, as it is after any other -errno. The chain is gone after the
	 * call.
	 */
	int (*serve)(void *device, uint16_t queue, const struct virtqueue_chain *chain, uint32_t *written,
		     const char **problem);
	/* Whether the queue's chains are to be taken at all; asked as it starts. NULL: all are. */
	bool (*serves)(const void *device, uint16_t queue);
	/* What the driver has agreed to, before any queue starts. NULL: it makes no difference. */
	void (*set_features)(void *device, uint64_t features);
	/* As in vhost_user_device_ops. get_config is NULL without a configuration, set_config where none of it can be written. */
	void (*get_config)(void *device, uint8_t *config);
	int (*set_config)(void *device, uint32_t offset, const uint8_t *data, uint32_t size);
	/* The driver is gone, or has begun anew: forget what it has set. NULL: there is nothing to forget. */
	void (*reset)(void *device);
};

struct virtio_server;

/* What it needs of the loop and of memory. The loop, the table and the device outlive it. 0 or -ENOMEM. */
int virtio_server_new(struct loop *loop, const struct virtio_device *virtio, void *device,
		      struct virtio_server **server);
/* Ends a session that still runs. NULL is allowed. */
void virtio_server_free(struct virtio_server *server);

/*
 * Serves a front end on a connected socket, which becomes the session's. 0, or -errno: then it stays the caller's. When the
 * front end ends the session, ended() is called, with the session already freed: 0 for end of file, or -errno.
 */
int virtio_server_start(struct virtio_server *server, int socket_fd, void (*ended)(void *argument, int error),
			void *argument);
/* Ends the session. Allowed without one. */
void virtio_server_stop(struct virtio_server *server);

/* Chains that were carried out so far. */
uint64_t virtio_server_completed(const struct virtio_server *server);

/* What the session calls, with the server as its device; for tests that are their own session. */
const struct vhost_user_device_ops *virtio_server_ops(const struct virtio_server *server);

#endif
