/*
 * Eventfds for kicks, interrupts and errors of devices that are attached later: a sealed core makes none.
 *
 * What a device gives back has been its process's, too. It may go to another device once that process has ended, as the
 * supervisor sees to (docs/control-wire.md); what is left in its count is thrown away.
 *
 * Main thread.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_EVENTFD_POOL_H
#define ATOLL_VMM_CORE_MACHINE_EVENTFD_POOL_H

struct eventfd_pool;

/* With `count` of them. 0 or -errno. */
int eventfd_pool_new(unsigned count, struct eventfd_pool **pool);
/* Closes those that it has. NULL: nothing. */
void eventfd_pool_free(struct eventfd_pool *pool);

/* Takes one, whose count is 0 and which does not block; NULL: makes one. -ENOSPC when there is none left, or -errno. */
int eventfd_pool_take(struct eventfd_pool *pool, int *fd);
/* Nobody signals it or waits for it any more; NULL: closes it. */
void eventfd_pool_give(struct eventfd_pool *pool, int fd);

#endif
