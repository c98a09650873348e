/*
 * Guest memory and the split virtqueue, against a driver in memory that can do everything wrong.
 *
 * The driver's memory is two regions, adjacent in the guest's view and swapped in ours, so that a buffer
 * across their border cannot pass by luck.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ring/guest_memory.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"

#define REGION	  0x10000u
#define MEMORY	  (2 * REGION)
#define USER_BASE UINT64_C(0x7f0000000000)

/* Guest addresses. */
#define DESCRIPTORS 0x0u
#define AVAILABLE   0x1000u
#define USED	    0x2000u
#define DATA	    0x4000u
#define TABLE	    0x8000u

struct driver {
	int memory_fd;
	int call_fd, kick_fd;
	uint8_t *base;
	uint16_t size;
	struct guest_memory memory;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtqueue *queue;
};

/* Too large for a stack. */
static struct virtqueue_chain chain;

static void *driver_at(struct driver *driver, uint64_t guest_address)
{
	return driver->base + (guest_address ^ REGION);
}

static void driver_make_queue(struct driver *driver, uint64_t features, uint16_t base)
{
	struct virtqueue_setup setup = {
		.memory = &driver->memory,
		.size = driver->size,
		.descriptor_table = driver->descriptors,
		.available_ring = driver->available,
		.used_ring = driver->used,
		.next_available = base,
		.features = features,
		.kick_fd = driver->kick_fd,
		.call_fd = driver->call_fd,
	};

	assert_int_equal(virtqueue_new(&setup, &driver->queue), 0);
}

static void driver_start(struct driver *driver, uint16_t size, uint64_t features, uint16_t index)
{
	memset(driver, 0, sizeof(*driver));
	driver->size = size;
	driver->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(driver->memory_fd >= 0);
	assert_int_equal(ftruncate(driver->memory_fd, MEMORY), 0);
	driver->base = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, driver->memory_fd, 0);
	assert_true(driver->base != MAP_FAILED);
	guest_memory_init(&driver->memory);
	/* The second region first: the table sorts. */
	assert_int_equal(
		guest_memory_add(&driver->memory, REGION, REGION, USER_BASE + REGION, 0, driver->memory_fd),
		0);
	assert_int_equal(guest_memory_add(&driver->memory, 0, REGION, USER_BASE, REGION, driver->memory_fd),
			 0);
	driver->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	driver->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	driver->descriptors = guest_memory_range(&driver->memory, DESCRIPTORS, 16u * size);
	driver->available = guest_memory_range(&driver->memory, AVAILABLE, 6u + 2u * size);
	driver->used = guest_memory_range(&driver->memory, USED, 6u + 8u * size);
	assert_non_null(driver->descriptors);
	assert_non_null(driver->available);
	assert_non_null(driver->used);
	driver->available->idx = index;
	driver->used->idx = index;
	driver_make_queue(driver, features | VIRTIO_BIT(VIRTIO_F_VERSION_1), index);
}

static void driver_stop(struct driver *driver)
{
	virtqueue_free(driver->queue);
	guest_memory_clear(&driver->memory);
	munmap(driver->base, MEMORY);
	close(driver->memory_fd);
	close(driver->call_fd);
	close(driver->kick_fd);
}

static void driver_set(struct driver *driver, uint16_t index, uint64_t address, uint32_t length,
		       uint16_t flags, uint16_t next)
{
	driver->descriptors[index] =
		(struct virtq_desc){.addr = address, .len = length, .flags = flags, .next = next};
}

