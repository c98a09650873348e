/*
 * Guest memory as a device process sees it: the table of vhost-user's SET_MEM_TABLE and ADD_MEM_REG, mapped.
 *
 * The table is built by the thread that owns the vhost-user session while no queue runs, and read by queue
 * threads. Every address that comes from a guest goes through a translation here; a range that does not lie
 * in one region as a whole is split by the caller (virtqueue.c does) or refused.
 *
 * Source: QEMU docs/interop/vhost-user.rst, "Memory region description", "VHOST_USER_SET_MEM_TABLE".
 */
#ifndef ATOLL_COMMON_RING_GUEST_MEMORY_H
#define ATOLL_COMMON_RING_GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* What /proc calls the memfd that is a VM's memory. */
#define GUEST_MEMORY_NAME "atoll-guest-ram"

/* Slots offered in GET_MAX_MEM_SLOTS, and the most a SET_MEM_TABLE may fill (its message has room for 8). */
#define GUEST_MEMORY_REGIONS_MAX 32

struct guest_region {
	uint64_t guest_address; /* bytes, guest-physical */
	uint64_t size;		/* bytes */
	uint64_t user_address;	/* the front end's own mapping: ring addresses are given in it */
	void *host;		/* ours */
	void *mapping;		/* what munmap takes: mmap_offset bytes before host, rounded to a page */
	size_t mapping_size;
};

/* Treat as private outside guest_memory.c; in the header so that translations can be inlined. */
struct guest_memory {
	struct guest_region regions[GUEST_MEMORY_REGIONS_MAX]; /* sorted by guest_address */
	size_t count;
};

void guest_memory_init(struct guest_memory *memory);
/* Unmaps everything. */
void guest_memory_clear(struct guest_memory *memory);

/*
 * Maps a region. fd stays the caller's (a mapping keeps the file). Returns 0 or
 * -EINVAL (zero size, wrap-around, the file is shorter than mmap_offset + size, overlap with another region),
 * -ENOSPC (no slot), or mmap's error. mmap_offset need not be a multiple of a page, nor size.
 */
int guest_memory_add(struct guest_memory *memory, uint64_t guest_address, uint64_t size,
		     uint64_t user_address, uint64_t mmap_offset, int fd);

/* Removes the region with exactly these values; -ENOENT if there is none. */
int guest_memory_remove(struct guest_memory *memory, uint64_t guest_address, uint64_t size,
			uint64_t user_address);

/*
 * Our pointer to a guest-physical address, and in *contiguous how many bytes from there on lie in the same
 * region. NULL if no region holds it. Called for each descriptor of each request, hence inline.
 */
static inline void *guest_memory_translate(const struct guest_memory *memory, uint64_t guest_address,
					   uint64_t *contiguous)
{
	for (size_t i = 0; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		/* Below the region this wraps around, to something no smaller than any region's size. */
		uint64_t offset = guest_address - region->guest_address;

		if (offset < region->size) {
			*contiguous = region->size - offset;
			return (uint8_t *)region->host + offset;
		}
	}
	return NULL;
}

/* The same for [guest_address, +size) as a whole; NULL if it is not inside one region. */
void *guest_memory_range(const struct guest_memory *memory, uint64_t guest_address, uint64_t size);

/* The same for an address in the front end's own mapping, as in SET_VRING_ADDR. */
void *guest_memory_user_range(const struct guest_memory *memory, uint64_t user_address, uint64_t size);

#endif
