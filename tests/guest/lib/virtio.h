/*
 * The driver's side of virtio-pci (modern) and of the split virtqueue.
 *
 * Nothing here hides the rings: a test that wants to break them writes to queue->descriptors and its like
 * itself. Rings are polled; a device's vectors are masked unless virtio_vector() opened one.
 */
#ifndef ATOLL_TESTS_GUEST_VIRTIO_H
#define ATOLL_TESTS_GUEST_VIRTIO_H

#include "common/spec/virtio_spec.h"
#include "tests/guest/lib/pci.h"

#define VIRTIO_VENDOR	     0x1af4
#define VIRTIO_DEVICE(type)  (uint16_t)(0x1040 + (type))
#define VIRTIO_NO_VECTOR     0xffff
#define GUEST_QUEUE_SIZE_MAX 256

/* 4.1.4.3 Common configuration: offsets */
#define COMMON_DEVICE_FEATURE_SELECT 0
#define COMMON_DEVICE_FEATURE	     4
#define COMMON_DRIVER_FEATURE_SELECT 8
#define COMMON_DRIVER_FEATURE	     12
#define COMMON_CONFIG_VECTOR	     16
#define COMMON_NUM_QUEUES	     18
#define COMMON_STATUS		     20
#define COMMON_GENERATION	     21
#define COMMON_QUEUE_SELECT	     22
#define COMMON_QUEUE_SIZE	     24
#define COMMON_QUEUE_VECTOR	     26
#define COMMON_QUEUE_ENABLE	     28
#define COMMON_QUEUE_NOTIFY_OFF	     30
#define COMMON_QUEUE_DESC	     32
#define COMMON_QUEUE_DRIVER	     40
#define COMMON_QUEUE_DEVICE	     48

struct virtio_device {
	unsigned slot;
	volatile char *common, *isr, *config, *notify;
	uint32_t notify_multiplier, config_length;
	unsigned msix; /* offset of the MSI-X capability; 0: none */
	volatile char *msix_table, *msix_pending;
	unsigned msix_count;
	uint64_t offered, features; /* features: as negotiated */
};

struct segment {
	const volatile void *address;
	uint32_t length;
};

struct virtqueue {
	struct virtio_device *device;
	uint16_t index, size;
	volatile struct virtq_desc *descriptors;
	volatile struct virtq_avail *available;
	volatile struct virtq_used *used;
	volatile char *notify;
	uint16_t available_idx, used_idx, kicked_idx; /* ours; kicked_idx: available_idx at the last kick */
	uint16_t free[GUEST_QUEUE_SIZE_MAX], free_count;
	uint16_t chain
		[GUEST_QUEUE_SIZE_MAX]; /* descriptors of the request that starts here; 0: not in flight */
	struct virtq_desc *indirect;	/* tables of INDIRECT_MAX for each head, when negotiated and wanted */
	bool interrupts;		/* are wanted */
	uint64_t kicks, kicks_spared;
};
#define INDIRECT_MAX 64

/* Finds the nth device of a type, maps its registers, enables MSI-X with all vectors masked. False: not
 * there. */
bool virtio_find(unsigned type, unsigned nth, struct virtio_device *device);
/* Walks the capabilities again, after a BAR moved. */
bool virtio_map(struct virtio_device *device);

/* Reset, ACKNOWLEDGE, DRIVER, and features: those of `wanted` that are offered, and VERSION_1. False:
 * FEATURES_OK did not stay. virtio_start() sets DRIVER_OK. */
bool virtio_negotiate(struct virtio_device *device, uint64_t wanted);
void virtio_start(struct virtio_device *device);
/* Writes 0 to the status and waits until it reads 0; false: it never did. */
bool virtio_reset(struct virtio_device *device);
uint8_t virtio_status(struct virtio_device *device);
static inline bool virtio_has(const struct virtio_device *device, unsigned bit)
{
	return device->features & VIRTIO_BIT(bit);
}
void virtio_config_read(struct virtio_device *device, unsigned offset, void *to, unsigned size);
void virtio_config_write(struct virtio_device *device, unsigned offset, const void *from, unsigned size);

/* MSI-X: entry n of the table delivers `vector`, unmasked; or is masked. queue: which queue uses entry n, or
 * -1 for configuration changes. */
void msix_set(struct virtio_device *device, unsigned entry, uint8_t vector);
void msix_mask(struct virtio_device *device, unsigned entry, bool masked);
bool msix_is_pending(struct virtio_device *device, unsigned entry);
bool virtio_vector(struct virtio_device *device, int queue, unsigned entry);

/* Sets queue up with at most `size` descriptors and enables it; between virtio_negotiate() and
 * virtio_start(). */
bool virtqueue_setup(struct virtqueue *queue, struct virtio_device *device, unsigned index, unsigned size);
unsigned virtio_queue_size(struct virtio_device *device, unsigned index);
/* Makes requests use indirect tables from now on (INDIRECT_DESC must have been negotiated). */
void virtqueue_use_indirect(struct virtqueue *queue);

/* Puts a request of out+in segments, the readable ones first, into the ring; tells nobody. -1: no room, else
 * its head. */
int virtqueue_add(struct virtqueue *queue, const struct segment *segments, unsigned out, unsigned in);
/* Notifies the device if it wants to know. */
void virtqueue_kick(struct virtqueue *queue);
void virtqueue_notify(struct virtqueue *queue);
/* Takes one used element: its head and *length (may be NULL); -1: none. wait: for so many seconds. */
int virtqueue_take(struct virtqueue *queue, uint32_t *length);
int virtqueue_wait(struct virtqueue *queue, uint32_t *length, unsigned seconds);
/* Interrupts wanted or not: the flag, or used_event. */
void virtqueue_interrupts(struct virtqueue *queue, bool wanted);
volatile uint16_t *virtqueue_used_event(struct virtqueue *queue);
volatile uint16_t *virtqueue_avail_event(struct virtqueue *queue);

#endif