static void driver_offer(struct driver *driver, uint16_t head)
{
	uint16_t index = driver->available->idx;

	driver->available->ring[index % driver->size] = head;
	__atomic_store_n(&driver->available->idx, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

static bool driver_was_called(struct driver *driver)
{
	eventfd_t count;

	return eventfd_read(driver->call_fd, &count) == 0;
}

static void driver_set_used_event(struct driver *driver, uint16_t event)
{
	driver->available->ring[driver->size] = event;
}

static uint16_t driver_avail_event(struct driver *driver)
{
	uint16_t event;

	memcpy(&event, &driver->used->ring[driver->size], sizeof(event));
	return event;
}

/* --- Guest memory --- */

static int memory_file(off_t size)
{
	int fd = memfd_create("region", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void memory_refuses_bad_regions(void **state)
{
	struct guest_memory memory;
	int fd = memory_file(0x4000);
	int pipe_fds[2];

	(void)state;
	guest_memory_init(&memory);
	assert_int_equal(guest_memory_add(&memory, 0, 0, 0, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, UINT64_MAX - 0xfff, 0x2000, 0, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x2000, UINT64_MAX - 0xfff, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x2000, 0, UINT64_MAX - 0xfff, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x1000, 0, INT64_MAX - 0xfff, fd), -EINVAL);
	/* The file is too short: touching what lies behind it would be SIGBUS. */
	assert_int_equal(guest_memory_add(&memory, 0, 0x4001, 0, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x4000, 0, 1, fd), -EINVAL);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(guest_memory_add(&memory, 0, 0x1000, 0, 0, pipe_fds[0]), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x1000, 0, 0, -1), -EBADF);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(memory.count, 0);

	assert_int_equal(guest_memory_add(&memory, 0x1000, 0x2000, 0, 0, fd), 0);
	assert_int_equal(guest_memory_add(&memory, 0, 0x1001, 0x10000, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0x2fff, 0x10, 0x10000, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0x1800, 0x10, 0x10000, 0, fd), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, 0, 0x1000, 0x10000, 0, fd), 0);
	assert_int_equal(guest_memory_add(&memory, 0x3000, 0x1000, 0x20000, 0, fd), 0);
	guest_memory_clear(&memory);
	close(fd);
}

static void memory_has_so_many_slots(void **state)
{
	struct guest_memory memory;
	int fd = memory_file(0x1000);

	(void)state;
	guest_memory_init(&memory);
	for (uint64_t i = 0; i < GUEST_MEMORY_REGIONS_MAX; i++)
		assert_int_equal(guest_memory_add(&memory, i * 0x1000, 0x1000, i * 0x1000, 0, fd), 0);
	assert_int_equal(guest_memory_add(&memory, UINT64_C(1) << 40, 0x1000, 0, 0, fd), -ENOSPC);
	assert_int_equal(guest_memory_remove(&memory, 0x5000, 0x1000, 0x5000), 0);
	assert_int_equal(guest_memory_add(&memory, UINT64_C(1) << 40, 0x1000, 0, 0, fd), 0);
	guest_memory_clear(&memory);
	close(fd);
}

static void memory_translates_odd_regions(void **state)
{
	struct guest_memory memory;
	int fd = memory_file(0x9000);
	uint64_t contiguous;
	uint8_t *host;

	(void)state;
	guest_memory_init(&memory);
	/* QEMU's two regions of one memfd, and libblkio's size, which is no multiple of a page. */
	assert_int_equal(guest_memory_add(&memory, 0xc0000, 0x1000, 0x7000c0000, 0x5010, fd), 0);
	assert_int_equal(guest_memory_add(&memory, 0, 0x3b10, 0x700000000, 0, fd), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0x5010 + 0xfff), 1);
	assert_int_equal(pwrite(fd, "y", 1, 0x3b0f), 1);

	host = guest_memory_translate(&memory, 0xc0fff, &contiguous);
	assert_non_null(host);
	assert_int_equal(contiguous, 1);
	assert_int_equal(*host, 'x');
	host = guest_memory_range(&memory, 0x3b0f, 1);
	assert_non_null(host);
	assert_int_equal(*host, 'y');
	assert_null(guest_memory_range(&memory, 0x3b0f, 2));
	assert_null(guest_memory_translate(&memory, 0x3b10, &contiguous));
	assert_null(guest_memory_translate(&memory, 0xbffff, &contiguous));
	assert_null(guest_memory_translate(&memory, 0xc1000, &contiguous));
	assert_null(guest_memory_translate(&memory, UINT64_MAX, &contiguous));
	assert_null(guest_memory_range(&memory, 0xc0000, UINT64_MAX));

	assert_ptr_equal(guest_memory_user_range(&memory, 0x7000c0fff, 1),
			 guest_memory_range(&memory, 0xc0fff, 1));
	assert_null(guest_memory_user_range(&memory, 0x7000c0fff, 2));
	assert_null(guest_memory_user_range(&memory, 0xc0000, 1));

	/* Exactly these values, or none. */
	assert_int_equal(guest_memory_remove(&memory, 0, 0x3b00, 0x700000000), -ENOENT);
	assert_int_equal(guest_memory_remove(&memory, 0, 0x3b10, 0x700000001), -ENOENT);
	assert_int_equal(guest_memory_remove(&memory, 0, 0x3b10, 0x700000000), 0);
	assert_null(guest_memory_range(&memory, 0, 1));
	assert_non_null(guest_memory_range(&memory, 0xc0000, 0x1000));
	guest_memory_clear(&memory);
	close(fd);
}

/* --- The ring --- */

static void queue_needs_a_sane_layout(void **state)
{
	struct driver driver;
	struct virtqueue *queue;
	struct virtqueue_setup setup;
	static const uint16_t sizes[] = {0, 3, 7, 32769, 65535};

	(void)state;
	driver_start(&driver, 8, 0, 0);
	setup = (struct virtqueue_setup){
		.memory = &driver.memory,
		.size = 8,
		.descriptor_table = driver.descriptors,
		.available_ring = driver.available,
		.used_ring = driver.used,
		.kick_fd = -1,
		.call_fd = -1,
	};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		setup.size = sizes[i];
		assert_int_equal(virtqueue_new(&setup, &queue), -EINVAL);
	}
	setup.size = 8;
	setup.descriptor_table = (uint8_t *)driver.descriptors + 8;
	assert_int_equal(virtqueue_new(&setup, &queue), -EINVAL);
	setup.descriptor_table = driver.descriptors;
	setup.available_ring = (uint8_t *)driver.available + 1;
	assert_int_equal(virtqueue_new(&setup, &queue), -EINVAL);
	setup.available_ring = driver.available;
	setup.used_ring = (uint8_t *)driver.used + 2;
	assert_int_equal(virtqueue_new(&setup, &queue), -EINVAL);
	setup.used_ring = driver.used;
	assert_int_equal(virtqueue_new(&setup, &queue), 0);
	/* No eventfds: nothing to drain, nothing to signal. */
	virtqueue_kick_drain(queue);
	virtqueue_interrupt(queue);
	virtqueue_free(queue);
	driver_stop(&driver);
}

