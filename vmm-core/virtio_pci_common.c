/*
 * The common configuration of virtio-pci: status, features, queues, and what a change of them means at the
 * back end.
 *
 * The driver's life is in set_status(): FEATURES_OK is taken back if the features will not do, DRIVER_OK
 * starts the rings, 0 stops them and is not visible before they are. All of it runs on the vCPU thread that
 * wrote the register, under the lock of this one device.
 *
 * What a driver may do wrong is ignored or ends in rings that do not start; what the back end does wrong ends
 * the VM (virtio_device_failed()), because a guest that goes on without its disk is worth less than an error
 * message.
 *
 * Source: virtio 1.2, 4.1.4.3 and 3.1.1.
 */
#include "vmm-core/virtio_pci_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/log.h"
#include "common/virtio_spec.h"
#include "vmm-core/virtio_pci_spec.h"

/* The back end broke its word or is gone. */
void virtio_device_failed(struct virtio_pci *device, const char *doing, int error)
{
	char detail[256];

	device->status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
	snprintf(detail, sizeof(detail), "device %s: %s: %s", device->id, doing,
		 error == -EPIPE       ? "its process is gone"
		 : error == -ETIMEDOUT ? "its process does not answer"
		 : error == -EPROTO    ? "its process broke the vhost-user protocol"
		 : error == -EREMOTEIO ? "its process refused"
				       : strerror(-error));
	core_end(device->core, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE, 0, detail);
}

/* --- Rings --- */

/* Whether a ring lies in RAM as a whole; a driver's mistake is ours to say, for it sees nothing of it. */
static bool queue_inside_ram(const struct virtio_pci *device, const struct virtio_pci_queue *queue)
{
	const struct guest_ram *ram = &device->core->ram;
	uint64_t size = queue->size;

	return guest_ram_range(ram, queue->descriptors, 16 * size) != NULL &&
	       guest_ram_range(ram, queue->available, 6 + 2 * size) != NULL &&
	       guest_ram_range(ram, queue->used, 6 + 8 * size) != NULL && queue->descriptors % 16 == 0 &&
	       queue->available % 2 == 0 && queue->used % 4 == 0;
}

static int queue_start(struct virtio_pci *device, uint16_t index)
{
	struct virtio_pci_queue *queue = &device->queues[index];
	struct vhost_user_ring ring = {
		.size = queue->size,
		.descriptors = queue->descriptors,
		.available = queue->available,
		.used = queue->used,
		.kick_fd = queue->kick_fd,
		.call_fd = msix_eventfd(device->msix, queue->vector),
	};
	int result;

	if (!queue_inside_ram(device, queue)) {
		if (!device->bad_queue_told)
			log_warning("device %s: the driver's queue %u is not inside of RAM; it stays off",
				    device->id, index);
		device->bad_queue_told = true;
		return 0;
	}
	result = vhost_user_frontend_start_ring(device->frontend, index, &ring);
	queue->started = result == 0;
	return result;
}

static void rings_start(struct virtio_pci *device)
{
	int result = vhost_user_frontend_set_features(device->frontend, device->driver_features);

	if (result == 0)
		result = vhost_user_frontend_set_memory(device->frontend, &device->core->ram);
	for (uint16_t i = 0; result == 0 && i < device->queue_count; i++) {
		if (device->queues[i].enabled)
			result = queue_start(device, i);
	}
	if (result < 0)
		virtio_device_failed(device, "the queues cannot be started", result);
}

void virtio_rings_stop(struct virtio_pci *device)
{
	int result = 0;

	for (uint16_t i = 0; i < device->queue_count; i++) {
		uint16_t base;

		if (!device->queues[i].started)
			continue;
		device->queues[i].started = false;
		if (result == 0)
			result = vhost_user_frontend_stop_ring(device->frontend, i, &base);
	}
	if (result < 0)
		virtio_device_failed(device, "the queues cannot be stopped", result);
}

/* --- Status --- */

