/*
 * The inflight region under a device that dies: at each store of the algorithm, in recovery too, while the driver goes
 * on; and regions that no device can have left.
 *
 * virtqueue.c and inflight.c are compiled into this program with crash points, and a crash is a longjmp(3) from one:
 * memory is then as a killed process leaves it. Device and driver follow the rules of notification to the letter, and
 * do nothing that they were not told to: a kick or an interrupt that is lost shows as a request that never completes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/ring/guest_memory.h"
#include "common/ring/inflight.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"

#define MEMORY	     0x10000u
#define SIZE	     16u
#define CHAINS	     (SIZE / 2) /* two descriptors each */
#define TOTAL	     40u	/* requests */
#define AVAILABLE    0x1000u
#define USED	     0x2000u
#define TABLES	     0x3000u
#define BUFFERS	     0x4000u
#define REGION_BYTES 4096u

/* A sanitizer would take what a killed device leaves for a leak. */
__attribute__((weak)) void __lsan_disable(void);

/* --- Crashes --- */

static jmp_buf crash;
static unsigned fuse; /* crash points to go; 0: none */
static unsigned reached[CRASH_POINT_COUNT];

void crash_point_reach(enum crash_point point)
{
	reached[point]++;
	if (fuse > 0 && --fuse == 0)
		longjmp(crash, 1);
}

/* --- The machine: what outlives a device --- */

struct machine {
	uint8_t *memory;
	int memory_fd;
	struct guest_memory map;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct vhost_user_inflight_queue *region;
	int call_fd, kick_fd;
	uint64_t features;

	/* The driver. */
	uint16_t seen;
	unsigned offered;	   /* requests */
	unsigned completed[TOTAL]; /* times */
	unsigned all_completed;
	unsigned request_of[SIZE]; /* by head */
	bool busy[SIZE];
	bool notified; /* it acts when it was interrupted, or has just begun */

	/* The device. */
	struct virtqueue *queue;
	unsigned executed[TOTAL];
	unsigned highest; /* request that was ever popped, + 1 */
	struct virtqueue_token pending[SIZE];
	unsigned pending_numbers[SIZE];
	unsigned pending_count;
};
static struct machine machine;

/* --- The driver --- */

static bool driver_event_idx(void)
{
	return (machine.features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX)) != 0;
}

/* A request: its number for the device to read, and room for the device to give it back. */
static void driver_fill(uint16_t head, unsigned number)
{
	uint64_t buffer = BUFFERS + head * 0x100u;
	struct virtq_desc out = {.addr = buffer, .len = 8, .flags = VIRTQ_DESC_F_NEXT, .next = 1};
	struct virtq_desc in = {.addr = buffer + 0x80, .len = 8, .flags = VIRTQ_DESC_F_WRITE};
	uint64_t word = number;

	memcpy(machine.memory + buffer, &word, 8);
	memset(machine.memory + buffer + 0x80, 0xff, 8);
	if (machine.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) {
		struct virtq_desc *table = (void *)(machine.memory + TABLES + head * 32u);

		table[0] = out;
		table[1] = in;
		machine.descriptors[head] = (struct virtq_desc){
			.addr = TABLES + head * 32u, .len = 32, .flags = VIRTQ_DESC_F_INDIRECT};
	} else {
		out.next = (uint16_t)(head + 1);
		machine.descriptors[head] = out;
		machine.descriptors[head + 1] = in;
	}
}

static void driver_kick(uint16_t before, uint16_t now)
{
	uint16_t event;
	bool wanted;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(&event, &machine.used->ring[SIZE], 2);
	wanted = driver_event_idx() ? (uint16_t)(now - event - 1) < (uint16_t)(now - before)
				    : (machine.used->flags & VIRTQ_USED_F_NO_NOTIFY) == 0;
	if (wanted)
		eventfd_write(machine.kick_fd, 1);
}