static void chains_are_out_then_in(void **state)
{
	struct driver driver;
	char text[16] = {0};

	(void)state;
	driver_start(&driver, 8, 0, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
	assert_false(virtqueue_ready(driver.queue));
	/* 5 -> 2 -> 7 -> 0, an empty one of each kind among them. */
	driver_set(&driver, 5, DATA, 4, VIRTQ_DESC_F_NEXT, 2);
	driver_set(&driver, 2, UINT64_MAX, 0, VIRTQ_DESC_F_NEXT, 7);
	driver_set(&driver, 7, DATA + 0x100, 3, VIRTQ_DESC_F_NEXT, 0);
	driver_set(&driver, 0, DATA + 0x200, 8, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 1);
	driver_set(&driver, 1, 0, 0, VIRTQ_DESC_F_WRITE, 0);
	memcpy(driver_at(&driver, DATA), "abcd", 4);
	memcpy(driver_at(&driver, DATA + 0x100), "efg", 3);
	driver_offer(&driver, 5);
	assert_true(virtqueue_ready(driver.queue));
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.token.head, 5);
	assert_int_equal(chain.token.length, 1);
	assert_int_equal(chain.out_count, 2);
	assert_int_equal(chain.in_count, 1);
	assert_int_equal(chain.out_bytes, 7);
	assert_int_equal(chain.in_bytes, 8);
	assert_ptr_equal(chain.iov[1].iov_base, guest_memory_range(&driver.memory, DATA + 0x100, 3));

	assert_int_equal(virtqueue_chain_read(&chain, 2, text, sizeof(text)), 5);
	assert_string_equal(text, "cdefg");
	assert_int_equal(virtqueue_chain_read(&chain, 7, text, 1), 0);
	assert_int_equal(virtqueue_chain_write(&chain, 6, "xyz", 3), 2);
	assert_memory_equal((char *)driver_at(&driver, DATA + 0x206), "xy", 2);
	assert_int_equal(*((char *)driver_at(&driver, DATA + 0x208)), 0);

	virtqueue_push(driver.queue, &chain.token, 8);
	assert_int_equal(driver.used->idx, 0);
	virtqueue_complete(driver.queue);
	assert_int_equal(driver.used->idx, 1);
	assert_int_equal(driver.used->ring[0].id, 5);
	assert_int_equal(driver.used->ring[0].len, 8);
	assert_true(driver_was_called(&driver));
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
	driver_stop(&driver);
}

static void a_chain_of_nothing_is_a_chain(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	driver_set(&driver, 0, 0, 0, 0, 0);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.out_count + chain.in_count, 0);
	driver_stop(&driver);
}

static void buffers_may_lie_across_regions(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	driver_set(&driver, 0, REGION - 3, 8, VIRTQ_DESC_F_WRITE, 0);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.in_count, 2);
	assert_int_equal(chain.in_bytes, 8);
	assert_int_equal(virtqueue_chain_write(&chain, 0, "01234567", 8), 8);
	assert_memory_equal((char *)driver_at(&driver, REGION - 3), "012", 3);
	assert_memory_equal((char *)driver_at(&driver, REGION), "34567", 5);
	driver_stop(&driver);
}

static void indexes_wrap_around(void **state)
{
	struct driver driver;
	uint16_t expected = 65530;

	(void)state;
	driver_start(&driver, 4, 0, 65530);
	for (unsigned round = 0; round < 70000; round++) {
		unsigned batch = 1 + round % 4;

		for (uint16_t i = 0; i < batch; i++) {
			driver_set(&driver, i, DATA + i, 1, 0, 0);
			driver_offer(&driver, i);
		}
		for (uint16_t i = 0; i < batch; i++) {
			assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
			assert_int_equal(chain.token.head, i);
			virtqueue_push(driver.queue, &chain.token, round);
		}
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
		virtqueue_publish(driver.queue);
		expected = (uint16_t)(expected + batch);
		assert_int_equal(driver.used->idx, expected);
		assert_int_equal(driver.used->ring[(uint16_t)(expected - 1) % 4].id, batch - 1);
		assert_int_equal(driver.used->ring[(uint16_t)(expected - 1) % 4].len, round);
		assert_int_equal(virtqueue_next_available(driver.queue), expected);
	}
	driver_stop(&driver);
}

static void a_successor_goes_on_where_the_ring_stands(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 4, 0, 0);
	for (uint16_t i = 0; i < 3; i++) {
		driver_set(&driver, i, DATA, 1, 0, 0);
		driver_offer(&driver, i);
	}
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	virtqueue_push(driver.queue, &chain.token, 0);
	virtqueue_complete(driver.queue);
	virtqueue_free(driver.queue);
	driver_make_queue(&driver, 0, 1);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.token.head, 1);
	virtqueue_push(driver.queue, &chain.token, 0);
	virtqueue_publish(driver.queue);
	assert_int_equal(driver.used->idx, 2);
	driver_stop(&driver);
}

static void rewound_chains_come_again(void **state)
{
	struct virtqueue_token tokens[4];
	struct driver driver;

	(void)state;
	driver_start(&driver, 4, VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 65534);
	for (uint16_t i = 0; i < 4; i++) {
		driver_set(&driver, i, DATA, 1, 0, 0);
		driver_offer(&driver, i);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		tokens[i] = chain.token;
	}
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
	for (int i = 3; i > 0; i--)
		virtqueue_rewind(driver.queue, &tokens[i]);
	assert_int_equal(virtqueue_next_available(driver.queue), 65535);
	assert_true(virtqueue_ready(driver.queue));
	for (uint16_t i = 1; i < 4; i++) {
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_int_equal(chain.token.head, i);
	}
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
	driver_stop(&driver);
}

/* --- Indirect tables --- */

static void table_set(struct driver *driver, uint64_t table, uint32_t index, uint64_t address,
		      uint32_t length, uint16_t flags, uint16_t next)
{
	struct virtq_desc descriptor = {.addr = address, .len = length, .flags = flags, .next = next};

	/* Byte by byte, as the table may lie across regions. */
	for (size_t i = 0; i < sizeof(descriptor); i++)
		*(uint8_t *)driver_at(driver, table + index * sizeof(descriptor) + i) =
			((uint8_t *)&descriptor)[i];
}

