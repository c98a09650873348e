/*
 * Inflight regions. inflight_region_create() seals them against any change of size, so that neither side can
 * make the other's mapping fault.
 */
#include "vmm-core/wire/inflight_memory.h"

#include <errno.h>
#include <stdlib.h>
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
	*inflight = (struct inflight_memory){.memfd = fd, .memory = memory, .size = size, .mapped = size};
	return 0;
}

void inflight_memory_trim(struct inflight_memory *inflight, uint16_t queues, uint16_t queue_size)
{
	size_t size = inflight_region_size(queues, queue_size);

	if (size < inflight->size)
		inflight->size = size;
}

void inflight_memory_clear(struct inflight_memory *inflight)
{
	memset(inflight->memory, 0, inflight->size);
}

void inflight_memory_destroy(struct inflight_memory *inflight)
{
	if (inflight->memory == NULL)
		return;
	munmap(inflight->memory, inflight->mapped);
	close(inflight->memfd);
	inflight->memory = NULL;
	inflight->memfd = -1;
}

/* --- Spare ones --- */

struct inflight_pool {
	unsigned count, room;
	struct inflight_memory regions[];
};

int inflight_pool_new(unsigned count, unsigned room, uint16_t queues, uint16_t queue_size,
		      struct inflight_pool **pool)
{
	struct inflight_pool *new_pool = calloc(1, sizeof(*new_pool) + room * sizeof(new_pool->regions[0]));
	int result = new_pool == NULL ? -ENOMEM : 0;

	if (result == 0)
		new_pool->room = room;
	while (result == 0 && new_pool->count < count && new_pool->count < room) {
		result = inflight_memory_create(&new_pool->regions[new_pool->count], queues, queue_size);
		if (result == 0)
			new_pool->count++;
	}
	if (result < 0) {
		inflight_pool_free(new_pool);
		return result;
	}
	*pool = new_pool;
	return 0;
}

void inflight_pool_free(struct inflight_pool *pool)
{
	if (pool == NULL)
		return;
	while (pool->count > 0)
		inflight_memory_destroy(&pool->regions[--pool->count]);
	free(pool);
}

int inflight_pool_take(struct inflight_pool *pool, uint16_t queues, uint16_t queue_size,
		       struct inflight_memory *inflight)
{
	if (pool == NULL)
		return inflight_memory_create(inflight, queues, queue_size);
	if (pool->count == 0)
		return -ENOSPC;
	*inflight = pool->regions[--pool->count];
	/* By whatever was written behind its being given back. */
	inflight_memory_clear(inflight);
	return 0;
}

void inflight_pool_give(struct inflight_pool *pool, struct inflight_memory *inflight)
{
	if (inflight->memory == NULL)
		return;
	if (pool == NULL || pool->count == pool->room) {
		inflight_memory_destroy(inflight);
		return;
	}
	inflight->size = inflight->mapped;
	pool->regions[pool->count++] = *inflight;
	inflight->memory = NULL;
	inflight->memfd = -1;
}
