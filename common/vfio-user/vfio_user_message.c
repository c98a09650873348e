/*
 * The framing of vfio-user. A stream's buffer holds several messages when they are small (register accesses
 * are 32 bytes or so) and one of the largest allowed. Whole messages are handed out in place; before the next
 * recvmsg(2) the beginning of a message that is not complete moves to the front.
 */
#include "common/vfio-user/vfio_user_message.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/base/fd_passing.h"

int vfio_user_stream_init(struct vfio_user_stream *stream, int socket_fd, size_t message_max)
{
	*stream = (struct vfio_user_stream){.socket_fd = socket_fd, .capacity = message_max};
	stream->buffer = malloc(message_max);
	return stream->buffer != NULL ? 0 : -ENOMEM;
}

void vfio_user_stream_clear(struct vfio_user_stream *stream)
{
	fds_close(stream->fds, stream->fd_count);
	free(stream->buffer);
	*stream = (struct vfio_user_stream){.socket_fd = -1};
}

/* Reads the header at the start of what is not handed out. 1, 0 when it is not complete, -EPROTO. */
static int vfio_user_stream_peek(const struct vfio_user_stream *stream, struct vfio_user_header *header)
{
	if (stream->end - stream->start < sizeof(*header))
		return 0;
	memcpy(header, stream->buffer + stream->start, sizeof(*header));
	if (header->message_size < sizeof(*header) || header->message_size > stream->capacity)
		return -EPROTO;
	return 1;
}

static void vfio_user_stream_move_to_front(struct vfio_user_stream *stream)
{
	if (stream->start == 0)
		return;
	memmove(stream->buffer, stream->buffer + stream->start, stream->end - stream->start);
	stream->fd_byte -= stream->fd_count > 0 ? stream->start : 0;
	stream->end -= stream->start;
	stream->start = 0;
}

/*
 * How many bytes to ask for. While a message that came with descriptors is incomplete, no byte behind it is
 * read, so that there is never more than one set of descriptors to remember.
 */
static ssize_t vfio_user_stream_room(const struct vfio_user_stream *stream)
{
	struct vfio_user_header header;
	int whole;

	if (stream->fd_count == 0)
		return (ssize_t)(stream->capacity - stream->end);
	whole = vfio_user_stream_peek(stream, &header);
	if (whole < 0)
		return whole;
	return (ssize_t)((whole ? header.message_size : sizeof(header)) - stream->end);
}

ssize_t vfio_user_stream_receive(struct vfio_user_stream *stream, int flags)
{
	int fds[VFIO_USER_FDS_MAX];
	size_t fd_count = VFIO_USER_FDS_MAX;
	struct iovec iov;
	ssize_t room, received;

	vfio_user_stream_move_to_front(stream);
	room = vfio_user_stream_room(stream);
	/* No room: a complete message was not taken, or its size cannot be. */
	if (room <= 0)
		return -EPROTO;
	iov = (struct iovec){.iov_base = stream->buffer + stream->end, .iov_len = (size_t)room};
	received = fd_receive(stream->socket_fd, &iov, 1, fds, &fd_count, flags);
	if (received <= 0) {
		fds_close(fds, fd_count);
		return received;
	}
	stream->end += (size_t)received;
	if (fd_count == 0)
		return received;
	if (stream->fd_count > 0) {
		fds_close(fds, fd_count);
		return -EPROTO;
	}
	memcpy(stream->fds, fds, fd_count * sizeof(fds[0]));
	stream->fd_count = fd_count;
	stream->fd_byte = stream->end - 1;
	return received;
}

int vfio_user_stream_next(struct vfio_user_stream *stream, struct vfio_user_message *message)
{
	struct vfio_user_header header;
	int whole = vfio_user_stream_peek(stream, &header);

	if (whole <= 0)
		return whole;
	if (stream->end - stream->start < header.message_size)
		return 0;
	message->header = header;
	message->payload = stream->buffer + stream->start + sizeof(header);
	message->payload_size = header.message_size - sizeof(header);
	message->fd_count = 0;
	stream->start += header.message_size;
	if (stream->fd_count > 0 && stream->fd_byte < stream->start) {
		memcpy(message->fds, stream->fds, stream->fd_count * sizeof(stream->fds[0]));
		message->fd_count = stream->fd_count;
		stream->fd_count = 0;
	}
	return 1;
}

bool vfio_user_stream_partial(const struct vfio_user_stream *stream)
{
	return stream->end > stream->start;
}

void vfio_user_message_clear(struct vfio_user_message *message)
{
	fds_close(message->fds, message->fd_count);
	message->fd_count = 0;
}

/* Drops the first `sent` bytes of iov[0..count). */
static void vfio_user_iov_advance(struct iovec *iov, size_t count, size_t sent)
{
	for (size_t i = 0; i < count && sent > 0; i++) {
		size_t taken = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		iov[i].iov_base = (uint8_t *)iov[i].iov_base + taken;
		iov[i].iov_len -= taken;
		sent -= taken;
	}
}

int vfio_user_send(int socket_fd, struct vfio_user_header *header, const void *payload, size_t payload_size,
		   const void *data, size_t data_size, const int *fds, size_t fd_count)
{
	size_t left = sizeof(*header) + payload_size + data_size;
	struct iovec iov[3] = {
		{.iov_base = header, .iov_len = sizeof(*header)},
		{.iov_base = (void *)payload, .iov_len = payload_size},
		{.iov_base = (void *)data, .iov_len = data_size},
	};
	bool started = false;

	if (left > UINT32_MAX)
		return -EMSGSIZE;
	header->message_size = (uint32_t)left;
	while (left > 0) {
		ssize_t sent = fd_send(socket_fd, iov, 3, fds, started ? 0 : fd_count, 0);

		if (sent == -EAGAIN && started) {
			struct pollfd writable = {.fd = socket_fd, .events = POLLOUT};

			if (poll(&writable, 1, -1) < 0 && errno != EINTR)
				return -errno;
			continue;
		}
		if (sent < 0)
			return (int)sent;
		started = true;
		left -= (size_t)sent;
		vfio_user_iov_advance(iov, 3, (size_t)sent);
	}
	return 0;
}
