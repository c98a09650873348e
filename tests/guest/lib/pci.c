/*
 * Config space accesses and BARs.
 */
#include "tests/guest/lib/pci.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

uint32_t pci_read(unsigned slot, unsigned offset, unsigned size)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));

	out32(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 8 | (offset & 0xfc));
	return size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
}

void pci_write(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
	uint16_t port = (uint16_t)(CONFIG_DATA + (offset & 3));

	out32(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 8 | (offset & 0xfc));
	if (size == 1)
		out8(port, (uint8_t)value);
	else if (size == 2)
		out16(port, (uint16_t)value);
	else
		out32(port, value);
}

uint64_t ecam_address(void)
{
	static uint64_t address;
	const char *mcfg;

	if (!address && (mcfg = acpi_table("MCFG"))) {
		memcpy(&address, mcfg + 44, sizeof(address));
		map_physical(address, 1 << 20);
	}
	return address;
}

uint32_t ecam_read(unsigned slot, unsigned offset, unsigned size)
{
	volatile void *at = (volatile void *)(ecam_address() + (slot << 12) + offset);

	return size == 1 ? mmio_read8(at) : size == 2 ? mmio_read16(at) : mmio_read32(at);
}

void ecam_write(unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
	volatile void *at = (volatile void *)(ecam_address() + (slot << 12) + offset);

	if (size == 1)
		mmio_write8(at, (uint8_t)value);
	else if (size == 2)
		mmio_write16(at, (uint16_t)value);
	else
		mmio_write32(at, value);
}

unsigned pci_capability(unsigned slot, unsigned id, unsigned after)
{
	unsigned offset, hops;

	if (!(pci_read(slot, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return 0;
	offset = after ? pci_read(slot, after + 1, 1) : pci_read(slot, PCI_CAPABILITIES, 1);
	for (hops = 0; offset >= 0x40 && hops < 48; hops++) {
		if (pci_read(slot, offset, 1) == id)
			return offset;
		offset = pci_read(slot, offset + 1, 1);
	}
	return 0;
}

struct pci_bar pci_bar_probe(unsigned slot, unsigned index)
{
	unsigned at = PCI_BAR0 + 4 * index;
	uint32_t command = pci_read(slot, PCI_COMMAND, 2), low = pci_read(slot, at, 4), high = 0,
		 mask_high = 0xffffffff;
	struct pci_bar bar = {.memory = !(low & 1), .wide = (low & 7) == 4};
	uint32_t mask_low;
	uint64_t mask;

	pci_write(slot, PCI_COMMAND, 2, command & ~(uint32_t)(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
	pci_write(slot, at, 4, 0xffffffff);
	mask_low = pci_read(slot, at, 4);
	pci_write(slot, at, 4, low);
	if (bar.wide) {
		high = pci_read(slot, at + 4, 4);
		pci_write(slot, at + 4, 4, 0xffffffff);
		mask_high = pci_read(slot, at + 4, 4);
		pci_write(slot, at + 4, 4, high);
	}
	pci_write(slot, PCI_COMMAND, 2, command);
	if (!mask_low)
		return bar;
	mask = (uint64_t)mask_high << 32 | (mask_low & (bar.memory ? ~15u : ~3u));
	if (!bar.memory)
		mask |= 0xffff0000;
	bar.size = ~mask + 1;
	bar.address = (uint64_t)high << 32 | (low & (bar.memory ? ~15u : ~3u));
	return bar;
}

void pci_bar_move(unsigned slot, unsigned index, uint64_t address)
{
	uint32_t command = pci_read(slot, PCI_COMMAND, 2);
	unsigned at = PCI_BAR0 + 4 * index;
	bool wide = (pci_read(slot, at, 4) & 7) == 4;

	pci_write(slot, PCI_COMMAND, 2, command & ~(uint32_t)PCI_COMMAND_MEMORY);
	pci_write(slot, at, 4, (uint32_t)address);
	if (wide)
		pci_write(slot, at + 4, 4, (uint32_t)(address >> 32));
	pci_write(slot, PCI_COMMAND, 2, command);
}

int pci_find(uint16_t vendor, uint16_t device, unsigned nth)
{
	unsigned slot;

	for (slot = 0; slot < 256; slot++) {
		if (slot & 7 && !(pci_read(slot & ~7u, PCI_HEADER_TYPE, 1) & 0x80)) {
			slot |= 7; /* one function only */
			continue;
		}
		if (pci_read(slot, PCI_VENDOR, 4) == ((uint32_t)device << 16 | vendor) && nth-- == 0)
			return (int)slot;
	}
	return -1;
}
