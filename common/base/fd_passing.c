/*
 * Descriptors over unix sockets. Nothing here trusts the peer: the control buffer has room for more
 * descriptors than any caller allows, so that surplus ones arrive, are seen, and are closed.
 */
#include "common/base/fd_passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fds_close(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

ssize_t fd_send(int socket_fd, const struct iovec *iov, size_t iov_count, const int *fds, size_t fd_count,
		int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * FD_PASSING_MAX)];
	} control;
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = iov_count};
	ssize_t sent;

	if (fd_count > FD_PASSING_MAX)
		return -EINVAL;
	if (fd_count > 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		memset(control.bytes, 0, message.msg_controllen);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	do
		sent = sendmsg(socket_fd, &message, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* Moves the descriptors of a received message into fds[0..*fd_count); *fd_count is the room on entry. */
static int fd_collect(struct msghdr *message, int *fds, size_t *fd_count)
{
	size_t room = *fd_count;
	size_t count = 0;
	int result = message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		size_t came;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < came; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
			if (count < room) {
				fds[count++] = fd;
			} else {
				close(fd);
				result = -EPROTO;
			}
		}
	}
	if (result < 0) {
		fds_close(fds, count);
		count = 0;
	}
	*fd_count = count;
	return result;
}

ssize_t fd_receive(int socket_fd, const struct iovec *iov, size_t iov_count, int *fds, size_t *fd_count,
		   int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * FD_PASSING_MAX)];
	} control;
	struct msghdr message = {
		.msg_iov = (struct iovec *)iov,
		.msg_iovlen = iov_count,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t received;
	int result;

	do
		received = recvmsg(socket_fd, &message, flags | MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received < 0) {
		*fd_count = 0;
		return -errno;
	}
	result = fd_collect(&message, fds, fd_count);
	if (result < 0)
		return result;
	/* MSG_TRUNC in msg_flags: the tail of a datagram was thrown away. */
	if (message.msg_flags & MSG_TRUNC) {
		fds_close(fds, *fd_count);
		*fd_count = 0;
		return -EMSGSIZE;
	}
	return received;
}
