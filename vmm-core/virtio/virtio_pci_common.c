/*
 * The common configuration of virtio-pci: status, features, queues, and what a change of them means at the
 * back end.
 *
 * The driver's life is in set_status(): FEATURES_OK is taken back if the features will not do, DRIVER_OK
 * starts the rings, 0 stops them, resets the back end, and is not visible before that is done. All of it runs on the vCPU thread that
 * wrote the register, under the lock of this one device.
 *
 * What a driver may do wrong is ignored or ends in rings that do not start. What the back end does wrong, its
 * death included, makes the access that needed it wait for a successor and begin again, so nothing here is
 * taken as done before the back end has done it. What was set up at a back end cannot change while there is
 * none: the attendant reads it without the lock to set it up again (virtio_pci_backend.c).
 *
 * Source: virtio 1.2, 4.1.4.3 and 3.1.1.
 */
#include "vmm-core/virtio/virtio_pci_device.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/base/eventfd_wire.h"
#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "vmm-core/virtio/virtio_pci_spec.h"

/* What a back end that wants to know is told before the rings start. */
#define STATUS_SET_UP (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK)

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

/*
 * Where a ring goes on: a driver that begins finds it empty; one that was halted goes on where its back end said; a
 * back end that takes over goes on behind what is used, and finds what its predecessor had taken beyond that in the
 * inflight region, where there is one.
 */
static uint16_t ring_base(const struct virtio_pci *device, const struct virtio_pci_queue *queue)
{
	const uint8_t *used = guest_ram_range(&device->core->ram, queue->used, sizeof(struct virtq_used));

	if (!queue->started || used == NULL)
		return queue->base;
	return __atomic_load_n((const uint16_t *)(used + offsetof(struct virtq_used, idx)), __ATOMIC_ACQUIRE);
}

int virtio_ring_start(const struct virtio_pci *device, struct backend *backend, uint16_t index,
		      const struct virtio_pci_queue *queue)
{
	struct backend_ring ring = {
		.size = queue->size,
		.base = ring_base(device, queue),
		.descriptors = queue->descriptors,
		.available = queue->available,
		.used = queue->used,
		.kick_fd = queue->kick_fd,
		.call_fd = msix_eventfd(device->msix, queue->vector),
	};
	int result = backend->ops->set_error(backend, index, device->error_fd);

	return result < 0 ? result : backend->ops->start_ring(backend, index, &ring);
}

static int queue_start(struct virtio_pci *device, uint16_t index)
{
	struct virtio_pci_queue *queue = &device->queues[index];
	int result;

	if (!queue_inside_ram(device, queue)) {
		if (!device->bad_queue_told)
			log_warning_of(device->id,
				       "device %s: the driver's queue %u is not inside of RAM; it stays off",
				       device->id, index);
		device->bad_queue_told = true;
		return 0;
	}
	/* 2.7 and PCI 6.2.2: without being a bus master the device does not look at memory. */
	if (!device->master) {
		queue->halted = true;
		return 0;
	}
	result = virtio_ring_start(device, device->backend, index, queue);
	queue->halted = false;
	/* Also if it did not get so far: the ring may have been served before the back end was lost. */
	queue->started = true;
	return result;
}

int virtio_backend_set_up(const struct virtio_pci *device, struct backend *backend, const char **doing)
{
	int result;

	*doing = "the queues cannot be set up";
	result = backend->ops->set_features(backend, device->driver_features);
	if (result == 0)
		result = backend->ops->set_status(backend, STATUS_SET_UP);
	if (result == 0)
		result = backend->ops->set_memory(backend, &device->core->ram);
	if (result == 0 && backend->has_inflight)
		result = backend->ops->set_inflight(backend, device->inflight.memfd, device->inflight.size,
						    (uint16_t)device->queue_count, VIRTIO_PCI_QUEUE_SIZE_MAX);
	return result;
}

int virtio_backend_started(struct backend *backend, const char **doing)
{
	*doing = "it cannot be told that the driver is ready";
	return backend->ops->set_status(backend, STATUS_SET_UP | VIRTIO_STATUS_DRIVER_OK);
}

static int rings_start(struct virtio_pci *device)
{
	int result;

	if (device_link_waits(device_link_state(&device->link)))
		return -ENOTCONN;
	device->touched = true;
	result = virtio_backend_set_up(device, device->backend, &device->doing);
	if (result < 0)
		return result;
	device->doing = "the queues cannot be started";
	for (uint16_t i = 0; result == 0 && i < device->queue_count; i++) {
		if (device->queues[i].enabled)
			result = queue_start(device, i);
	}
	return result < 0 ? result : virtio_backend_started(device->backend, &device->doing);
}

