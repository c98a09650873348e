/*
 * A back end: who serves the rings of a virtio device, as the transport in front of it sees it (vmm-core/virtio). A
 * process of ours or a foreign one that speaks vhost-user is one kind (backend_vhost_user.h); vhost in the kernel or vDPA
 * would be others. Each kind is a table of operations; the transport knows no more of it.
 *
 * Threads: the owner serialises the calls on one back end, which may come from any thread, except where an operation
 * says which. A call takes a moment, or as long as the kind lets a silent back end take, and no longer.
 *
 * Errors: 0, or -errno. -EREMOTEIO says that the back end refused this one thing and is as it was; whether that will do is
 * the owner's to say. After any other error it is of no use any more, and only free() is called: -EPIPE, it is gone;
 * -ETIMEDOUT, it does not answer; -EPROTO, it broke its rules. On an error, what a pointer would have been given stays as
 * it is.
 *
 * Source: virtio 1.2, 2.1 to 2.7, for what features, status, configuration and rings are.
 */
#ifndef ATOLL_VMM_CORE_WIRE_BACKEND_H
#define ATOLL_VMM_CORE_WIRE_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "vmm-core/machine/guest_ram.h"

/* Bytes of a configuration space at the most. */
#define BACKEND_CONFIG_MAX 256

struct backend_ops;

/* What each kind begins with. connect() fills it in, and it stays so. */
struct backend {
	const struct backend_ops *ops;
	uint64_t features; /* what it offers to a driver (2.2); a transport need not pass all on */
	unsigned queues;   /* how many it has, or 0 if it does not say */
	bool has_config;   /* a configuration space: get_config() and set_config() may be called */
	bool has_inflight; /* it notes the requests under way in memory of ours: set_inflight() may be called */
};

/* What a back end says unasked. On the main thread, once it is watched; neither may free it. */
struct backend_notices {
	/* Its configuration is another one now. */
	void (*config_changed)(void *owner);
	/* It is gone (0), or broke its rules (-errno). Once. */
	void (*gone)(void *owner, int error);
};

/* A ring as the driver set it up: guest-physical addresses, each inside guest RAM as a whole. */
struct backend_ring {
	uint16_t size; /* descriptors */
	uint16_t base; /* index of the available ring at which it goes on */
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	/* Eventfds, borrowed: the back end gets duplicates. */
	int kick_fd; /* the driver made something available */
	int call_fd; /* the back end used something; -1: the driver polls */
};

struct backend_ops {
	/*
	 * Finds out who is at the other end of fd, whose poll(2) tells its end by POLLRDHUP, and whose shutdown(2)
	 * ends all waits for it; fd becomes the back end's on success. notices, owner and *cancelled are borrowed.
	 * Once *cancelled is set, which any thread may do at any time, no call waits long. Any thread.
	 */
	int (*connect)(int fd, const _Atomic bool *cancelled, const struct backend_notices *notices,
		       void *owner, struct backend **backend);
	/* Main thread: notices come from now on. Once at the most. */
	int (*watch)(struct backend *backend, struct loop *loop);
	/* Main thread, once it is watched; else any. It may still serve: whoever wants it to stop, stops its rings. */
	void (*free)(struct backend *backend);

	/* offset + size bytes of configuration are at most BACKEND_CONFIG_MAX. A field that is not writable may be
	 * refused. */
	int (*get_config)(struct backend *backend, uint32_t offset, void *data, uint32_t size);
	int (*set_config)(struct backend *backend, uint32_t offset, const void *data, uint32_t size);

	/*
	 * What a driver set up, in this order, and before rings start: the features that it took, of those that are
	 * offered; memory, which is mapped from ram's memfd at its guest-physical addresses; and for has_inflight
	 * `size` bytes of a file (borrowed), laid out for `queues` rings of queue_size descriptors each
	 * (common/ring/inflight.h).
	 */
	int (*set_features)(struct backend *backend, uint64_t features);
	int (*set_memory)(struct backend *backend, const struct guest_ram *ram);
	int (*set_inflight)(struct backend *backend, int fd, size_t size, uint16_t queues,
			    uint16_t queue_size);

	/* The driver's status (2.1), for a back end that wants to know; else nothing, and 0. Between set_features() and
	 * set_memory() without DRIVER_OK, and with it when the rings have started. */
	int (*set_status)(struct backend *backend, uint8_t status);
	/* The driver reset the device, and its rings have stopped; what was set up is forgotten. Nothing, and 0, for a
	 * back end that does not want to know. */
	int (*reset)(struct backend *backend);

	/* The eventfd (borrowed) that it signals when it gives a ring up. Before the ring starts; one that cannot tell
	 * serves all the same, and it is 0. */
	int (*set_error)(struct backend *backend, uint16_t index, int error_fd);
	int (*start_ring)(struct backend *backend, uint16_t index, const struct backend_ring *ring);
	/* Another call eventfd (borrowed) for a ring that has started; -1: the driver polls. */
	int (*set_call)(struct backend *backend, uint16_t index, int call_fd);
	/* Returns when it touches ring and buffers no more; *base is where it would go on. */
	int (*stop_ring)(struct backend *backend, uint16_t index, uint16_t *base);
};

/* NULL: nothing. */
static inline void backend_free(struct backend *backend)
{
	if (backend != NULL)
		backend->ops->free(backend);
}

#endif