/* Offers up to `count` requests, on heads of which the last ones given back come first. */
static void driver_offer(unsigned count)
{
	uint16_t before = machine.available->idx, now = before;

	for (uint16_t head = 0; head < SIZE && count > 0 && machine.offered < TOTAL;
	     head = (uint16_t)(head + 2)) {
		if (machine.busy[head])
			continue;
		machine.busy[head] = true;
		machine.request_of[head] = machine.offered;
		driver_fill(head, machine.offered++);
		machine.available->ring[now++ % SIZE] = head;
		count--;
	}
	__atomic_store_n(&machine.available->idx, now, __ATOMIC_RELEASE);
	if (now != before)
		driver_kick(before, now);
}

static void driver_reap(void)
{
	while (machine.seen != __atomic_load_n(&machine.used->idx, __ATOMIC_ACQUIRE)) {
		struct virtq_used_elem element = machine.used->ring[machine.seen++ % SIZE];
		uint64_t answer;
		unsigned number;

		assert_true(element.id < SIZE && machine.busy[element.id]);
		assert_int_equal(element.len, 8);
		machine.busy[element.id] = false;
		number = machine.request_of[element.id];
		memcpy(&answer, machine.memory + BUFFERS + element.id * 0x100u + 0x80, 8);
		assert_int_equal(answer, ~(uint64_t)number);
		machine.completed[number]++;
		assert_int_equal(machine.completed[number], 1);
		machine.all_completed++;
	}
	machine.available->ring[SIZE] = machine.seen;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Acts on an interrupt, if there was one. */
static void driver_step(void)
{
	eventfd_t count;

	if (eventfd_read(machine.call_fd, &count) < 0 && !machine.notified)
		return;
	machine.notified = false;
	do {
		driver_reap();
		driver_offer(3);
	} while (machine.seen != machine.used->idx);
}

/* --- The device --- */

static void device_pop(void)
{
	static struct virtqueue_chain chain;
	unsigned last = 0;

	for (unsigned i = 0; i < 3; i++) {
		uint64_t number;

		int result = virtqueue_pop(machine.queue, &chain);

		assert_true(result >= 0);
		if (result == 0)
			return;
		assert_int_equal(virtqueue_chain_read(&chain, 0, &number, 8), 8);
		assert_true(number < TOTAL);
		/* In the order in which the driver asked, a predecessor's before all others. */
		assert_true(machine.pending_count == 0 || number > last || i == 0);
		last = (unsigned)number;
		if (number >= machine.highest)
			machine.highest = (unsigned)number + 1;
		machine.executed[number]++;
		number = ~number;
		assert_int_equal(virtqueue_chain_write(&chain, 0, &number, 8), 8);
		machine.pending_numbers[machine.pending_count] = last;
		machine.pending[machine.pending_count++] = chain.token;
	}
}

/* Completes the last chains first, and leaves the oldest one for later as long as there are others. */
static void device_complete(bool all)
{
	unsigned keep = all ? 0 : 1;

	while (machine.pending_count > keep)
		virtqueue_push(machine.queue, &machine.pending[--machine.pending_count], 8);
	virtqueue_complete(machine.queue);
}

static void device_start(void)
{
	struct virtqueue_setup setup = {
		.memory = &machine.map,
		.size = SIZE,
		.descriptor_table = machine.descriptors,
		.available_ring = machine.available,
		.used_ring = machine.used,
		.features = machine.features,
		.kick_fd = machine.kick_fd,
		.call_fd = machine.call_fd,
		.inflight = machine.region,
	};

	machine.pending_count = 0;
	assert_int_equal(virtqueue_new(&setup, &machine.queue), 0);
	/* As vhost_user_backend.c does. */
	if (virtqueue_served_before(machine.queue))
		virtqueue_interrupt(machine.queue);
}

/* Works until there is nothing to do; the driver may go on meanwhile. */
static void device_serve(void)
{
	virtqueue_disable_kicks(machine.queue);
	for (unsigned round = 0;; round++) {
		unsigned before = machine.pending_count;

		device_pop();
		if (machine.pending_count > before) {
			device_complete(false);
			if (round % 2 == 0)
				driver_step();
		} else if (machine.pending_count > 0) {
			device_complete(true);
		} else if (!virtqueue_enable_kicks(machine.queue)) {
			return;
		}
	}
}

/* --- Runs --- */

static void machine_start(uint64_t features, uint16_t index)
{
	memset(&machine, 0, sizeof(machine));
	machine.features = features | VIRTIO_BIT(VIRTIO_F_VERSION_1);
	machine.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(machine.memory_fd >= 0);
	assert_int_equal(ftruncate(machine.memory_fd, MEMORY), 0);
	machine.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, machine.memory_fd, 0);
	assert_true(machine.memory != MAP_FAILED);
	guest_memory_init(&machine.map);
	assert_int_equal(guest_memory_add(&machine.map, 0, MEMORY, 0, 0, machine.memory_fd), 0);
	machine.descriptors = guest_memory_range(&machine.map, 0, 16 * SIZE);
	machine.available = guest_memory_range(&machine.map, AVAILABLE, 6 + 2 * SIZE);
	machine.used = guest_memory_range(&machine.map, USED, 6 + 8 * SIZE);
	machine.region = aligned_alloc(64, REGION_BYTES);
	/* What stands in a region that nobody used yet does not count. */
	memset(machine.region, 0x5a, REGION_BYTES);
	machine.region->version = 0;
	machine.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	machine.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	machine.available->idx = index;
	machine.used->idx = index;
	machine.available->ring[SIZE] = index;
	machine.seen = index;
	machine.notified = true;
}

