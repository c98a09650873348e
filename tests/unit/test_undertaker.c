/*
 * The undertaker: what becomes of chains of each class, of chains that are none, and of a driver that never ends. E7.
 * Driven through the same ops as the session drives it; rings are in memory of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/spec/virtio_spec.h"
#include "dev-undertaker/undertaker.h"

#define MEMORY_BYTES 0x40000u
#define RING_BYTES   0x10000u
#define DATA	     0x30000u
#define SIZE	     1024u /* more than a round takes */

static struct undertaker undertaker;
static struct virtio_server *server;
static struct loop *loop;
static struct guest_memory memory;
static int memory_fd;
static uint8_t *base;

static struct ring {
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtqueue *queue;
	int kick_fd;
} rings[3];

static void ring_start(uint16_t index)
{
	struct ring *ring = &rings[index];
	uint8_t *at = base + index * RING_BYTES;
	struct virtqueue_setup setup = {
		.memory = &memory,
		.size = SIZE,
		.features = VIRTIO_BIT(VIRTIO_F_VERSION_1),
		.call_fd = -1,
	};

	memset(at, 0, RING_BYTES);
	ring->descriptors = (struct virtq_desc *)(void *)at;
	ring->available = (struct virtq_avail *)(void *)(at + 0x4000);
	ring->used = (struct virtq_used *)(void *)(at + 0x8000);
	ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	setup.kick_fd = ring->kick_fd;
	setup.descriptor_table = guest_memory_range(&memory, index * RING_BYTES, 0x4000);
	setup.available_ring = guest_memory_range(&memory, index * RING_BYTES + 0x4000, 0x1000);
	setup.used_ring = guest_memory_range(&memory, index * RING_BYTES + 0x8000, 0x4000);
	assert_int_equal(virtqueue_new(&setup, &ring->queue), 0);
	assert_int_equal(virtio_server_ops(server)->start_queue(server, index, ring->queue), 0);
}

static void begin(uint16_t type, unsigned queues, unsigned started)
{
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(memory_fd, MEMORY_BYTES), 0);
	base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	assert_true(base != MAP_FAILED);
	guest_memory_init(&memory);
	assert_int_equal(guest_memory_add(&memory, 0, MEMORY_BYTES, 0, 0, memory_fd), 0);
	loop = loop_new();
	assert_int_equal(undertaker_init(&undertaker, device_type_of(type), queues), 0);
	assert_int_equal(virtio_server_new(loop, &undertaker.virtio, &undertaker, &server), 0);
	assert_int_equal(virtio_server_ops(server)->set_features(server, VIRTIO_BIT(VIRTIO_F_VERSION_1)), 0);
	for (uint16_t i = 0; i < started; i++)
		ring_start(i);
}

static void end(void)
{
	for (uint16_t i = 0; i < 3; i++) {
		if (rings[i].queue == NULL)
			continue;
		virtio_server_ops(server)->stop_queue(server, i);
		virtqueue_free(rings[i].queue);
		close(rings[i].kick_fd);
		rings[i].queue = NULL;
	}
	virtio_server_free(server);
	loop_free(loop);
	guest_memory_clear(&memory);
	munmap(base, MEMORY_BYTES);
	close(memory_fd);
}

/* A chain at descriptor `head` and the next: `out` bytes to read, `in` to write; of no bytes: no such descriptor. */
static void offer(uint16_t index, uint16_t head, uint32_t out, uint32_t in)
{
	struct ring *ring = &rings[index];
	bool both = out > 0 && in > 0;

	ring->descriptors[head] = (struct virtq_desc){
		.addr = DATA,
		.len = out > 0 ? out : in,
		.flags = (uint16_t)((both ? VIRTQ_DESC_F_NEXT : 0) | (out > 0 ? 0 : VIRTQ_DESC_F_WRITE)),
		.next = (uint16_t)(head + 1)};
	if (both)
		ring->descriptors[head + 1] =
			(struct virtq_desc){.addr = DATA + 0x1000, .len = in, .flags = VIRTQ_DESC_F_WRITE};
	ring->available->ring[ring->available->idx % SIZE] = head;
	__atomic_store_n(&ring->available->idx, (uint16_t)(ring->available->idx + 1), __ATOMIC_RELEASE);
}

static void turn(unsigned times)
{
	while (times-- > 0)
		loop_run_once(loop, 0);
}

static void kick(uint16_t index)
{
	eventfd_write(rings[index].kick_fd, 1);
	turn(10);
}

static void a_disks_requests_fail(void **state)
{
	(void)state;
	begin(VIRTIO_ID_BLOCK, 1, 1);
	memset(base + DATA, 0xee, 0x2000);
	offer(0, 0, 16, 513);
	kick(0);
	assert_int_equal(rings[0].used->idx, 1);
	assert_int_equal(rings[0].used->ring[0].id, 0);
	/* The status alone is written, behind the data. */
	assert_int_equal(base[DATA + 0x1000 + 512], 1);
	assert_int_equal(base[DATA + 0x1000 + 511], 0xee);
	assert_int_equal(rings[0].used->ring[0].len, 0);
	offer(0, 2, 16, 1);
	kick(0);
	assert_int_equal(rings[0].used->idx, 2);
	assert_int_equal(rings[0].used->ring[1].len, 1);
	assert_int_equal(base[DATA + 0x1000], 1);
	assert_int_equal(undertaker.refused, 2);
	end();
}