/* halt: to go on where they are, later. */
static int rings_stop(struct virtio_pci *device, bool halt)
{
	enum device_link_state state = device_link_state(&device->link);

	for (uint16_t i = 0; i < device->queue_count; i++) {
		struct virtio_pci_queue *queue = &device->queues[i];
		uint16_t base;
		int result = 0;

		if (!queue->started)
			continue;
		/* Also when nobody is there: what was accepted may still be written into the guest's memory
		 * by a process that is about to end. A successor comes when it has ended. */
		if (device_link_waits(state))
			return -ENOTCONN;
		device->doing = "the queues cannot be stopped";
		base = ring_base(device, queue);
		if (state == DEVICE_LINK_SERVING)
			result = device->backend->ops->stop_ring(device->backend, i, &base);
		if (result < 0)
			return result;
		queue->started = false;
		queue->halted = halt;
		queue->base = base;
	}
	return 0;
}

int virtio_rings_stop(struct virtio_pci *device)
{
	return rings_stop(device, false);
}

int virtio_rings_leave(struct virtio_pci *device)
{
	int result = 0;

	device->doing = "the queues cannot be stopped";
	for (uint16_t i = 0; i < device->queue_count && result == 0; i++) {
		struct virtio_pci_queue *queue = &device->queues[i];

		if (!queue->started)
			continue;
		result = device->backend->ops->stop_ring(device->backend, i, &queue->base);
		queue->started = result < 0;
	}
	return result;
}

/* Again after a failure: what was done is not done twice. */
static int rings_go_on(struct virtio_pci *device)
{
	enum device_link_state state = device_link_state(&device->link);

	for (uint16_t i = 0; i < device->queue_count; i++) {
		struct virtio_pci_queue *queue = &device->queues[i];
		int result;

		if (!queue->halted)
			continue;
		if (device_link_waits(state))
			return -ENOTCONN;
		device->doing = "the queues cannot go on";
		/* The one that comes after all finds them running. */
		if (state == DEVICE_LINK_FAILED) {
			queue->halted = false;
			queue->started = true;
			continue;
		}
		result = queue_start(device, i);
		if (result < 0)
			return result;
		/* A kick meanwhile was for nobody. */
		if (queue->started)
			eventfd_raise(queue->kick_fd);
	}
	return 0;
}

int virtio_master_set(struct virtio_pci *device, bool master)
{
	int result;

	if (!master) {
		result = rings_stop(device, true);
		if (result == 0)
			device->master = false;
	} else {
		device->master = true;
		result = rings_go_on(device);
	}
	return result;
}

/* --- Status --- */

/* The rings have stopped. */
static void transport_reset(struct virtio_pci *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtio_pci_queue *queue = &device->queues[i];

		*queue = (struct virtio_pci_queue){
			.size = VIRTIO_PCI_QUEUE_SIZE_MAX,
			.vector = VIRTIO_MSI_NO_VECTOR,
			.kick_fd = queue->kick_fd,
		};
		/* A kick that was meant for the driver's former life must not wake the next one. */
		(void)eventfd_drain(queue->kick_fd);
	}
	inflight_memory_clear(&device->inflight);
	device->touched = false;
	device->config_write_count = 0;
	device->driver_features = 0;
	device->device_feature_select = 0;
	device->driver_feature_select = 0;
	device->queue_select = 0;
	device->config_vector = VIRTIO_MSI_NO_VECTOR;
	device->isr = 0;
	device->status = 0;
}

static bool status_is_ok(uint8_t status)
{
	uint8_t both = VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK;

	return (status & both) == both;
}

bool virtio_driver_ok(const struct virtio_pci *device)
{
	return status_is_ok(device->status);
}

void virtio_config_tell(struct virtio_pci *device)
{
	device->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (virtio_driver_ok(device))
		msix_raise(device->msix, device->config_vector);
}

/* 2.2.2: the device must fail to set FEATURES_OK for features that it did not offer or cannot do without. One
 * that has failed takes none: its driver shall give up rather than wait for answers. */
static bool features_will_do(const struct virtio_pci *device)
{
	return device_link_state(&device->link) != DEVICE_LINK_FAILED &&
	       (device->driver_features & ~device->offered) == 0 &&
	       (device->driver_features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) != 0;
}

