/*
 * The process behind a virtio-pci device: what it offers, its configuration and notices, and how another one
 * takes its place.
 *
 * A successor is asked what it is (features, queues, configuration) and held against what the driver was
 * promised; then it is told what the driver had set up: features, memory, the inflight region, what the driver
 * wrote into the configuration, the rings. That is the attendant's, and it does not hold the device's lock: as
 * long as the link is lost, vCPUs change nothing of it, since each change needs a back end. The main thread
 * then puts the successor in place, kicks each queue, because a kick may have been read by a process that did
 * nothing with it, and raises each queue's vector, because a completion may not have been followed by its
 * interrupt.
 *
 * When no successor comes, there comes an undertaker, which completes what the driver asks for with the error
 * of the device's class. It is a back end like any other, except that it cannot know what the driver was promised:
 * the features that are offered stay as they were, and the configuration is answered from the copy, in which a
 * network's link is down.
 *
 * Where there is no undertaker either, the driver is told by DEVICE_NEEDS_RESET (virtio 1.2, 2.1.2). Its
 * configuration is answered from the copy then, too: ones would be a disk of 8 ZiB. A successor that comes after
 * all goes on where the driver left the device; 2.1 lets requests be completed in spite of the bit.
 */
#include "vmm-core/virtio/virtio_pci_device.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/eventfd_wire.h"
#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "vmm-core/virtio/virtio_pci_spec.h"

/* What passes from the back end to the driver: bits of the device type, and those of the ring that we can
 * carry. */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | (((UINT64_C(1) << 14) - 1) << 50))
#define FEATURES_OF_RINGS \
	(VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_VERSION_1))

/* 5.1.3: the bits of a network device that decide how many queues there are. */
#define VIRTIO_NET_F_CTRL_VQ 17
#define VIRTIO_NET_F_MQ	     22
/* 5.1.4: with this bit there is a status in a network's configuration. */
#define VIRTIO_NET_F_STATUS	 16
#define VIRTIO_NET_CONFIG_STATUS 6
#define VIRTIO_NET_S_LINK_UP	 1

uint64_t virtio_features_offered(const struct virtio_pci *device, const struct backend *backend)
{
	uint64_t features = backend->features & (FEATURES_OF_DEVICES | FEATURES_OF_RINGS);

	if (device->type->queue_pairs)
		features &= ~VIRTIO_BIT(VIRTIO_NET_F_MQ);
	return features;
}

unsigned virtio_queues_offered(const struct virtio_pci *device, const struct backend *backend,
			       unsigned wanted)
{
	/* There is one pair of queues (5.1.2). */
	if (device->type->queue_pairs)
		return (backend->features & VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ)) != 0 ? 3 : 2;
	return wanted != 0 ? wanted : backend->queues;
}

/* --- The lock, and the wait for a successor --- */

/* 2.1.2: a device that met an error that it cannot recover from by itself. A reset gets it out of it. */
static void ring_broken_tell(struct virtio_pci *device)
{
	if (!virtio_driver_ok(device) || (device->status & VIRTIO_STATUS_DEVICE_NEEDS_RESET) != 0)
		return;
	device->status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
	virtio_config_tell(device);
}

/*
 * A notice that came meanwhile is passed on by whoever has the lock: the main thread, which hears it, must not
 * wait for a vCPU that waits for the back end, which may wait for the main thread. What the configuration is
 * now, the driver finds when it looks.
 */
void virtio_device_unlock(struct virtio_pci *device)
{
	do {
		if (atomic_exchange(&device->config_stale, false))
			virtio_config_tell(device);
		if (atomic_exchange(&device->ring_broken, false))
			ring_broken_tell(device);
		pthread_mutex_unlock(&device->lock);
	} while ((atomic_load(&device->config_stale) || atomic_load(&device->ring_broken)) &&
		 pthread_mutex_trylock(&device->lock) == 0);
}

bool virtio_device_recover(struct virtio_pci *device, int result)
{
	bool again;

	if (result != -ENOTCONN)
		device_link_lost(&device->link, device->doing, result);
	virtio_device_unlock(device);
	again = device_link_park(&device->link);
	pthread_mutex_lock(&device->lock);
	return again;
}

