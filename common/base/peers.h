/*
 * Whose peers are: the supervisor connects a process of ours with processes of ours; by hand, a front end may be
 * anybody's.
 *
 * What a foreign front end may leave to a device (that its eventfds do not block, that its inflight region is made),
 * ours do themselves, so that a supervised process needs no system call for it, and its filter has none.
 *
 * Any thread; peers_are_ours() before there are others.
 */
#ifndef ATOLL_COMMON_BASE_PEERS_H
#define ATOLL_COMMON_BASE_PEERS_H

#include <stdbool.h>

/* From here on all peers of this process are ours. */
void peers_are_ours(void);
bool peers_ours(void);

/*
 * Sees to it that a descriptor that a peer handed over does not block; its flags change for the peer too. 0; -EPROTO:
 * it blocks, and a peer of ours hands over none that does; -errno of fcntl(2). The descriptor stays the caller's.
 */
int peer_fd_nonblocking(int fd);

#endif
