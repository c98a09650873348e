/*
 * virtio-pci modern: capabilities, negotiation, MSI-X.
 */
#include "tests/guest/lib/virtio.h"

/* 4.1.4 Virtio Structure PCI Capabilities */
#define CAP_TYPE       3
#define CAP_BAR	       4
#define CAP_OFFSET     8
#define CAP_LENGTH     12
#define CAP_MULTIPLIER 16
#define TYPE_COMMON    1
#define TYPE_NOTIFY    2
#define TYPE_ISR       3
#define TYPE_DEVICE    4

#define MSIX_CONTROL 2
#define MSIX_TABLE   4
#define MSIX_PENDING 8
#define MSIX_ENABLE  0x8000
#define MSIX_ALL     0x4000 /* function mask */
#define MSIX_COUNT   0x07ff
#define MSIX_ENTRY   16

static volatile char *bar_at(unsigned slot, unsigned index, uint32_t offset, uint32_t length)
{
	struct pci_bar bar = pci_bar_probe(slot, index);

	if (!bar.memory || !bar.address || offset + (uint64_t)length > bar.size)
		guest_fail("slot %u: BAR %u at %lx, %lx bytes, does not hold %x+%x", slot, index, bar.address,
			   bar.size, offset, length);
	return map_physical(bar.address + offset, length);
}

static void msix_map(struct virtio_device *device)
{
	unsigned cap = pci_capability(device->slot, PCI_CAP_MSIX, 0), i;
	uint32_t table, pending;

	device->msix = cap;
	if (!cap)
		return;
	device->msix_count = (pci_read(device->slot, cap + MSIX_CONTROL, 2) & MSIX_COUNT) + 1;
	table = pci_read(device->slot, cap + MSIX_TABLE, 4);
	pending = pci_read(device->slot, cap + MSIX_PENDING, 4);
	device->msix_table = bar_at(device->slot, table & 7, table & ~7u, device->msix_count * MSIX_ENTRY);
	device->msix_pending =
		bar_at(device->slot, pending & 7, pending & ~7u, (device->msix_count + 63) / 64 * 8);
	for (i = 0; i < device->msix_count; i++)
		msix_mask(device, i, true);
	pci_write(device->slot, cap + MSIX_CONTROL, 2, MSIX_ENABLE);
}

bool virtio_map(struct virtio_device *device)
{
	unsigned slot = device->slot, cap;

	device->common = device->isr = device->config = device->notify = NULL;
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (cap = pci_capability(slot, PCI_CAP_VENDOR, 0); cap;
	     cap = pci_capability(slot, PCI_CAP_VENDOR, cap)) {
		unsigned type = pci_read(slot, cap + CAP_TYPE, 1);
		uint32_t length = pci_read(slot, cap + CAP_LENGTH, 4);
		volatile char *at;

		if (type < TYPE_COMMON || type > TYPE_DEVICE)
			continue;
		at = bar_at(slot, pci_read(slot, cap + CAP_BAR, 1), pci_read(slot, cap + CAP_OFFSET, 4),
			    length);
		if (type == TYPE_COMMON && !device->common) {
			device->common = at;
		} else if (type == TYPE_NOTIFY && !device->notify) {
			device->notify = at;
			device->notify_multiplier = pci_read(slot, cap + CAP_MULTIPLIER, 4);
		} else if (type == TYPE_ISR && !device->isr) {
			device->isr = at;
		} else if (type == TYPE_DEVICE && !device->config) {
			device->config = at;
			device->config_length = length;
		}
	}
	msix_map(device);
	return device->common && device->notify && device->isr;
}

bool virtio_find(unsigned type, unsigned nth, struct virtio_device *device)
{
	int slot = pci_find(VIRTIO_VENDOR, VIRTIO_DEVICE(type), nth);

	if (slot < 0)
		return false;
	memset(device, 0, sizeof(*device));
	device->slot = (unsigned)slot;
	return virtio_map(device);
}

uint8_t virtio_status(struct virtio_device *device)
{
	return mmio_read8(device->common + COMMON_STATUS);
}

