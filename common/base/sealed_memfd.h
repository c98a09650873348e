/*
 * Memory that another process maps, too: of a size that nobody can change any more, so that whoever has the descriptor
 * cannot pull pages away from under the others.
 *
 * Source: memfd_create(2), F_ADD_SEALS in fcntl(2).
 */
#ifndef ATOLL_COMMON_BASE_SEALED_MEMFD_H
#define ATOLL_COMMON_BASE_SEALED_MEMFD_H

#include <stdint.h>

/* name: what /proc/PID/fd shows behind "memfd:". size: bytes, all of them 0. A descriptor, the caller's, or -errno. */
int sealed_memfd_new(const char *name, uint64_t size);

#endif
