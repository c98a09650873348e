/* What is where a unix socket is to be; see socket_path.h. */
#include "common/base/socket_path.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int socket_path_look(const char *path, struct sockaddr_un *address)
{
	struct stat status;
	int fd, result;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	result = connect(fd, (struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	close(fd);
	/* A listener of another type, or whose rights we lack, refuses in other words. */
	return result == -ECONNREFUSED ? 0 : -EADDRINUSE;
}