static void status_add(struct virtio_device *device, uint8_t bits)
{
	mmio_write8(device->common + COMMON_STATUS, virtio_status(device) | bits);
}

bool virtio_reset(struct virtio_device *device)
{
	mmio_write8(device->common + COMMON_STATUS, 0);
	return WAIT_UNTIL(virtio_status(device) == 0, 5);
}

bool virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
	volatile char *common = device->common;
	unsigned i;

	if (!virtio_reset(device))
		return false;
	status_add(device, VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(device, VIRTIO_STATUS_DRIVER);
	device->offered = 0;
	for (i = 0; i < 2; i++) {
		mmio_write32(common + COMMON_DEVICE_FEATURE_SELECT, i);
		device->offered |= (uint64_t)mmio_read32(common + COMMON_DEVICE_FEATURE) << (32 * i);
	}
	device->features = device->offered & (wanted | VIRTIO_BIT(VIRTIO_F_VERSION_1));
	for (i = 0; i < 2; i++) {
		mmio_write32(common + COMMON_DRIVER_FEATURE_SELECT, i);
		mmio_write32(common + COMMON_DRIVER_FEATURE, (uint32_t)(device->features >> (32 * i)));
	}
	status_add(device, VIRTIO_STATUS_FEATURES_OK);
	return virtio_status(device) & VIRTIO_STATUS_FEATURES_OK && virtio_has(device, VIRTIO_F_VERSION_1);
}

void virtio_start(struct virtio_device *device)
{
	status_add(device, VIRTIO_STATUS_DRIVER_OK);
}

/* 2.5: a driver that reads more than 32 bits reads again until the generation stayed. */
void virtio_config_read(struct virtio_device *device, unsigned offset, void *to, unsigned size)
{
	uint8_t before, *bytes = to;
	unsigned i;

	do {
		before = mmio_read8(device->common + COMMON_GENERATION);
		for (i = 0; i < size;) {
			unsigned left = size - i, at = offset + i;

			if (left >= 4 && !(at & 3)) {
				uint32_t value = mmio_read32(device->config + at);

				memcpy(bytes + i, &value, 4);
				i += 4;
			} else if (left >= 2 && !(at & 1)) {
				uint16_t value = mmio_read16(device->config + at);

				memcpy(bytes + i, &value, 2);
				i += 2;
			} else {
				bytes[i++] = mmio_read8(device->config + at);
			}
		}
	} while (mmio_read8(device->common + COMMON_GENERATION) != before);
}

void virtio_config_write(struct virtio_device *device, unsigned offset, const void *from, unsigned size)
{
	const uint8_t *bytes = from;
	unsigned i;

	for (i = 0; i < size; i++)
		mmio_write8(device->config + offset + i, bytes[i]);
}

void msix_mask(struct virtio_device *device, unsigned entry, bool masked)
{
	mmio_write32(device->msix_table + entry * MSIX_ENTRY + 12, masked);
}

void msix_set(struct virtio_device *device, unsigned entry, uint8_t vector)
{
	volatile char *at = device->msix_table + entry * MSIX_ENTRY;

	mmio_write32(at, (uint32_t)MSI_ADDRESS);
	mmio_write32(at + 4, 0);
	mmio_write32(at + 8, vector);
	msix_mask(device, entry, false);
}

bool msix_is_pending(struct virtio_device *device, unsigned entry)
{
	return mmio_read32(device->msix_pending + entry / 32 * 4) >> (entry % 32) & 1;
}

bool virtio_vector(struct virtio_device *device, int queue, unsigned entry)
{
	unsigned at = COMMON_CONFIG_VECTOR;

	if (queue >= 0) {
		mmio_write16(device->common + COMMON_QUEUE_SELECT, (uint16_t)queue);
		at = COMMON_QUEUE_VECTOR;
	}
	mmio_write16(device->common + at, (uint16_t)entry);
	return mmio_read16(device->common + at) == entry;
}

unsigned virtio_queue_size(struct virtio_device *device, unsigned index)
{
	mmio_write16(device->common + COMMON_QUEUE_SELECT, (uint16_t)index);
	return mmio_read16(device->common + COMMON_QUEUE_SIZE);
}