/* --- Device configuration --- */

int virtio_config_fetch(struct virtio_pci *device)
{
	enum device_link_state state = device_link_state(&device->link);
	uint8_t config[BACKEND_CONFIG_MAX];
	int result;

	if (device->config_size == 0 || state == DEVICE_LINK_FAILED)
		return 0;
	if (device_link_waits(state))
		return -ENOTCONN;
	if (device->undertaker)
		return 0;
	device->doing = "its configuration cannot be read";
	result = device->backend->ops->get_config(device->backend, 0, config, device->config_size);
	if (result == 0 && memcmp(config, device->config, device->config_size) != 0) {
		memcpy(device->config, config, device->config_size);
		device->config_generation++;
	}
	return result;
}

/* For successors; the last write to a place counts. A driver has few fields to write, and one that writes as
 * it likes finds the rest forgotten. */
static void config_remember(struct virtio_pci *device, uint32_t offset, const void *data, uint32_t size)
{
	struct virtio_pci_config_write *write = device->config_writes;
	const struct virtio_pci_config_write *end = write + device->config_write_count;

	while (write < end && (write->offset != offset || write->size != size))
		write++;
	if (write == device->config_writes + VIRTIO_PCI_CONFIG_WRITES_MAX)
		return;
	if (write == end)
		device->config_write_count++;
	*write = (struct virtio_pci_config_write){.offset = offset, .size = size};
	memcpy(write->data, data, size);
}

int virtio_config_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size)
{
	enum device_link_state state = device_link_state(&device->link);
	int result;

	if (device->config_size == 0 || offset + size > device->config_size || state == DEVICE_LINK_FAILED)
		return 0;
	if (device_link_waits(state))
		return -ENOTCONN;
	device->doing = "its configuration cannot be written";
	/* There is nobody whose setting it could be, nor a character's host. */
	if (device->undertaker)
		return 0;
	device->touched = true;
	result = device->backend->ops->set_config(device->backend, (uint32_t)offset, data, size);
	/* A console's field is no setting: each write to it is a character (5.3.4). */
	if (result == 0 && !device->type->config_acts)
		config_remember(device, (uint32_t)offset, data, size);
	/* A field that is not writable is the driver's mistake, and what it reads back tells it so. */
	if (result == 0 || result == -EREMOTEIO)
		result = virtio_config_fetch(device);
	return result;
}

/* --- Notices; main thread --- */

static void backend_config_changed(void *owner)
{
	struct virtio_pci *device = owner;

	atomic_store(&device->config_stale, true);
	if (pthread_mutex_trylock(&device->lock) == 0)
		virtio_device_unlock(device);
}

static void ring_error(int fd, unsigned events, void *argument)
{
	struct virtio_pci *device = argument;

	(void)events;
	/* On a kernel that cannot empty it without waiting the first error is heard, and no other. */
	if (eventfd_drain(fd) < 0)
		loop_watch_set_events(device->error_watch, 0);
	atomic_store(&device->ring_broken, true);
	if (pthread_mutex_trylock(&device->lock) == 0)
		virtio_device_unlock(device);
}

int virtio_errors_watch(struct virtio_pci *device)
{
	int result = eventfd_pool_take(device->core->eventfds, &device->error_fd);

	if (result < 0)
		return result;
	device->error_watch =
		loop_watch_fd(device->core->loop, device->error_fd, LOOP_READ, ring_error, device);
	return device->error_watch != NULL ? 0 : -ENOMEM;
}

static void backend_gone(void *owner, int error)
{
	struct virtio_pci *device = owner;

	device_link_lost(&device->link, error == 0 ? "the queue wire ended" : "the back end's own channel",
			 error == 0 ? -EPIPE : error);
}

const struct backend_notices virtio_backend_notices = {
	.config_changed = backend_config_changed,
	.gone = backend_gone,
};

/* --- A successor; the attendant's thread --- */

