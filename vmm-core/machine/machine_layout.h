/*
 * Where everything is in the guest's two address spaces. The one place for these numbers: boot, ACPI, PCI and
 * the chipset all take them from here.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_MACHINE_LAYOUT_H
#define ATOLL_VMM_CORE_MACHINE_MACHINE_LAYOUT_H

#include <stdint.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* Guest-physical memory. RAM: [0, LAYOUT_HOLE_START) and, for larger guests, from LAYOUT_HIGH_RAM_START. */
#define LAYOUT_EBDA_START     UINT64_C(0x9fc00) /* end of usable low RAM, as PCs have it */
#define LAYOUT_BIOS_START     UINT64_C(0xe0000) /* RSDP and ACPI tables, reserved in e820 */
#define LAYOUT_RESET_VECTOR   UINT64_C(0xffff0) /* real mode's f000:fff0; the end of the BIOS area */
#define LAYOUT_ONE_MIB	      UINT64_C(0x100000)
#define LAYOUT_HOLE_START     UINT64_C(0xc0000000)
#define LAYOUT_MMIO32_START   UINT64_C(0xc0000000) /* PCI window below 4 GiB */
#define LAYOUT_MMIO32_END     UINT64_C(0xe0000000)
#define LAYOUT_ECAM_START     UINT64_C(0xe0000000) /* one bus: 1 MiB */
#define LAYOUT_ECAM_SIZE      UINT64_C(0x100000)
#define LAYOUT_IOAPIC	      UINT64_C(0xfec00000)
#define LAYOUT_LAPIC	      UINT64_C(0xfee00000)
#define LAYOUT_IDENTITY_MAP   UINT64_C(0xfffbc000) /* KVM_SET_IDENTITY_MAP_ADDR: one page */
#define LAYOUT_TSS	      UINT64_C(0xfffbd000) /* KVM_SET_TSS_ADDR: three pages */
#define LAYOUT_HIGH_RAM_START UINT64_C(0x100000000)
/*
 * PCI window above 4 GiB: LAYOUT_MMIO64_SIZE at LAYOUT_MMIO64_START or the next GiB above the end of RAM, whichever
 * is higher. Where the processor's addresses do not reach so far: at their end, and as large as there is room
 * above RAM, down to none (size 0).
 */
#define LAYOUT_MMIO64_START UINT64_C(0x4000000000)
#define LAYOUT_MMIO64_SIZE  UINT64_C(0x1000000000)

struct layout_window {
	uint64_t start;
	uint64_t size;
};

/* physical_bits: 36 to 52. RAM ends below it. */
static inline struct layout_window layout_mmio64(uint64_t ram_end, unsigned physical_bits)
{
	uint64_t limit = UINT64_C(1) << physical_bits;
	uint64_t lowest = ram_end > LAYOUT_HIGH_RAM_START ? ram_end : LAYOUT_HIGH_RAM_START;
	struct layout_window window = {.size = LAYOUT_MMIO64_SIZE};

	lowest = (lowest + GIB - 1) / GIB * GIB;
	window.start = lowest > LAYOUT_MMIO64_START ? lowest : LAYOUT_MMIO64_START;
	if (window.start <= limit && window.size <= limit - window.start)
		return window;
	while (window.size >= GIB && (lowest > limit || window.size > limit - lowest))
		window.size /= 2;
	if (window.size < GIB)
		return (struct layout_window){0};
	window.start = limit - window.size;
	return window;
}

/* Where the loader puts things; all below LAYOUT_EBDA_START. */
#define LAYOUT_GDT	      UINT64_C(0x500)
#define LAYOUT_PVH_START_INFO UINT64_C(0x6000)
#define LAYOUT_BOOT_PARAMS    UINT64_C(0x7000)
#define LAYOUT_PAGE_TABLES    UINT64_C(0x9000)
#define LAYOUT_CMDLINE	      UINT64_C(0x20000)
#define LAYOUT_CMDLINE_SIZE   UINT64_C(0x10000)

/* Ports. */
#define LAYOUT_PORT_I8042_DATA	  0x60
#define LAYOUT_PORT_I8042_COMMAND 0x64
#define LAYOUT_PORT_DEBUG_EXIT	  0xf4
#define LAYOUT_PORT_COM1	  0x3f8 /* 8 ports; COM2..4 at the PC's places follow if configured */
#define LAYOUT_PORT_PVPANIC	  0x505
#define LAYOUT_PORT_SLEEP_CONTROL 0x600 /* ACPI 4.8.3.7 */
#define LAYOUT_PORT_SLEEP_STATUS  0x601
#define LAYOUT_PORT_GED_EVENTS	  0x608 /* 4 bytes: pending events of the generic event device, read clears */
#define LAYOUT_PORT_PCI_ADDRESS	  0xcf8
#define LAYOUT_PORT_RESET_CONTROL 0xcf9
#define LAYOUT_PORT_PCI_DATA	  0xcfc

/* What the ACPI tables tell of these ports' values, and the chipset takes. */
#define LAYOUT_SLEEP_TYPE_S5	5		   /* \_S5's, of the sleep control register */
#define LAYOUT_RESET_VALUE	0x06		   /* FADT's RESET_VALUE, of the reset control register */
#define LAYOUT_GED_POWER_BUTTON (UINT32_C(1) << 0) /* of the events register */

/* Global system interrupts; ISA identity below 16. PCI functions have MSI-X only. */
#define LAYOUT_GSI_COM1	       4
#define LAYOUT_GSI_GED	       9
#define LAYOUT_GSI_IOAPIC_PINS 24
/* GSIs from here on are MSI routes. */
#define LAYOUT_GSI_MSI_FIRST 24

#endif
