/*
 * vhost-user messages. The table below is the specification's list of requests as numbers: which payload
 * sizes and how many descriptors each may have. It is looked at before the payload is, for every request
 * alike.
 */
#include "common/vhost-user/vhost_user_message.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/fd_passing.h"
#include "common/base/fd_wait.h"

void vhost_user_receiver_init(struct vhost_user_receiver *receiver)
{
	memset(receiver, 0, sizeof(*receiver));
	receiver->size_max = sizeof(receiver->message.payload);
}

void vhost_user_receiver_clear(struct vhost_user_receiver *receiver)
{
	fds_close(receiver->message.fds, receiver->message.fd_count);
	receiver->message.fd_count = 0;
	receiver->received = 0;
}

void vhost_user_receiver_next(struct vhost_user_receiver *receiver)
{
	vhost_user_receiver_clear(receiver);
}

/* Whether the bytes so far are a whole message; judges the header as soon as it is there. 1, 0 or -EPROTO. */
static int receiver_judge(const struct vhost_user_receiver *receiver)
{
	const struct vhost_user_header *header = &receiver->message.header;

	if (receiver->received < VHOST_USER_HEADER_SIZE)
		return 0;
	if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    header->size > receiver->size_max)
		return -EPROTO;
	return receiver->received == VHOST_USER_HEADER_SIZE + header->size;
}

#define RECEIVER_PROGRESS 2

/* One recvmsg(2): 1 complete, RECEIVER_PROGRESS, 0 end of file, -errno. */
static int receiver_step(int socket_fd, struct vhost_user_receiver *receiver, int flags)
{
	struct vhost_user_message *message = &receiver->message;
	struct iovec iov = {
		.iov_base = (uint8_t *)&message->header + receiver->received,
		.iov_len = VHOST_USER_HEADER_SIZE - receiver->received,
	};
	/* Descriptors are welcome with the first byte of a message only. */
	size_t fd_count = receiver->received == 0 ? VHOST_USER_MESSAGE_FDS_MAX : 0;
	ssize_t received;
	int complete;

	if (receiver->received >= VHOST_USER_HEADER_SIZE) {
		size_t payload = receiver->received - VHOST_USER_HEADER_SIZE;

		iov.iov_base = message->payload.bytes + payload;
		iov.iov_len = message->header.size - payload;
	}
	received = fd_receive(socket_fd, &iov, 1, message->fds + message->fd_count, &fd_count, flags);
	if (received < 0)
		return (int)received;
	if (received == 0)
		return receiver->received == 0 ? 0 : -EPROTO;
	message->fd_count += fd_count;
	receiver->received += (size_t)received;
	complete = receiver_judge(receiver);
	return complete == 0 ? RECEIVER_PROGRESS : complete;
}

int vhost_user_receive(int socket_fd, struct vhost_user_receiver *receiver)
{
	int result;

	do
		result = receiver_step(socket_fd, receiver, 0);
	while (result == RECEIVER_PROGRESS);
	return result;
}

int vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms)
{
	int64_t deadline_ms = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	int result;

	do {
		result = fd_wait_until(socket_fd, POLLIN, deadline_ms);
		if (result == 0)
			result = receiver_step(socket_fd, receiver, MSG_DONTWAIT);
		else if (result < 0)
			return result;
	} while (result == RECEIVER_PROGRESS || result == -EAGAIN);
	return result;
}

/* --- What the requests of a front end look like --- */

struct request_shape {
	uint16_t size_min;
	uint16_t size_max;
	uint8_t fds_min;
	uint8_t fds_max;
	bool known;
};

#define SHAPE(size, fds_low, fds_high)                      \
	{                                                   \
		(size), (size), (fds_low), (fds_high), true \
	}