static int reset(struct virtio_pci *device)
{
	enum device_link_state state = device_link_state(&device->link);
	int result = virtio_rings_stop(device);

	if (result < 0)
		return result;
	/* Even without rings: what the driver had set up may be on its way to a successor, or kept for one. */
	if (device->touched && device_link_waits(state))
		return -ENOTCONN;
	device->doing = "it cannot be reset";
	if (state == DEVICE_LINK_SERVING)
		result = device->backend->ops->reset(device->backend);
	if (result < 0)
		return result;
	transport_reset(device);
	return 0;
}

static int set_status(struct virtio_pci *device, uint8_t status)
{
	uint8_t changed = (uint8_t)(status & ~device->status);
	/* Bits are only ever added by a driver, and NEEDS_RESET is the device's. */
	uint8_t next = device->status | (uint8_t)(status & ~VIRTIO_STATUS_DEVICE_NEEDS_RESET);
	int result;

	if (status == 0)
		return reset(device);
	if ((changed & VIRTIO_STATUS_FEATURES_OK) != 0) {
		/* A successor's features are held against the driver's as they are when it comes. */
		if (device_link_waits(device_link_state(&device->link)))
			return -ENOTCONN;
		if (!features_will_do(device))
			next &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	/* In whichever order they came: a queue that is enabled from here on relies on it. */
	if (!virtio_driver_ok(device) && status_is_ok(next)) {
		if (device_link_state(&device->link) == DEVICE_LINK_FAILED) {
			device->status = next | VIRTIO_STATUS_DEVICE_NEEDS_RESET;
			virtio_config_tell(device);
			return 0;
		}
		result = rings_start(device);
		if (result < 0)
			return result;
	}
	device->status = next;
	return 0;
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

static int set_queue_vector(struct virtio_pci *device, struct virtio_pci_queue *queue, uint16_t vector)
{
	enum device_link_state state = device_link_state(&device->link);
	int result = 0;

	vector = checked_vector(device, vector);
	if (queue->started && device_link_waits(state))
		return -ENOTCONN;
	device->doing = "an interrupt vector cannot be changed";
	if (queue->started && state == DEVICE_LINK_SERVING)
		result = device->backend->ops->set_call(device->backend, device->queue_select,
							msix_eventfd(device->msix, vector));
	if (result == 0)
		queue->vector = vector;
	return result;
}

static int enable_queue(struct virtio_pci *device, struct virtio_pci_queue *queue)
{
	enum device_link_state state = device_link_state(&device->link);
	int result = 0;

	if (queue->enabled)
		return 0;
	/* Drivers enable queues before DRIVER_OK; one that comes later is started now. */
	if (virtio_driver_ok(device)) {
		if (device_link_waits(state))
			return -ENOTCONN;
		device->doing = "a queue cannot be started";
		/* One that was started is back since its back end was replaced. */
		if (state == DEVICE_LINK_SERVING && !queue->started)
			result = queue_start(device, device->queue_select);
	}
	if (result == 0)
		queue->enabled = true;
	return result;
}

static int queue_write(struct virtio_pci *device, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_pci_queue *queue = selected_queue(device);

	if (queue == NULL)
		return 0;
	switch (offset) {
	case offsetof(struct virtio_pci_common_cfg, queue_msix_vector):
		return set_queue_vector(device, queue, (uint16_t)value);
	case offsetof(struct virtio_pci_common_cfg, queue_enable):
		return value == 1 ? enable_queue(device, queue) : 0;
	default:
		break;
	}
	/* 4.1.4.3.2: size and addresses are set before the queue is enabled. */
	if (queue->enabled)
		return 0;
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
	return 0;
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

int virtio_common_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
{
	uint64_t value = 0;
	bool whole =
		size == 8 && offset % 8 == 0 && offset >= offsetof(struct virtio_pci_common_cfg, queue_desc);

	memcpy(&value, data, size);
	/* 4.1.3.1: the driver accesses each field in its own width; nothing else has a meaning. */
	if (offset % field_width(offset) != 0 || (size != field_width(offset) && !whole))
		return 0;
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
		return set_status(device, (uint8_t)value);
	case offsetof(struct virtio_pci_common_cfg, queue_select):
		device->queue_select = (uint16_t)value;
		break;
	default:
		return queue_write(device, offset, value, size);
	}
	return 0;
}