static void machine_stop(void)
{
	guest_memory_clear(&machine.map);
	munmap(machine.memory, MEMORY);
	free(machine.region);
	close(machine.memory_fd);
	close(machine.call_fd);
	close(machine.kick_fd);
}

/*
 * One life of a device: until all is done, or until it dies at the `at`th crash point (0: never). Whether it lived.
 */
static bool device_live(unsigned at)
{
	fuse = at;
	if (setjmp(crash) != 0) {
		machine.queue = NULL;
		return false;
	}
	device_start();
	device_serve();
	for (;;) {
		eventfd_t count;
		bool kicked;

		driver_step();
		kicked = eventfd_read(machine.kick_fd, &count) == 0;
		if (!kicked && machine.all_completed == TOTAL)
			break;
		/* Nobody has anything to do, and not all is done: a notification was lost. */
		assert_true(kicked);
		device_serve();
	}
	fuse = 0;
	virtqueue_free(machine.queue);
	return true;
}

static void machine_check(void)
{
	for (unsigned i = 0; i < TOTAL; i++) {
		assert_int_equal(machine.completed[i], 1);
		assert_true(machine.executed[i] >= 1);
	}
	/* It stopped with nothing under way. */
	assert_int_equal(machine.region->version, 0);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(machine.region->entries[i].inflight, 0);
}

static const uint64_t feature_sets[] = {
	0,
	VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
	VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
	VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
};
/* Where the ring's indices begin: the second lets them wrap around half way. */
static const uint16_t beginnings[] = {0, 65516, 100};

/* The devices of one run die at crash point number at[0], the next at number at[1] of its own, ... Whether all died. */
static bool run(uint64_t features, uint16_t index, const unsigned *at, unsigned count)
{
	bool died = true;

	machine_start(features, index);
	for (unsigned i = 0; i < count && died; i++) {
		died = !device_live(at[i]);
		/* The driver goes on for a while without a device. */
		if (died && at[i] % 2 == 0)
			driver_offer(1);
	}
	if (died)
		assert_true(device_live(0));
	machine_check();
	machine_stop();
	return died;
}

static void each_store_may_be_the_last(void **state)
{
	(void)state;
	memset(reached, 0, sizeof(reached));
	for (size_t f = 0; f < sizeof(feature_sets) / sizeof(feature_sets[0]); f++) {
		for (size_t b = 0; b < sizeof(beginnings) / sizeof(beginnings[0]); b++) {
			unsigned at = 1;

			while (run(feature_sets[f], beginnings[b], &at, 1))
				at++;
			/* At least what each request passes. */
			assert_true(at > 5 * TOTAL);
		}
	}
	/* Those of the disk are the disk's. */
	for (unsigned i = 0; i < CRASH_POINT_COUNT; i++) {
		if (i != CRASH_POINT_SUBMITTED && i != CRASH_POINT_FINISHED && i != CRASH_POINT_STATUS)
			assert_true(reached[i] > 0);
	}
}

