/*
 * Guest RAM: one sealed memfd, which the supervisor makes and keeps; mapped once, handed to KVM as slots and to devices
 * as vhost-user regions.
 *
 * It is sealed (common/base/sealed_memfd.h), so no holder of it can pull memory from under another. RAM below the hole is at
 * file offset 0; RAM above 4 GiB follows it in the file, which may be longer.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_GUEST_RAM_H
#define ATOLL_VMM_CORE_MACHINE_GUEST_RAM_H

#include <stddef.h>
#include <stdint.h>

#define GUEST_RAM_REGIONS_MAX 2

struct guest_ram_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t file_offset;
	uint8_t *host;
};

struct guest_ram {
	int memfd;
	uint64_t size;
	uint8_t *host; /* file offset 0 */
	struct guest_ram_region regions[GUEST_RAM_REGIONS_MAX];
	size_t region_count;
};

/* size: bytes, a multiple of 4 KiB. memfd becomes the RAM's; on an error, -errno (logged), it stays the caller's. */
int guest_ram_map(int memfd, uint64_t size, struct guest_ram *ram);
void guest_ram_destroy(struct guest_ram *ram);
/* KVM_SET_USER_MEMORY_REGION for each region. */
int guest_ram_register(const struct guest_ram *ram, int vm_fd);
/* Our pointer to [guest_address, +size) if it lies in RAM as a whole, else NULL. */
void *guest_ram_range(const struct guest_ram *ram, uint64_t guest_address, uint64_t size);
/* Where RAM of so many bytes ends, without making it; UINT64_MAX for what has no end. */
uint64_t guest_ram_end_of(uint64_t size);
/* The first guest-physical address above all RAM (at least 4 GiB when there is high RAM). */
uint64_t guest_ram_end(const struct guest_ram *ram);

#endif
