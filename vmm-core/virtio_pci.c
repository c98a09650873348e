/*
 * The modern virtio-pci transport.
 *
 * One BAR holds everything, a page a structure, so that each access is told apart by its page number:
 *
 *     0x0000 common configuration   0x1000 ISR    0x2000 device configuration   0x3000 notify, 4 bytes a
 * queue 0x4000 MSI-X table            0x5000 MSI-X pending bits
 *
 * The driver's life is in set_status(): FEATURES_OK is taken back if the features will not do, DRIVER_OK
 * starts the rings, 0 stops them and is not visible before they are. All of it runs on the vCPU thread that
 * wrote the register, under the lock of this one device.
 *
 * What a driver may do wrong is ignored or ends in rings that do not start; what the back end does wrong ends
 * the VM (device_failed()), because a guest that goes on without its disk is worth less than an error
 * message.
 */
#include "vmm-core/virtio_pci.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/vhost_user_spec.h"
#include "common/virtio_spec.h"
#include "vmm-core/msix.h"
#include "vmm-core/pci.h"
#include "vmm-core/vhost_user_frontend.h"
#include "vmm-core/virtio_pci_spec.h"

#define PAGE_SHIFT	  12
#define PAGE_COMMON	  0
#define PAGE_ISR	  1
#define PAGE_DEVICE	  2
#define PAGE_NOTIFY	  3
#define PAGE_MSIX_TABLE	  4
#define PAGE_MSIX_PENDING 5
#define BAR_SIZE	  UINT64_C(0x8000)
#define PAGE_OFFSET(page) ((uint32_t)(page) << PAGE_SHIFT)

#define NOTIFY_MULTIPLIER 4

/* What passes from the back end to the driver: bits of the device type, and those of the ring that we can
 * carry. */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | (((UINT64_C(1) << 14) - 1) << 50))
#define FEATURES_OF_RINGS \
	(VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_VERSION_1))

struct virtio_pci_queue {
	uint16_t size;
	uint16_t vector;
	bool enabled; /* by the driver */
	bool started; /* at the back end */
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	int kick_fd;
};

struct virtio_pci {
	struct core *core;
	char *id;
	struct pci_function function;
	unsigned pci_cfg; /* offset of the configuration access capability */
	struct msix *msix;
	struct vhost_user_frontend *frontend;
	uint64_t notify_address; /* where the ioeventfds are; 0: nowhere. Under the function's lock. */

	pthread_mutex_t lock; /* of all below */
	uint64_t offered;
	uint64_t driver_features;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint8_t status;
	uint8_t config_generation;
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_select;
	uint32_t config_size;
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE];

	unsigned queue_count;
	struct virtio_pci_queue queues[VIRTIO_PCI_QUEUES_MAX];

	_Atomic uint64_t notify_exits;
	_Atomic uint64_t status_writes;
	_Atomic uint64_t config_accesses;
};

/* The back end broke its word or is gone. */
static void device_failed(struct virtio_pci *device, const char *doing, int error)
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
		log_warning("device %s: the driver's queue %u is not inside of RAM; it stays off", device->id,
			    index);
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
		device_failed(device, "the queues cannot be started", result);
}

static void rings_stop(struct virtio_pci *device)
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
		device_failed(device, "the queues cannot be stopped", result);
}

/* --- Status --- */

static void transport_reset(struct virtio_pci *device)
{
	rings_stop(device);
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

static void set_status(struct virtio_pci *device, uint8_t status)
{
	uint8_t changed = (uint8_t)(status & ~device->status);

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
	if ((changed & VIRTIO_STATUS_DRIVER_OK) != 0 && (device->status & VIRTIO_STATUS_FEATURES_OK) != 0)
		rings_start(device);
}

static bool driver_ok(const struct virtio_pci *device)
{
	uint8_t both = VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_FEATURES_OK;

	return (device->status & both) == both;
}

/* --- Common configuration --- */

static struct virtio_pci_queue *selected_queue(struct virtio_pci *device)
{
	return device->queue_select < device->queue_count ? &device->queues[device->queue_select] : NULL;
}

static void common_read(struct virtio_pci *device, uint64_t offset, void *data, unsigned size)
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
		device_failed(device, "an interrupt vector cannot be changed", result);
}