static void successors_may_die_too(void **state)
{
	(void)state;
	for (unsigned first = 1; first < 120; first += 7) {
		for (unsigned second = 1; second < 60; second++) {
			unsigned at[] = {first, second, 1, second, 2, 3};

			run(feature_sets[3], 65530, at, 6);
		}
	}
	/* A hundred of them in a row, each a step further than the one before. */
	for (size_t f = 0; f < sizeof(feature_sets) / sizeof(feature_sets[0]); f++) {
		unsigned at[100];

		for (unsigned i = 0; i < 100; i++)
			at[i] = 1 + i % 37;
		run(feature_sets[f], 65500, at, 100);
	}
}

/* --- Details of recovery --- */

/* A queue of which the region says what a test wants, the ring's used index being `used`. */
static int queue_over(uint16_t used, struct virtqueue **queue)
{
	struct virtqueue_setup setup = {
		.memory = &machine.map,
		.size = SIZE,
		.descriptor_table = machine.descriptors,
		.available_ring = machine.available,
		.used_ring = machine.used,
		.features = machine.features,
		.next_available = 12345,
		.kick_fd = machine.kick_fd,
		.call_fd = machine.call_fd,
		.inflight = machine.region,
	};

	machine.used->idx = used;
	return virtqueue_new(&setup, queue);
}

/* Heads 0, 2, 4, ... 14 taken in the order 6, 2, 14, 10, 0, 4, 8, 12; none given back. The ring stands at 7. */
static const uint16_t order[] = {6, 2, 14, 10, 0, 4, 8, 12};

static void region_fill(void)
{
	memset(machine.region, 0, REGION_BYTES);
	machine.region->version = 1;
	machine.region->desc_num = SIZE;
	machine.region->used_idx = 7;
	for (unsigned i = 0; i < CHAINS; i++) {
		machine.region->entries[order[i]].inflight = 1;
		machine.region->entries[order[i]].counter = 1000 + i;
		driver_fill((uint16_t)(2 * i), 0);
	}
}

/* Pops all that a predecessor left, which is to be order[] without what the mask says. */
static void expect_unfinished(struct virtqueue *queue, unsigned without)
{
	static struct virtqueue_chain chain;

	for (unsigned i = 0; i < CHAINS; i++) {
		if (without & (1u << i))
			continue;
		assert_true(virtqueue_ready(queue));
		assert_int_equal(virtqueue_pop(queue, &chain), 1);
		assert_int_equal(chain.token.head, order[i]);
	}
	assert_false(virtqueue_ready(queue));
	assert_int_equal(virtqueue_pop(queue, &chain), 0);
}

