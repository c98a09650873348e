/*
 * Inflight regions. Sealed against any change of size, so that neither side can make the other's mapping
 * fault.
 */
#include "vmm-core/inflight_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/vhost_user_spec.h"

int inflight_memory_create(struct inflight_memory *inflight, unsigned queues, uint16_t queue_size)
{
	size_t size = queues * VHOST_USER_INFLIGHT_QUEUE_SIZE(queue_size);
	int fd = memfd_create("atoll-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *memory = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		int result = -errno;

		close(fd);
		return result;
	}
	*inflight = (struct inflight_memory){.memfd = fd, .memory = memory, .size = size};
	return 0;
}

void inflight_memory_clear(struct inflight_memory *inflight)
{
	memset(inflight->memory, 0, inflight->size);
}

void inflight_memory_destroy(struct inflight_memory *inflight)
{
	if (inflight->memory == NULL)
		return;
	munmap(inflight->memory, inflight->size);
	close(inflight->memfd);
	inflight->memory = NULL;
	inflight->memfd = -1;
}
