/*
 * ACPI Machine Language; see aml.h.
 *
 * A length in AML is encoded in one to four bytes, and counts its own bytes. It is known when the term is
 * closed, so closing moves the term's body up to make room. Tables are a few KiB and built once: that is
 * cheap enough.
 */
#include "vmm-core/boot/aml.h"

#include <errno.h>
#include <string.h>

/* ACPI 20.3, the byte stream. */
enum aml_opcode {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE_PREFIX = 0x0a,
	AML_WORD_PREFIX = 0x0b,
	AML_DWORD_PREFIX = 0x0c,
	AML_STRING_PREFIX = 0x0d,
	AML_QWORD_PREFIX = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_DUAL_NAME_PREFIX = 0x2e,
	AML_MULTI_NAME_PREFIX = 0x2f,
	AML_EXT_PREFIX = 0x5b,
	AML_LOCAL0 = 0x60,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_NOTIFY = 0x86,
	AML_IF = 0xa0,
	/* behind AML_EXT_PREFIX */
	AML_EXT_REGION = 0x80,
	AML_EXT_FIELD = 0x81,
	AML_EXT_DEVICE = 0x82,
};

#define AML_REGION_SYSTEM_IO   1
#define AML_FIELD_DWORD_ACCESS 3
#define AML_METHOD_SERIALIZED  0x08
#define AML_SEGMENT	       4
#define AML_PATH_SEGMENTS_MAX  8

/* ACPI 6.4: descriptor tags, with their lengths where they are part of the tag. */
enum aml_descriptor {
	DESCRIPTOR_IRQ_NO_FLAGS = 0x22,
	DESCRIPTOR_IO = 0x47,
	DESCRIPTOR_END = 0x79,
	DESCRIPTOR_MEMORY32_FIXED = 0x86,
	DESCRIPTOR_DWORD_SPACE = 0x87,
	DESCRIPTOR_WORD_SPACE = 0x88,
	DESCRIPTOR_EXTENDED_IRQ = 0x89,
	DESCRIPTOR_QWORD_SPACE = 0x8a,
};

/* ACPI 6.4.3.5: address space descriptors. */
#define SPACE_TYPE_MEMORY	 0
#define SPACE_TYPE_IO		 1
#define SPACE_TYPE_BUS		 2
#define SPACE_PRODUCER_FIXED	 0x0c /* resource producer, positive decode, minimum and maximum fixed */
#define SPACE_IO_ENTIRE_RANGE	 0x03
#define SPACE_MEMORY_UNCACHED_RW 0x01

void aml_init(struct aml *aml, void *buffer, size_t size)
{
	*aml = (struct aml){.data = buffer, .size = size};
}

int aml_finish(const struct aml *aml, size_t *used)
{
	if (aml->failed)
		return -ENOSPC;
	*used = aml->used;
	return 0;
}

/* --- bytes --- */

static void aml_put(struct aml *aml, const void *data, size_t size)
{
	if (aml->failed || size > aml->size - aml->used) {
		aml->failed = true;
		return;
	}
	memcpy(aml->data + aml->used, data, size);
	aml->used += size;
}

/* Little-endian, as this machine is. */
static void aml_put_number(struct aml *aml, uint64_t value, size_t size)
{
	aml_put(aml, &value, size);
}

static void aml_put_byte(struct aml *aml, unsigned value)
{
	aml_put_number(aml, value, 1);
}

static void aml_put_extended(struct aml *aml, unsigned opcode)
{
	aml_put_byte(aml, AML_EXT_PREFIX);
	aml_put_byte(aml, opcode);
}

/* Moves what stands behind mark up and puts data there. */
static void aml_insert(struct aml *aml, size_t mark, const void *data, size_t size)
{
	if (aml->failed || size > aml->size - aml->used) {
		aml->failed = true;
		return;
	}
	memmove(aml->data + mark + size, aml->data + mark, aml->used - mark);
	memcpy(aml->data + mark, data, size);
	aml->used += size;
}

/* --- names --- */

/* Counts the segments of a path behind its root mark; 0 for a path that is none. */
static unsigned aml_count_segments(const char *path)
{
	unsigned count = 0;

	while (*path != '\0') {
		size_t length = strcspn(path, ".");

		if (length == 0 || length > AML_SEGMENT)
			return 0;
		count++;
		path += length;
		if (*path == '.' && *++path == '\0')
			return 0;
	}
	return count <= AML_PATH_SEGMENTS_MAX ? count : 0;
}

