/*
 * Eventfds that a peer has too. For reading there is a call that never waits. For writing there is none, so it is asked
 * first whether there is room. Who clears O_NONBLOCK and also fills the count just between the two calls would still
 * make us wait; that takes F_SETFL, so that what keeps it out are the filters.
 */
#include "common/base/eventfd_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

int eventfd_drain(int fd)
{
	uint64_t count;
	struct iovec iov = {&count, sizeof(count)};

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno != EAGAIN ? -errno : 0;
}

void eventfd_raise(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	if (poll(&room, 1, 0) > 0 && (room.revents & POLLOUT) != 0)
		eventfd_write(fd, 1);
}
