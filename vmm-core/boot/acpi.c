/*
 * The ACPI tables; see acpi.h.
 *
 * Tables are put one after another behind the RSDP. Each put_ function below makes one; the XSDT comes last,
 * when the addresses of the others are known.
 */
#include "vmm-core/boot/acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "vmm-core/boot/acpi_spec.h"
#include "vmm-core/boot/aml.h"
#include "vmm-core/machine/machine_layout.h"

#define ACPI_ALIGNMENT	    16
#define ACPI_TABLES_MAX	    4
#define ACPI_OEM_ID	    "ATOLL "
#define ACPI_OEM_TABLE_ID   "ATOLLVM "
#define ACPI_CREATOR_ID	    "ATLL"
#define NOTIFY_POWER_BUTTON 0x80

/* The area being filled. */
struct acpi_area {
	uint8_t *data;
	size_t size;
	size_t used;
	uint64_t guest_address;
	uint64_t tables[ACPI_TABLES_MAX]; /* what the XSDT lists */
	unsigned table_count;
};

static uint8_t acpi_checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static struct acpi_header acpi_header_of(const char *signature, unsigned revision)
{
	struct acpi_header header = {.revision = (uint8_t)revision, .oem_revision = 1, .creator_revision = 1};

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(header.oem_id, ACPI_OEM_ID, sizeof(header.oem_id));
	memcpy(header.oem_table_id, ACPI_OEM_TABLE_ID, sizeof(header.oem_table_id));
	memcpy(header.creator_id, ACPI_CREATOR_ID, sizeof(header.creator_id));
	return header;
}

/* Where the next table goes; NULL when size bytes do not fit. */
static uint8_t *area_reserve(struct acpi_area *area, size_t size)
{
	size_t start = (area->used + ACPI_ALIGNMENT - 1) & ~(size_t)(ACPI_ALIGNMENT - 1);

	if (start > area->size || size > area->size - start)
		return NULL;
	area->used = start + size;
	return area->data + start;
}

static uint64_t area_address(const struct acpi_area *area, const uint8_t *table)
{
	return area->guest_address + (uint64_t)(table - area->data);
}

/* Completes the header of a table of size bytes at table. */
static void acpi_seal(uint8_t *table, size_t size)
{
	struct acpi_header header;

	memcpy(&header, table, sizeof(header));
	header.length = (uint32_t)size;
	header.checksum = 0;
	memcpy(table, &header, sizeof(header));
	header.checksum = acpi_checksum(table, size);
	memcpy(table, &header, sizeof(header));
}

static int area_put_table(struct acpi_area *area, const void *table, size_t size, bool in_xsdt,
			  uint64_t *address)
{
	uint8_t *place = area_reserve(area, size);

	if (place == NULL)
		return -ENOSPC;
	memcpy(place, table, size);
	acpi_seal(place, size);
	if (in_xsdt)
		area->tables[area->table_count++] = area_address(area, place);
	if (address != NULL)
		*address = area_address(area, place);
	return 0;
}

/* --- DSDT --- */