static void transport_reset(struct virtio_pci *device)
{
	virtio_rings_stop(device);
	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtio_pci_queue *queue = &device->queues[i];
		eventfd_t count;

		*queue = (struct virtio_pci_queue){
			.size = VIRTIO_PCI_QUEUE_SIZE_MAX,
			.vector = VIRTIO_MSI_NO_VECTOR,
			.kick_fd = queue->kick_fd,
		};
		/* A kick that was meant for the driver's former life must not wake the next one. */
		eventfd_read(queue->kick_fd, &count);
	}
	device->driver_features = 0;
	device->device_feature_select = 0;
	device->driver_feature_select = 0;
	device->queue_select = 0;
	device->config_vector = VIRTIO_MSI_NO_VECTOR;
	device->isr = 0;
	device->status = 0;
}

bool virtio_driver_ok(const struct virtio_pci *device)
{
	uint8_t both = VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK;

	return (device->status & both) == both;
}

static void set_status(struct virtio_pci *device, uint8_t status)
{
	uint8_t changed = (uint8_t)(status & ~device->status);
	bool ran = virtio_driver_ok(device);

	atomic_fetch_add_explicit(&device->status_writes, 1, memory_order_relaxed);
	if (status == 0) {
		transport_reset(device);
		return;
	}
	/* 2.2.2: the device must fail to set FEATURES_OK for features that it did not offer or cannot do
	 * without. */
	if ((changed & VIRTIO_STATUS_FEATURES_OK) != 0 &&
	    ((device->driver_features & ~device->offered) != 0 ||
	     (device->driver_features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) == 0))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	/* Bits are only ever added by a driver, and NEEDS_RESET is the device's. */
	device->status |= (uint8_t)(status & ~VIRTIO_STATUS_DEVICE_NEEDS_RESET);
	/* In whichever order they came: a queue that is enabled from here on relies on it. */
	if (!ran && virtio_driver_ok(device))
		rings_start(device);
}

/* --- Common configuration --- */

static struct virtio_pci_queue *selected_queue(struct virtio_pci *device)
{
	return device->queue_select < device->queue_count ? &device->queues[device->queue_select] : NULL;
}

void virtio_common_read(struct virtio_pci *device, uint64_t offset, void *data, unsigned size)
{
	const struct virtio_pci_queue *queue = selected_queue(device);
	struct virtio_pci_common_cfg common = {
		.device_feature_select = device->device_feature_select,
		.driver_feature_select = device->driver_feature_select,
		.config_msix_vector = device->config_vector,
		.num_queues = (uint16_t)device->queue_count,
		.device_status = device->status,
		.config_generation = device->config_generation,
		.queue_select = device->queue_select,
	};

	if (device->device_feature_select < 2)
		common.device_feature = (uint32_t)(device->offered >> (32 * device->device_feature_select));
	if (device->driver_feature_select < 2)
		common.driver_feature =
			(uint32_t)(device->driver_features >> (32 * device->driver_feature_select));
	if (queue != NULL) {
		common.queue_size = queue->size;
		common.queue_msix_vector = queue->vector;
		common.queue_enable = queue->enabled;
		common.queue_notify_off = device->queue_select;
		common.queue_desc = queue->descriptors;
		common.queue_driver = queue->available;
		common.queue_device = queue->used;
		common.queue_notify_data = device->queue_select;
	} else {
		common.queue_msix_vector = VIRTIO_MSI_NO_VECTOR;
	}
	memcpy(data, (uint8_t *)&common + offset, size);
}

/* Puts `size` bytes at `offset` of a field of 8 that a driver writes in one or two halves. */
static void write_half(uint64_t *field, uint64_t offset, uint64_t value, unsigned size)
{
	memcpy((uint8_t *)field + offset % 8, &value, size);
}

static void set_driver_features(struct virtio_pci *device, uint32_t value)
{
	unsigned shift = 32 * device->driver_feature_select;

	/* After FEATURES_OK they stand (3.1.1). */
	if (device->driver_feature_select >= 2 || (device->status & VIRTIO_STATUS_FEATURES_OK) != 0)
		return;
	device->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	device->driver_features |= (uint64_t)value << shift;
}

/* 4.1.5.1.2.1: a vector that cannot be mapped reads back as NO_VECTOR. */
static uint16_t checked_vector(const struct virtio_pci *device, uint16_t vector)
{
	return vector < msix_vectors(device->msix) ? vector : VIRTIO_MSI_NO_VECTOR;
}