/* ACPI 20.2.2: segments of four characters, padded with '_'. */
static void aml_put_path(struct aml *aml, const char *path)
{
	unsigned count;

	if (*path == '\\') {
		aml_put_byte(aml, '\\');
		path++;
	}
	count = aml_count_segments(path);
	if (count == 0) {
		aml->failed = true;
		return;
	}
	if (count == 2)
		aml_put_byte(aml, AML_DUAL_NAME_PREFIX);
	if (count > 2) {
		aml_put_byte(aml, AML_MULTI_NAME_PREFIX);
		aml_put_byte(aml, count);
	}
	while (count-- > 0) {
		size_t length = strcspn(path, ".");

		aml_put(aml, path, length);
		aml_put(aml, "____", AML_SEGMENT - length);
		path += length + (path[length] == '.');
	}
}

/* --- terms with a length --- */

/* ACPI 20.2.4: the length counts itself. */
static void aml_insert_length(struct aml *aml, size_t mark)
{
	size_t body = aml->used - mark;
	uint8_t bytes[4];
	size_t count;

	if (body + 1 < 1 << 6)
		count = 1;
	else if (body + 2 < 1 << 12)
		count = 2;
	else if (body + 3 < 1 << 20)
		count = 3;
	else
		count = 4;
	body += count;
	if (count == 1) {
		bytes[0] = (uint8_t)body;
	} else {
		bytes[0] = (uint8_t)((count - 1) << 6 | (body & 0xf));
		for (size_t i = 1; i < count; i++)
			bytes[i] = (uint8_t)(body >> (4 + 8 * (i - 1)));
	}
	aml_insert(aml, mark, bytes, count);
}

void aml_close(struct aml *aml, aml_mark mark)
{
	if (!aml->failed)
		aml_insert_length(aml, mark);
}

aml_mark aml_open_scope(struct aml *aml, const char *path)
{
	aml_mark mark;

	aml_put_byte(aml, AML_SCOPE);
	mark = aml->used;
	aml_put_path(aml, path);
	return mark;
}

aml_mark aml_open_device(struct aml *aml, const char *path)
{
	aml_mark mark;

	aml_put_extended(aml, AML_EXT_DEVICE);
	mark = aml->used;
	aml_put_path(aml, path);
	return mark;
}

aml_mark aml_open_method(struct aml *aml, const char *path, unsigned arguments, bool serialized)
{
	aml_mark mark;

	aml_put_byte(aml, AML_METHOD);
	mark = aml->used;
	aml_put_path(aml, path);
	aml_put_byte(aml, (arguments & 7) | (serialized ? AML_METHOD_SERIALIZED : 0));
	return mark;
}

aml_mark aml_open_package(struct aml *aml, uint8_t elements)
{
	aml_mark mark;

	aml_put_byte(aml, AML_PACKAGE);
	mark = aml->used;
	aml_put_byte(aml, elements);
	return mark;
}

aml_mark aml_open_if_local0_and(struct aml *aml, uint32_t mask)
{
	aml_mark mark;

	aml_put_byte(aml, AML_IF);
	mark = aml->used;
	aml_put_byte(aml, AML_AND);
	aml_put_byte(aml, AML_LOCAL0);
	aml_integer(aml, mask);
	aml_put_byte(aml, AML_ZERO); /* no target */
	return mark;
}