/* Whether it is what the driver was promised. Its configuration is read later. */
static int successor_check(const struct virtio_pci *device, const struct virtio_pci_successor *successor,
			   const char **doing)
{
	const struct backend *backend = successor->backend;
	unsigned queues = backend->queues;
	bool negotiated = (device->status & VIRTIO_STATUS_FEATURES_OK) != 0;
	uint64_t needed = VIRTIO_BIT(VIRTIO_F_VERSION_1) | (negotiated ? device->driver_features : 0);

	*doing = "its successor does not offer the features that the driver uses";
	if ((needed & ~successor->offered) != 0)
		return -EPROTO;
	if (successor->undertaker)
		return 0;
	*doing = "its successor has another number of queues";
	if (virtio_queues_offered(device, backend, device->queue_count) != device->queue_count ||
	    (queues != 0 && queues < device->queue_count && !device->type->queue_pairs))
		return -EPROTO;
	*doing = "its successor has another configuration space";
	return backend->has_config == (device->config_size != 0) ? 0 : -EPROTO;
}

/* What the driver had set up is set up again. */
static int successor_set_up(const struct virtio_pci *device, struct backend *backend, const char **doing)
{
	int result = virtio_backend_set_up(device, backend, doing);

	for (unsigned i = 0; result == 0 && i < device->config_write_count && !device->successor.undertaker;
	     i++) {
		const struct virtio_pci_config_write *write = &device->config_writes[i];

		*doing = "its configuration cannot be written";
		result = backend->ops->set_config(backend, write->offset, write->data, write->size);
	}
	for (uint16_t i = 0; result == 0 && i < device->queue_count; i++) {
		*doing = "the queues cannot be started";
		if (device->queues[i].started)
			result = virtio_ring_start(device, backend, i, &device->queues[i]);
	}
	return result < 0 ? result : virtio_backend_started(backend, doing);
}

static int successor_connect(struct virtio_pci *device, int wire_fd)
{
	struct virtio_pci_successor *successor = &device->successor;
	int result = device->backend_ops->connect(wire_fd, &device->link.cancelled, &virtio_backend_notices,
						  device, &successor->backend);

	if (result < 0) {
		successor->backend = NULL;
		close(wire_fd);
	}
	return result;
}

static void successor_free(struct virtio_pci_successor *successor)
{
	backend_free(successor->backend);
	successor->backend = NULL;
}

/* The first process of a device that no driver has seen. */
static int newcomer_greet(struct virtio_pci *device, int wire_fd, const char **doing)
{
	struct virtio_pci_successor *newcomer = &device->successor;
	int result;

	*doing = "its process cannot be connected";
	result = successor_connect(device, wire_fd);
	if (result < 0)
		return result;
	newcomer->offered = virtio_features_offered(device, newcomer->backend);
	*doing = "its process does not offer VIRTIO_F_VERSION_1";
	if ((newcomer->offered & VIRTIO_BIT(VIRTIO_F_VERSION_1)) == 0)
		result = -EPROTO;
	if (result == 0 && newcomer->backend->has_config && device->type->config_size > 0) {
		*doing = "its configuration cannot be read";
		result = newcomer->backend->ops->get_config(newcomer->backend, 0, newcomer->config,
							    device->type->config_size);
	}
	if (result < 0)
		successor_free(newcomer);
	return result;
}

static int link_handshake(void *owner, int wire_fd, const char **doing)
{
	struct virtio_pci *device = owner;
	struct virtio_pci_successor *successor = &device->successor;
	bool driver_ok, touched;
	int result;

	if (device->is_new)
		return newcomer_greet(device, wire_fd, doing);
	*doing = "its successor cannot be connected";
	result = successor_connect(device, wire_fd);
	if (result < 0)
		return result;
	successor->undertaker = device->link.wire.undertaker;
	successor->offered = virtio_features_offered(device, successor->backend);
	/* Behind those who began before the link was lost. */
	pthread_mutex_lock(&device->lock);
	driver_ok = virtio_driver_ok(device);
	touched = device->touched;
	result = successor_check(device, successor, doing);
	virtio_device_unlock(device);
	if (result == 0 && driver_ok) {
		result = successor_set_up(device, successor->backend, doing);
	} else if (result == 0 && !touched) {
		/* What it may know from its predecessor, a driver has reset while there was none. */
		*doing = "its successor cannot be reset";
		result = successor->backend->ops->reset(successor->backend);
	}
	if (result == 0 && device->config_size > 0 && !successor->undertaker) {
		*doing = "its configuration cannot be read";
		result = successor->backend->ops->get_config(successor->backend, 0, successor->config,
							     device->config_size);
	}
	if (result < 0)
		successor_free(successor);
	return result;
}