static void set_queue_vector(struct virtio_pci *device, struct virtio_pci_queue *queue, uint16_t vector)
{
	int result;

	queue->vector = checked_vector(device, vector);
	if (!queue->started)
		return;
	result = vhost_user_frontend_set_call(device->frontend, device->queue_select,
					      msix_eventfd(device->msix, queue->vector));
	if (result < 0)
		virtio_device_failed(device, "an interrupt vector cannot be changed", result);
}

static void enable_queue(struct virtio_pci *device, struct virtio_pci_queue *queue)
{
	int result;

	if (queue->enabled)
		return;
	queue->enabled = true;
	/* Drivers enable queues before DRIVER_OK; one that comes later is started now. */
	if (!virtio_driver_ok(device))
		return;
	result = queue_start(device, device->queue_select);
	if (result < 0)
		virtio_device_failed(device, "a queue cannot be started", result);
}

static void queue_write(struct virtio_pci *device, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_pci_queue *queue = selected_queue(device);

	if (queue == NULL)
		return;
	switch (offset) {
	case offsetof(struct virtio_pci_common_cfg, queue_msix_vector):
		set_queue_vector(device, queue, (uint16_t)value);
		return;
	case offsetof(struct virtio_pci_common_cfg, queue_enable):
		if (value == 1)
			enable_queue(device, queue);
		return;
	default:
		break;
	}
	/* 4.1.4.3.2: size and addresses are set before the queue is enabled. */
	if (queue->enabled)
		return;
	switch (offset) {
	case offsetof(struct virtio_pci_common_cfg, queue_size):
		if (value != 0 && value <= VIRTIO_PCI_QUEUE_SIZE_MAX && (value & (value - 1)) == 0)
			queue->size = (uint16_t)value;
		break;
	case offsetof(struct virtio_pci_common_cfg, queue_desc):
	case offsetof(struct virtio_pci_common_cfg, queue_desc) + 4:
		write_half(&queue->descriptors, offset, value, size);
		break;
	case offsetof(struct virtio_pci_common_cfg, queue_driver):
	case offsetof(struct virtio_pci_common_cfg, queue_driver) + 4:
		write_half(&queue->available, offset, value, size);
		break;
	case offsetof(struct virtio_pci_common_cfg, queue_device):
	case offsetof(struct virtio_pci_common_cfg, queue_device) + 4:
		write_half(&queue->used, offset, value, size);
		break;
	default:
		break;
	}
}

/* The width of the field at offset, or 0 for a place where none begins (the halves of 8 bytes begin twice).
 */
static unsigned field_width(uint64_t offset)
{
	if (offset < 16)
		return 4;
	if (offset == offsetof(struct virtio_pci_common_cfg, device_status) ||
	    offset == offsetof(struct virtio_pci_common_cfg, config_generation))
		return 1;
	if (offset < offsetof(struct virtio_pci_common_cfg, queue_desc))
		return 2;
	return offset < offsetof(struct virtio_pci_common_cfg, queue_notify_data) ? 4 : 2;
}

void virtio_common_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
{
	uint64_t value = 0;
	bool whole =
		size == 8 && offset % 8 == 0 && offset >= offsetof(struct virtio_pci_common_cfg, queue_desc);

	memcpy(&value, data, size);
	/* 4.1.3.1: the driver accesses each field in its own width; nothing else has a meaning. */
	if (offset % field_width(offset) != 0 || (size != field_width(offset) && !whole))
		return;
	switch (offset) {
	case offsetof(struct virtio_pci_common_cfg, device_feature_select):
		device->device_feature_select = (uint32_t)value;
		break;
	case offsetof(struct virtio_pci_common_cfg, driver_feature_select):
		device->driver_feature_select = (uint32_t)value;
		break;
	case offsetof(struct virtio_pci_common_cfg, driver_feature):
		set_driver_features(device, (uint32_t)value);
		break;
	case offsetof(struct virtio_pci_common_cfg, config_msix_vector):
		device->config_vector = checked_vector(device, (uint16_t)value);
		break;
	case offsetof(struct virtio_pci_common_cfg, device_status):
		set_status(device, (uint8_t)value);
		break;
	case offsetof(struct virtio_pci_common_cfg, queue_select):
		device->queue_select = (uint16_t)value;
		break;
	default:
		queue_write(device, offset, value, size);
	}
}
