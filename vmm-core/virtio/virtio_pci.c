/*
 * The modern virtio-pci transport.
 *
 * One BAR holds everything, a page a structure, so that each access is told apart by its page number:
 *
 *     0x0000 common configuration    0x1000 ISR                 0x2000 device configuration
 *     0x3000 notify, 4 a queue       0x4000 MSI-X table         0x5000 MSI-X pending bits
 *
 * What happens in the common configuration is in virtio_pci_common.c; who is behind it, in virtio_pci_backend.c.
 *
 * An access that needs the back end and finds it gone waits and is issued again (virtio_device_recover()). It
 * holds the lock of the PCI function meanwhile if it came through the configuration access capability, or changes
 * bus mastering, which only this device's own configuration space can be made to wait by.
 */
#include "vmm-core/virtio/virtio_pci.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/eventfd_wire.h"
#include "common/base/log.h"
#include "common/ring/inflight.h"
#include "common/spec/virtio_spec.h"
#include "vmm-core/pci/msix.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci_device.h"
#include "vmm-core/virtio/virtio_pci_spec.h"

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

_Static_assert(VHOST_USER_INFLIGHT_QUEUE_SIZE(VIRTIO_PCI_QUEUE_SIZE_MAX) <=
		       INFLIGHT_FILE_MAX / VIRTIO_PCI_QUEUES_MAX,
	       "the core may make an inflight region");

/* --- The BAR --- */

static void notify_write(struct virtio_pci *device, uint64_t offset)
{
	uint64_t index = offset / NOTIFY_MULTIPLIER;

	/* KVM takes notifications before they get here; one that does was written while the BAR moved, or
	 * between the registers. */
	atomic_fetch_add_explicit(&device->notify_exits, 1, memory_order_relaxed);
	if (index < device->queue_count)
		eventfd_raise(device->queues[index].kick_fd);
}

static void isr_read(struct virtio_pci *device, uint64_t offset, uint8_t *data, unsigned size)
{
	memset(data, 0, size);
	if (offset != 0)
		return;
	data[0] = device->isr;
	device->isr = 0;
}

/* An access to what the lock guards: 0, or an error to recover from. */
static int locked_read(struct virtio_pci *device, uint64_t offset, uint8_t *data, unsigned size)
{
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);
	int result = 0;

	memset(data, 0, size);
	switch (offset >> PAGE_SHIFT) {
	case PAGE_COMMON:
		/* Of the generation that the configuration has now: a notice of a change travels beside the
		 * queues, and a driver that was told of a command's completion may be here before it. */
		if (in_page == offsetof(struct virtio_pci_common_cfg, config_generation))
			result = virtio_config_fetch(device);
		if (result == 0 && in_page + size <= sizeof(struct virtio_pci_common_cfg))
			virtio_common_read(device, in_page, data, size);
		break;
	case PAGE_ISR:
		isr_read(device, in_page, data, size);
		break;
	case PAGE_DEVICE:
		result = virtio_config_fetch(device);
		for (unsigned i = 0; result == 0 && i < size; i++)
			data[i] = in_page + i < device->config_size ? device->config[in_page + i] : 0;
		break;
	default:
		break;
	}
	return result;
}

static int locked_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
{
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);

	switch (offset >> PAGE_SHIFT) {
	case PAGE_COMMON:
		return in_page + size <= VIRTIO_PCI_COMMON_CFG_SIZE
			       ? virtio_common_write(device, in_page, data, size)
			       : 0;
	case PAGE_DEVICE:
		return virtio_config_write(device, in_page, data, size);
	default:
		return 0;
	}
}

static void count_access(struct virtio_pci *device, uint64_t offset, bool write)
{
	uint64_t status = offsetof(struct virtio_pci_common_cfg, device_status);

	if (offset >> PAGE_SHIFT == PAGE_DEVICE)
		atomic_fetch_add_explicit(&device->config_accesses, 1, memory_order_relaxed);
	else if (write && offset == PAGE_OFFSET(PAGE_COMMON) + status)
		atomic_fetch_add_explicit(&device->status_writes, 1, memory_order_relaxed);
}

static void bar_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct virtio_pci *device = owner;
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);
	int result;

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
	count_access(device, offset, false);
	pthread_mutex_lock(&device->lock);
	do
		result = locked_read(device, offset, data, size);
	while (result < 0 && virtio_device_recover(device, result));
	if (result < 0)
		memset(data, 0xff, size);
	virtio_device_unlock(device);
}

static void bar_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct virtio_pci *device = owner;
	uint64_t in_page = offset & ((1u << PAGE_SHIFT) - 1);
	int result;

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
	count_access(device, offset, true);
	pthread_mutex_lock(&device->lock);
	do
		result = locked_write(device, offset, data, size);
	while (result < 0 && virtio_device_recover(device, result));
	virtio_device_unlock(device);
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
			log_warning_of(device->id, "device %s: queue %u is notified through exits: %s",
				       device->id, i, strerror(-result));
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

