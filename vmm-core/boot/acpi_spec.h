/*
 * ACPI tables as they lie in memory: ACPI 6.5 chapter 5 (section numbers below), and the PCI Firmware
 * Specification 3.3 section 4.1.2 for MCFG. All fields little-endian.
 */
#ifndef ATOLL_VMM_CORE_BOOT_ACPI_SPEC_H
#define ATOLL_VMM_CORE_BOOT_ACPI_SPEC_H

#include <stdint.h>

#define ACPI_PACKED __attribute__((packed))

/* 5.2.3.2 Generic address structure. */
#define ACPI_SPACE_SYSTEM_IO 1
#define ACPI_ACCESS_BYTE     1
struct acpi_address {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} ACPI_PACKED;

/* 5.2.5.3 Root system description pointer. */
struct acpi_rsdp {
	char signature[8]; /* "RSD PTR " */
	uint8_t checksum;  /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} ACPI_PACKED;
#define ACPI_RSDP_CHECKSUM_SIZE 20
#define ACPI_RSDP_REVISION	2

/* 5.2.6 System description table header. */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} ACPI_PACKED;

/* 5.2.9 Fixed ACPI description table. What a hardware-reduced platform leaves zero is not named. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t firmware_control;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_profile;
	uint8_t fixed_hardware0[63]; /* SCI_INT to CENTURY */
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_control;
	uint64_t x_dsdt;
	struct acpi_address fixed_hardware1[8]; /* X_PM1a_EVT_BLK to X_GPE1_BLK */
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	char hypervisor_id[8];
} ACPI_PACKED;
#define ACPI_FADT_REVISION	       6
#define ACPI_FADT_MINOR_VERSION	       5
#define ACPI_FADT_FLAG_WBINVD	       (UINT32_C(1) << 0)
#define ACPI_FADT_FLAG_PWR_BUTTON      (UINT32_C(1) << 4) /* no fixed power button: a device or none */
#define ACPI_FADT_FLAG_SLP_BUTTON      (UINT32_C(1) << 5)
#define ACPI_FADT_FLAG_RESET_REG_SUP   (UINT32_C(1) << 10)
#define ACPI_FADT_FLAG_HW_REDUCED_ACPI (UINT32_C(1) << 20)
#define ACPI_FADT_BOOT_VGA_NOT_PRESENT (1 << 2)
#define ACPI_FADT_BOOT_NO_CMOS_RTC     (1 << 5)

/* 5.2.12 Multiple APIC description table. */
struct acpi_madt {
	struct acpi_header header;
	uint32_t local_apic_address;
	uint32_t flags;
} ACPI_PACKED;
#define ACPI_MADT_REVISION 5

#define ACPI_MADT_LOCAL_APIC	     0
#define ACPI_MADT_IO_APIC	     1
#define ACPI_MADT_LOCAL_APIC_NMI     4
#define ACPI_MADT_LOCAL_APIC_ENABLED (UINT32_C(1) << 0)
#define ACPI_MADT_ALL_PROCESSORS     0xff

struct acpi_madt_local_apic {
	uint8_t type;
	uint8_t length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags;
} ACPI_PACKED;

struct acpi_madt_io_apic {
	uint8_t type;
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} ACPI_PACKED;

struct acpi_madt_local_apic_nmi {
	uint8_t type;
	uint8_t length;
	uint8_t processor_uid;
	uint16_t flags;
	uint8_t lint;
} ACPI_PACKED;

/* MCFG: one allocation. */
struct acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint32_t reserved1;
} ACPI_PACKED;
#define ACPI_MCFG_REVISION 1

#define ACPI_DSDT_REVISION 2
#define ACPI_XSDT_REVISION 1

_Static_assert(sizeof(struct acpi_address) == 12, "generic address structure");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");

#endif
