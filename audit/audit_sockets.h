/*
 * Unix sockets of a network namespace, and which is connected with which: the kernel's own answer to what a
 * descriptor "socket:[1234]" is for.
 *
 * Source: sock_diag(7), UDIAG_SHOW_PEER.
 */
#ifndef ATOLL_AUDIT_AUDIT_SOCKETS_H
#define ATOLL_AUDIT_AUDIT_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unix_socket {
	uint32_t inode, peer; /* peer 0: none */
	uint8_t type;	      /* SOCK_STREAM, ... */
	bool listening;
};

struct unix_sockets {
	struct unix_socket *sockets; /* by inode, once unix_sockets_sort() was called */
	size_t count;
};

/*
 * Adds those of our own network namespace; of the one of the process whose directory in /proc is dir_fd. The
 * latter needs CAP_SYS_ADMIN there. 0; -EACCES; -ESRCH; -EOPNOTSUPP when this kernel has no unix_diag; or another
 * -errno. On failure nothing is added.
 */
int unix_sockets_read(struct unix_sockets *sockets);
int unix_sockets_read_of(int dir_fd, struct unix_sockets *sockets);

void unix_sockets_sort(struct unix_sockets *sockets);
/* By binary search; NULL when it is none that was read. */
const struct unix_socket *unix_sockets_find(const struct unix_sockets *sockets, uint64_t inode);
void unix_sockets_free(struct unix_sockets *sockets);

#endif
