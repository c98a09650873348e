/*
 * Sealed memfds. Seals come after the size is final; F_SEAL_WRITE is left out, since several processes map the file for
 * writing.
 */
#include "common/base/sealed_memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SIZE_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WRITE_SEALS (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

int sealed_memfd_create(const char *name, uint64_t size, int *fd)
{
	int new_fd, error;

	if (size > INT64_MAX)
		return -EFBIG;
	new_fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (new_fd < 0)
		return -errno;
	if (ftruncate(new_fd, (off_t)size) < 0 || fcntl(new_fd, F_ADD_SEALS, SIZE_SEALS) < 0) {
		error = errno;
		close(new_fd);
		return -error;
	}
	*fd = new_fd;
	return 0;
}

const char *sealed_memfd_problem(int fd, uint64_t size)
{
	int flags = fcntl(fd, F_GETFL), seals = fcntl(fd, F_GET_SEALS);
	struct stat status;

	if (flags < 0 || fstat(fd, &status) < 0)
		return "cannot be looked at";
	/* The kernel knows seals of such files alone. */
	if (seals < 0 || !S_ISREG(status.st_mode))
		return "is no memfd";
	if ((seals & SIZE_SEALS) != SIZE_SEALS)
		return "is not sealed against a change of its size";
	if ((flags & O_ACCMODE) != O_RDWR || (seals & WRITE_SEALS) != 0)
		return "cannot be written";
	return (uint64_t)status.st_size < size ? "is too small" : (const char *)NULL;
}
