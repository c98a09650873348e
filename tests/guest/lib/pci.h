/*
 * PCI bus 0, through CF8/CFC and through ECAM.
 */
#ifndef ATOLL_TESTS_GUEST_PCI_H
#define ATOLL_TESTS_GUEST_PCI_H

#include "tests/guest/lib/guest.h"

#define PCI_VENDOR	   0x00
#define PCI_COMMAND	   0x04
#define PCI_COMMAND_IO	   0x1
#define PCI_COMMAND_MEMORY 0x2
#define PCI_COMMAND_MASTER 0x4
#define PCI_STATUS	   0x06
#define PCI_STATUS_CAPS	   0x10
#define PCI_CLASS	   0x08
#define PCI_HEADER_TYPE	   0x0e
#define PCI_BAR0	   0x10
#define PCI_SUBSYSTEM	   0x2c
#define PCI_ROM		   0x30
#define PCI_CAPABILITIES   0x34
#define PCI_CAP_VENDOR	   0x09
#define PCI_CAP_MSIX	   0x11
#define PCI_NONE	   0xffffffffu

struct pci_bar {
	uint64_t address, size;
	bool wide, memory;
};

/* Config space of function slot.function on bus 0. */
uint32_t pci_read(unsigned slot, unsigned offset, unsigned size);
void pci_write(unsigned slot, unsigned offset, unsigned size, uint32_t value);

/* The same through ECAM; ecam_address() is 0 when there is no MCFG table. */
uint64_t ecam_address(void);
uint32_t ecam_read(unsigned slot, unsigned offset, unsigned size);
void ecam_write(unsigned slot, unsigned offset, unsigned size, uint32_t value);

/* The first capability of that id after the one at offset `after` (0: from the start); 0: none. */
unsigned pci_capability(unsigned slot, unsigned id, unsigned after);

/* Reads and sizes one BAR; size 0: not there. Decoding is off meanwhile. */
struct pci_bar pci_bar_probe(unsigned slot, unsigned index);
void pci_bar_move(unsigned slot, unsigned index, uint64_t address);

/* The nth function (slots are device << 3 | function) with that vendor and device; -1: none. */
int pci_find(uint16_t vendor, uint16_t device, unsigned nth);

#endif