static void indirect_tables_are_followed(void **state)
{
	/* In one piece; at an odd address; with a descriptor across the regions' border. */
	static const uint64_t tables[] = {TABLE, TABLE + 1, REGION - 24};

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct driver driver;

		driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
		/* Direct descriptors may come first: one, then the table. */
		driver_set(&driver, 3, DATA, 1, VIRTQ_DESC_F_NEXT, 4);
		driver_set(&driver, 4, tables[i], 3 * 16, VIRTQ_DESC_F_INDIRECT, 0);
		table_set(&driver, tables[i], 0, DATA + 1, 2, VIRTQ_DESC_F_NEXT, 2);
		table_set(&driver, tables[i], 2, DATA + 3, 3, VIRTQ_DESC_F_NEXT, 1);
		table_set(&driver, tables[i], 1, DATA + 6, 4, VIRTQ_DESC_F_WRITE, 0);
		driver_offer(&driver, 3);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_int_equal(chain.token.head, 3);
		assert_int_equal(chain.out_count, 3);
		assert_int_equal(chain.in_count, 1);
		assert_int_equal(chain.out_bytes, 6);
		assert_int_equal(chain.in_bytes, 4);
		assert_ptr_equal(chain.iov[3].iov_base, guest_memory_range(&driver.memory, DATA + 6, 4));
		driver_stop(&driver);
	}
}

/* Drivers put more into a table than the queue has descriptors; what fits is taken. */
static void indirect_tables_may_be_longer_than_the_queue(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
	driver_set(&driver, 0, TABLE, VIRTQUEUE_IOV_MAX * 16, VIRTQ_DESC_F_INDIRECT, 0);
	for (uint32_t i = 0; i < VIRTQUEUE_IOV_MAX; i++)
		table_set(&driver, TABLE, i, DATA, 1, i + 1 < VIRTQUEUE_IOV_MAX ? VIRTQ_DESC_F_NEXT : 0,
			  (uint16_t)(i + 1));
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.out_count, VIRTQUEUE_IOV_MAX);
	driver_stop(&driver);
}

/* --- What is known of a chain that is out --- */

/* Numbers of 64 bits, each once, whichever chains are given back first; a rewound chain has its number again. */
static void chains_are_counted(void **state)
{
	struct virtqueue_token kept;
	struct driver driver;

	(void)state;
	driver_start(&driver, 4, 0, 65534);
	for (uint16_t i = 0; i < 4; i++)
		driver_set(&driver, i, DATA, 1, 0, 0);
	assert_true(virtqueue_taken(driver.queue) == 65534);
	driver_offer(&driver, 3);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	kept = chain.token;
	for (uint64_t number = 65535; number < 200000; number++) {
		driver_offer(&driver, (uint16_t)(number % 3));
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_true(chain.token.number == number);
		assert_int_equal(chain.token.head, number % 3);
		assert_int_equal(chain.token.length, 1);
		assert_true(chain.token.wrap_counter);
		assert_true(virtqueue_taken(driver.queue) == number + 1);
		virtqueue_rewind(driver.queue, &chain.token);
		assert_true(virtqueue_taken(driver.queue) == number);
		assert_int_equal(virtqueue_next_available(driver.queue), (uint16_t)number);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_true(chain.token.number == number);
		virtqueue_push(driver.queue, &chain.token, 0);
		virtqueue_publish(driver.queue);
	}
	assert_true(kept.number == 65534);
	virtqueue_push(driver.queue, &kept, 7);
	virtqueue_publish(driver.queue);
	assert_int_equal(driver.used->ring[(uint16_t)(driver.used->idx - 1) % 4].id, 3);
	driver_stop(&driver);
}

/* A successor's queue knows 16 bits from the ring, and the rest from what its device kept. */
static void a_successor_counts_on(void **state)
{
	static const struct {
		uint64_t kept;
		uint16_t base;
		uint64_t taken;
	} cases[] = {
		{0, 0, 0},
		{0, 40000, 40000},
		{1, 0, 0},
		{5, 65535, 65535}, /* not before the first of all */
		{65536, 0, 65536},
		{65536, 65535, 65535},
		{65535, 0, 65536},
		{0x123450001, 0, 0x123450000},
		{0x123450000, 0xffff, 0x12344ffff},
		{0x12344ffff, 3, 0x123450003},
		{0x123450000, 0x7fff, 0x123457fff},
		{0x123450000, 0x8001, 0x123448001},
		{UINT64_MAX / 2, 0xfffe, UINT64_MAX / 2 - 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct driver driver;

		driver_start(&driver, 4, 0, cases[i].base);
		virtqueue_count_on(driver.queue, cases[i].kept);
		if (virtqueue_taken(driver.queue) != cases[i].taken)
			fail_msg("case %zu: %llu", i, (unsigned long long)virtqueue_taken(driver.queue));
		assert_int_equal(virtqueue_next_available(driver.queue), cases[i].base);
		driver_set(&driver, 2, DATA, 1, 0, 0);
		driver_offer(&driver, 2);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_true(chain.token.number == cases[i].taken);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 0);
		driver_stop(&driver);
	}
}

static void expect_extent(const struct driver *driver, const struct virtqueue_token *token, uint16_t n,
			  uint64_t address, uint64_t size)
{
	struct virtqueue_extent extent = {0};

	assert_true(virtqueue_writable(driver->queue, token, n, &extent));
	assert_true(extent.address == address);
	assert_true(extent.size == size);
}

static void expect_extents(const struct driver *driver, const struct virtqueue_token *token, uint16_t count)
{
	struct virtqueue_extent extent;

	assert_false(virtqueue_writable(driver->queue, token, count, &extent));
	assert_false(virtqueue_writable(driver->queue, token, UINT16_MAX, &extent));
}

