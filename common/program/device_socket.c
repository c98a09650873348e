/*
 * The socket of a device's program by hand; see device_socket.h.
 */
#include "common/program/device_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"

/* Whether somebody listens at the address. */
static bool socket_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
				 errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return alive;
}

/* A socket file that a program left which listens no more is in the way of nobody. */
static int socket_remove_stale(const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return 0;
	if (socket_alive(address)) {
		log_error("%s: another program listens there; choose another path", address->sun_path);
		return -EADDRINUSE;
	}
	unlink(address->sun_path);
	return 0;
}

static int socket_listen(struct device_socket *device_socket)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int result;

	if (strlen(device_socket->path) >= sizeof(address.sun_path)) {
		log_error("%s: the path is too long for a socket; choose one of at most %zu bytes",
			  device_socket->path, sizeof(address.sun_path) - 1);
		return -EINVAL;
	}
	strcpy(address.sun_path, device_socket->path);
	result = socket_remove_stale(&address);
	if (result < 0)
		return result;
	device_socket->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (device_socket->listen_fd < 0 ||
	    bind(device_socket->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		goto failed;
	device_socket->bound = true;
	if (listen(device_socket->listen_fd, 1) < 0)
		goto failed;
	return 0;
failed:
	result = -errno;
	log_error("%s: cannot listen: %s", device_socket->path, strerror(-result));
	return result;
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
