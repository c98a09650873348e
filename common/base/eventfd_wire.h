/*
 * Eventfds that a peer has too. Both have one open file description, so the peer can fill or empty its count at any
 * moment, and change its flags if it is not sealed: nothing here waits, whatever O_NONBLOCK says.
 *
 * Any thread. Source: eventfd(2); preadv2(2), RWF_NOWAIT (of eventfds since Linux 5.8).
 */
#ifndef ATOLL_COMMON_BASE_EVENTFD_WIRE_H
#define ATOLL_COMMON_BASE_EVENTFD_WIRE_H

/*
 * Takes the count, if there is any. 0; or -errno (-EOPNOTSUPP) on a kernel that cannot do so without waiting, which
 * leaves it.
 */
int eventfd_drain(int fd);

/* Adds one; a count that is full is as good as one that is one more. */
void eventfd_raise(int fd);

#endif
