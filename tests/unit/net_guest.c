/* A driver of atoll-net in memory: see net_guest.h. */
#include "tests/unit/net_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* Bytes of guest memory for each queue's rings. */
#define RING_BYTES 0x10000u

unsigned guest_offload_flags;
int guest_offload_result;
int guest_state_fd = -1;
bool guest_resume;

static int guest_set_offload(int tap_fd, unsigned flags)
{
	(void)tap_fd;
	if (guest_offload_result == 0)
		guest_offload_flags = flags;
	return guest_offload_result;
}

int guest_start_queue(struct net_guest *guest, uint16_t index)
{
	struct net_ring *ring = &guest->rings[index];
	uint32_t start = index * RING_BYTES;
	size_t descriptors = sizeof(struct virtq_desc) * ring->size;
	size_t available = sizeof(struct virtq_avail) + 2u * ring->size + 2;
	uint32_t available_at = start + (uint32_t)descriptors;
	uint32_t used_at = (uint32_t)((available_at + available + 15) & ~15u);
	struct virtqueue_setup setup = {
		.memory = &guest->memory,
		.size = ring->size,
		.features = guest->features,
		.kick_fd = ring->polled ? -1 : ring->kick_fd,
		.call_fd = ring->call_fd,
	};
	int result;

	memset(guest->base + start, 0, RING_BYTES);
	ring->index = index;
	ring->descriptors = (struct virtq_desc *)(void *)(guest->base + start);
	ring->available = (struct virtq_avail *)(void *)(guest->base + available_at);
	ring->used = (struct virtq_used *)(void *)(guest->base + used_at);
	ring->next_descriptor = 0;
	ring->chain_open = false;
	ring->published = 0;
	ring->seen = 0;
	setup.descriptor_table = guest_memory_range(&guest->memory, start, descriptors);
	setup.available_ring = guest_memory_range(&guest->memory, available_at, available);
	setup.used_ring =
		guest_memory_range(&guest->memory, used_at, sizeof(struct virtq_used) + 8u * ring->size + 2);
	CHECK(used_at + sizeof(struct virtq_used) + 8u * ring->size + 2 <= start + RING_BYTES);
	CHECK(virtqueue_new(&setup, &ring->queue) == 0);
	result = guest->device.ops.start_queue(&guest->device, index, ring->queue);
	if (result < 0) {
		virtqueue_free(ring->queue);
		ring->queue = NULL;
	}
	return result;
}

uint16_t guest_stop_queue(struct net_guest *guest, uint16_t index)
{
	struct net_ring *ring = &guest->rings[index];
	uint16_t next;

	guest->device.ops.stop_queue(&guest->device, index);
	next = virtqueue_next_available(ring->queue);
	virtqueue_free(ring->queue);
	ring->queue = NULL;
	return next;
}

static void guest_make_memory(struct net_guest *guest)
{
	guest->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	CHECK(guest->memory_fd >= 0 && ftruncate(guest->memory_fd, GUEST_MEMORY_BYTES) == 0);
	guest->base = mmap(NULL, GUEST_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memory_fd, 0);
	CHECK(guest->base != MAP_FAILED);
	guest_memory_init(&guest->memory);
	for (uint64_t i = 0; i < 2; i++)
		CHECK(guest_memory_add(&guest->memory, i * GUEST_REGION_BYTES, GUEST_REGION_BYTES,
				       i * GUEST_REGION_BYTES, i * GUEST_REGION_BYTES,
				       guest->memory_fd) == 0);
}

