/* A driver of atoll-blk in memory: see blk_guest.h. */
#include "tests/unit/blk_guest.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

static void guest_make_queue(struct guest *guest)
{
	struct virtqueue_setup setup = {
		.memory = &guest->memory,
		.size = guest->size,
		.features = guest->features,
		.kick_fd = guest->kick_fd,
		.call_fd = guest->call_fd,
	};
	size_t descriptors = sizeof(struct virtq_desc) * guest->size;
	size_t available = sizeof(struct virtq_avail) + 2u * guest->size + 2;
	uint32_t available_at = (uint32_t)descriptors,
		 used_at = (uint32_t)((available_at + available + 15) & ~15u);

	memset(guest->base, 0, GUEST_DATA);
	guest->descriptors = (struct virtq_desc *)(void *)guest->base;
	guest->available = (struct virtq_avail *)(void *)(guest->base + available_at);
	guest->used = (struct virtq_used *)(void *)(guest->base + used_at);
	guest->next_descriptor = 0;
	guest->chain_open = false;
	guest->published = 0;
	guest->seen = 0;
	setup.descriptor_table = guest_memory_range(&guest->memory, 0, descriptors);
	setup.available_ring = guest_memory_range(&guest->memory, available_at, available);
	setup.used_ring =
		guest_memory_range(&guest->memory, used_at, sizeof(struct virtq_used) + 8u * guest->size + 2);
	CHECK(virtqueue_new(&setup, &guest->queue) == 0);
	CHECK(guest->device.ops.start_queue(&guest->device, 0, guest->queue) == 0);
}

int guest_state_fd = -1;
int guest_witnesses[DISK_WITNESSES] = {-1, -1};
bool guest_resume;

void guest_start(struct guest *guest, int image_fd, bool readonly, uint64_t features,
		 enum blk_engine_kind engine, uint16_t ring_size)
{
	const char *problem;

	*guest = (struct guest){.size = ring_size, .features = features | VIRTIO_BIT(VIRTIO_F_VERSION_1)};
	guest->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	CHECK(guest->memory_fd >= 0 && ftruncate(guest->memory_fd, GUEST_MEMORY_BYTES) == 0);
	guest->base = mmap(NULL, GUEST_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, guest->memory_fd, 0);
	CHECK(guest->base != MAP_FAILED);
	guest_memory_init(&guest->memory);
	for (uint64_t i = 0; i < 2; i++)
		CHECK(guest_memory_add(&guest->memory, i * GUEST_REGION_BYTES, GUEST_REGION_BYTES,
				       i * GUEST_REGION_BYTES, i * GUEST_REGION_BYTES,
				       guest->memory_fd) == 0);
	guest->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	guest->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(guest->kick_fd >= 0 && guest->call_fd >= 0);

	blk_device_init(&guest->device);
	guest->device.engine = engine;
	CHECK(blk_device_configure(&guest->device, image_fd, readonly, 1, "a-serial-of-twenty-b", &problem) ==
	      0);
	if (guest_state_fd >= 0)
		blk_device_set_state(&guest->device, dup(guest_state_fd), guest_resume);
	if (guest_witnesses[0] >= 0) {
		int fds[DISK_WITNESSES];

		for (int i = 0; i < DISK_WITNESSES; i++)
			fds[i] = dup(guest_witnesses[i]);
		blk_device_set_witnesses(&guest->device, fds);
	}
	CHECK(blk_device_prepare(&guest->device) == 0);
	CHECK(guest->device.ops.set_features(&guest->device, guest->features) == 0);
	guest_make_queue(guest);
}

void guest_stop(struct guest *guest)
{
	guest->device.ops.stop_queue(&guest->device, 0);
	virtqueue_free(guest->queue);
	blk_device_close(&guest->device);
	guest_memory_clear(&guest->memory);
	munmap(guest->base, GUEST_MEMORY_BYTES);
	close(guest->memory_fd);
	close(guest->kick_fd);
	close(guest->call_fd);
}

uint16_t guest_restart_queue(struct guest *guest)
{
	uint16_t next;

	guest->device.ops.stop_queue(&guest->device, 0);
	next = virtqueue_next_available(guest->queue);
	virtqueue_free(guest->queue);
	guest_make_queue(guest);
	return next;
}

static void *guest_descriptor(struct guest *guest, uint32_t address, uint32_t length, uint16_t flags)
{
	uint16_t index = guest->next_descriptor;

	guest->next_descriptor = (uint16_t)((index + 1) % guest->size);
	if (guest->chain_open) {
		struct virtq_desc *last = &guest->descriptors[(index + guest->size - 1) % guest->size];

		last->flags |= VIRTQ_DESC_F_NEXT;
		last->next = index;
	} else {
		guest->chain_open = true;
		guest->chain_head = index;
	}
	guest->descriptors[index] = (struct virtq_desc){.addr = address, .len = length, .flags = flags};
	return guest->base + address;
}

void *guest_out(struct guest *guest, uint32_t address, uint32_t length)
{
	return guest_descriptor(guest, address, length, 0);
}

void *guest_in(struct guest *guest, uint32_t address, uint32_t length)
{
	return guest_descriptor(guest, address, length, VIRTQ_DESC_F_WRITE);
}

uint16_t guest_offer(struct guest *guest)
{
	guest->chain_open = false;
	guest->available->ring[guest->published % guest->size] = guest->chain_head;
	guest->published++;
	__atomic_store_n(&guest->available->idx, guest->published, __ATOMIC_RELEASE);
	return guest->chain_head;
}

void guest_kick(struct guest *guest)
{
	CHECK(eventfd_write(guest->kick_fd, 1) == 0);
}

bool guest_wait(struct guest *guest, int timeout_ms, uint32_t *id, uint32_t *length)
{
	while (__atomic_load_n(&guest->used->idx, __ATOMIC_ACQUIRE) == guest->seen) {
		struct pollfd call = {.fd = guest->call_fd, .events = POLLIN};
		eventfd_t count;

		/* used_event: an interrupt for the next element, please. The device looks at it with
		 * EVENT_IDX only. */
		guest->available->ring[guest->size] = guest->seen;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&guest->used->idx, __ATOMIC_ACQUIRE) != guest->seen)
			break;
		if (poll(&call, 1, timeout_ms) <= 0)
			return __atomic_load_n(&guest->used->idx, __ATOMIC_ACQUIRE) != guest->seen;
		eventfd_read(guest->call_fd, &count);
	}
	*id = guest->used->ring[guest->seen % guest->size].id;
	*length = guest->used->ring[guest->seen % guest->size].len;
	guest->seen++;
	return true;
}