static int set_up(void **state)
{
	(void)state;
	fuse = 0;
	machine_start(0, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	machine_stop();
	return 0;
}

static void a_fresh_region_takes_the_rings_index(void **state)
{
	struct virtqueue *queue;

	(void)state;
	machine.available->idx = 40001;
	assert_int_equal(queue_over(40000, &queue), 0);
	assert_int_equal(machine.region->version, 1);
	assert_int_equal(machine.region->used_idx, 40000);
	assert_int_equal(machine.region->desc_num, SIZE);
	assert_int_equal(machine.region->features, 0);
	assert_int_equal(virtqueue_next_available(queue), 40000);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(machine.region->entries[i].inflight, 0);
	virtqueue_free(queue);
}

static void exactly_the_last_batch_is_cleared(void **state)
{
	struct virtqueue *queue;

	(void)state;
	/* Nothing was published: all is to be done, whatever was pushed. */
	region_fill();
	machine.region->last_batch_head = 2;
	machine.available->idx = 15;
	assert_int_equal(queue_over(7, &queue), 0);
	assert_int_equal(virtqueue_next_available(queue), 15);
	expect_unfinished(queue, 0);
	virtqueue_free(queue);

	/* Three were: 14, 6 and 0, of a list that goes on to 2. */
	region_fill();
	machine.region->last_batch_head = 14;
	machine.region->entries[14].next = 6;
	machine.region->entries[6].next = 0;
	machine.region->entries[0].next = 2;
	assert_int_equal(queue_over(10, &queue), 0);
	assert_int_equal(machine.region->used_idx, 10);
	assert_int_equal(virtqueue_next_available(queue), 15);
	assert_int_equal(machine.region->entries[2].inflight, 1);
	assert_int_equal(machine.region->entries[14].inflight, 0);
	expect_unfinished(queue, 1u << 0 | 1u << 2 | 1u << 4);
	virtqueue_free(queue);

	/* The same across the index's wrap-around, with one entry that had been cleared already. */
	region_fill();
	machine.region->used_idx = 65534;
	machine.region->last_batch_head = 14;
	machine.region->entries[14].next = 6;
	machine.region->entries[6].next = 0;
	machine.region->entries[14].inflight = 0;
	machine.available->idx = 6;
	assert_int_equal(queue_over(1, &queue), 0);
	assert_int_equal(machine.region->used_idx, 1);
	assert_int_equal(virtqueue_next_available(queue), 6);
	expect_unfinished(queue, 1u << 0 | 1u << 2 | 1u << 4);
	virtqueue_free(queue);
}

static void new_chains_are_numbered_above_all_others(void **state)
{
	static struct virtqueue_chain chain;
	struct virtqueue_token tokens[CHAINS];
	struct virtqueue *queue;

	(void)state;
	region_fill();
	machine.region->entries[order[7]].inflight = 0;
	machine.region->entries[order[7]].counter = 5000; /* given back long ago */
	machine.available->idx = 15;
	machine.available->ring[14 % SIZE] = order[7];
	assert_int_equal(queue_over(7, &queue), 0);
	for (unsigned i = 0; i < CHAINS; i++) {
		assert_int_equal(virtqueue_pop(queue, &chain), 1);
		/* One count for those that were left undone and new ones. */
		assert_true(chain.token.number == 7 + i);
		assert_true(virtqueue_taken(queue) == 8 + i);
		tokens[i] = chain.token;
	}
	assert_int_equal(chain.token.head, order[7]);
	assert_int_equal(machine.region->entries[order[7]].counter, 5001);
	assert_int_equal(machine.region->entries[order[7]].inflight, 1);
	/* Given back untouched: as if it had not been taken; and one of the predecessor's after it. */
	machine.available->ring[14 % SIZE] = order[3]; /* whatever stands in the ring by now */
	virtqueue_rewind(queue, &tokens[7]);
	machine.available->ring[14 % SIZE] = order[7];
	assert_true(virtqueue_taken(queue) == 14);
	assert_int_equal(machine.region->entries[order[3]].inflight, 1);
	virtqueue_rewind(queue, &tokens[6]);
	assert_true(virtqueue_taken(queue) == 13);
	assert_int_equal(machine.region->entries[order[7]].inflight, 0);
	assert_int_equal(machine.region->entries[order[6]].inflight, 1);
	assert_int_equal(virtqueue_next_available(queue), 14);
	assert_int_equal(virtqueue_pop(queue, &chain), 1);
	assert_int_equal(chain.token.head, order[6]);
	assert_int_equal(virtqueue_pop(queue, &chain), 1);
	assert_int_equal(chain.token.head, order[7]);
	assert_int_equal(machine.region->entries[order[7]].counter, 5002);
	virtqueue_free(queue);
	/* With chains under way the region stays as it is. */
	assert_int_equal(machine.region->version, 1);
}

/* Chains that a broken ring swallowed are not lost: its next user finds them. */
static void a_broken_ring_keeps_its_log(void **state)
{
	static struct virtqueue_chain chain;
	struct virtqueue *queue;

	(void)state;
	region_fill();
	machine.available->idx = 15;
	assert_int_equal(queue_over(7, &queue), 0);
	assert_int_equal(virtqueue_pop(queue, &chain), 1);
	virtqueue_break(queue, "for a test");
	virtqueue_push(queue, &chain.token, 0);
	virtqueue_complete(queue);
	virtqueue_free(queue);
	assert_int_equal(queue_over(7, &queue), 0);
	expect_unfinished(queue, 0);
	virtqueue_free(queue);
}

/* A driver that offers heads again and again without getting them back meets no end of the batch. */
static void a_batch_is_bounded(void **state)
{
	static struct virtqueue_chain chain;
	struct virtqueue *queue;

	(void)state;
	driver_fill(2, 0);
	for (unsigned i = 0; i < SIZE; i++)
		machine.available->ring[i] = 2;
	assert_int_equal(queue_over(0, &queue), 0);
	for (unsigned i = 0; i < 5 * SIZE; i++) {
		machine.available->idx = (uint16_t)(i + 1);
		assert_int_equal(virtqueue_pop(queue, &chain), 1);
		virtqueue_push(queue, &chain.token, 0);
	}
	virtqueue_publish(queue);
	assert_int_equal(machine.used->idx, 5 * SIZE);
	assert_int_equal(machine.region->used_idx, 5 * SIZE);
	virtqueue_free(queue);
}

/* --- Regions that cannot be --- */

static void hostile_features(void)
{
	machine.region->features = 1;
}
static void hostile_version(void)
{
	machine.region->version = 2;
}
static void hostile_size_small(void)
{
	machine.region->desc_num = SIZE - 1;
}
static void hostile_size_large(void)
{
	machine.region->desc_num = UINT16_MAX;
}
static void hostile_used_behind(void)
{
	machine.region->used_idx = 11;
}
static void hostile_used_far(void)
{
	machine.region->used_idx = (uint16_t)(10 - SIZE - 1);
}
static void hostile_batch_head(void)
{
	machine.region->last_batch_head = SIZE;
}
static void hostile_batch_next(void)
{
	machine.region->entries[14].next = UINT16_MAX;
}
static void hostile_batch_loop(void)
{
	machine.region->entries[6].next = 14;
}
static void hostile_batch_self(void)
{
	machine.region->entries[14].next = 14;
}
static void hostile_mark(void)
{
	machine.region->entries[3].inflight = 2;
}
static void hostile_counter(void)
{
	machine.region->entries[2].counter = UINT64_MAX;
}
static void hostile_counter_of_none(void)
{
	machine.region->entries[3].counter = UINT64_MAX - 1;
}
static void hostile_counter_twice(void)
{
	machine.region->entries[2].counter = machine.region->entries[4].counter;
}

static void discard_log(const struct log_record *record, void *argument)
{
	(void)record;
	(*(unsigned *)argument)++;
}

static void what_cannot_be_is_refused_and_not_touched(void **state)
{
	static void (*const hostile[])(void) = {
		hostile_features,      hostile_version,		hostile_size_small, hostile_size_large,
		hostile_used_behind,   hostile_used_far,	hostile_batch_head, hostile_batch_next,
		hostile_batch_loop,    hostile_batch_self,	hostile_mark,	    hostile_counter,
		hostile_counter_twice, hostile_counter_of_none,
	};
	static uint8_t before[REGION_BYTES];
	struct virtqueue *queue = NULL;
	unsigned records = 0;

	(void)state;
	log_set_sink(discard_log, &records);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		region_fill();
		machine.region->last_batch_head = 14;
		machine.region->entries[14].next = 6;
		machine.region->entries[6].next = 0;
		hostile[i]();
		memcpy(before, machine.region, REGION_BYTES);
		assert_int_equal(queue_over(10, &queue), -EBADMSG);
		assert_null(queue);
		assert_memory_equal(before, machine.region, REGION_BYTES);
		assert_int_equal(records, i + 1);
	}
	log_set_sink(NULL, NULL);
}