static void guest_make(struct net_guest *guest, int tap_fd, int wire, uint64_t features, uint16_t ring_size)
{
	static const uint8_t mac[] = {0x52, 0x54, 0x00, 0x00, 0x00, 0x01};
	struct net_setup setup = {.tap_fd = tap_fd, .mac = mac, .mtu = 1500, .link_up = true};
	const char *problem;

	*guest = (struct net_guest){
		.features = features | VIRTIO_BIT(VIRTIO_F_VERSION_1),
		.wire = wire,
		.next_buffer = GUEST_DATA,
	};
	guest_make_memory(guest);
	guest->loop = loop_new();
	CHECK(guest->loop != NULL);
	net_device_init(&guest->device);
	CHECK(net_device_configure(&guest->device, &setup, &problem) == 0);
	if (wire >= 0)
		guest->device.port.set_offload = guest_set_offload;
	if (guest_state_fd >= 0)
		net_device_set_state(&guest->device, dup(guest_state_fd), guest_resume);
	CHECK(net_device_prepare(&guest->device, guest->loop) == 0);
	CHECK(guest->device.ops.set_features(&guest->device, guest->features) == 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		guest->rings[i].size = ring_size;
		guest->rings[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		guest->rings[i].call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		CHECK(guest->rings[i].kick_fd >= 0 && guest->rings[i].call_fd >= 0);
		CHECK(guest_start_queue(guest, i) == 0);
	}
	guest_settle(guest);
}

void guest_start(struct net_guest *guest, uint64_t features, uint16_t ring_size)
{
	int sockets[2];

	guest_offload_result = 0;
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
	guest_make(guest, sockets[0], sockets[1], features, ring_size);
}

void guest_start_with(struct net_guest *guest, int tap_fd, uint64_t features, uint16_t ring_size)
{
	guest_make(guest, tap_fd, -1, features, ring_size);
}

void guest_stop(struct net_guest *guest)
{
	if (guest->loop == NULL)
		return;
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		if (guest->rings[i].queue != NULL)
			guest_stop_queue(guest, i);
		close(guest->rings[i].kick_fd);
		close(guest->rings[i].call_fd);
	}
	net_device_close(&guest->device);
	loop_free(guest->loop);
	guest->loop = NULL;
	guest_memory_clear(&guest->memory);
	munmap(guest->base, GUEST_MEMORY_BYTES);
	close(guest->memory_fd);
	if (guest->wire >= 0)
		close(guest->wire);
}

static void *guest_descriptor(struct net_guest *guest, uint16_t queue, uint32_t address, uint32_t length,
			      uint16_t flags)
{
	struct net_ring *ring = &guest->rings[queue];
	uint16_t index = ring->next_descriptor;

	ring->next_descriptor = (uint16_t)((index + 1) % ring->size);
	if (ring->chain_open) {
		struct virtq_desc *last = &ring->descriptors[(index + ring->size - 1) % ring->size];

		last->flags |= VIRTQ_DESC_F_NEXT;
		last->next = index;
	} else {
		ring->chain_open = true;
		ring->chain_head = index;
	}
	ring->descriptors[index] = (struct virtq_desc){.addr = address, .len = length, .flags = flags};
	return guest->base + address;
}

void *guest_out(struct net_guest *guest, uint16_t index, uint32_t address, uint32_t length)
{
	return guest_descriptor(guest, index, address, length, 0);
}

void *guest_in(struct net_guest *guest, uint16_t index, uint32_t address, uint32_t length)
{
	return guest_descriptor(guest, index, address, length, VIRTQ_DESC_F_WRITE);
}

uint16_t guest_offer(struct net_guest *guest, uint16_t index)
{
	struct net_ring *ring = &guest->rings[index];

	ring->chain_open = false;
	ring->available->ring[ring->published % ring->size] = ring->chain_head;
	ring->published++;
	__atomic_store_n(&ring->available->idx, ring->published, __ATOMIC_RELEASE);
	return ring->chain_head;
}

void guest_kick(struct net_guest *guest, uint16_t index)
{
	CHECK(eventfd_write(guest->rings[index].kick_fd, 1) == 0);
}

uint32_t guest_buffer(struct net_guest *guest, uint32_t length)
{
	uint32_t address = guest->next_buffer;

	guest->next_buffer += (length + 63) & ~63u;
	CHECK(guest->next_buffer <= GUEST_MEMORY_BYTES);
	return address;
}

void guest_settle(struct net_guest *guest)
{
	/* More turns than any test has work for: who never comes to rest shows in the counters. */
	for (int i = 0; i < 32; i++)
		CHECK(loop_run_once(guest->loop, 0) == 0);
}

bool guest_used(struct net_guest *guest, uint16_t index, uint32_t *id, uint32_t *length)
{
	struct net_ring *ring = &guest->rings[index];
	const struct virtq_used_elem *element = &ring->used->ring[ring->seen % ring->size];

	if (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) == ring->seen)
		return false;
	*id = element->id;
	*length = element->len;
	ring->seen++;
	return true;
}

uint64_t guest_interrupts(struct net_guest *guest, uint16_t index)
{
	eventfd_t count = 0;

	return eventfd_read(guest->rings[index].call_fd, &count) == 0 ? count : 0;
}
