/*
 * The socket of a device's program by hand; see device_socket.h.
 */
#include "common/program/device_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/socket_path.h"

/* Says why nothing can listen at the path. */
static int socket_refuse(const char *path, int error)
{
	switch (error) {
	case -ENAMETOOLONG:
		log_error("%s: the path is too long for a socket; choose one of at most %zu bytes", path,
			  sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
		return -EINVAL;
	case -EADDRINUSE:
		log_error("%s: another program listens there; choose another path", path);
		return error;
	case -EEXIST:
		log_error("%s: there is a file that is no socket; remove it, or choose another path", path);
		return error;
	default:
		log_error("%s: cannot listen: %s", path, strerror(-error));
		return error;
	}
}

static int socket_listen(struct device_socket *device_socket)
{
	struct sockaddr_un address;
	int result = socket_path_look(device_socket->path, &address);

	if (result < 0)
		return socket_refuse(device_socket->path, result);
	unlink(address.sun_path);
	device_socket->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (device_socket->listen_fd < 0 ||
	    bind(device_socket->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		goto failed;
	device_socket->bound = true;
	if (listen(device_socket->listen_fd, 1) < 0)
		goto failed;
	return 0;
failed:
	return socket_refuse(device_socket->path, -errno);
}

int device_socket_open(struct device_socket *device_socket, const char *path, int given_fd)
{
	int listening = 0;
	socklen_t length = sizeof(listening);

	device_socket->path = path;
	if (path != NULL)
		return socket_listen(device_socket);
	if (getsockopt(given_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0) {
		log_error("--fd=%d: %s", given_fd, strerror(errno));
		return -EINVAL;
	}
	if (listening)
		device_socket->listen_fd = given_fd;
	else
		device_socket->connected_fd = given_fd;
	return 0;
}

int device_socket_accept(const struct device_socket *device_socket)
{
	int fd = accept4(device_socket->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void device_socket_leave(struct device_socket *device_socket)
{
	if (device_socket->connected_fd >= 0)
		close(device_socket->connected_fd);
	if (device_socket->listen_fd >= 0)
		close(device_socket->listen_fd);
	device_socket->connected_fd = device_socket->listen_fd = -1;
}

void device_socket_close(struct device_socket *device_socket)
{
	if (device_socket->listen_fd >= 0)
		close(device_socket->listen_fd);
	device_socket->listen_fd = -1;
	if (device_socket->bound)
		unlink(device_socket->path);
	device_socket->bound = false;
}
