/*
 * Descriptors over unix sockets: the one place that builds and reads SCM_RIGHTS.
 *
 * Received descriptors are close-on-exec. A message whose control data was cut (MSG_CTRUNC), or that brings
 * more descriptors than the caller allows, is refused with all of them closed: a peer cannot leave a
 * descriptor behind.
 */
#ifndef ATOLL_COMMON_BASE_FD_PASSING_H
#define ATOLL_COMMON_BASE_FD_PASSING_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The kernel's SCM_MAX_FD. */
#define FD_PASSING_MAX 253

/*
 * One sendmsg(2) with MSG_NOSIGNAL. The descriptors are duplicated by the kernel; the caller keeps its own.
 * Returns the bytes sent (may be fewer than asked on a stream) or -errno. Retries EINTR itself.
 */
ssize_t fd_send(int socket_fd, const struct iovec *iov, size_t iov_count, const int *fds, size_t fd_count,
		int flags);

/*
 * One recvmsg(2). On entry *fd_count is the room in fds, on return what came, owned by the caller.
 * Returns the bytes received, 0 at end of file, or -errno: -EMSGSIZE for a datagram that did not fit,
 * -EPROTO for cut control data or too many descriptors. On failure *fd_count is 0 and nothing is left open.
 * Retries EINTR itself.
 */
ssize_t fd_receive(int socket_fd, const struct iovec *iov, size_t iov_count, int *fds, size_t *fd_count,
		   int flags);

/* Closes all of them and sets each to -1. */
void fds_close(int *fds, size_t count);

#endif