static void enable_queue(struct virtio_pci *device, struct virtio_pci_queue *queue)
{
	int result;

	if (queue->enabled)
		return;
	queue->enabled = true;
	/* Drivers enable queues before DRIVER_OK; one that comes later is started now. */
	if (!driver_ok(device))
		return;
	result = queue_start(device, device->queue_select);
	if (result < 0)
		device_failed(device, "a queue cannot be started", result);
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

static void common_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
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

/* --- Device configuration --- */

static int config_fetch(struct virtio_pci *device)
{
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE];
	int result;

	if (!vhost_user_frontend_has_config(device->frontend))
		return 0;
	result = vhost_user_frontend_get_config(device->frontend, 0, config, device->config_size);
	if (result == 0 && memcmp(config, device->config, device->config_size) != 0) {
		memcpy(device->config, config, device->config_size);
		device->config_generation++;
	}
	return result;
}

static void config_read(struct virtio_pci *device, uint64_t offset, uint8_t *data, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		data[i] = offset + i < device->config_size ? device->config[offset + i] : 0;
}

static void config_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
{
	int result;

	if (!vhost_user_frontend_has_config(device->frontend) || offset + size > device->config_size)
		return;
	result = vhost_user_frontend_set_config(device->frontend, (uint32_t)offset, data, size);
	/* A field that is not writable is the driver's mistake, and what it reads back tells it so. */
	if (result == 0 || result == -EREMOTEIO)
		result = config_fetch(device);
	if (result < 0)
		device_failed(device, "its configuration cannot be written", result);
}

/* --- The BAR --- */

static void notify_write(struct virtio_pci *device, uint64_t offset)
{
	uint64_t index = offset / NOTIFY_MULTIPLIER;

	/* KVM takes notifications before they get here; one that does was written while the BAR moved, or
	 * between the registers. */
	atomic_fetch_add_explicit(&device->notify_exits, 1, memory_order_relaxed);
	if (index < device->queue_count)
		eventfd_write(device->queues[index].kick_fd, 1);
}

static void isr_read(struct virtio_pci *device, uint64_t offset, uint8_t *data, unsigned size)
{
	memset(data, 0, size);
	if (offset != 0)
		return;
	data[0] = device->isr;
	device->isr = 0;
}

static void bar_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct virtio_pci *device = owner;
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);

	switch (offset >> PAGE_SHIFT) {
	case PAGE_MSIX_TABLE:
		msix_table_read(device->msix, in_page, data, size);
		return;
	case PAGE_MSIX_PENDING:
		msix_pba_read(device->msix, in_page, data, size);
		return;
	default:
		break;
	}
	memset(data, 0, size);
	pthread_mutex_lock(&device->lock);
	switch (offset >> PAGE_SHIFT) {
	case PAGE_COMMON:
		if (in_page + size <= sizeof(struct virtio_pci_common_cfg))
			common_read(device, in_page, data, size);
		break;
	case PAGE_ISR:
		isr_read(device, in_page, data, size);
		break;
	case PAGE_DEVICE:
		atomic_fetch_add_explicit(&device->config_accesses, 1, memory_order_relaxed);
		config_read(device, in_page, data, size);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&device->lock);
}

static void bar_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct virtio_pci *device = owner;
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);

	switch (offset >> PAGE_SHIFT) {
	case PAGE_MSIX_TABLE:
		msix_table_write(device->msix, in_page, data, size);
		return;
	case PAGE_NOTIFY:
		notify_write(device, in_page);
		return;
	default:
		break;
	}
	pthread_mutex_lock(&device->lock);
	switch (offset >> PAGE_SHIFT) {
	case PAGE_COMMON:
		if (in_page + size <= VIRTIO_PCI_COMMON_CFG_SIZE)
			common_write(device, in_page, data, size);
		break;
	case PAGE_DEVICE:
		atomic_fetch_add_explicit(&device->config_accesses, 1, memory_order_relaxed);
		config_write(device, in_page, data, size);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&device->lock);
}