static void what_waited_before_is_answered_without_a_kick(void **state)
{
	(void)state;
	begin(VIRTIO_ID_BLOCK, 1, 1);
	offer(0, 0, 16, 1);
	turn(10);
	assert_int_equal(rings[0].used->idx, 1);
	end();
}

static void a_network_takes_drops_and_refuses(void **state)
{
	(void)state;
	begin(VIRTIO_ID_NET, 0, 3);
	memset(base + DATA, 0xee, 0x2000);
	offer(0, 0, 0, 1526);
	offer(1, 0, 72, 0);
	kick(0);
	kick(1);
	assert_int_equal(rings[0].used->idx, 0);
	assert_int_equal(rings[1].used->idx, 1);
	assert_int_equal(rings[1].used->ring[0].len, 0);
	assert_int_equal(base[DATA], 0xee);
	/* The acknowledgement is the first byte, and there may be a command-specific answer behind it. */
	offer(2, 0, 3, 5);
	kick(2);
	assert_int_equal(rings[2].used->idx, 1);
	assert_int_equal(rings[2].used->ring[0].len, 1);
	assert_int_equal(base[DATA + 0x1000], 1);
	assert_int_equal(base[DATA + 0x1001], 0xee);
	assert_int_equal(undertaker.dropped, 1);
	end();
}

static void a_consoles_output_is_dropped(void **state)
{
	(void)state;
	begin(VIRTIO_ID_CONSOLE, 0, 2);
	offer(0, 0, 0, 64);
	offer(1, 0, 64, 0);
	kick(0);
	kick(1);
	assert_int_equal(rings[0].used->idx, 0);
	assert_int_equal(rings[1].used->idx, 1);
	end();
}

/* One queue's bad chain is that queue's end, and no other's. */
static void bad_chains_stop_their_queue(void **state)
{
	(void)state;
	for (unsigned bad = 0; bad < 4; bad++) {
		struct virtq_desc *descriptor;

		begin(VIRTIO_ID_BLOCK, 2, 2);
		offer(0, 0, 16, bad == 0 ? 0 : 1);
		descriptor = rings[0].descriptors;
		if (bad == 1) /* a loop */
			descriptor[1] = (struct virtq_desc){.addr = DATA,
							    .len = 1,
							    .flags = VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE,
							    .next = 1};
		else if (bad == 2) /* outside of memory */
			descriptor[1].addr = MEMORY_BYTES;
		else if (bad == 3)
			rings[0].available->ring[0] = SIZE;
		/* A session would tell of it; here there is none. */
		kick(0);
		assert_non_null(virtqueue_broken(rings[0].queue));
		assert_int_equal(rings[0].used->idx, 0);
		kick(0);
		assert_int_equal(rings[0].used->idx, 0);
		offer(1, 0, 16, 1);
		kick(1);
		assert_int_equal(rings[1].used->idx, 1);
		end();
	}
}

/* A ring that is full takes several rounds, and the others have their turns between them. */
static void a_full_ring_holds_nobody_up(void **state)
{
	unsigned turns = 0;

	(void)state;
	begin(VIRTIO_ID_BLOCK, 2, 2);
	turn(5);
	for (uint16_t i = 0; i < SIZE; i++)
		offer(0, i, 0, 1);
	offer(1, 0, 16, 1);
	eventfd_write(rings[0].kick_fd, 1);
	eventfd_write(rings[1].kick_fd, 1);
	while (rings[1].used->idx == 0 && turns++ < 10)
		turn(1);
	assert_int_equal(rings[1].used->idx, 1);
	assert_true(rings[0].used->idx < SIZE);
	turn(20);
	assert_int_equal(rings[0].used->idx, SIZE);
	end();
}

static void what_there_is_not_is_refused(void **state)
{
	(void)state;
	assert_null(device_type_of(0));
	assert_null(device_type_of(99));
	assert_null(device_type_named("disk"));
	assert_int_equal(undertaker_init(&undertaker, device_type_of(VIRTIO_ID_BLOCK), 0), -EINVAL);
	assert_int_equal(
		undertaker_init(&undertaker, device_type_of(VIRTIO_ID_BLOCK), UNDERTAKER_QUEUES_MAX + 1),
		-EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disks_requests_fail),
		cmocka_unit_test(what_waited_before_is_answered_without_a_kick),
		cmocka_unit_test(a_network_takes_drops_and_refuses),
		cmocka_unit_test(a_consoles_output_is_dropped),
		cmocka_unit_test(bad_chains_stop_their_queue),
		cmocka_unit_test(a_full_ring_holds_nobody_up),
		cmocka_unit_test(what_there_is_not_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
