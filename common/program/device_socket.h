/*
 * The socket of a device's program by hand: one that it listens on, at a path or given, or one that is connected already.
 */
#ifndef ATOLL_COMMON_PROGRAM_DEVICE_SOCKET_H
#define ATOLL_COMMON_PROGRAM_DEVICE_SOCKET_H

#include <stdbool.h>

/* Begins as DEVICE_SOCKET_NONE. The descriptors are the struct's. */
struct device_socket {
	const char *path; /* NULL: given as a descriptor; borrowed */
	int listen_fd;	  /* -1: there is no next front end */
	int connected_fd; /* the one front end; -1: it listens */
	bool bound;	  /* the path is ours to unlink */
};

#define DEVICE_SOCKET_NONE ((struct device_socket){.listen_fd = -1, .connected_fd = -1})

/*
 * Listens at the path (which stays the caller's and outlives the socket), or where that is NULL finds out which kind
 * given_fd is. 0 or -errno (logged): -EINVAL for a path or a descriptor that cannot be one, -EADDRINUSE where another
 * program listens.
 */
int device_socket_open(struct device_socket *device_socket, const char *path, int given_fd);

/* The next front end, without waiting: a descriptor of the caller's that does not block, or -errno. */
int device_socket_accept(const struct device_socket *device_socket);

/* Closes both; the path stays, for whoever else has the socket still. */
void device_socket_leave(struct device_socket *device_socket);
/* Closes the one that it listens on, and removes the path if it is ours. */
void device_socket_close(struct device_socket *device_socket);

#endif
