#include "common/base/peers.h"

#include <errno.h>
#include <fcntl.h>

static bool ours;

void peers_are_ours(void)
{
	ours = true;
}

bool peers_ours(void)
{
	return ours;
}

int peer_fd_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if ((flags & O_NONBLOCK) != 0)
		return 0;
	if (ours)
		return -EPROTO;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}
