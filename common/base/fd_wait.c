/* Waiting for a descriptor; see fd_wait.h. */
#include "common/base/fd_wait.h"

#include <errno.h>
#include <poll.h>

#include "common/base/clock.h"

int fd_wait_until(int fd, short events, int64_t deadline_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline_ms < 0 ? -1 : deadline_ms - clock_ms(CLOCK_MONOTONIC);
		int ready = poll(&poll_fd, 1, left > 0 ? (int)left : deadline_ms < 0 ? -1 : 0);

		if (ready > 0)
			return 0;
		if (ready == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}
