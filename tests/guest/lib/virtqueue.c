/*
 * The split virtqueue, driver's side (virtio 1.2, 2.7), with indirect tables and EVENT_IDX.
 */
#include "tests/guest/lib/virtio.h"

#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)

static void write_address(volatile char *register_pair, volatile const void *address)
{
	mmio_write32(register_pair, (uint32_t)(uintptr_t)address);
	mmio_write32(register_pair + 4, (uint32_t)((uintptr_t)address >> 32));
}

/* A queue that is set up again with the same size keeps its memory: there is no way to give it back. */
static void rings_allocate(struct virtqueue *queue, uint16_t size)
{
	struct virtqueue old = *queue;

	memset(queue, 0, sizeof(*queue));
	queue->size = size;
	if (old.size == size) {
		queue->descriptors = memset((void *)old.descriptors, 0, 16u * size);
		queue->available = memset((void *)old.available, 0, 6 + 2u * size);
		queue->used = memset((void *)old.used, 0, 6 + 8u * size);
	} else {
		queue->descriptors = memory_get(16u * size, 4096);
		queue->available = memory_get(6 + 2u * size, 64);
		queue->used = memory_get(6 + 8u * size, 64);
	}
}

bool virtqueue_setup(struct virtqueue *queue, struct virtio_device *device, unsigned index, unsigned size)
{
	volatile char *common = device->common;
	unsigned most = virtio_queue_size(device, index), i;

	if (most > GUEST_QUEUE_SIZE_MAX)
		most = GUEST_QUEUE_SIZE_MAX;
	if (!most)
		return false;
	rings_allocate(queue, (uint16_t)(size < most ? size : most));
	queue->device = device;
	queue->index = (uint16_t)index;
	for (i = 0; i < queue->size; i++)
		queue->free[queue->free_count++] = (uint16_t)(queue->size - 1 - i);
	virtqueue_interrupts(queue, false);

	mmio_write16(common + COMMON_QUEUE_SELECT, queue->index);
	mmio_write16(common + COMMON_QUEUE_SIZE, queue->size);
	write_address(common + COMMON_QUEUE_DESC, queue->descriptors);
	write_address(common + COMMON_QUEUE_DRIVER, queue->available);
	write_address(common + COMMON_QUEUE_DEVICE, queue->used);
	queue->notify =
		device->notify + mmio_read16(common + COMMON_QUEUE_NOTIFY_OFF) * device->notify_multiplier;
	mmio_write16(common + COMMON_QUEUE_ENABLE, 1);
	return mmio_read16(common + COMMON_QUEUE_ENABLE) == 1;
}

void virtqueue_use_indirect(struct virtqueue *queue)
{
	queue->indirect = memory_get(sizeof(struct virtq_desc) * INDIRECT_MAX * queue->size, 16);
}

static void describe(volatile struct virtq_desc *descriptor, const struct segment *segment, bool in,
		     bool more, uint16_t next)
{
	descriptor->addr = (uint64_t)segment->address;
	descriptor->len = segment->length;
	descriptor->flags = (uint16_t)((in ? VIRTQ_DESC_F_WRITE : 0) | (more ? VIRTQ_DESC_F_NEXT : 0));
	descriptor->next = more ? next : 0;
}

static void make_available(struct virtqueue *queue, uint16_t head)
{
	queue->available->ring[queue->available_idx % queue->size] = head;
	__atomic_store_n((uint16_t *)&queue->available->idx, ++queue->available_idx, __ATOMIC_RELEASE);
}

int virtqueue_add(struct virtqueue *queue, const struct segment *segments, unsigned out, unsigned in)
{
	unsigned count = out + in, i;
	uint16_t head, at;

	if (queue->indirect) {
		struct virtq_desc *table;
		struct segment whole;

		if (!queue->free_count || count > INDIRECT_MAX)
			return -1;
		head = queue->free[--queue->free_count];
		table = queue->indirect + head * INDIRECT_MAX;
		for (i = 0; i < count; i++)
			describe(&table[i], &segments[i], i >= out, i + 1 < count, (uint16_t)(i + 1));
		whole = (struct segment){table, count * (uint32_t)sizeof(*table)};
		describe(&queue->descriptors[head], &whole, false, false, 0);
		queue->descriptors[head].flags = VIRTQ_DESC_F_INDIRECT;
		queue->chain[head] = 1;
	} else {
		if (queue->free_count < count)
			return -1;
		head = at = queue->free[--queue->free_count];
		for (i = 0; i < count; i++) {
			uint16_t next = i + 1 < count ? queue->free[--queue->free_count] : 0;

			describe(&queue->descriptors[at], &segments[i], i >= out, i + 1 < count, next);
			at = next;
		}
		queue->chain[head] = (uint16_t)count;
	}
	make_available(queue, head);
	return head;
}

void virtqueue_notify(struct virtqueue *queue)
{
	mmio_write16(queue->notify, queue->index);
}

/* 2.7.10: with EVENT_IDX the device names the index at which it wants to be told. */
void virtqueue_kick(struct virtqueue *queue)
{
	uint16_t old = queue->kicked_idx, new = queue->available_idx;
	bool wanted;

	queue->kicked_idx = new;
	FENCE();
	if (virtio_has(queue->device, VIRTIO_F_EVENT_IDX))
		wanted = (uint16_t)(new - *virtqueue_avail_event(queue) - 1) < (uint16_t)(new - old);
	else
		wanted = !(queue->used->flags & VIRTQ_USED_F_NO_NOTIFY);
	if (wanted) {
		queue->kicks++;
		virtqueue_notify(queue);
	} else {
		queue->kicks_spared++;
	}
}

int virtqueue_take(struct virtqueue *queue, uint32_t *length)
{
	volatile struct virtq_used_elem *element;
	uint32_t head;
	unsigned i;
	uint16_t at;

	if (__atomic_load_n((uint16_t *)&queue->used->idx, __ATOMIC_ACQUIRE) == queue->used_idx)
		return -1;
	element = &queue->used->ring[queue->used_idx++ % queue->size];
	head = element->id;
	if (length)
		*length = element->len;
	if (head >= queue->size || !queue->chain[head])
		guest_fail("queue %u: used element %u was not in flight", queue->index, head);
	for (i = queue->chain[head], at = (uint16_t)head; i; i--) {
		queue->free[queue->free_count++] = at;
		at = queue->descriptors[at].next;
	}
	queue->chain[head] = 0;
	/* An unwanted interrupt stays half a round of the indices away. */
	if (!queue->interrupts && !(queue->used_idx & 0xfff))
		virtqueue_interrupts(queue, false);
	return (int)head;
}

int virtqueue_wait(struct virtqueue *queue, uint32_t *length, unsigned seconds)
{
	int head = -1;

	WAIT_UNTIL((head = virtqueue_take(queue, length)) >= 0, seconds);
	return head;
}

volatile uint16_t *virtqueue_used_event(struct virtqueue *queue)
{
	return &queue->available->ring[queue->size];
}

volatile uint16_t *virtqueue_avail_event(struct virtqueue *queue)
{
	return (volatile uint16_t *)&queue->used->ring[queue->size];
}

void virtqueue_interrupts(struct virtqueue *queue, bool wanted)
{
	queue->interrupts = wanted;
	if (virtio_has(queue->device, VIRTIO_F_EVENT_IDX))
		*virtqueue_used_event(queue) = (uint16_t)(wanted ? queue->used_idx : queue->used_idx - 1);
	else
		queue->available->flags = wanted ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT;
	FENCE();
}