/* Has KVM write a queue's kick eventfd for writes of any width to its notify register, or no longer. */
static int ioeventfd_set(struct virtio_pci *device, uint64_t address, unsigned index, bool on)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = address + (uint64_t)index * NOTIFY_MULTIPLIER,
		.fd = device->queues[index].kick_fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(device->core->vm_fd, KVM_IOEVENTFD, &ioeventfd) < 0 ? -errno : 0;
}

/* The BAR moved: the ioeventfds go with it. Under the function's lock. */
static void bar_moved(void *owner, uint64_t address)
{
	struct virtio_pci *device = owner;

	for (unsigned i = 0; i < device->queue_count; i++) {
		int result;

		if (device->notify_address != 0)
			ioeventfd_set(device, device->notify_address, i, false);
		if (address == 0)
			continue;
		result = ioeventfd_set(device, address + PAGE_OFFSET(PAGE_NOTIFY), i, true);
		if (result < 0)
			log_warning("device %s: queue %u is notified through exits: %s", device->id, i,
				    strerror(-result));
	}
	device->notify_address = address != 0 ? address + PAGE_OFFSET(PAGE_NOTIFY) : 0;
}

/* --- Configuration space: MSI-X, and access to the BAR through the capability (4.1.4.9) --- */

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned length)
{
	return offset < start + length && start < offset + size;
}

/* The access that the PCI_CFG capability describes, or false if it describes none. */
static bool pci_cfg_window(const struct virtio_pci *device, uint64_t *offset, unsigned *size)
{
	const struct pci_function *function = &device->function;
	unsigned cap = device->pci_cfg;

	*offset = pci_config_get(function, cap + offsetof(struct virtio_pci_cap, offset), 4);
	*size = pci_config_get(function, cap + offsetof(struct virtio_pci_cap, length), 4);
	return function->config[cap + offsetof(struct virtio_pci_cap, bar)] == 0 &&
	       (*size == 1 || *size == 2 || *size == 4) && *offset % *size == 0 &&
	       *offset + *size <= BAR_SIZE;
}

static void function_config_read(void *owner, unsigned offset, unsigned size)
{
	struct virtio_pci *device = owner;
	unsigned data = device->pci_cfg + (unsigned)sizeof(struct virtio_pci_cap);
	uint64_t bar_offset;
	unsigned bar_size;

	if (touches(offset, size, data, 4) && pci_cfg_window(device, &bar_offset, &bar_size))
		bar_read(device, bar_offset, device->function.config + data, bar_size);
}

static void function_config_written(void *owner, unsigned offset, unsigned size)
{
	struct virtio_pci *device = owner;
	unsigned data = device->pci_cfg + (unsigned)sizeof(struct virtio_pci_cap);
	unsigned msix = PCI_FIRST_CAPABILITY; /* the first one added */
	uint64_t bar_offset;
	unsigned bar_size;

	if (touches(offset, size, msix + PCI_MSIX_CONTROL, 2))
		msix_control(device->msix,
			     (uint16_t)pci_config_get(&device->function, msix + PCI_MSIX_CONTROL, 2));
	if (touches(offset, size, data, 4) && pci_cfg_window(device, &bar_offset, &bar_size))
		bar_write(device, bar_offset, device->function.config + data, bar_size);
}

static void add_msix_capability(struct virtio_pci *device)
{
	struct pci_function *function = &device->function;
	unsigned cap = pci_function_add_capability(function, PCI_CAP_ID_MSIX, PCI_MSIX_CAP_SIZE);

	pci_config_set(function, cap + PCI_MSIX_CONTROL, 2, msix_vectors(device->msix) - 1);
	pci_config_set(function, cap + PCI_MSIX_TABLE, 4, PAGE_OFFSET(PAGE_MSIX_TABLE));
	pci_config_set(function, cap + PCI_MSIX_PBA, 4, PAGE_OFFSET(PAGE_MSIX_PENDING));
	function->writable[cap + PCI_MSIX_CONTROL + 1] = (PCI_MSIX_ENABLE | PCI_MSIX_MASKALL) >> 8;
}