static const struct request_shape request_shapes[VHOST_USER_REQUEST_MAX] = {
	[VHOST_USER_GET_FEATURES] = SHAPE(0, 0, 0),
	[VHOST_USER_SET_FEATURES] = SHAPE(8, 0, 0),
	[VHOST_USER_SET_OWNER] = SHAPE(0, 0, 0),
	[VHOST_USER_RESET_OWNER] = SHAPE(0, 0, 0),
	/* The regions that are not used may be left out; the device checks their number against the size. */
	[VHOST_USER_SET_MEM_TABLE] = {VHOST_USER_MEMORY_HEADER_SIZE, sizeof(struct vhost_user_memory), 0,
				      VHOST_USER_MEM_TABLE_REGIONS_MAX, true},
	[VHOST_USER_SET_VRING_NUM] = SHAPE(8, 0, 0),
	[VHOST_USER_SET_VRING_ADDR] = SHAPE(sizeof(struct vhost_user_vring_addr), 0, 0),
	[VHOST_USER_SET_VRING_BASE] = SHAPE(8, 0, 0),
	[VHOST_USER_GET_VRING_BASE] = SHAPE(8, 0, 0),
	[VHOST_USER_SET_VRING_KICK] = SHAPE(8, 0, 1),
	[VHOST_USER_SET_VRING_CALL] = SHAPE(8, 0, 1),
	[VHOST_USER_SET_VRING_ERR] = SHAPE(8, 0, 1),
	[VHOST_USER_GET_PROTOCOL_FEATURES] = SHAPE(0, 0, 0),
	[VHOST_USER_SET_PROTOCOL_FEATURES] = SHAPE(8, 0, 0),
	[VHOST_USER_GET_QUEUE_NUM] = SHAPE(0, 0, 0),
	[VHOST_USER_SET_VRING_ENABLE] = SHAPE(8, 0, 0),
	[VHOST_USER_NET_SET_MTU] = SHAPE(8, 0, 0),
	[VHOST_USER_SET_BACKEND_REQ_FD] = SHAPE(0, 1, 1),
	[VHOST_USER_GET_CONFIG] = {VHOST_USER_CONFIG_HEADER_SIZE, sizeof(struct vhost_user_config), 0, 0,
				   true},
	[VHOST_USER_SET_CONFIG] = {VHOST_USER_CONFIG_HEADER_SIZE, sizeof(struct vhost_user_config), 0, 0,
				   true},
	[VHOST_USER_GET_INFLIGHT_FD] = {VHOST_USER_INFLIGHT_SIZE_MIN, sizeof(struct vhost_user_inflight), 0,
					0, true},
	[VHOST_USER_SET_INFLIGHT_FD] = {VHOST_USER_INFLIGHT_SIZE_MIN, sizeof(struct vhost_user_inflight), 1,
					1, true},
	[VHOST_USER_RESET_DEVICE] = SHAPE(0, 0, 0),
	[VHOST_USER_GET_MAX_MEM_SLOTS] = SHAPE(0, 0, 0),
	[VHOST_USER_ADD_MEM_REG] = SHAPE(sizeof(struct vhost_user_memory_single), 1, 1),
	/* A front end may send a descriptor, which the specification tells us to close unused. */
	[VHOST_USER_REM_MEM_REG] = SHAPE(sizeof(struct vhost_user_memory_single), 0, 1),
	[VHOST_USER_SET_STATUS] = SHAPE(8, 0, 0),
	[VHOST_USER_GET_STATUS] = SHAPE(0, 0, 0),
};

int vhost_user_request_check(const struct vhost_user_message *message)
{
	const struct request_shape *shape;
	uint32_t size = message->header.size;

	if (message->header.request >= VHOST_USER_REQUEST_MAX)
		return -ENOTSUP;
	shape = &request_shapes[message->header.request];
	if (!shape->known)
		return -ENOTSUP;
	/* "Bit 2 is the reply flag": no front end answers us here. */
	if ((message->header.flags & VHOST_USER_REPLY_FLAG) != 0)
		return -EPROTO;
	if (size < shape->size_min || size > shape->size_max || message->fd_count < shape->fds_min ||
	    message->fd_count > shape->fds_max)
		return -EPROTO;
	return 0;
}

/* --- Sending --- */

int vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload, uint32_t size,
		    const int *fds, size_t fd_count, int timeout_ms)
{
	struct vhost_user_header header = {
		.request = request,
		.flags = flags | VHOST_USER_VERSION,
		.size = size,
	};
	int64_t deadline_ms = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	size_t sent = 0;

	while (sent < VHOST_USER_HEADER_SIZE + size) {
		struct iovec iov[2] = {
			{.iov_base = &header, .iov_len = VHOST_USER_HEADER_SIZE},
			{.iov_base = (void *)payload, .iov_len = size},
		};
		const struct iovec *first = iov;
		size_t count = size > 0 ? 2 : 1;
		ssize_t result;

		if (sent < VHOST_USER_HEADER_SIZE) {
			iov[0].iov_base = (uint8_t *)&header + sent;
			iov[0].iov_len -= sent;
		} else {
			iov[1].iov_base = (uint8_t *)payload + (sent - VHOST_USER_HEADER_SIZE);
			iov[1].iov_len -= sent - VHOST_USER_HEADER_SIZE;
			first = &iov[1];
			count = 1;
		}
		result = fd_send(socket_fd, first, count, fds, sent == 0 ? fd_count : 0, MSG_DONTWAIT);
		if (result == -EAGAIN)
			result = fd_wait_until(socket_fd, POLLOUT, deadline_ms);
		if (result == -ECONNRESET || result == -ENOTCONN)
			return -EPIPE;
		if (result < 0)
			return (int)result;
		sent += (size_t)result;
	}
	return 0;
}
