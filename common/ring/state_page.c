/*
 * State pages. The seals are for the device: whoever else has the descriptor cannot pull memory away from under it.
 */
#include "common/ring/state_page.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/sealed_memfd.h"

int state_page_create(int *fd)
{
	return sealed_memfd_create(STATE_PAGE_NAME, STATE_PAGE_SIZE, fd);
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