/* The PCI root: bus 0 alone, windows for BARs, configuration through ECAM and ports 0xcf8 and 0xcfc. */
static void aml_put_pci_root(struct aml *aml, const struct acpi_machine *machine)
{
	aml_mark device = aml_open_device(aml, "PCI0"), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_resource_bus_window(aml, 0, 0);
	aml_resource_io(aml, LAYOUT_PORT_PCI_ADDRESS, 8);
	aml_resource_io_window(aml, 0, LAYOUT_PORT_PCI_ADDRESS - 1);
	aml_resource_io_window(aml, LAYOUT_PORT_PCI_DATA + 4, UINT16_MAX);
	aml_resource_memory32_window(aml, (uint32_t)LAYOUT_MMIO32_START, (uint32_t)(LAYOUT_MMIO32_END - 1));
	if (machine->mmio64_size > 0)
		aml_resource_memory64_window(aml, machine->mmio64_start,
					     machine->mmio64_start + machine->mmio64_size - 1);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* Linux uses ECAM only where a motherboard resource (or e820) reserves it. */
static void aml_put_motherboard(struct aml *aml)
{
	aml_mark device = aml_open_device(aml, "MBRD"), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_resource_memory32_fixed(aml, (uint32_t)LAYOUT_ECAM_START, (uint32_t)LAYOUT_ECAM_SIZE);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void aml_put_serial_port(struct aml *aml, const struct acpi_serial_port *port, unsigned number)
{
	char name[] = "COM1";
	aml_mark device, resources;

	name[3] = (char)('1' + number);
	device = aml_open_device(aml, name);
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, number + 1);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_resource_io(aml, port->port, 8);
	aml_resource_irq(aml, port->irq);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* ACPI 5.6.9: the generic event device's _EVT reads what happened and tells the power button. */
static void aml_put_events(struct aml *aml)
{
	aml_mark device, resources, method, condition;

	device = aml_open_device(aml, "PWRB");
	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C0C");
	aml_close(aml, device);

	device = aml_open_device(aml, "GED0");
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0013");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_resource_gsi(aml, LAYOUT_GSI_GED);
	aml_close_resources(aml, resources);
	aml_operation_region_io(aml, "EREG", LAYOUT_PORT_GED_EVENTS, 4);
	aml_field_dword(aml, "EREG", "EVTS");
	method = aml_open_method(aml, "_EVT", 1, true);
	aml_store_to_local0(aml, "EVTS");
	condition = aml_open_if_local0_and(aml, LAYOUT_GED_POWER_BUTTON);
	aml_notify(aml, "\\_SB.PWRB", NOTIFY_POWER_BUTTON);
	aml_close(aml, condition);
	aml_close(aml, method);
	aml_close(aml, device);
}

static void aml_put_pvpanic(struct aml *aml)
{
	aml_mark device = aml_open_device(aml, "PEVT"), resources;

	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0001");
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_resource_io(aml, LAYOUT_PORT_PVPANIC, 1);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* ACPI 7.4.2: of \_S5's elements a hardware-reduced platform uses the first. */
static void aml_put_sleep_states(struct aml *aml)
{
	aml_mark package;

	aml_name(aml, "\\_S5");
	package = aml_open_package(aml, 4);
	aml_integer(aml, LAYOUT_SLEEP_TYPE_S5);
	for (unsigned i = 1; i < 4; i++)
		aml_integer(aml, 0);
	aml_close(aml, package);
}

static int put_dsdt(struct acpi_area *area, const struct acpi_machine *machine, uint64_t *address)
{
	uint8_t table[4096];
	struct acpi_header header = acpi_header_of("DSDT", ACPI_DSDT_REVISION);
	struct aml aml;
	aml_mark scope;
	size_t used;
	int result;

	memcpy(table, &header, sizeof(header));
	aml_init(&aml, table + sizeof(header), sizeof(table) - sizeof(header));
	scope = aml_open_scope(&aml, "\\_SB");
	aml_put_pci_root(&aml, machine);
	aml_put_motherboard(&aml);
	for (unsigned i = 0; i < machine->serial_count; i++)
		aml_put_serial_port(&aml, &machine->serial[i], i);
	aml_put_events(&aml);
	aml_put_pvpanic(&aml);
	aml_close(&aml, scope);
	aml_put_sleep_states(&aml);
	result = aml_finish(&aml, &used);
	if (result < 0)
		return result;
	return area_put_table(area, table, sizeof(header) + used, false, address);
}

/* --- the fixed tables --- */

static int put_fadt(struct acpi_area *area, uint64_t dsdt)
{
	const struct acpi_address byte_port = {
		.space = ACPI_SPACE_SYSTEM_IO, .bit_width = 8, .access_size = ACPI_ACCESS_BYTE};
	struct acpi_fadt fadt = {
		.header = acpi_header_of("FACP", ACPI_FADT_REVISION),
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		/* The 8042 bit stays clear: probing for a keyboard controller costs a boot most of a second.
		 */
		.iapc_boot_arch = ACPI_FADT_BOOT_VGA_NOT_PRESENT | ACPI_FADT_BOOT_NO_CMOS_RTC,
		.flags = ACPI_FADT_FLAG_WBINVD | ACPI_FADT_FLAG_PWR_BUTTON | ACPI_FADT_FLAG_SLP_BUTTON |
			 ACPI_FADT_FLAG_RESET_REG_SUP | ACPI_FADT_FLAG_HW_REDUCED_ACPI,
		.reset_register = byte_port,
		.reset_value = LAYOUT_RESET_VALUE,
		.minor_version = ACPI_FADT_MINOR_VERSION,
		.sleep_control = byte_port,
		.sleep_status = byte_port,
		.hypervisor_id = {'A', 't', 'o', 'l', 'l'},
	};

	fadt.reset_register.address = LAYOUT_PORT_RESET_CONTROL;
	fadt.sleep_control.address = LAYOUT_PORT_SLEEP_CONTROL;
	fadt.sleep_status.address = LAYOUT_PORT_SLEEP_STATUS;
	return area_put_table(area, &fadt, sizeof(fadt), true, NULL);
}

static int put_madt(struct acpi_area *area, const struct acpi_machine *machine)
{
	struct {
		struct acpi_madt madt;
		struct acpi_madt_io_apic io_apic;
		struct acpi_madt_local_apic_nmi nmi;
		struct acpi_madt_local_apic local_apics[ACPI_CPUS_MAX];
	} ACPI_PACKED table = {
		.madt = {.header = acpi_header_of("APIC", ACPI_MADT_REVISION),
			 .local_apic_address = (uint32_t)LAYOUT_LAPIC},
		.io_apic = {.type = ACPI_MADT_IO_APIC,
			    .length = sizeof(struct acpi_madt_io_apic),
			    .address = (uint32_t)LAYOUT_IOAPIC},
		.nmi = {.type = ACPI_MADT_LOCAL_APIC_NMI,
			.length = sizeof(struct acpi_madt_local_apic_nmi),
			.processor_uid = ACPI_MADT_ALL_PROCESSORS,
			.lint = 1},
	};

	for (unsigned i = 0; i < machine->cpus; i++)
		table.local_apics[i] = (struct acpi_madt_local_apic){
			.type = ACPI_MADT_LOCAL_APIC,
			.length = sizeof(struct acpi_madt_local_apic),
			.processor_uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = ACPI_MADT_LOCAL_APIC_ENABLED,
		};
	return area_put_table(area, &table,
			      sizeof(table) - (ACPI_CPUS_MAX - machine->cpus) * sizeof(table.local_apics[0]),
			      true, NULL);
}

static int put_mcfg(struct acpi_area *area)
{
	const struct acpi_mcfg mcfg = {.header = acpi_header_of("MCFG", ACPI_MCFG_REVISION),
				       .base = LAYOUT_ECAM_START};

	return area_put_table(area, &mcfg, sizeof(mcfg), true, NULL);
}

static int put_xsdt(struct acpi_area *area, uint64_t *address)
{
	uint8_t table[sizeof(struct acpi_header) + sizeof(area->tables)];
	struct acpi_header header = acpi_header_of("XSDT", ACPI_XSDT_REVISION);
	size_t entries = area->table_count * sizeof(area->tables[0]);

	memcpy(table, &header, sizeof(header));
	memcpy(table + sizeof(header), area->tables, entries);
	return area_put_table(area, table, sizeof(header) + entries, false, address);
}

static void put_rsdp(uint8_t *place, uint64_t xsdt)
{
	struct acpi_rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.revision = ACPI_RSDP_REVISION,
		.length = sizeof(rsdp),
		.xsdt_address = xsdt,
	};

	memcpy(rsdp.oem_id, ACPI_OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = acpi_checksum(&rsdp, ACPI_RSDP_CHECKSUM_SIZE);
	rsdp.extended_checksum = acpi_checksum(&rsdp, sizeof(rsdp));
	memcpy(place, &rsdp, sizeof(rsdp));
}

int acpi_build(const struct acpi_machine *machine, uint8_t *area_data, size_t size, uint64_t guest_address,
	       size_t *used)
{
	struct acpi_area area = {.data = area_data, .size = size, .guest_address = guest_address};
	uint64_t dsdt, xsdt;
	uint8_t *rsdp;
	int result;

	if (machine->cpus == 0 || machine->cpus > ACPI_CPUS_MAX ||
	    machine->serial_count > ACPI_SERIAL_PORTS_MAX)
		return -EINVAL;
	rsdp = area_reserve(&area, sizeof(struct acpi_rsdp));
	if (rsdp == NULL)
		return -ENOSPC;
	if ((result = put_dsdt(&area, machine, &dsdt)) < 0 || (result = put_fadt(&area, dsdt)) < 0 ||
	    (result = put_madt(&area, machine)) < 0 || (result = put_mcfg(&area)) < 0 ||
	    (result = put_xsdt(&area, &xsdt)) < 0)
		return result;
	put_rsdp(rsdp, xsdt);
	*used = area.used;
	return 0;
}
