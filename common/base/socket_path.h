/*
 * Where a unix socket is to be: what is there already. A program that is killed leaves its socket file, which nobody listens on any
 * more; that one is in the way of nobody.
 *
 * Source: unix(7); connect(2), ECONNREFUSED.
 */
#ifndef ATOLL_COMMON_BASE_SOCKET_PATH_H
#define ATOLL_COMMON_BASE_SOCKET_PATH_H

#include <sys/un.h>

/*
 * Makes the address of a path. 0 if a socket can be bound there, once a stale one is unlinked; -ENAMETOOLONG; -EEXIST: there is
 * something that is no socket; -EADDRINUSE: a socket that somebody listens on, of whatever type, or that does not say that nobody
 * does; or another -errno. Changes nothing.
 */
int socket_path_look(const char *path, struct sockaddr_un *address);

#endif