/* Random bytes, of which many are nearly right: whatever is accepted is safe to use. */
static void random_regions_do_no_harm(void **state)
{
	static struct virtqueue_chain chain;
	unsigned accepted = 0, records = 0;

	(void)state;
	log_set_sink(discard_log, &records);
	srand(4);
	for (unsigned i = 0; i < 20000; i++) {
		struct virtqueue *queue;
		uint8_t *bytes = (uint8_t *)machine.region;
		size_t used_bytes = sizeof(*machine.region) + SIZE * sizeof(machine.region->entries[0]);

		region_fill();
		machine.region->last_batch_head = (uint16_t)(rand() % SIZE);
		for (unsigned d = 0; d < SIZE; d++)
			machine.region->entries[d].next = (uint16_t)(rand() % SIZE);
		for (int n = rand() % 4; n > 0; n--)
			bytes[(size_t)rand() % used_bytes] = (uint8_t)rand();
		machine.available->idx = (uint16_t)rand();
		if (queue_over((uint16_t)(7 + rand() % 4), &queue) < 0)
			continue;
		accepted++;
		for (unsigned n = 0; n < 3 * SIZE && virtqueue_pop(queue, &chain) == 1; n++) {
			assert_true(chain.token.head < SIZE);
			virtqueue_push(queue, &chain.token, 0);
			if (n % 3 == 0)
				virtqueue_publish(queue);
		}
		virtqueue_publish(queue);
		virtqueue_free(queue);
	}
	log_set_sink(NULL, NULL);
	assert_true(accepted > 1000 && accepted < 19000);
}

