/*
 * Envelopes over a SEQPACKET socket: the kernel keeps packets whole, so a message is one call each way.
 */
#include "common/base/control_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/fd_passing.h"
#include "common/base/fd_wait.h"

/* Packets up to this size are built on the stack; log records from threads with small stacks are among them.
 */
#define CONTROL_FRAME_SMALL 2048

int control_send(int socket_fd, Atoll__Control__Envelope *envelope, const int *fds, size_t fd_count)
{
	uint8_t small[CONTROL_FRAME_SMALL];
	struct iovec iov = {.iov_base = small};
	size_t needed;
	ssize_t sent;
	int result;

	if (fd_count > CONTROL_FRAME_FDS_MAX)
		return -EMSGSIZE;
	envelope->fd_count = (uint32_t)fd_count;
	needed = atoll__control__envelope__get_packed_size(envelope);
	if (needed > sizeof(small)) {
		iov.iov_base = needed > CONTROL_FRAME_MAX ? NULL : malloc(needed);
		if (iov.iov_base == NULL)
			return needed > CONTROL_FRAME_MAX ? -EMSGSIZE : -ENOMEM;
	}
	result = control_frame_pack(envelope, iov.iov_base, &iov.iov_len);
	if (result == 0) {
		sent = fd_send(socket_fd, &iov, 1, fds, fd_count, 0);
		result = sent < 0 ? (int)sent : 0;
	}
	if (iov.iov_base != small)
		free(iov.iov_base);
	return result == -ECONNRESET || result == -ENOTCONN || result == -ECONNREFUSED ? -EPIPE : result;
}

/* The size of the packet that waits; 0 at the peer's end, -errno. Blocks if the socket does. */
static ssize_t control_peek(int socket_fd)
{
	struct msghdr message = {0};
	bool reset = false;
	ssize_t size;

	/* By recvmsg(2), as everything else: recvfrom(2) would be one more call for every policy. */
	do {
		size = recvmsg(socket_fd, &message, MSG_PEEK | MSG_TRUNC);
		/* The peer ended without having read all that we sent. That is told once, and before what it had
		 * sent itself, its last words among it. */
		if (size < 0 && errno == ECONNRESET && !reset) {
			reset = true;
			errno = EINTR;
		}
	} while (size < 0 && errno == EINTR);
	return size < 0 ? (errno == ECONNRESET ? 0 : -errno) : size;
}

int control_receive(int socket_fd, struct control_message *message)
{
	struct iovec iov = {0};
	ssize_t size;
	int result;

	message->envelope = NULL;
	message->fd_count = 0;
	size = control_peek(socket_fd);
	if (size <= 0)
		return (int)size;
	if (size > CONTROL_FRAME_MAX)
		return -EPROTO;
	iov.iov_len = (size_t)size;
	iov.iov_base = malloc(iov.iov_len);
	if (iov.iov_base == NULL)
		return -ENOMEM;
	message->fd_count = CONTROL_FRAME_FDS_MAX;
	size = fd_receive(socket_fd, &iov, 1, message->fds, &message->fd_count, 0);
	result = size < 0 ? (int)size
			  : control_frame_unpack(iov.iov_base, (size_t)size, message->fd_count,
						 &message->envelope);
	free(iov.iov_base);
	if (result < 0) {
		control_message_clear(message);
		return result;
	}
	return 1;
}

int control_receive_timeout(int socket_fd, int timeout_ms, struct control_message *message)
{
	int64_t deadline_ms = timeout_ms < 0 ? -1 : clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	int result = fd_wait_until(socket_fd, POLLIN, deadline_ms);

	message->envelope = NULL;
	message->fd_count = 0;
	return result < 0 ? result : control_receive(socket_fd, message);
}

void control_message_clear(struct control_message *message)
{
	if (message->envelope != NULL)
		atoll__control__envelope__free_unpacked(message->envelope, NULL);
	message->envelope = NULL;
	fds_close(message->fds, message->fd_count);
	message->fd_count = 0;
}

int control_send_order(int socket_fd, Atoll__Control__Order__Kind kind)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Order order = ATOLL__CONTROL__ORDER__INIT;

	order.kind = kind;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ORDER;
	envelope.order = &order;
	return control_send(socket_fd, &envelope, NULL, 0);
}

int control_send_ready(int socket_fd)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Ready ready = ATOLL__CONTROL__READY__INIT;

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_READY;
	envelope.ready = &ready;
	return control_send(socket_fd, &envelope, NULL, 0);
}

int control_send_guest_event(int socket_fd, Atoll__Control__GuestEvent__Kind kind, unsigned status,
			     const char *detail)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__GuestEvent event = ATOLL__CONTROL__GUEST_EVENT__INIT;

	event.kind = kind;
	event.status = status;
	event.detail = detail != NULL ? (char *)detail : (char *)"";
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_GUEST_EVENT;
	envelope.guest_event = &event;
	return control_send(socket_fd, &envelope, NULL, 0);
}
