/*
 * The Linux boot protocol, 64-bit entry (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol").
 *
 * The kernel begins in long mode with the first 4 GiB mapped as they are, flat segments with the selectors
 * that the protocol names, and RSI at boot_params: the setup header out of its own file, completed by us.
 */
#include "vmm-core/boot/boot_linux.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/log.h"
#include "vmm-core/machine/machine_layout.h"

#define SETUP_HEADER_FILE_OFFSET 0x1f1
#define LOADER_TYPE_UNDEFINED	 0xff

/* Page table bits; Intel SDM volume 3, 4.5. */
#define PAGE_PRESENT	  UINT64_C(0x01)
#define PAGE_WRITABLE	  UINT64_C(0x02)
#define PAGE_LARGE	  UINT64_C(0x80)
#define PAGE_ENTRIES	  512
#define PAGE_BYTES	  UINT64_C(4096)
#define LARGE_PAGE_BYTES  (2 * MIB)
#define IDENTITY_GIB	  4
#define PAGE_TABLES_BYTES ((2 + IDENTITY_GIB) * PAGE_BYTES)

/* One PML4 and one PDPT, and a page directory of 2 MiB pages per GiB. */
static void write_page_tables(uint8_t *place)
{
	uint64_t *pml4 = (uint64_t *)place;
	uint64_t *pdpt = pml4 + PAGE_ENTRIES;
	uint64_t *directory = pdpt + PAGE_ENTRIES;

	memset(place, 0, PAGE_TABLES_BYTES);
	pml4[0] = (LAYOUT_PAGE_TABLES + PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB; i++)
		pdpt[i] = (LAYOUT_PAGE_TABLES + (2 + i) * PAGE_BYTES) | PAGE_PRESENT | PAGE_WRITABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB * PAGE_ENTRIES; i++)
		directory[i] = i * LARGE_PAGE_BYTES | PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
}

/* boot.rst: __BOOT_CS is selector 0x10, __BOOT_DS 0x18. The vCPU's registers hold the same, already loaded.
 */
static void write_gdt(uint8_t *place)
{
	static const uint64_t gdt[] = {
		0, 0, UINT64_C(0x00af9b000000ffff), /* code, 64 bits */
		UINT64_C(0x00cf93000000ffff),	    /* data, flat */
	};

	memcpy(place, gdt, sizeof(gdt));
}

static void write_e820(struct boot_params *params, const struct guest_ram *ram)
{
	struct boot_memory_range ranges[BOOT_MEMORY_RANGES_MAX];
	size_t count = boot_memory_map(ram, ranges);

	for (size_t i = 0; i < count; i++)
		params->e820_table[i] =
			(struct boot_e820_entry){ranges[i].start, ranges[i].size, ranges[i].type};
	params->e820_entries = (uint8_t)count;
}

int boot_linux_prepare(int kernel_fd, const struct boot_loaded *loaded, const struct guest_ram *ram,
		       struct boot_entry *entry)
{
	struct boot_params params = {0};
	int result;

	_Static_assert(sizeof(struct boot_params) == PAGE_BYTES, "boot_params is the zero page");
	_Static_assert(offsetof(struct boot_params, hdr) == SETUP_HEADER_FILE_OFFSET, "setup header");
	result = boot_read(kernel_fd, &params.hdr, loaded->image.setup_header_size, SETUP_HEADER_FILE_OFFSET);
	if (result < 0) {
		log_error("kernel: its setup header cannot be read: %s; check the file", strerror(-result));
		return result;
	}
	params.hdr.type_of_loader = LOADER_TYPE_UNDEFINED;
	params.hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	params.hdr.ramdisk_image = (uint32_t)loaded->initrd_address;
	params.hdr.ramdisk_size = (uint32_t)loaded->initrd_size;
	params.hdr.setup_data = 0;
	params.acpi_rsdp_addr = loaded->rsdp;
	write_e820(&params, ram);
	memcpy(guest_ram_range(ram, LAYOUT_BOOT_PARAMS, sizeof(params)), &params, sizeof(params));
	write_gdt(guest_ram_range(ram, LAYOUT_GDT, PAGE_BYTES));
	write_page_tables(guest_ram_range(ram, LAYOUT_PAGE_TABLES, PAGE_TABLES_BYTES));
	*entry = (struct boot_entry){
		.long_mode = true, .rip = loaded->image.entry, .argument = LAYOUT_BOOT_PARAMS};
	return 0;
}
