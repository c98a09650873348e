/*
 * The pool of eventfds: a stack, with room for as many as a core can have. See eventfd_pool.h.
 */
#include "vmm-core/machine/eventfd_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/eventfd_wire.h"

/* More than there are descriptors of a core. */
#define POOL_ROOM 4096

struct eventfd_pool {
	unsigned count;
	int fds[POOL_ROOM];
};

static int make(int *fd)
{
	int new_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (new_fd < 0)
		return -errno;
	*fd = new_fd;
	return 0;
}

int eventfd_pool_new(unsigned count, struct eventfd_pool **pool)
{
	struct eventfd_pool *new_pool = calloc(1, sizeof(*new_pool));
	int result = new_pool == NULL ? -ENOMEM : 0;

	while (result == 0 && new_pool->count < count && new_pool->count < POOL_ROOM) {
		result = make(&new_pool->fds[new_pool->count]);
		if (result == 0)
			new_pool->count++;
	}
	if (result < 0) {
		eventfd_pool_free(new_pool);
		return result;
	}
	*pool = new_pool;
	return 0;
}

void eventfd_pool_free(struct eventfd_pool *pool)
{
	if (pool == NULL)
		return;
	while (pool->count > 0)
		close(pool->fds[--pool->count]);
	free(pool);
}

int eventfd_pool_take(struct eventfd_pool *pool, int *fd)
{
	if (pool == NULL)
		return make(fd);
	if (pool->count == 0)
		return -ENOSPC;
	*fd = pool->fds[--pool->count];
	/* Who had it before may have signalled it behind its being given back. A signal too many is no harm. */
	(void)eventfd_drain(*fd);
	return 0;
}

void eventfd_pool_give(struct eventfd_pool *pool, int fd)
{
	if (pool == NULL || pool->count == POOL_ROOM)
		close(fd);
	else
		pool->fds[pool->count++] = fd;
}