/* --- data objects --- */

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) {
		aml_put_byte(aml, value != 0 ? AML_ONE : AML_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_put_byte(aml, AML_BYTE_PREFIX);
		aml_put_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_put_byte(aml, AML_WORD_PREFIX);
		aml_put_number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_put_byte(aml, AML_DWORD_PREFIX);
		aml_put_number(aml, value, 4);
	} else {
		aml_put_byte(aml, AML_QWORD_PREFIX);
		aml_put_number(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_put_byte(aml, AML_STRING_PREFIX);
	aml_put(aml, text, strlen(text) + 1);
}

static unsigned hexadecimal_digit(char digit)
{
	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'A' + 10) & 0xf;
}

/* ACPI 19.6.37: three letters of five bits, four hexadecimal digits, big-endian. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value;

	if (strlen(id) != 7) {
		aml->failed = true;
		return;
	}
	value = (uint32_t)(id[0] & 0x1f) << 26 | (uint32_t)(id[1] & 0x1f) << 21 |
		(uint32_t)(id[2] & 0x1f) << 16 | hexadecimal_digit(id[3]) << 12 |
		hexadecimal_digit(id[4]) << 8 | hexadecimal_digit(id[5]) << 4 | hexadecimal_digit(id[6]);
	aml_put_byte(aml, AML_DWORD_PREFIX);
	aml_put_number(aml, __builtin_bswap32(value), 4);
}

void aml_name(struct aml *aml, const char *path)
{
	aml_put_byte(aml, AML_NAME);
	aml_put_path(aml, path);
}

/* --- statements --- */

void aml_operation_region_io(struct aml *aml, const char *path, uint16_t port, uint8_t length)
{
	aml_put_extended(aml, AML_EXT_REGION);
	aml_put_path(aml, path);
	aml_put_byte(aml, AML_REGION_SYSTEM_IO);
	aml_integer(aml, port);
	aml_integer(aml, length);
}

void aml_field_dword(struct aml *aml, const char *region, const char *field)
{
	aml_mark mark;

	aml_put_extended(aml, AML_EXT_FIELD);
	mark = aml->used;
	aml_put_path(aml, region);
	aml_put_byte(aml, AML_FIELD_DWORD_ACCESS);
	aml_put_path(aml, field);
	aml_put_byte(aml, 32); /* bits, as a length */
	aml_close(aml, mark);
}

void aml_store_to_local0(struct aml *aml, const char *path)
{
	aml_put_byte(aml, AML_STORE);
	aml_put_path(aml, path);
	aml_put_byte(aml, AML_LOCAL0);
}

void aml_notify(struct aml *aml, const char *path, uint8_t value)
{
	aml_put_byte(aml, AML_NOTIFY);
	aml_put_path(aml, path);
	aml_integer(aml, value);
}

/* --- resource templates --- */

aml_mark aml_open_resources(struct aml *aml)
{
	aml_put_byte(aml, AML_BUFFER);
	return aml->used;
}

/* A template is a buffer: its length term, its size as an integer, and the bytes. */
void aml_close_resources(struct aml *aml, aml_mark mark)
{
	uint8_t size[3] = {AML_WORD_PREFIX};
	size_t bytes;

	aml_put_byte(aml, DESCRIPTOR_END);
	aml_put_byte(aml, 0); /* a checksum of 0 is taken as right */
	bytes = aml->used - mark;
	size[1] = (uint8_t)bytes;
	size[2] = (uint8_t)(bytes >> 8);
	aml_insert(aml, mark, size, sizeof(size));
	aml_close(aml, mark);
}

void aml_resource_io(struct aml *aml, uint16_t port, uint8_t length)
{
	aml_put_byte(aml, DESCRIPTOR_IO);
	aml_put_byte(aml, 1); /* decodes 16 bits */
	aml_put_number(aml, port, 2);
	aml_put_number(aml, port, 2);
	aml_put_byte(aml, 1); /* alignment */
	aml_put_byte(aml, length);
}

void aml_resource_irq(struct aml *aml, uint8_t irq)
{
	aml_put_byte(aml, DESCRIPTOR_IRQ_NO_FLAGS);
	aml_put_number(aml, UINT64_C(1) << (irq & 15), 2);
}

void aml_resource_gsi(struct aml *aml, uint32_t gsi)
{
	aml_put_byte(aml, DESCRIPTOR_EXTENDED_IRQ);
	aml_put_number(aml, 6, 2);
	aml_put_byte(aml, 0x03); /* consumer, edge, active high, exclusive */
	aml_put_byte(aml, 1);	 /* one interrupt */
	aml_put_number(aml, gsi, 4);
}

void aml_resource_memory32_fixed(struct aml *aml, uint32_t start, uint32_t length)
{
	aml_put_byte(aml, DESCRIPTOR_MEMORY32_FIXED);
	aml_put_number(aml, 9, 2);
	aml_put_byte(aml, 1); /* read and write */
	aml_put_number(aml, start, 4);
	aml_put_number(aml, length, 4);
}

static void aml_put_window(struct aml *aml, enum aml_descriptor tag, unsigned type, unsigned type_flags,
			   uint64_t first, uint64_t last, size_t width)
{
	aml_put_byte(aml, tag);
	aml_put_number(aml, 3 + 5 * width, 2);
	aml_put_byte(aml, type);
	aml_put_byte(aml, SPACE_PRODUCER_FIXED);
	aml_put_byte(aml, type_flags);
	aml_put_number(aml, 0, width); /* granularity */
	aml_put_number(aml, first, width);
	aml_put_number(aml, last, width);
	aml_put_number(aml, 0, width); /* translation */
	aml_put_number(aml, last - first + 1, width);
}

void aml_resource_bus_window(struct aml *aml, uint16_t first, uint16_t last)
{
	aml_put_window(aml, DESCRIPTOR_WORD_SPACE, SPACE_TYPE_BUS, 0, first, last, 2);
}

void aml_resource_io_window(struct aml *aml, uint16_t first, uint16_t last)
{
	aml_put_window(aml, DESCRIPTOR_WORD_SPACE, SPACE_TYPE_IO, SPACE_IO_ENTIRE_RANGE, first, last, 2);
}

void aml_resource_memory32_window(struct aml *aml, uint32_t first, uint32_t last)
{
	aml_put_window(aml, DESCRIPTOR_DWORD_SPACE, SPACE_TYPE_MEMORY, SPACE_MEMORY_UNCACHED_RW, first, last,
		       4);
}

void aml_resource_memory64_window(struct aml *aml, uint64_t first, uint64_t last)
{
	aml_put_window(aml, DESCRIPTOR_QWORD_SPACE, SPACE_TYPE_MEMORY, SPACE_MEMORY_UNCACHED_RW, first, last,
		       8);
}