/* Each piece of guest memory that the device may write, and nothing else, for as long as the chain is out. */
static void what_may_be_written_is_known(void **state)
{
	struct virtqueue_token first, second;
	struct driver driver;

	(void)state;
	driver_start(&driver, 16, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
	/* Out, nothing, across the border of two regions, nothing, in. */
	driver_set(&driver, 5, DATA, 4, VIRTQ_DESC_F_NEXT, 6);
	driver_set(&driver, 6, DATA, 0, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 7);
	driver_set(&driver, 7, REGION - 3, 8, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 8);
	driver_set(&driver, 8, 0, 0, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 9);
	driver_set(&driver, 9, DATA + 0x200, 1, VIRTQ_DESC_F_WRITE, 0);
	driver_offer(&driver, 5);
	/* Of more pieces than lie together, in a table. */
	driver_set(&driver, 4, TABLE, 9 * 16, VIRTQ_DESC_F_INDIRECT, 0);
	for (uint32_t i = 0; i < 9; i++)
		table_set(&driver, TABLE, i, DATA + 32 * i, 1 + i,
			  i < 8 ? VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE : VIRTQ_DESC_F_WRITE,
			  (uint16_t)(i + 1));
	driver_offer(&driver, 4);
	driver_set(&driver, 3, DATA, 1, 0, 0);
	driver_offer(&driver, 3);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	first = chain.token;
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	second = chain.token;
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	expect_extents(&driver, &chain.token, 0);
	/* What the driver writes there now is none of ours. */
	memset(driver.descriptors, 0xff, 16 * sizeof(driver.descriptors[0]));
	memset(driver_at(&driver, TABLE), 0xff, 9 * 16);
	expect_extent(&driver, &first, 0, REGION - 3, 8);
	expect_extent(&driver, &first, 1, DATA + 0x200, 1);
	expect_extents(&driver, &first, 2);
	for (uint16_t i = 0; i < 9; i++)
		expect_extent(&driver, &second, i, DATA + 32 * i, 1 + i);
	expect_extents(&driver, &second, 9);
	virtqueue_push(driver.queue, &second, 0);
	expect_extent(&driver, &first, 1, DATA + 0x200, 1);
	driver_stop(&driver);
}

/* The longest chain there is: what is beyond the room for extents lies within the last of them. */
static void no_extent_is_left_out(void **state)
{
	const uint16_t last = VIRTQUEUE_EXTENTS_MAX - 1;
	struct driver driver;

	(void)state;
	driver_start(&driver, 4, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
	for (uint16_t head = 0; head < 4; head++)
		driver_set(&driver, head, TABLE, VIRTQUEUE_IOV_MAX * 16, VIRTQ_DESC_F_INDIRECT, 0);
	/* The lowest and the highest of those beyond are in their midst. */
	for (uint32_t i = 0; i < VIRTQUEUE_IOV_MAX; i++)
		table_set(&driver, TABLE, i,
			  i == 600   ? DATA
			  : i == 601 ? DATA + 0x900
			  : i < last ? DATA + i
				     : DATA + 0x400 + i % 16,
			  2, VIRTQ_DESC_F_WRITE | (i + 1 < VIRTQUEUE_IOV_MAX ? VIRTQ_DESC_F_NEXT : 0),
			  (uint16_t)(i + 1));
	for (uint16_t head = 0; head < 4; head++) {
		driver_offer(&driver, head);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_int_equal(chain.in_count, VIRTQUEUE_IOV_MAX);
		for (uint16_t i = 0; i < last; i++)
			expect_extent(&driver, &chain.token, i, DATA + i, 2);
		expect_extent(&driver, &chain.token, last, DATA, 0x902);
		expect_extents(&driver, &chain.token, VIRTQUEUE_EXTENTS_MAX);
	}
	driver_stop(&driver);
}

/* --- What breaks a ring --- */

#define NEXT	 VIRTQ_DESC_F_NEXT
#define WRITE	 VIRTQ_DESC_F_WRITE
#define INDIRECT VIRTQ_DESC_F_INDIRECT

static void break_loop(struct driver *driver)
{
	driver_set(driver, 0, DATA, 1, NEXT, 1);
	driver_set(driver, 1, DATA, 1, NEXT, 0);
	driver_offer(driver, 0);
}

static void break_loop_of_nothing(struct driver *driver)
{
	driver_set(driver, 0, DATA, 0, NEXT, 0);
	driver_offer(driver, 0);
}

static void break_next(struct driver *driver)
{
	driver_set(driver, 0, DATA, 1, NEXT, 8);
	driver_offer(driver, 0);
}

static void break_head(struct driver *driver)
{
	driver_offer(driver, 8);
}

static void break_index_ahead(struct driver *driver)
{
	driver->available->idx = 9;
}

static void break_index_behind(struct driver *driver)
{
	driver->available->idx = UINT16_MAX;
}

static void break_order(struct driver *driver)
{
	driver_set(driver, 0, DATA, 1, NEXT | WRITE, 1);
	driver_set(driver, 1, DATA, 1, 0, 0);
	driver_offer(driver, 0);
}

static void break_outside(struct driver *driver)
{
	driver_set(driver, 0, MEMORY, 1, 0, 0);
	driver_offer(driver, 0);
}

static void break_end(struct driver *driver)
{
	driver_set(driver, 0, MEMORY - 4, 5, WRITE, 0);
	driver_offer(driver, 0);
}

static void break_length(struct driver *driver)
{
	driver_set(driver, 0, DATA, UINT32_MAX, WRITE, 0);
	driver_offer(driver, 0);
}

static void break_address_wrap(struct driver *driver)
{
	driver_set(driver, 0, UINT64_MAX - 1, 0x1000, WRITE, 0);
	driver_offer(driver, 0);
}

static void break_table_nested(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 16, INDIRECT, 0);
	table_set(driver, TABLE, 0, TABLE, 16, INDIRECT, 0);
	driver_offer(driver, 0);
}

static void break_table_next(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 16, INDIRECT | NEXT, 1);
	table_set(driver, TABLE, 0, DATA, 1, 0, 0);
	driver_offer(driver, 0);
}

static void break_table_empty(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 0, INDIRECT, 0);
	driver_offer(driver, 0);
}

static void break_table_length(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 24, INDIRECT, 0);
	table_set(driver, TABLE, 0, DATA, 1, 0, 0);
	driver_offer(driver, 0);
}