static void link_discard(void *owner)
{
	struct virtio_pci *device = owner;

	successor_free(&device->successor);
}

/* The process finishes what it accepted. One that does not will be ended, and what it had with it. */
static void link_leave(void *owner)
{
	struct virtio_pci *device = owner;
	int result;

	pthread_mutex_lock(&device->lock);
	result = virtio_rings_leave(device);
	if (result < 0)
		log_warning_of(device->id, "device %s: it leaves, but %s: %s", device->id, device->doing,
			       strerror(-result));
	virtio_device_unlock(device);
}

/* --- The main thread's part --- */

static void rings_wake(const struct virtio_pci *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		if (!device->queues[i].started)
			continue;
		eventfd_raise(device->queues[i].kick_fd);
		msix_raise(device->msix, device->queues[i].vector);
	}
}

/* What a driver reads while an undertaker serves. Under the device's lock. */
static void undertaker_config(const struct virtio_pci *device, struct virtio_pci_successor *successor)
{
	successor->offered = device->offered;
	memcpy(successor->config, device->config, device->config_size);
	if (device->type->virtio_id == VIRTIO_ID_NET &&
	    (device->offered & VIRTIO_BIT(VIRTIO_NET_F_STATUS)) != 0 &&
	    device->config_size > VIRTIO_NET_CONFIG_STATUS)
		successor->config[VIRTIO_NET_CONFIG_STATUS] &= (uint8_t)~VIRTIO_NET_S_LINK_UP;
}

static void link_adopt(void *owner)
{
	struct virtio_pci *device = owner;
	struct virtio_pci_successor *successor = &device->successor;
	struct backend *backend = successor->backend;
	bool changed, revived;
	int result;

	if (device->is_new) {
		virtio_pci_join(device);
		return;
	}
	pthread_mutex_lock(&device->lock);
	device->backend = backend;
	device->undertaker = successor->undertaker;
	if (device->undertaker)
		undertaker_config(device, successor);
	device->offered = successor->offered;
	changed = memcmp(device->config, successor->config, device->config_size) != 0;
	if (changed) {
		memcpy(device->config, successor->config, device->config_size);
		device->config_generation++;
	}
	revived = (device->status & VIRTIO_STATUS_DEVICE_NEEDS_RESET) != 0;
	device->status &= (uint8_t)~VIRTIO_STATUS_DEVICE_NEEDS_RESET;
	if (virtio_driver_ok(device))
		rings_wake(device);
	if (changed || revived)
		virtio_config_tell(device);
	device_link_serve(&device->link);
	virtio_device_unlock(device);
	successor->backend = NULL;
	result = backend->ops->watch(backend, device->core->loop);
	if (result < 0)
		device_link_lost(&device->link, "its notices cannot be heard", result);
}

static void link_retire(void *owner)
{
	struct virtio_pci *device = owner;
	struct backend *backend;

	pthread_mutex_lock(&device->lock);
	backend = device->backend;
	device->backend = NULL;
	virtio_device_unlock(device);
	backend_free(backend);
}

static void link_fail(void *owner)
{
	struct virtio_pci *device = owner;

	pthread_mutex_lock(&device->lock);
	device_link_failed(&device->link);
	/* A driver that has not come yet finds a device that takes no features. */
	if (device->status != 0) {
		device->status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
		virtio_config_tell(device);
	}
	virtio_device_unlock(device);
}

const struct device_link_ops virtio_link_ops = {
	.handshake = link_handshake,
	.discard = link_discard,
	.adopt = link_adopt,
	.retire = link_retire,
	.fail = link_fail,
	.leave = link_leave,
};
