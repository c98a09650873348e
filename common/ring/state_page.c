/*
 * State pages. The seals are for the device: whoever else has the descriptor cannot pull memory away from under it.
 */
#include "common/ring/state_page.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int state_page_create(int *fd)
{
	int new_fd = memfd_create(STATE_PAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING), error;

	if (new_fd < 0)
		return -errno;
	if (ftruncate(new_fd, (off_t)STATE_PAGE_SIZE) < 0 ||
	    fcntl(new_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		error = errno;
		close(new_fd);
		return -error;
	}
	*fd = new_fd;
	return 0;
}

int state_page_map(int fd, void **page)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	struct stat status;
	void *mapping;

	if (fd >= 0) {
		if (fstat(fd, &status) < 0)
			return -errno;
		/* All of it there: no SIGBUS. */
		if (!S_ISREG(status.st_mode) || status.st_size < (off_t)STATE_PAGE_SIZE)
			return -EINVAL;
	}
	mapping = mmap(NULL, STATE_PAGE_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (mapping == MAP_FAILED)
		return -errno;
	*page = mapping;
	return 0;
}

void state_page_unmap(void *page)
{
	if (page != NULL)
		munmap(page, STATE_PAGE_SIZE);
}
