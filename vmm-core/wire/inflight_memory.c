/*
 * Inflight regions. inflight_region_create() seals them against any change of size, so that neither side can
 * make the other's mapping fault.
 */
#include "vmm-core/wire/inflight_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ring/inflight.h"

int inflight_memory_create(struct inflight_memory *inflight, uint16_t queues, uint16_t queue_size)
{
	size_t size = inflight_region_size(queues, queue_size);
	int fd, result = inflight_region_create(queues, queue_size, &fd);
	void *memory;

	if (result < 0)
		return result;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		result = -errno;
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
