/*
 * Sealed memfds: files of memory whose size nobody can change, so that none of those who map one can pull memory away
 * from under another.
 *
 * Source: memfd_create(2); fcntl(2), "File Sealing".
 */
#ifndef ATOLL_COMMON_BASE_SEALED_MEMFD_H
#define ATOLL_COMMON_BASE_SEALED_MEMFD_H

#include <stdint.h>

/* Makes one of `size` bytes, all zero, that is F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL. name: for /proc. 0 or -errno. */
int sealed_memfd_create(const char *name, uint64_t size, int *fd);

/*
 * Whether a descriptor that somebody sent is such a file, of at least `size` bytes, that can be mapped to read and to write. NULL,
 * or what is wrong: "is no memfd".
 */
const char *sealed_memfd_problem(int fd, uint64_t size);

#endif
