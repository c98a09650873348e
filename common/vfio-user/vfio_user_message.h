/*
 * Messages of vfio-user on a connected stream socket: framing, and the capabilities of the version message.
 * Used by the server (vfio_user_backend.c) and by the core's client.
 *
 * A stream keeps what one recvmsg(2) brought and hands the messages out one by one, so that several posted
 * writes and the read behind them cost one system call. Descriptors belong to the message that the last byte
 * of their recvmsg lies in: the kernel ends a read behind bytes that carry descriptors, and a sender attaches
 * them to the first bytes of their message.
 *
 * Nothing here trusts the peer; a size that cannot be is -EPROTO, after which the stream is of no more use.
 */
#ifndef ATOLL_COMMON_VFIO_USER_VFIO_USER_MESSAGE_H
#define ATOLL_COMMON_VFIO_USER_VFIO_USER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/spec/vfio_user_spec.h"

/* Descriptors that one message may bring to us. */
#define VFIO_USER_FDS_MAX 8

struct vfio_user_message {
	struct vfio_user_header header;
	const uint8_t *payload; /* into the stream; valid until the next vfio_user_stream_receive() */
	size_t payload_size;
	int fds[VFIO_USER_FDS_MAX]; /* the receiver's; an entry it keeps is set to -1 */
	size_t fd_count;
};

/* Treat as private. */
struct vfio_user_stream {
	int socket_fd; /* borrowed */
	uint8_t *buffer;
	size_t capacity;
	size_t start; /* first byte not handed out */
	size_t end;
	int fds[VFIO_USER_FDS_MAX];
	size_t fd_count;
	size_t fd_byte; /* where in the buffer the last byte lies that came with the fds */
};

/* message_max: the largest message taken, header included. Returns 0 or -ENOMEM. */
int vfio_user_stream_init(struct vfio_user_stream *stream, int socket_fd, size_t message_max);
/* Frees the buffer and closes descriptors that were not handed out. */
void vfio_user_stream_clear(struct vfio_user_stream *stream);

/*
 * One recvmsg(2). flags: MSG_DONTWAIT or 0. Returns the bytes that came, 0 at end of file, or -errno
 * (-EAGAIN; -EPROTO for too many descriptors, or a second set of them within one message). Every message that
 * was complete must have been taken with vfio_user_stream_next() before.
 */
ssize_t vfio_user_stream_receive(struct vfio_user_stream *stream, int flags);

/*
 * Takes the next complete message. Returns 1 with *message filled, 0 when more bytes are needed, -EPROTO for
 * a message size that is below the header's or above message_max.
 */
int vfio_user_stream_next(struct vfio_user_stream *stream, struct vfio_user_message *message);

/* Whether the stream holds the beginning of a message: at end of file that is a broken peer. */
bool vfio_user_stream_partial(const struct vfio_user_stream *stream);

/* Closes the descriptors that the receiver did not keep. */
void vfio_user_message_clear(struct vfio_user_message *message);

/*
 * Sends header, payload and data as one message on a blocking socket; fills in header->message_size. The
 * descriptors are attached to the first bytes and stay the caller's. A short write is continued, so that 0
 * means all of it. Returns 0 or -errno. On a non-blocking socket -EAGAIN means that nothing was sent; when it
 * fills up in the middle of the message this waits for room.
 */
int vfio_user_send(int socket_fd, struct vfio_user_header *header, const void *payload, size_t payload_size,
		   const void *data, size_t data_size, const int *fds, size_t fd_count);

/* --- The capabilities of VFIO_USER_VERSION --- */

struct vfio_user_capabilities {
	uint64_t max_msg_fds;
	uint64_t max_data_xfer_size;
	uint64_t max_dma_maps;
	uint64_t pgsizes;
	bool write_multiple; /* VFIO_USER_REGION_WRITE_MULTI is understood */
	bool twin_socket;
};

/* The room that vfio_user_capabilities_format() needs. */
#define VFIO_USER_CAPABILITIES_TEXT_MAX 256

/* Reads what parsing needs of the host once: called before the process seals itself. */
void vfio_user_capabilities_prepare(void);

/*
 * Reads the version data behind struct vfio_user_version: nothing at all, or a JSON object with its
 * terminating NUL. What is not named gets the specification's default; names that we do not know are skipped.
 * Returns 0, or -EINVAL with a text that is no such object or a capability of another type.
 */
int vfio_user_capabilities_parse(const void *data, size_t size, struct vfio_user_capabilities *capabilities);

/* Writes the version data, terminating NUL included; returns its size. write_multiple and twin_socket are
 * named only if true. */
size_t vfio_user_capabilities_format(const struct vfio_user_capabilities *capabilities,
				     char text[VFIO_USER_CAPABILITIES_TEXT_MAX]);

#endif