static void break_table_outside(struct driver *driver)
{
	driver_set(driver, 0, MEMORY, 16, INDIRECT, 0);
	driver_offer(driver, 0);
}

static void break_table_end(struct driver *driver)
{
	driver_set(driver, 0, MEMORY - 16, 32, INDIRECT, 0);
	table_set(driver, MEMORY - 16, 0, DATA, 1, NEXT, 1);
	driver_offer(driver, 0);
}

static void break_table_wrap(struct driver *driver)
{
	driver_set(driver, 0, UINT64_MAX - 15, 32, INDIRECT, 0);
	driver_offer(driver, 0);
}

static void break_table_index(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 32, INDIRECT, 0);
	table_set(driver, TABLE, 0, DATA, 1, NEXT, 2);
	driver_offer(driver, 0);
}

static void break_table_loop(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 32, INDIRECT, 0);
	table_set(driver, TABLE, 0, DATA, 1, NEXT, 1);
	table_set(driver, TABLE, 1, DATA, 1, NEXT, 0);
	driver_offer(driver, 0);
}

/* 4096 descriptors in the table, all empty: only time would be lost. */
static void break_table_of_nothing(struct driver *driver)
{
	driver_set(driver, 0, TABLE, 0x10000, INDIRECT, 0);
	for (uint32_t i = 0; i < 4096; i++)
		table_set(driver, TABLE, i, 0, 0, i < 4095 ? NEXT : 0, (uint16_t)(i + 1));
	driver_offer(driver, 0);
}

static void break_buffers(struct driver *driver)
{
	driver_set(driver, 0, TABLE, (VIRTQUEUE_IOV_MAX + 1) * 16, INDIRECT, 0);
	for (uint32_t i = 0; i <= VIRTQUEUE_IOV_MAX; i++)
		table_set(driver, TABLE, i, DATA, 1, i < VIRTQUEUE_IOV_MAX ? NEXT : 0, (uint16_t)(i + 1));
	driver_offer(driver, 0);
}

/* One iovec too many because the last buffer lies across the regions. */
static void break_buffers_across(struct driver *driver)
{
	driver_set(driver, 0, TABLE, VIRTQUEUE_IOV_MAX * 16, INDIRECT, 0);
	for (uint32_t i = 0; i < VIRTQUEUE_IOV_MAX; i++)
		table_set(driver, TABLE, i, i + 1 < VIRTQUEUE_IOV_MAX ? DATA : REGION - 1, 2,
			  i + 1 < VIRTQUEUE_IOV_MAX ? NEXT : 0, (uint16_t)(i + 1));
	driver_offer(driver, 0);
}

static void violations_break_the_queue_for_good(void **state)
{
	static const struct {
		void (*provoke)(struct driver *driver);
		const char *reason;
	} cases[] = {
		{break_loop, "a chain loops"},
		{break_loop_of_nothing, "a chain loops"},
		{break_next, "a next index is outside of the descriptor table"},
		{break_head, "an available entry is outside of the descriptor table"},
		{break_index_ahead, "the available index is further ahead than the queue is long"},
		{break_index_behind, "the available index is further ahead than the queue is long"},
		{break_order, "a device-readable descriptor follows a device-writable one"},
		{break_outside, "a descriptor's buffer is outside of guest memory"},
		{break_end, "a descriptor's buffer is outside of guest memory"},
		{break_length, "a descriptor's buffer is outside of guest memory"},
		{break_address_wrap, "a descriptor's buffer is outside of guest memory"},
		{break_table_nested, "an indirect table names another one"},
		{break_table_next, "an indirect descriptor has a next one"},
		{break_table_empty, "an indirect table's length is not a multiple of 16"},
		{break_table_length, "an indirect table's length is not a multiple of 16"},
		{break_table_outside, "an indirect table is outside of guest memory"},
		{break_table_end, "an indirect table is outside of guest memory"},
		{break_table_wrap, "an indirect table wraps around"},
		{break_table_index, "a next index is outside of its indirect table"},
		{break_table_loop, "an indirect chain loops, or is too long"},
		{break_table_of_nothing, "an indirect chain loops, or is too long"},
		{break_buffers, "an indirect chain loops, or is too long"},
		{break_buffers_across, "a chain has too many buffers"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct driver driver;

		driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
		assert_null(virtqueue_broken(driver.queue));
		cases[i].provoke(&driver);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
		assert_non_null(virtqueue_broken(driver.queue));
		assert_string_equal(virtqueue_broken(driver.queue), cases[i].reason);

		/* It stays broken, whatever the driver does, and is harmless. */
		driver.available->idx = 0;
		driver_set(&driver, 0, DATA, 1, 0, 0);
		driver_offer(&driver, 0);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
		assert_false(virtqueue_ready(driver.queue));
		assert_false(virtqueue_enable_kicks(driver.queue));
		virtqueue_complete(driver.queue);
		assert_int_equal(driver.used->idx, 0);
		assert_false(driver_was_called(&driver));
		driver_stop(&driver);
	}
}

static void tables_need_their_feature(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	driver_set(&driver, 0, TABLE, 16, INDIRECT, 0);
	table_set(&driver, TABLE, 0, DATA, 1, 0, 0);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
	assert_string_equal(virtqueue_broken(driver.queue), "an indirect descriptor without the feature");
	driver_stop(&driver);
}

static void a_chain_ends_below_4_gib(void **state)
{
	struct driver driver;
	int fd = memory_file((off_t)3 << 30);

	(void)state;
	driver_start(&driver, 8, 0, 0);
	assert_int_equal(guest_memory_add(&driver.memory, UINT64_C(1) << 32, UINT64_C(3) << 30, 0, 0, fd), 0);
	driver_set(&driver, 0, UINT64_C(1) << 32, 3u << 30, NEXT, 1);
	driver_set(&driver, 1, UINT64_C(1) << 32, 1u << 30, WRITE, 0);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
	assert_string_equal(virtqueue_broken(driver.queue), "a chain is longer than 4 GiB");
	driver_stop(&driver);
	close(fd);
}

static void what_was_done_before_a_violation_stays_done(void **state)
{
	struct virtqueue_token first;
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	for (uint16_t i = 0; i < 2; i++) {
		driver_set(&driver, i, DATA, 1, 0, 0);
		driver_offer(&driver, i);
	}
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	first = chain.token;
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	virtqueue_push(driver.queue, &first, 1);
	virtqueue_break(driver.queue, "a request is nonsense");
	virtqueue_break(driver.queue, "something that follows from it");
	assert_string_equal(virtqueue_broken(driver.queue), "a request is nonsense");
	/* The second comes too late. */
	virtqueue_push(driver.queue, &chain.token, 1);
	virtqueue_complete(driver.queue);
	assert_int_equal(driver.used->idx, 1);
	driver_stop(&driver);
}

static void no_more_chains_are_out_than_descriptors_exist(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 4, 0, 0);
	driver_set(&driver, 0, DATA, 1, 0, 0);
	for (int i = 0; i < 4; i++) {
		driver_offer(&driver, 0);
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	}
	virtqueue_rewind(driver.queue, &chain.token);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	virtqueue_push(driver.queue, &chain.token, 0);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
	assert_string_equal(virtqueue_broken(driver.queue),
			    "more chains are available than there are descriptors");
	driver_stop(&driver);
}

