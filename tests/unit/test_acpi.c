/*
 * ACPI: the assembler's encodings against the specification's own, and whole tables against their checksums,
 * their pointers and Intel's compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm-core/boot/acpi.h"
#include "vmm-core/boot/acpi_spec.h"
#include "vmm-core/boot/aml.h"

#define AREA_ADDRESS UINT64_C(0xe0000)
#define AREA_SIZE    0x20000

static uint8_t buffer[8192];
static uint8_t area[AREA_SIZE];

static size_t finished(const struct aml *aml)
{
	size_t used = 0;

	assert_int_equal(aml_finish(aml, &used), 0);
	return used;
}

/* --- the assembler --- */

static void integers_take_the_shortest_form(void **state)
{
	static const uint8_t expected[] = {0x00, 0x01, 0x0a, 0x02, 0x0a, 0xff, 0x0b, 0x00,
					   0x01, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x0e, 0x00,
					   0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00};
	struct aml aml;

	(void)state;
	aml_init(&aml, buffer, sizeof(buffer));
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 2);
	aml_integer(&aml, 0xff);
	aml_integer(&aml, 0x100);
	aml_integer(&aml, 0x10000);
	aml_integer(&aml, UINT64_C(0x100000000));
	assert_int_equal(finished(&aml), sizeof(expected));
	assert_memory_equal(buffer, expected, sizeof(expected));
}

static void names_and_ids_are_encoded(void **state)
{
	/* Scope (\_SB.PCI0.A) { Name (_HID, EisaId ("PNP0A08")) Name (B, "x") } */
	static const uint8_t expected[] = {0x10, 0x22, '\\', 0x2f, 3,	'_',  'S', 'B', '_',  'P', 'C',	 'I',
					   '0',	 'A',  '_',  '_',  '_', 0x08, '_', 'H', 'I',  'D', 0x0c, 0x41,
					   0xd0, 0x0a, 0x08, 0x08, 'B', '_',  '_', '_', 0x0d, 'x', 0x00};
	struct aml aml;
	aml_mark scope;

	(void)state;
	aml_init(&aml, buffer, sizeof(buffer));
	scope = aml_open_scope(&aml, "\\_SB.PCI0.A");
	aml_name(&aml, "_HID");
	aml_eisa_id(&aml, "PNP0A08");
	aml_name(&aml, "B");
	aml_string(&aml, "x");
	aml_close(&aml, scope);
	assert_int_equal(finished(&aml), sizeof(expected));
	assert_memory_equal(buffer, expected, sizeof(expected));
}

/* ACPI 20.2.4: a length counts itself; each border of the encoding. */
static void lengths_are_encoded(void **state)
{
	static const struct {
		size_t body;
		uint8_t bytes[3];
		size_t count;
	} cases[] = {
		{62, {0x3f}, 1},
		{63, {0x41, 0x04}, 2},
		{4093, {0x4f, 0xff}, 2},
		{4094, {0x81, 0x00, 0x01}, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct aml aml;
		aml_mark package;

		aml_init(&aml, buffer, sizeof(buffer));
		package = aml_open_package(&aml, 0);
		for (size_t filled = 1; filled < cases[i].body; filled++)
			aml_integer(&aml, 0);
		aml_close(&aml, package);
		assert_int_equal(finished(&aml), 1 + cases[i].count + cases[i].body);
		assert_memory_equal(buffer + 1, cases[i].bytes, cases[i].count);
	}
}

static void errors_stick(void **state)
{
	static const char *const bad_names[] = {"", "\\", "ABCDE", "A..B", "A.", ".A", "A.B.C.D.E.F.G.H.I"};
	struct aml aml;
	aml_mark mark;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++) {
		aml_init(&aml, buffer, sizeof(buffer));
		aml_name(&aml, bad_names[i]);
		aml_integer(&aml, 1);
		assert_true(aml_finish(&aml, &used) < 0);
	}
	for (size_t size = 0; size < 20; size++) {
		aml_init(&aml, buffer, size);
		mark = aml_open_device(&aml, "\\_SB.PCI0");
		aml_name(&aml, "_UID");
		aml_integer(&aml, 7);
		aml_close(&aml, mark);
		assert_int_equal(aml_finish(&aml, &used), -ENOSPC);
	}
}

/* --- the tables --- */

