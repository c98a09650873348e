/*
 * A state page: shared memory in which a device keeps what its guest can see of it, for the next process of the same
 * device. The supervisor makes it and keeps it as long as the VM's configuration lives; what stands in it is the
 * device's (dev-console/console_state.h).
 */
#ifndef ATOLL_COMMON_RING_STATE_PAGE_H
#define ATOLL_COMMON_RING_STATE_PAGE_H

#include <stddef.h>

/* Of each: a console with what it has gathered. */
#define STATE_PAGE_SIZE ((size_t)128 * 1024)
/* What /proc calls the memfd. */
#define STATE_PAGE_NAME "atoll-state"

/* A new page, all zero, as a memfd sealed against resizing. 0 or -errno. */
int state_page_create(int *fd);
/* Maps it; fd is borrowed. -1: memory of our own, for a process that no other one follows. 0, -EINVAL for what is no
 * state page, or -errno. */
int state_page_map(int fd, void **page);
/* NULL is allowed. */
void state_page_unmap(void *page);

#endif