/* --- A driver that writes while we read --- */

static void the_index_is_read_once(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	driver_set(&driver, 0, DATA, 1, 0, 0);
	driver_set(&driver, 1, DATA, 2, 0, 0);
	driver_offer(&driver, 0);
	driver_offer(&driver, 1);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	/* The driver takes the second one back. It was seen, so it is served; the lie is found afterwards. */
	driver.available->idx = 1;
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	assert_int_equal(chain.out_bytes, 2);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), -EPROTO);
	driver_stop(&driver);
}

struct flipper {
	struct driver *driver;
	bool stop;
};

/* A good and a bad descriptor in quick alternation, the table's one likewise. */
static void *flip_descriptors(void *argument)
{
	struct flipper *flipper = argument;
	volatile struct virtq_desc *direct = &flipper->driver->descriptors[0];
	volatile struct virtq_desc *indirect = driver_at(flipper->driver, TABLE);

	while (!__atomic_load_n(&flipper->stop, __ATOMIC_RELAXED)) {
		direct->len = 64;
		indirect->len = 32;
		indirect->next = 1;
		direct->len = 32;
		indirect->len = MEMORY;
		indirect->next = 7;
	}
	return NULL;
}

static void descriptors_are_read_once(void **state)
{
	struct driver driver;
	struct flipper flipper = {.driver = &driver};
	pthread_t thread;
	const uint8_t *low, *high;

	(void)state;
	driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
	driver_set(&driver, 0, TABLE, 32, INDIRECT, 0);
	table_set(&driver, TABLE, 0, DATA, 32, NEXT, 1);
	table_set(&driver, TABLE, 1, DATA, 1, 0, 0);
	low = guest_memory_range(&driver.memory, 0, REGION);
	high = guest_memory_range(&driver.memory, REGION, REGION);
	assert_int_equal(pthread_create(&thread, NULL, flip_descriptors, &flipper), 0);
	for (int round = 0; round < 20000; round++) {
		int result;

		driver_offer(&driver, 0);
		result = virtqueue_pop(driver.queue, &chain);
		if (result == 1) {
			size_t bytes = 0;

			for (size_t i = 0; i < chain.out_count; i++) {
				const uint8_t *at = chain.iov[i].iov_base;

				assert_true((at >= low && at + chain.iov[i].iov_len <= low + REGION) ||
					    (at >= high && at + chain.iov[i].iov_len <= high + REGION));
				bytes += chain.iov[i].iov_len;
			}
			assert_int_equal(bytes, chain.out_bytes);
			virtqueue_push(driver.queue, &chain.token, 0);
			virtqueue_publish(driver.queue);
			continue;
		}
		assert_int_equal(result, -EPROTO);
		virtqueue_free(driver.queue);
		driver.available->idx = 0;
		driver.used->idx = 0;
		driver_make_queue(&driver, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), 0);
	}
	__atomic_store_n(&flipper.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	driver_stop(&driver);
}

/* --- Notifications --- */

static void interrupts_follow_the_flag(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	driver_set(&driver, 0, DATA, 1, 0, 0);
	driver.available->flags = VIRTQ_AVAIL_F_NO_INTERRUPT;
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	virtqueue_push(driver.queue, &chain.token, 0);
	assert_false(virtqueue_complete(driver.queue));
	assert_false(driver_was_called(&driver));
	driver.available->flags = 0;
	/* Nothing new, no interrupt. */
	assert_false(virtqueue_complete(driver.queue));
	assert_false(driver_was_called(&driver));
	driver_offer(&driver, 0);
	assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
	virtqueue_push(driver.queue, &chain.token, 0);
	assert_true(virtqueue_complete(driver.queue));
	assert_true(driver_was_called(&driver));
	virtqueue_interrupt(driver.queue);
	assert_true(driver_was_called(&driver));
	driver_stop(&driver);
}