/*
 * Bus mastering was allowed or forbidden. Without it the device neither reads nor writes memory, which an MSI-X
 * message is too: interrupts close first, and open last.
 */
static void master_written(struct virtio_pci *device)
{
	bool master = (device->function.config[PCI_COMMAND] & PCI_COMMAND_MASTER) != 0;
	int result;

	/* It changes here alone, under the function's lock. */
	if (master == device->master)
		return;
	if (!master)
		msix_set_master(device->msix, false);
	pthread_mutex_lock(&device->lock);
	do
		result = virtio_master_set(device, master);
	while (result < 0 && virtio_device_recover(device, result));
	virtio_device_unlock(device);
	if (master)
		msix_set_master(device->msix, true);
}

static void function_config_written(void *owner, unsigned offset, unsigned size)
{
	struct virtio_pci *device = owner;
	unsigned data = device->pci_cfg + (unsigned)sizeof(struct virtio_pci_cap);
	unsigned msix = PCI_FIRST_CAPABILITY; /* the first one added */
	uint64_t bar_offset;
	unsigned bar_size;

	if (touches(offset, size, PCI_COMMAND, 1))
		master_written(device);
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

/* --- Life --- */

static int make_queues(struct virtio_pci *device)
{
	unsigned offered = device->backend->queues;
	unsigned count = virtio_queues_offered(device, device->backend, device->queues_wanted);
	int result;

	if (count < device->type->queues_min)
		count = device->type->queues_min;
	device->doing = "its process has not the queues that are wanted, or they are too many";
	if (count > VIRTIO_PCI_QUEUES_MAX ||
	    (offered != 0 && count > offered && !device->type->queue_pairs)) {
		log_error("device %s: %u queues are wanted, its process has %u and %u are possible",
			  device->id, count, offered, VIRTIO_PCI_QUEUES_MAX);
		return -EINVAL;
	}
	device->doing = "eventfds for its queues";
	for (; device->queue_count < count; device->queue_count++) {
		struct virtio_pci_queue *queue = &device->queues[device->queue_count];

		queue->size = VIRTIO_PCI_QUEUE_SIZE_MAX;
		queue->vector = VIRTIO_MSI_NO_VECTOR;
		result = eventfd_pool_take(device->core->eventfds, &queue->kick_fd);
		if (result < 0)
			return result;
	}
	return 0;
}

static int make_memory(struct virtio_pci *device)
{
	int result;

	device->doing = "an inflight region";
	/* Large enough for whatever device may have it next. */
	result = inflight_pool_take(device->core->inflights, VIRTIO_PCI_QUEUES_MAX, VIRTIO_PCI_QUEUE_SIZE_MAX,
				    &device->inflight);
	if (result < 0)
		return result;
	inflight_memory_trim(&device->inflight, (uint16_t)device->queue_count, VIRTIO_PCI_QUEUE_SIZE_MAX);
	device->doing = "MSI-X vectors";
	return msix_new(device->core->irqs, device->core->eventfds, device->queue_count + 1, &device->msix);
}

/* All that it is made of, once its back end is known. */
static int make_parts(struct virtio_pci *device)
{
	int result;

	if ((result = make_queues(device)) < 0 || (result = make_memory(device)) < 0)
		return result;
	device->doing = "an eventfd for errors";
	return virtio_errors_watch(device);
}

static void make_function(struct virtio_pci *device)
{
	uint16_t type = device->type->virtio_id;

	pci_function_init(&device->function, &virtio_pci_function_ops, device, "virtio-pci",
			  VIRTIO_PCI_VENDOR, (uint16_t)(VIRTIO_PCI_DEVICE_BASE + type),
			  device->type->pci_class, VIRTIO_PCI_REVISION, VIRTIO_PCI_VENDOR,
			  (uint16_t)(VIRTIO_PCI_SUBSYSTEM_ID_BASE + type));
	pci_function_set_bar(&device->function, BAR_SIZE);
	add_capabilities(device);
}

static int connect_backend(struct virtio_pci *device, int wire_fd)
{
	int result = device_link_init(&device->link, device->core, device->id, &virtio_link_ops, device);

	if (result < 0)
		return result;
	result = device->backend_ops->connect(wire_fd, &device->link.cancelled, &virtio_backend_notices,
					      device, &device->backend);
	if (result < 0)
		return result;
	device->offered = virtio_features_offered(device, device->backend);
	if ((device->offered & VIRTIO_BIT(VIRTIO_F_VERSION_1)) == 0) {
		log_error("device %s: its process does not offer VIRTIO_F_VERSION_1", device->id);
		return -EPROTO;
	}
	device->config_size = device->backend->has_config ? device->type->config_size : 0;
	result = virtio_config_fetch(device);
	if (result < 0)
		return result;
	result = device->backend->ops->watch(device->backend, device->core->loop);
	return result < 0 ? result : device_link_start(&device->link, wire_fd);
}

/* Without a link. */
static struct virtio_pci *device_allocate(const struct virtio_pci_setup *setup)
{
	struct virtio_pci *device = calloc(1, sizeof(*device));

	if (device == NULL)
		return NULL;
	device->core = setup->core;
	device->type = setup->type;
	device->backend_ops = setup->backend_ops;
	device->queues_wanted = setup->queues;
	device->config_vector = VIRTIO_MSI_NO_VECTOR;
	device->error_fd = -1;
	pthread_mutex_init(&device->lock, NULL);
	device->id = strdup(setup->id);
	if (device->id == NULL) {
		virtio_pci_free(device);
		return NULL;
	}
	return device;
}

int virtio_pci_new(const struct virtio_pci_setup *setup, int wire_fd, struct virtio_pci **device)
{
	struct virtio_pci *new_device = device_allocate(setup);
	int result;

	if (new_device == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	if ((result = connect_backend(new_device, wire_fd)) < 0 || (result = make_parts(new_device)) < 0)
		goto free_device;
	make_function(new_device);
	result = pci_bus_add(setup->core->pci, &new_device->function);
	if (result < 0)
		goto free_device;
	*device = new_device;
	return 0;

free_device:
	log_error("device %s: cannot be attached: %s", setup->id, strerror(-result));
	if (new_device->backend == NULL)
		close(wire_fd);
	virtio_pci_free(new_device);
	return result;
}

int virtio_pci_invite(const struct virtio_pci_setup *setup, int wire_fd, uint64_t serial,
		      struct virtio_pci **device)
{
	struct virtio_pci *new_device = device_allocate(setup);
	int result;

	if (new_device == NULL)
		return -ENOMEM;
	new_device->is_new = true;
	result = device_link_invite(&new_device->link, setup->core, new_device->id, &virtio_link_ops,
				    new_device, wire_fd, serial);
	if (result < 0) {
		virtio_pci_free(new_device);
		return result;
	}
	*device = new_device;
	return 0;
}

static int new_device_add(struct virtio_pci *device)
{
	struct backend *backend = device->backend;
	int result = make_parts(device);

	if (result < 0)
		return result;
	device->doing = "its notices cannot be heard";
	result = backend->ops->watch(backend, device->core->loop);
	if (result < 0)
		return result;
	make_function(device);
	device->is_new = false;
	/* The guest may find it at once. */
	device_link_join(&device->link);
	device->doing = "a place on the PCI bus";
	return pci_bus_add(device->core->pci, &device->function);
}

void virtio_pci_join(struct virtio_pci *device)
{
	struct virtio_pci_successor *newcomer = &device->successor;
	char why[DEVICE_LINK_DETAIL_MAX];
	int result;

	device->backend = newcomer->backend;
	newcomer->backend = NULL;
	device->offered = newcomer->offered;
	device->config_size = device->backend->has_config ? device->type->config_size : 0;
	memcpy(device->config, newcomer->config, device->config_size);
	result = new_device_add(device);
	if (result == 0)
		return;
	snprintf(why, sizeof(why), "%s: %s", device->doing,
		 result == -ENOSPC ? "there is none left; detach another device" : strerror(-result));
	device_link_leave(&device->link, why);
}

struct device_link *virtio_pci_link(struct virtio_pci *device)
{
	return &device->link;
}

void virtio_pci_quiesce(struct virtio_pci *device)
{
	int result;

	pthread_mutex_lock(&device->lock);
	result = virtio_rings_stop(device);
	/* What a lost process had accepted is lost with it. */
	if (result < 0 && result != -ENOTCONN)
		log_warning_of(device->id, "device %s: %s: %s", device->id, device->doing, strerror(-result));
	virtio_device_unlock(device);
}

void virtio_pci_free(struct virtio_pci *device)
{
	if (device == NULL)
		return;
	if (device->function.bus != NULL)
		pci_bus_remove(device->core->pci, &device->function);
	device_link_destroy(&device->link);
	backend_free(device->backend);
	loop_unwatch(device->error_watch);
	if (device->error_fd >= 0)
		eventfd_pool_give(device->core->eventfds, device->error_fd);
	inflight_pool_give(device->core->inflights, &device->inflight);
	msix_free(device->msix);
	for (unsigned i = 0; i < device->queue_count; i++)
		eventfd_pool_give(device->core->eventfds, device->queues[i].kick_fd);
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