static struct acpi_machine machine_of(unsigned cpus)
{
	return (struct acpi_machine){
		.cpus = cpus,
		.serial = {{0x3f8, 4}, {0x2f8, 3}},
		.serial_count = 2,
		.mmio64_start = UINT64_C(0x4000000000),
		.mmio64_size = UINT64_C(0x1000000000),
	};
}

static uint8_t sum_of(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	while (size-- > 0)
		sum = (uint8_t)(sum + *bytes++);
	return sum;
}

/* The table at a guest address, whole and with a right checksum. */
static const struct acpi_header *table_at(uint64_t address)
{
	const struct acpi_header *table;

	assert_true(address >= AREA_ADDRESS && address <= AREA_ADDRESS + AREA_SIZE - sizeof(*table));
	table = (const struct acpi_header *)(area + (address - AREA_ADDRESS));
	assert_true(table->length >= sizeof(*table) && table->length <= AREA_ADDRESS + AREA_SIZE - address);
	assert_int_equal(sum_of(table, table->length), 0);
	return table;
}

/* The table that the XSDT lists with a signature. */
static const struct acpi_header *find_table(const char *signature)
{
	const struct acpi_rsdp *rsdp = (const struct acpi_rsdp *)area;
	const struct acpi_header *xsdt = table_at(rsdp->xsdt_address);

	for (size_t at = sizeof(*xsdt); at < xsdt->length; at += sizeof(uint64_t)) {
		uint64_t address;

		memcpy(&address, (const uint8_t *)xsdt + at, sizeof(address));
		if (memcmp(table_at(address)->signature, signature, 4) == 0)
			return table_at(address);
	}
	fail_msg("no table %s", signature);
	return NULL;
}

static void build(unsigned cpus)
{
	struct acpi_machine machine = machine_of(cpus);
	size_t used = 0;

	memset(area, 0, sizeof(area));
	assert_int_equal(acpi_build(&machine, area, sizeof(area), AREA_ADDRESS, &used), 0);
	assert_true(used >= 1 && used <= sizeof(area));
}

static void tables_are_linked_and_sound(void **state)
{
	const struct acpi_rsdp *rsdp = (const struct acpi_rsdp *)area;
	const struct acpi_fadt *fadt;
	const struct acpi_mcfg *mcfg;

	(void)state;
	build(2);
	assert_memory_equal(rsdp->signature, "RSD PTR ", 8);
	assert_int_equal(sum_of(rsdp, 20), 0);
	assert_int_equal(sum_of(rsdp, sizeof(*rsdp)), 0);
	assert_memory_equal(table_at(rsdp->xsdt_address)->signature, "XSDT", 4);
	fadt = (const struct acpi_fadt *)find_table("FACP");
	assert_memory_equal(table_at(fadt->x_dsdt)->signature, "DSDT", 4);
	assert_int_equal(fadt->dsdt, fadt->x_dsdt);
	assert_true(fadt->flags & ACPI_FADT_FLAG_HW_REDUCED_ACPI);
	assert_true(fadt->flags & ACPI_FADT_FLAG_RESET_REG_SUP);
	assert_int_equal(fadt->reset_register.address, 0xcf9);
	assert_int_equal(fadt->reset_value, 6);
	assert_int_equal(fadt->sleep_control.address, 0x600);
	assert_int_equal(fadt->iapc_boot_arch & 2, 0); /* no 8042 */
	mcfg = (const struct acpi_mcfg *)find_table("MCFG");
	assert_int_equal(mcfg->base, 0xe0000000);
	assert_int_equal(mcfg->last_bus, 0);
}

/* E11: the DSDT has a window above 4 GiB where there is one, where it is, and none where there is none. */
static void e11_the_window_above_4_gib_is_told(void **state)
{
	static const uint64_t starts[] = {UINT64_C(0x4000000000), UINT64_C(0x800000000)};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct acpi_machine machine = machine_of(1);
		const struct acpi_fadt *fadt;
		const uint8_t *dsdt, *found = NULL;
		uint32_t length;
		size_t used;

		machine.mmio64_start = i < 2 ? starts[i] : 0;
		machine.mmio64_size = i < 2 ? UINT64_C(0x800000000) : 0;
		memset(area, 0, sizeof(area));
		assert_int_equal(acpi_build(&machine, area, sizeof(area), AREA_ADDRESS, &used), 0);
		fadt = (const struct acpi_fadt *)find_table("FACP");
		dsdt = (const uint8_t *)table_at(fadt->x_dsdt);
		length = ((const struct acpi_header *)dsdt)->length;
		/* 6.4.3.5.1: a QWORD address space descriptor, 43 bytes behind its length, of memory. */
		for (uint32_t at = sizeof(struct acpi_header); at + 46 <= length; at++)
			if (memcmp(dsdt + at, "\x8a\x2b\x00\x00", 4) == 0)
				found = dsdt + at;
		assert_true((found != NULL) == (i < 2));
		if (i == 2)
			continue;
		for (unsigned k = 0; k < 2; k++) {
			uint64_t bound;

			memcpy(&bound, found + 14 + 8 * k, sizeof(bound));
			assert_true(bound == starts[i] + k * (machine.mmio64_size - 1));
		}
	}
}

