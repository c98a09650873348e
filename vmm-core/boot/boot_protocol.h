/*
 * What the boot protocols have in common: what was loaded, what lies where, and how the first vCPU begins.
 */
#ifndef ATOLL_VMM_CORE_BOOT_BOOT_PROTOCOL_H
#define ATOLL_VMM_CORE_BOOT_BOOT_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/host/kernel_image.h"
#include "vmm-core/machine/guest_ram.h"

/* The state in which the first vCPU begins. */
struct boot_entry {
	bool long_mode; /* 64-bit with the loader's page tables and GDT; else 32-bit flat, paging off */
	uint64_t rip;
	uint64_t argument; /* boot_params in RSI (long mode), or hvm_start_info in EBX */
};

/* Files that are loaded, and where. */
struct boot_loaded {
	struct kernel_image image;
	uint64_t initrd_address;
	uint64_t initrd_size; /* 0: none */
	uint64_t rsdp;
};

/* What lies where in guest-physical memory, as e820 and PVH tell it. */
enum boot_memory_type { /* ACPI 15, table 15.1; the same numbers in both protocols */
			BOOT_MEMORY_RAM = 1,
			BOOT_MEMORY_RESERVED = 2,
};
struct boot_memory_range {
	uint64_t start;
	uint64_t size;
	enum boot_memory_type type;
};
#define BOOT_MEMORY_RANGES_MAX 8
/* Fills ranges, sorted by address; returns how many. */
size_t boot_memory_map(const struct guest_ram *ram, struct boot_memory_range ranges[BOOT_MEMORY_RANGES_MAX]);

/* Reads [offset, +size) of a file; 0, -EIO when it is shorter, or -errno. */
int boot_read(int fd, void *data, uint64_t size, uint64_t offset);

#endif