/* --- The region as a file --- */

static void regions_are_mapped_as_described(void **state)
{
	struct vhost_user_inflight description = {.num_queues = 3, .queue_size = 128};
	struct inflight_region region = {0};
	uint64_t size = inflight_region_size(3, 128);
	int fd, plain, pair[2];

	(void)state;
	assert_int_equal(size, 3 * 2112); /* 16 + 128 * 16, to 64 */
	assert_int_equal(inflight_region_size(1, 0), 0);
	assert_int_equal(inflight_region_size(1, 32769), 0);
	assert_int_equal(inflight_region_create(1, 0, &fd), -EINVAL);
	assert_int_equal(inflight_region_create(3, 128, &fd), 0);
	assert_int_equal(ftruncate(fd, 0), -1); /* sealed: nobody can pull it away from under us */

	description.mmap_size = size;
	assert_int_equal(inflight_region_map(&region, &description, fd), 0);
	assert_ptr_equal(inflight_region_queue(&region, 0, 128), region.host);
	assert_ptr_equal(inflight_region_queue(&region, 2, 16), region.host + 2 * 2112);
	assert_null(inflight_region_queue(&region, 3, 16));
	assert_null(inflight_region_queue(&region, 0, 256));
	region.host[0] = 1;
	inflight_region_queue(&region, 2, 1)->version = 1;
	inflight_region_reset(&region);
	assert_int_equal(inflight_region_queue(&region, 2, 1)->version, 0);
	inflight_region_unmap(&region);
	inflight_region_unmap(&region);
	assert_null(region.mapping);

	/* Too small, too large for the file, empty, not aligned, beyond all files. */
	description.mmap_size = size - 1;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.mmap_size = UINT64_MAX;
	description.mmap_offset = 64;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.mmap_offset = 0;
	description.num_queues = UINT16_MAX;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.num_queues = 0;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.num_queues = 1;
	description.mmap_offset = 4;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.mmap_offset = UINT64_MAX - 7;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);
	description.mmap_offset = INT64_MAX - 7;
	assert_int_equal(inflight_region_map(&region, &description, fd), -EINVAL);

	/* An offset that is no page's is the front end's right. */
	description.mmap_offset = 2112;
	assert_int_equal(inflight_region_map(&region, &description, fd), 0);
	region.host[0] = 42;
	inflight_region_unmap(&region);
	close(fd);

	description.mmap_offset = 0;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(inflight_region_map(&region, &description, pair[0]), -EINVAL);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(inflight_region_map(&region, &description, -1), -EBADF);
	plain = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(inflight_region_map(&region, &description, plain), -EINVAL);
	close(plain);
	assert_null(region.mapping);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_store_may_be_the_last),
		cmocka_unit_test(successors_may_die_too),
		cmocka_unit_test_setup_teardown(a_fresh_region_takes_the_rings_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(exactly_the_last_batch_is_cleared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(new_chains_are_numbered_above_all_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_broken_ring_keeps_its_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_batch_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_and_not_touched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_regions_do_no_harm, set_up, tear_down),
		cmocka_unit_test(regions_are_mapped_as_described),
	};

	if (__lsan_disable != NULL)
		__lsan_disable();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