static void madt_lists_each_cpu(void **state)
{
	static const unsigned counts[] = {1, 4, 254};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const struct acpi_header *madt;
		unsigned cpus = 0, io_apics = 0;

		build(counts[i]);
		madt = find_table("APIC");
		for (size_t at = sizeof(struct acpi_madt); at < madt->length;) {
			const uint8_t *entry = (const uint8_t *)madt + at;

			assert_true(entry[1] >= 2 && at + entry[1] <= madt->length);
			if (entry[0] == ACPI_MADT_LOCAL_APIC) {
				assert_int_equal(entry[3], cpus++);
				assert_int_equal(entry[4], 1);
			}
			io_apics += entry[0] == ACPI_MADT_IO_APIC;
			at += entry[1];
		}
		assert_int_equal(cpus, counts[i]);
		assert_int_equal(io_apics, 1);
	}
}

static void impossible_machines_are_refused(void **state)
{
	struct acpi_machine machine = machine_of(0);
	size_t used;

	(void)state;
	assert_int_equal(acpi_build(&machine, area, sizeof(area), AREA_ADDRESS, &used), -EINVAL);
	machine = machine_of(256);
	assert_int_equal(acpi_build(&machine, area, sizeof(area), AREA_ADDRESS, &used), -EINVAL);
	machine = machine_of(4);
	for (size_t size = 0; size < 1024; size += 50)
		assert_int_equal(acpi_build(&machine, area, size, AREA_ADDRESS, &used), -ENOSPC);
}

/* Intel's compiler reads each table, and takes its own reading of the DSDT back without a complaint. */
static void iasl_understands_the_tables(void **state)
{
	static const char *const signatures[] = {"FACP", "APIC", "MCFG", "DSDT"};
	char folder[] = "/tmp/atoll-acpi.XXXXXX", command[512];

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1") != 0) {
		print_message("skipped: iasl is not installed (package acpica-tools)\n");
		skip();
	}
	build(4);
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		const struct acpi_header *table;
		FILE *stream;

		if (strcmp(signatures[i], "DSDT") == 0)
			table = table_at(((const struct acpi_fadt *)find_table("FACP"))->x_dsdt);
		else
			table = find_table(signatures[i]);
		snprintf(command, sizeof(command), "%s/%s.aml", folder, signatures[i]);
		stream = fopen(command, "wb");
		assert_non_null(stream);
		assert_int_equal(fwrite(table, 1, table->length, stream), table->length);
		fclose(stream);
		snprintf(command, sizeof(command), "cd %s && iasl -d %s.aml >%s.log 2>&1", folder,
			 signatures[i], signatures[i]);
		assert_int_equal(system(command), 0);
	}
	snprintf(command, sizeof(command),
		 "cd %s && mv DSDT.dsl again.dsl && iasl again.dsl >again.log 2>&1 && grep -q ' 0 Errors, 0 "
		 "Warnings' again.log",
		 folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command),
		 "cd %s && ! grep -il 'invalid\\|incorrect\\|unknown' ./*.dsl ./*.log", folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_take_the_shortest_form),
		cmocka_unit_test(names_and_ids_are_encoded),
		cmocka_unit_test(lengths_are_encoded),
		cmocka_unit_test(errors_stick),
		cmocka_unit_test(tables_are_linked_and_sound),
		cmocka_unit_test(e11_the_window_above_4_gib_is_told),
		cmocka_unit_test(madt_lists_each_cpu),
		cmocka_unit_test(impossible_machines_are_refused),
		cmocka_unit_test(iasl_understands_the_tables),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
