/*
 * The memory table. A handful of regions, sorted by guest address; a translation is a scan of them, which for
 * the one to three regions that front ends send is faster than anything clever.
 */
#include "common/ring/guest_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The largest huge page of x86-64. */
#define GUEST_MEMORY_UNIT_MAX (UINT64_C(1) << 30)

void guest_memory_init(struct guest_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
}

static void guest_region_unmap(struct guest_region *region)
{
	munmap(region->mapping, region->mapping_size);
}

void guest_memory_clear(struct guest_memory *memory)
{
	for (size_t i = 0; i < memory->count; i++)
		guest_region_unmap(&memory->regions[i]);
	memory->count = 0;
}

/*
 * Whether the file behind fd holds [0, end): a mapping beyond its end would kill us with SIGBUS. *unit
 * becomes what offset and size of a mapping must be multiples of: more than a page for a file of huge pages,
 * whose block size tells it.
 */
static int guest_memory_check_file(int fd, uint64_t end, uint64_t *unit)
{
	struct stat status;
	uint64_t block;

	if (fstat(fd, &status) < 0)
		return -errno;
	*unit = (uint64_t)sysconf(_SC_PAGESIZE);
	block = (uint64_t)status.st_blksize;
	if (block > *unit && block <= GUEST_MEMORY_UNIT_MAX && (block & (block - 1)) == 0)
		*unit = block;
	if (!S_ISREG(status.st_mode))
		return S_ISCHR(status.st_mode) ? 0 : -EINVAL; /* device memory has no size of its own */
	return (uint64_t)status.st_size >= end ? 0 : -EINVAL;
}

int guest_memory_add(struct guest_memory *memory, uint64_t guest_address, uint64_t size,
		     uint64_t user_address, uint64_t mmap_offset, int fd)
{
	struct guest_region region = {
		.guest_address = guest_address,
		.size = size,
		.user_address = user_address,
	};
	uint64_t file_end, end, offset;
	uint64_t unit = 0; /* for compilers that do not know that errno is never 0 after a failure */
	size_t at = 0;
	int result;

	if (size == 0 || __builtin_add_overflow(guest_address, size - 1, &end) ||
	    __builtin_add_overflow(user_address, size - 1, &end) ||
	    __builtin_add_overflow(mmap_offset, size, &file_end) ||
	    file_end > INT64_MAX - GUEST_MEMORY_UNIT_MAX)
		return -EINVAL;
	if (memory->count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_region *other = &memory->regions[i];

		if (guest_address <= other->guest_address + (other->size - 1) &&
		    other->guest_address <= guest_address + (size - 1))
			return -EINVAL;
		if (other->guest_address < guest_address)
			at = i + 1;
	}
	result = guest_memory_check_file(fd, file_end, &unit);
	if (result < 0)
		return result;
	offset = mmap_offset & ~(unit - 1);
	region.mapping_size = (size_t)((mmap_offset - offset + size + unit - 1) & ~(unit - 1));
	region.mapping = mmap(NULL, region.mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			      fd, (off_t)offset);
	if (region.mapping == MAP_FAILED)
		return -errno;
	/* A core dump of a device must not hold the guest's memory. */
	madvise(region.mapping, region.mapping_size, MADV_DONTDUMP);
	region.host = (uint8_t *)region.mapping + (mmap_offset - offset);
	memmove(&memory->regions[at + 1], &memory->regions[at], (memory->count - at) * sizeof(region));
	memory->regions[at] = region;
	memory->count++;
	return 0;
}

int guest_memory_remove(struct guest_memory *memory, uint64_t guest_address, uint64_t size,
			uint64_t user_address)
{
	for (size_t i = 0; i < memory->count; i++) {
		struct guest_region *region = &memory->regions[i];

		if (region->guest_address != guest_address || region->size != size ||
		    region->user_address != user_address)
			continue;
		guest_region_unmap(region);
		memory->count--;
		memmove(region, region + 1, (memory->count - i) * sizeof(*region));
		return 0;
	}
	return -ENOENT;
}

void *guest_memory_range(const struct guest_memory *memory, uint64_t guest_address, uint64_t size)
{
	uint64_t contiguous;
	void *host = guest_memory_translate(memory, guest_address, &contiguous);

	return host != NULL && contiguous >= size ? host : NULL;
}

void *guest_memory_user_range(const struct guest_memory *memory, uint64_t user_address, uint64_t size)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		uint64_t offset = user_address - region->user_address;

		if (offset < region->size)
			return region->size - offset >= size ? (uint8_t *)region->host + offset : NULL;
	}
	return NULL;
}
