/*
 * What the loader tells (hvm_start_info: the command line, the RSDP), what ACPI tells, and the ways out.
 */
#include "tests/guest/lib/guest.h"

#define START_INFO_MAGIC 0x336ec578
#define OPTIONS_SIZE	 2048

struct hvm_start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
};

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], table[8];
	uint32_t oem_revision, creator, creator_revision;
} __attribute__((packed));

/* ACPI 5.2.3.2 Generic Address Structure */
struct acpi_gas {
	uint8_t space, width, offset, access;
	uint64_t address;
} __attribute__((packed));

/* ACPI 5.2.9: offsets into the FADT */
#define FADT_DSDT	   40
#define FADT_PM1A_CONTROL  64
#define FADT_FLAGS	   112
#define FADT_FLAG_RESET	   (1u << 10)
#define FADT_FLAG_REDUCED  (1u << 20)
#define FADT_RESET	   116
#define FADT_RESET_VALUE   128
#define FADT_SLEEP_CONTROL 244
#define SLEEP_ENABLE	   0x20
#define PM1_SLEEP_ENABLE   0x2000

extern uint64_t start_info_address;
void interrupts_setup(void);
_Noreturn void guest_start(void);

static char options[OPTIONS_SIZE];

static const struct hvm_start_info *start_info(void)
{
	return (const struct hvm_start_info *)start_info_address;
}

/* The words of the command line, each ended by a NUL, the last by two. */
static void options_read(void)
{
	const char *cmdline = (const char *)start_info()->cmdline;
	size_t i;

	if (!cmdline)
		return;
	for (i = 0; cmdline[i] && i < OPTIONS_SIZE - 2; i++)
		options[i] = cmdline[i] == ' ' ? 0 : cmdline[i];
}

const char *option(const char *name)
{
	const char *word = options, *end = options + OPTIONS_SIZE - 1;
	size_t length = strlen(name);

	for (; word < end; word += strlen(word) + 1)
		if (*word && strlen(word) >= length && !memcmp(word, name, length)) {
			if (word[length] == '=')
				return word + length + 1;
			if (!word[length])
				return "";
		}
	return NULL;
}

bool option_is(const char *name, const char *value)
{
	const char *found = option(name);

	return found && text_equal(found, value);
}

uint64_t option_number(const char *name, uint64_t otherwise)
{
	const char *text = option(name);
	uint64_t value = 0;

	if (!text || !*text)
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

uint64_t ticks_to_wait(uint64_t milliseconds)
{
	return milliseconds * (TICKS_PER_SECOND / 1000) * option_number("patience", 1);
}

static uint64_t read_le(const void *from, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, from, size);
	return value;
}

const void *acpi_table(const char *signature)
{
	const char *rsdp = (const char *)start_info()->rsdp;
	const struct acpi_header *root;
	unsigned width, offset;

	if (!rsdp || memcmp(rsdp, "RSD PTR ", 8))
		return NULL;
	width = rsdp[15] >= 2 ? 8 : 4;
	root = (const struct acpi_header *)(width == 8 ? read_le(rsdp + 24, 8) : read_le(rsdp + 16, 4));
	for (offset = sizeof(*root); offset + width <= root->length; offset += width) {
		const char *table = (const char *)read_le((const char *)root + offset, width);

		if (!memcmp(table, signature, 4))
			return table;
	}
	return NULL;
}

/* MADT entries of type 0 (local APIC) that are enabled, and 9 (x2APIC). */
unsigned acpi_cpu_count(void)
{
	const uint8_t *madt = acpi_table("APIC");
	uint32_t length, offset;
	unsigned count = 0;

	if (!madt)
		return 0;
	length = (uint32_t)read_le(madt + 4, 4);
	for (offset = 44; offset + 2 <= length && madt[offset + 1]; offset += madt[offset + 1])
		count += (madt[offset] == 0 && madt[offset + 4] & 1) ||
			 (madt[offset] == 9 && madt[offset + 8] & 1);
	return count;
}

static void gas_write(const struct acpi_gas *gas, uint8_t value)
{
	if (gas->space == 1)
		out8((uint16_t)gas->address, value);
	else if (gas->space == 0 && gas->address)
		mmio_write8(map_physical(gas->address, 1), value);
}

/* The SLP_TYP of \_S5 in a DSDT: the first number of its package. -1: not there. */
static int acpi_s5_type(const uint8_t *dsdt)
{
	uint32_t length = (uint32_t)read_le(dsdt + 4, 4), i;

	for (i = sizeof(struct acpi_header); i + 9 <= length; i++) {
		const uint8_t *aml = dsdt + i;

		if (memcmp(aml, "_S5_\x12", 5))
			continue;
		aml += 5 + (aml[5] >> 6) + 1 + 1; /* name and PackageOp, PkgLength, element count */
		if (*aml == 0x0a)
			return aml[1];
		return *aml <= 1 ? *aml : -1;
	}
	return -1;
}

void power_off(void)
{
	const char *fadt = acpi_table("FACP");
	int type;

	if (!fadt)
		return;
	type = acpi_s5_type((const uint8_t *)read_le(fadt + FADT_DSDT, 4));
	if (type < 0 && read_le(fadt + 4, 4) >= 148)
		type = acpi_s5_type((const uint8_t *)read_le(fadt + 140, 8));
	if (type < 0)
		return;
	if (read_le(fadt + FADT_FLAGS, 4) & FADT_FLAG_REDUCED)
		gas_write((const struct acpi_gas *)(fadt + FADT_SLEEP_CONTROL),
			  (uint8_t)(type << 2 | SLEEP_ENABLE));
	else
		out16((uint16_t)read_le(fadt + FADT_PM1A_CONTROL, 4),
		      (uint16_t)(type << 10 | PM1_SLEEP_ENABLE));
	WAIT_UNTIL(false, 1);
}

void reset_acpi(void)
{
	const char *fadt = acpi_table("FACP");

	if (fadt && read_le(fadt + FADT_FLAGS, 4) & FADT_FLAG_RESET)
		gas_write((const struct acpi_gas *)(fadt + FADT_RESET), (uint8_t)fadt[FADT_RESET_VALUE]);
	WAIT_UNTIL(false, 1);
}

void reset_cf9(void)
{
	out8(0xcf9, 0x02);
	out8(0xcf9, 0x06);
	WAIT_UNTIL(false, 1);
}

void reset_i8042(void)
{
	out8(0x64, 0xfe);
	WAIT_UNTIL(false, 1);
}

/* An exception without gates to deliver it, and none for the double fault that makes. */
void triple_fault(void)
{
	extern uint64_t idt[256][2];

	interrupts_disable();
	memset(idt, 0, 256 * 16);
	__asm__ volatile("ud2" ::: "memory");
}

/* Entered from entry.S: the first code in ring 3. */
void guest_start(void)
{
	interrupts_setup();
	if (start_info()->magic != START_INFO_MAGIC)
		guest_fail("start_info has magic %x", start_info()->magic);
	options_read();
	guest_main();
	guest_end();
}
