/*
 * Any bytes as guest memory with a ring in it: popping ends, what is popped lies in guest memory, is not more
 * than the ring can hold, and nothing is written but the used ring and the buffers that the driver offered.
 *
 * The first bytes choose the ring's size, its features and where it begins; the rest is laid over guest
 * memory, which is two regions that are adjacent for the guest and apart for us.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ring/guest_memory.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REGION	  0x1000u
#define AVAILABLE 0x400u
#define USED	  0x600u
/* Popping ends by itself after at most this many: the driver stands still. */
#define POPS_MAX (1u << 17)

static uint8_t *base;
static int memory_fd;
static struct guest_memory memory;
static struct virtqueue_chain chain;

static void check(bool condition)
{
	if (!condition)
		abort();
}

static void make_memory(void)
{
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	check(memory_fd >= 0 && ftruncate(memory_fd, 2 * REGION) == 0);
	base = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	check(base != MAP_FAILED);
	guest_memory_init(&memory);
	check(guest_memory_add(&memory, 0, REGION, 0, 0, memory_fd) == 0);
	check(guest_memory_add(&memory, REGION, REGION, REGION, REGION, memory_fd) == 0);
}

static bool lies_in_memory(const struct iovec *iov)
{
	for (size_t i = 0; i < memory.count; i++) {
		const uint8_t *host = memory.regions[i].host;
		const uint8_t *at = iov->iov_base;

		if (at >= host && at < host + REGION && iov->iov_len <= (size_t)(host + REGION - at))
			return true;
	}
	return false;
}

/* What may be written lies in guest memory, and is as much as the iovecs say; of a very long chain it may be more. */
static void check_extents(const struct virtqueue *queue, const struct virtqueue_token *token, size_t in_bytes)
{
	struct virtqueue_extent extent;
	size_t bytes = 0;
	uint16_t n = 0;

	for (; virtqueue_writable(queue, token, n, &extent); n++) {
		check(extent.size > 0 &&
		      guest_memory_translate(&memory, extent.address, &(uint64_t){0}) != NULL);
		check(guest_memory_translate(&memory, extent.address + extent.size - 1, &(uint64_t){0}) !=
		      NULL);
		bytes += extent.size;
	}
	check(n <= VIRTQUEUE_EXTENTS_MAX && (bytes == in_bytes || n == VIRTQUEUE_EXTENTS_MAX));
}

static void check_chain(const struct virtqueue *queue, uint64_t number)
{
	size_t out_bytes = 0, in_bytes = 0;

	check(chain.token.number == number && virtqueue_taken(queue) == number + 1);
	check(chain.token.head < virtqueue_size(queue) && chain.token.length == 1);
	check(chain.out_count + chain.in_count <= VIRTQUEUE_IOV_MAX);
	for (size_t i = 0; i < chain.out_count + chain.in_count; i++) {
		check(chain.iov[i].iov_len > 0 && lies_in_memory(&chain.iov[i]));
		*(i < chain.out_count ? &out_bytes : &in_bytes) += chain.iov[i].iov_len;
	}
	check(out_bytes == chain.out_bytes && in_bytes == chain.in_bytes);
	check_extents(queue, &chain.token, in_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtqueue_setup setup = {.memory = &memory, .kick_fd = -1, .call_fd = -1};
	struct virtqueue *queue;
	uint8_t actions[8];
	uint16_t in_flight = 0;
	uint64_t number;
	int result = 0;

	if (size < 12)
		return 0;
	if (base == NULL)
		make_memory();
	setup.size = (uint16_t)(1u << (data[0] % 7));
	setup.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | (data[1] & 1 ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0) |
			 (data[1] & 2 ? VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) : 0);
	memcpy(&setup.next_available, data + 2, sizeof(setup.next_available));
	memcpy(actions, data + 4, sizeof(actions));
	data += 12;
	size -= 12;
	memset(base, 0, 2 * REGION);
	memcpy(base, data, size < 2 * REGION ? size : 2 * REGION);
	setup.descriptor_table = guest_memory_range(&memory, 0, 16u * setup.size);
	setup.available_ring = guest_memory_range(&memory, AVAILABLE, 6u + 2u * setup.size);
	setup.used_ring = guest_memory_range(&memory, USED, 6u + 8u * setup.size);
	check(virtqueue_new(&setup, &queue) == 0);
	number = virtqueue_taken(queue);
	check(number == setup.next_available);

	for (unsigned i = 0; i < POPS_MAX; i++) {
		uint8_t action = actions[i % sizeof(actions)];
		uint8_t bytes[64];

		result = virtqueue_pop(queue, &chain);
		if (result <= 0)
			break;
		check_chain(queue, number++);
		in_flight++;
		check(in_flight <= setup.size);
		virtqueue_chain_read(&chain, action, bytes, sizeof(bytes));
		if (action & 1) {
			/* This may rewrite the rings themselves: a driver that offers them as buffers. */
			virtqueue_chain_write(&chain, action & 6, bytes, sizeof(bytes));
			virtqueue_push(queue, &chain.token, (uint32_t)chain.in_bytes);
			in_flight--;
		}
		if (action & 8)
			virtqueue_complete(queue);
		if ((action & 17) == 16 && i % 3 == 0) {
			virtqueue_rewind(queue, &chain.token);
			number--;
			in_flight--;
		}
		if (action & 32)
			virtqueue_enable_kicks(queue);
		if (action & 64)
			virtqueue_disable_kicks(queue);
	}
	check(result != 0 || virtqueue_broken(queue) == NULL);
	check(result >= 0 || (result == -EPROTO && virtqueue_broken(queue) != NULL));
	virtqueue_complete(queue);
	virtqueue_free(queue);
	return 0;
}
