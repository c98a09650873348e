/*
 * ACPI Machine Language: as much of an assembler as our DSDT needs.
 *
 * Terms are appended to a buffer of fixed size. What has a length in front (a scope, a device, a method, a
 * package, a resource template) is opened, filled and closed; closing inserts the length. Errors stick: after
 * the first one nothing is appended, and aml_finish() tells.
 *
 * Source: ACPI 6.5 chapter 20 (AML) and section 6.4 (resource descriptors).
 */
#ifndef ATOLL_VMM_CORE_BOOT_AML_H
#define ATOLL_VMM_CORE_BOOT_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t size;
	size_t used;
	bool failed;
};

/* An opened term; where its length goes. */
typedef size_t aml_mark;

void aml_init(struct aml *aml, void *buffer, size_t size);
/* 0 with the bytes appended in *used; -ENOSPC when the buffer was too small or a name was none. */
int aml_finish(const struct aml *aml, size_t *used);

/* Terms that are opened; close them with aml_close() in reverse order. Paths are as in ASL: "\\_SB.PCI0",
 * "_CRS". */
aml_mark aml_open_scope(struct aml *aml, const char *path);
aml_mark aml_open_device(struct aml *aml, const char *path);
aml_mark aml_open_method(struct aml *aml, const char *path, unsigned arguments, bool serialized);
aml_mark aml_open_package(struct aml *aml, uint8_t elements);
/* If (Local0 & mask). */
aml_mark aml_open_if_local0_and(struct aml *aml, uint32_t mask);
void aml_close(struct aml *aml, aml_mark mark);

/* Data objects. */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/* EISAID("PNP0A08") as an integer. */
void aml_eisa_id(struct aml *aml, const char *id);
/* Name (path, ...): a data object must follow. */
void aml_name(struct aml *aml, const char *path);

/* Statements. */
void aml_operation_region_io(struct aml *aml, const char *path, uint16_t port, uint8_t length);
/* Field (region, DWordAcc, NoLock, Preserve) { field, 32 }. */
void aml_field_dword(struct aml *aml, const char *region, const char *field);
/* Local0 = path. */
void aml_store_to_local0(struct aml *aml, const char *path);
void aml_notify(struct aml *aml, const char *path, uint8_t value);

/* A resource template: a data object, opened and closed with its own functions. */
aml_mark aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml, aml_mark mark);
void aml_resource_io(struct aml *aml, uint16_t port, uint8_t length);
void aml_resource_irq(struct aml *aml, uint8_t irq);  /* edge, active high, exclusive */
void aml_resource_gsi(struct aml *aml, uint32_t gsi); /* the same, extended */
void aml_resource_memory32_fixed(struct aml *aml, uint32_t start, uint32_t length);
/* Windows that a bridge produces; [first, last]. */
void aml_resource_bus_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_io_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory32_window(struct aml *aml, uint32_t first, uint32_t last);
void aml_resource_memory64_window(struct aml *aml, uint64_t first, uint64_t last);

#endif
