/*
 * A pseudo-terminal for a guest's console, as who opens it must leave it for who serves it.
 */
#ifndef ATOLL_COMMON_HOST_PTY_H
#define ATOLL_COMMON_HOST_PTY_H

#include <stddef.h>

/*
 * Opens a master whose other side passes characters as they are, and is there under name. The descriptor is
 * close-on-exec; -errno.
 */
int pty_open(char *name, size_t size);

#endif
