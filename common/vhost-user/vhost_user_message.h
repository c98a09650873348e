/*
 * vhost-user messages on a stream socket: used by the back-end half and by the core's front end.
 *
 * A receiver gathers one message at a time, in as many pieces as the socket gives it. What a message may look
 * like (size, number of descriptors) is checked against a table from the specification before its payload is
 * looked at; descriptors are taken with a message's first byte only, so that none can be smuggled in behind
 * it.
 *
 * Source: QEMU docs/interop/vhost-user.rst, "Message specification".
 */
#ifndef ATOLL_COMMON_VHOST_USER_VHOST_USER_MESSAGE_H
#define ATOLL_COMMON_VHOST_USER_VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/spec/vhost_user_spec.h"

#define VHOST_USER_MESSAGE_FDS_MAX VHOST_USER_MEM_TABLE_REGIONS_MAX

struct vhost_user_message {
	struct vhost_user_header header;
	union {
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_memory memory;
		struct vhost_user_memory_single memory_single;
		struct vhost_user_config config;
		struct vhost_user_inflight inflight;
		uint8_t bytes[sizeof(struct vhost_user_config)];
	} payload;
	int fds[VHOST_USER_MESSAGE_FDS_MAX]; /* owned; an entry set to -1 has been taken */
	size_t fd_count;
};

/* A message in the making. Zeroed by vhost_user_receiver_init(). */
struct vhost_user_receiver {
	struct vhost_user_message message;
	size_t received; /* bytes of header and payload so far */
	size_t size_max; /* payload limit while the header is not judged yet */
};

void vhost_user_receiver_init(struct vhost_user_receiver *receiver);
/* Closes what an unfinished message brought. */
void vhost_user_receiver_clear(struct vhost_user_receiver *receiver);

/*
 * Receives what is there. 1: a message is complete and is in receiver->message until
 * vhost_user_receiver_next(). 0: end of file between messages. -EAGAIN: more must come (non-blocking
 * sockets). -EPROTO: broken framing, an oversized payload, or the end in the middle of a message. Other
 * -errno: the socket's.
 */
int vhost_user_receive(int socket_fd, struct vhost_user_receiver *receiver);

/* Makes room for the next message; closes descriptors that nobody took. */
void vhost_user_receiver_next(struct vhost_user_receiver *receiver);

/* The same with a bound: waits until a message is complete, or -ETIMEDOUT. Works on sockets of either kind.
 */
int vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);

/*
 * Whether a request of a front end has the size and the number of descriptors that the specification gives
 * it. 0, -EPROTO, or -ENOTSUP for a request that is not in the table.
 */
int vhost_user_request_check(const struct vhost_user_message *message);

/*
 * Sends header and payload whole, with descriptors at the first byte (borrowed). On a non-blocking socket it
 * waits up to timeout_ms for room. 0, -EPIPE, -ETIMEDOUT, -errno.
 */
int vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		    const int *fds, size_t fd_count, int timeout_ms);

#endif