static unsigned add_virtio_capability(struct virtio_pci *device, uint8_t type, unsigned page, uint32_t length,
				      uint8_t extra)
{
	struct pci_function *function = &device->function;
	struct virtio_pci_cap cap = {
		.cap_vndr = PCI_CAP_ID_VNDR,
		.cap_len = (uint8_t)(sizeof(cap) + extra),
		.cfg_type = type,
		.offset = PAGE_OFFSET(page),
		.length = length,
	};
	unsigned offset = pci_function_add_capability(function, PCI_CAP_ID_VNDR, cap.cap_len);

	memcpy(function->config + offset + 2, (uint8_t *)&cap + 2, sizeof(cap) - 2);
	return offset;
}

static void add_capabilities(struct virtio_pci *device)
{
	struct pci_function *function = &device->function;
	unsigned offset;

	add_msix_capability(device);
	add_virtio_capability(device, VIRTIO_PCI_CAP_COMMON_CFG, PAGE_COMMON, VIRTIO_PCI_COMMON_CFG_SIZE, 0);
	add_virtio_capability(device, VIRTIO_PCI_CAP_ISR_CFG, PAGE_ISR, 1, 0);
	if (device->config_size > 0)
		add_virtio_capability(device, VIRTIO_PCI_CAP_DEVICE_CFG, PAGE_DEVICE, device->config_size, 0);
	offset = add_virtio_capability(device, VIRTIO_PCI_CAP_NOTIFY_CFG, PAGE_NOTIFY,
				       device->queue_count * NOTIFY_MULTIPLIER, 4);
	pci_config_set(function, offset + (unsigned)sizeof(struct virtio_pci_cap), 4, NOTIFY_MULTIPLIER);
	offset = add_virtio_capability(device, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	device->pci_cfg = offset;
	function->writable[offset + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(function->writable + offset + offsetof(struct virtio_pci_cap, offset), 0xff, 12);
}

static const struct pci_function_ops virtio_pci_function_ops = {
	.bar = {.read = bar_read, .write = bar_write},
	.bar_moved = bar_moved,
	.config_read = function_config_read,
	.config_written = function_config_written,
};

/* --- Notices of the back end; main thread --- */

static void backend_config_changed(void *owner)
{
	struct virtio_pci *device = owner;
	int result;

	pthread_mutex_lock(&device->lock);
	result = config_fetch(device);
	if (result < 0)
		device_failed(device, "its configuration cannot be read", result);
	device->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (driver_ok(device))
		msix_raise(device->msix, device->config_vector);
	pthread_mutex_unlock(&device->lock);
}

static void backend_gone(void *owner, int error)
{
	struct virtio_pci *device = owner;

	pthread_mutex_lock(&device->lock);
	device_failed(device, "the queue wire ended", error == 0 ? -EPIPE : error);
	pthread_mutex_unlock(&device->lock);
}

static const struct vhost_user_frontend_ops frontend_ops = {
	.config_changed = backend_config_changed,
	.gone = backend_gone,
};

/* --- Life --- */

/* Sizes of the config spaces (5.x.4), so that no more is asked of a back end than its device type has. */
static uint32_t config_size_of(uint16_t device_type)
{
	switch (device_type) {
	case VIRTIO_ID_BLOCK:
		return 60;
	case VIRTIO_ID_NET:
		return 24;
	case VIRTIO_ID_CONSOLE:
		return 12;
	default:
		return VHOST_USER_MAX_CONFIG_SIZE;
	}
}

static uint32_t class_of(uint16_t device_type)
{
	switch (device_type) {
	case VIRTIO_ID_BLOCK:
		return 0x010000;
	case VIRTIO_ID_NET:
		return 0x020000;
	case VIRTIO_ID_CONSOLE:
		return 0x078000;
	default:
		return 0xff0000;
	}
}

static int make_queues(struct virtio_pci *device, const struct virtio_pci_setup *setup)
{
	unsigned offered = vhost_user_frontend_queues(device->frontend);
	unsigned count = setup->queues != 0 ? setup->queues : offered;

	if (count < setup->queues_min)
		count = setup->queues_min;
	if (count > VIRTIO_PCI_QUEUES_MAX || (offered != 0 && count > offered)) {
		log_error("device %s: %u queues are wanted, its process has %u and %u are possible",
			  device->id, count, offered, VIRTIO_PCI_QUEUES_MAX);
		return -EINVAL;
	}
	for (; device->queue_count < count; device->queue_count++) {
		struct virtio_pci_queue *queue = &device->queues[device->queue_count];

		queue->size = VIRTIO_PCI_QUEUE_SIZE_MAX;
		queue->vector = VIRTIO_MSI_NO_VECTOR;
		queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (queue->kick_fd < 0)
			return -errno;
	}
	return msix_new(device->core->irqs, count + 1, &device->msix);
}

static int connect_backend(struct virtio_pci *device, const struct virtio_pci_setup *setup, int wire_fd)
{
	int result =
		vhost_user_frontend_new(setup->core->loop, wire_fd, &frontend_ops, device, &device->frontend);

	if (result < 0)
		return result;
	device->offered =
		vhost_user_frontend_features(device->frontend) & (FEATURES_OF_DEVICES | FEATURES_OF_RINGS);
	if ((device->offered & VIRTIO_BIT(VIRTIO_F_VERSION_1)) == 0) {
		log_error("device %s: its process does not offer VIRTIO_F_VERSION_1", device->id);
		return -EPROTO;
	}
	device->config_size =
		vhost_user_frontend_has_config(device->frontend) ? config_size_of(setup->device_type) : 0;
	return config_fetch(device);
}

int virtio_pci_new(const struct virtio_pci_setup *setup, int wire_fd, struct virtio_pci **device)
{
	struct virtio_pci *new_device = calloc(1, sizeof(*new_device));
	int result = -ENOMEM;

	if (new_device == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	new_device->core = setup->core;
	new_device->config_vector = VIRTIO_MSI_NO_VECTOR;
	pthread_mutex_init(&new_device->lock, NULL);
	new_device->id = strdup(setup->id);
	if (new_device->id == NULL)
		goto free_device;
	result = connect_backend(new_device, setup, wire_fd);
	if (result < 0)
		goto free_device;
	result = make_queues(new_device, setup);
	if (result < 0)
		goto free_device;
	pci_function_init(&new_device->function, &virtio_pci_function_ops, new_device, "virtio-pci",
			  VIRTIO_PCI_VENDOR, (uint16_t)(VIRTIO_PCI_DEVICE_BASE + setup->device_type),
			  class_of(setup->device_type), VIRTIO_PCI_REVISION, VIRTIO_PCI_VENDOR,
			  (uint16_t)(VIRTIO_PCI_SUBSYSTEM_ID_BASE + setup->device_type));
	pci_function_set_bar(&new_device->function, BAR_SIZE);
	add_capabilities(new_device);
	result = pci_bus_add(setup->core->pci, &new_device->function);
	if (result < 0)
		goto free_device;
	*device = new_device;
	return 0;

free_device:
	log_error("device %s: cannot be attached: %s", setup->id, strerror(-result));
	if (new_device->frontend == NULL)
		close(wire_fd);
	virtio_pci_free(new_device);
	return result;
}

void virtio_pci_cancel(struct virtio_pci *device)
{
	vhost_user_frontend_cancel(device->frontend);
}

void virtio_pci_quiesce(struct virtio_pci *device)
{
	pthread_mutex_lock(&device->lock);
	rings_stop(device);
	pthread_mutex_unlock(&device->lock);
}

void virtio_pci_free(struct virtio_pci *device)
{
	if (device == NULL)
		return;
	if (device->function.bus != NULL)
		pci_bus_remove(device->core->pci, &device->function);
	vhost_user_frontend_free(device->frontend);
	msix_free(device->msix);
	for (unsigned i = 0; i < device->queue_count; i++)
		close(device->queues[i].kick_fd);
	pthread_mutex_destroy(&device->lock);
	free(device->id);
	free(device);
}

void virtio_pci_counters(const struct virtio_pci *device,
			 void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	each(argument, "notify-exits", atomic_load(&((struct virtio_pci *)device)->notify_exits));
	each(argument, "status-writes", atomic_load(&((struct virtio_pci *)device)->status_writes));
	each(argument, "device-config-accesses",
	     atomic_load(&((struct virtio_pci *)device)->config_accesses));
}
