/*
 * The ACPI tables of the machine: RSDP, XSDT, FADT (hardware-reduced), MADT, MCFG and the DSDT.
 *
 * Hardware-reduced, because a guest of ours has none of the fixed hardware: no PIT to calibrate against, no
 * SCI, no power management timer. What it has instead is told: reset and sleep registers, and a generic event
 * device.
 */
#ifndef ATOLL_VMM_CORE_BOOT_ACPI_H
#define ATOLL_VMM_CORE_BOOT_ACPI_H

#include <stddef.h>
#include <stdint.h>

#define ACPI_SERIAL_PORTS_MAX 4
/* APIC ids of MADT's entries are 8 bits, and 255 is everybody. */
#define ACPI_CPUS_MAX 255

struct acpi_serial_port {
	uint16_t port;
	uint8_t irq;
};

struct acpi_machine {
	unsigned cpus;
	struct acpi_serial_port serial[ACPI_SERIAL_PORTS_MAX];
	unsigned serial_count;
	uint64_t mmio64_start; /* the PCI window above 4 GiB */
	uint64_t mmio64_size;  /* 0: there is none */
};

/*
 * Builds the tables into area[0..size), which the guest sees at guest_address; the RSDP is its first byte. 0
 * with *used set, -ENOSPC, -EINVAL for a machine that the tables cannot tell.
 */
int acpi_build(const struct acpi_machine *machine, uint8_t *area, size_t size, uint64_t guest_address,
	       size_t *used);

#endif