/* 2.7.10.1: an interrupt exactly when the entry that the driver named is among those just published. */
static void interrupts_follow_the_event_index(void **state)
{
	static const uint16_t starts[] = {0, 3, 32766, 65529, 65532, 65535};

	(void)state;
	for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
		for (uint16_t count = 1; count <= 8; count++) {
			for (int distance = -4; distance <= 12; distance++) {
				struct driver driver;
				uint16_t event = (uint16_t)(starts[s] + distance);
				bool wanted = distance >= 0 && distance < count;

				driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_EVENT_IDX), starts[s]);
				driver_set_used_event(&driver, event);
				for (uint16_t i = 0; i < count; i++) {
					driver_set(&driver, i, DATA, 1, 0, 0);
					driver_offer(&driver, i);
					assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
					virtqueue_push(driver.queue, &chain.token, 0);
					/* Published in two steps, judged as one. */
					if (i == 0)
						virtqueue_publish(driver.queue);
				}
				assert_int_equal(virtqueue_complete(driver.queue), wanted);
				assert_int_equal(driver_was_called(&driver), wanted);
				driver_stop(&driver);
			}
		}
	}
}

static void kicks_follow_the_flag(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, 0, 0);
	virtqueue_disable_kicks(driver.queue);
	assert_int_equal(driver.used->flags, VIRTQ_USED_F_NO_NOTIFY);
	assert_false(virtqueue_enable_kicks(driver.queue));
	assert_int_equal(driver.used->flags, 0);
	virtqueue_disable_kicks(driver.queue);
	driver_set(&driver, 0, DATA, 1, 0, 0);
	driver_offer(&driver, 0);
	/* It came in between, without a kick. */
	assert_true(virtqueue_enable_kicks(driver.queue));
	assert_int_equal(eventfd_write(driver.kick_fd, 3), 0);
	virtqueue_kick_drain(driver.queue);
	virtqueue_kick_drain(driver.queue);
	assert_int_equal(virtqueue_kick_fd(driver.queue), driver.kick_fd);
	driver_stop(&driver);
}

static void kicks_follow_the_event_index(void **state)
{
	struct driver driver;

	(void)state;
	driver_start(&driver, 8, VIRTIO_BIT(VIRTIO_F_EVENT_IDX), 65533);
	for (uint16_t i = 0; i < 8; i++) {
		uint16_t next = (uint16_t)(65533 + i);

		assert_false(virtqueue_enable_kicks(driver.queue));
		assert_int_equal(driver_avail_event(&driver), next);
		virtqueue_disable_kicks(driver.queue);
		/* The flag is not for a driver that has the index; it must stay 0 (2.7.10). */
		assert_int_equal(driver.used->flags, 0);
		driver_set(&driver, i, DATA, 1, 0, 0);
		driver_offer(&driver, i);
		assert_true(virtqueue_enable_kicks(driver.queue));
		assert_int_equal(virtqueue_pop(driver.queue, &chain), 1);
		assert_int_equal(driver_avail_event(&driver), next);
	}
	driver_stop(&driver);
}

/* --- Slices --- */

static void slices_stay_inside(void **state)
{
	uint8_t bytes[32];
	const struct iovec iov[] = {
		{.iov_base = bytes, .iov_len = 4},
		{.iov_base = bytes + 8, .iov_len = 0},
		{.iov_base = bytes + 16, .iov_len = 8},
	};
	struct iovec out[3];
	size_t count = 3;

	(void)state;
	assert_int_equal(iovec_slice(iov, 3, 2, 6, out, &count), 0);
	assert_int_equal(count, 2);
	assert_ptr_equal(out[0].iov_base, bytes + 2);
	assert_int_equal(out[0].iov_len, 2);
	assert_ptr_equal(out[1].iov_base, bytes + 16);
	assert_int_equal(out[1].iov_len, 4);

	count = 3;
	assert_int_equal(iovec_slice(iov, 3, 12, 0, out, &count), 0);
	assert_int_equal(count, 0);
	count = 3;
	assert_int_equal(iovec_slice(iov, 3, 0, 13, out, &count), -ERANGE);
	assert_int_equal(iovec_slice(iov, 3, 12, 1, out, &count), -ERANGE);
	assert_int_equal(iovec_slice(iov, 3, SIZE_MAX, 1, out, &count), -ERANGE);
	assert_int_equal(count, 3);
	count = 1;
	assert_int_equal(iovec_slice(iov, 3, 0, 5, out, &count), -ENOSPC);
	assert_int_equal(count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_refuses_bad_regions),
		cmocka_unit_test(memory_has_so_many_slots),
		cmocka_unit_test(memory_translates_odd_regions),
		cmocka_unit_test(queue_needs_a_sane_layout),
		cmocka_unit_test(chains_are_out_then_in),
		cmocka_unit_test(a_chain_of_nothing_is_a_chain),
		cmocka_unit_test(buffers_may_lie_across_regions),
		cmocka_unit_test(indexes_wrap_around),
		cmocka_unit_test(a_successor_goes_on_where_the_ring_stands),
		cmocka_unit_test(rewound_chains_come_again),
		cmocka_unit_test(chains_are_counted),
		cmocka_unit_test(a_successor_counts_on),
		cmocka_unit_test(what_may_be_written_is_known),
		cmocka_unit_test(no_extent_is_left_out),
		cmocka_unit_test(indirect_tables_are_followed),
		cmocka_unit_test(indirect_tables_may_be_longer_than_the_queue),
		cmocka_unit_test(violations_break_the_queue_for_good),
		cmocka_unit_test(tables_need_their_feature),
		cmocka_unit_test(a_chain_ends_below_4_gib),
		cmocka_unit_test(what_was_done_before_a_violation_stays_done),
		cmocka_unit_test(no_more_chains_are_out_than_descriptors_exist),
		cmocka_unit_test(the_index_is_read_once),
		cmocka_unit_test(descriptors_are_read_once),
		cmocka_unit_test(interrupts_follow_the_flag),
		cmocka_unit_test(interrupts_follow_the_event_index),
		cmocka_unit_test(kicks_follow_the_flag),
		cmocka_unit_test(kicks_follow_the_event_index),
		cmocka_unit_test(slices_stay_inside),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
