/*
 * The PVH boot protocol (Xen docs/misc/pvh.pandoc; structures of
 * xen/include/public/arch-x86/hvm/start_info.h).
 *
 * The kernel begins in 32-bit protected mode with flat segments and paging off, EBX at hvm_start_info. The
 * structure, its one module and the memory map share a page.
 */
#include "vmm-core/boot/boot_pvh.h"

#include <string.h>

#include "vmm-core/machine/machine_layout.h"

#define HVM_START_INFO_MAGIC   0x336ec578
#define HVM_START_INFO_VERSION 1

struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_entries;
	uint32_t reserved;
};

struct hvm_module {
	uint64_t address;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct hvm_memory_map_entry {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

_Static_assert(sizeof(struct hvm_start_info) == 56, "hvm_start_info");
_Static_assert(sizeof(struct hvm_memory_map_entry) == 24, "hvm_memmap_table_entry");

/* How they lie in guest memory from LAYOUT_PVH_START_INFO on. */
struct pvh_page {
	struct hvm_start_info info;
	struct hvm_module module;
	struct hvm_memory_map_entry map[BOOT_MEMORY_RANGES_MAX];
};

_Static_assert(sizeof(struct pvh_page) <= LAYOUT_BOOT_PARAMS - LAYOUT_PVH_START_INFO, "room for start_info");

int boot_pvh_prepare(const struct boot_loaded *loaded, const struct guest_ram *ram, struct boot_entry *entry)
{
	struct boot_memory_range ranges[BOOT_MEMORY_RANGES_MAX];
	size_t count = boot_memory_map(ram, ranges);
	struct pvh_page page = {
		.info = {.magic = HVM_START_INFO_MAGIC,
			 .version = HVM_START_INFO_VERSION,
			 .cmdline = LAYOUT_CMDLINE,
			 .rsdp = loaded->rsdp,
			 .memory_map = LAYOUT_PVH_START_INFO + offsetof(struct pvh_page, map),
			 .memory_map_entries = (uint32_t)count},
	};

	if (loaded->initrd_size > 0) {
		page.info.module_count = 1;
		page.info.modules = LAYOUT_PVH_START_INFO + offsetof(struct pvh_page, module);
		page.module =
			(struct hvm_module){.address = loaded->initrd_address, .size = loaded->initrd_size};
	}
	for (size_t i = 0; i < count; i++)
		page.map[i] =
			(struct hvm_memory_map_entry){ranges[i].start, ranges[i].size, ranges[i].type, 0};
	memcpy(guest_ram_range(ram, LAYOUT_PVH_START_INFO, sizeof(page)), &page, sizeof(page));
	*entry = (struct boot_entry){.rip = loaded->image.entry, .argument = LAYOUT_PVH_START_INFO};
	return 0;
}
