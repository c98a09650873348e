/*
 * The virtqueue and its driver at the same time, in two threads: what goes wrong when a barrier of virtqueue.c is
 * missing, or when an index is published before what it stands for.
 *
 * Between device and driver there are four places where each writes its own word and then reads the other's. A
 * processor may let the read overtake the write; if both do, each sees the other's old word, and a kick or an
 * interrupt is lost for ever. The first four tests bring both sides to such a place at the same moment, a few hundred
 * thousand times, and look at what both decided: nobody waits for something that is lost. Two more do the same with the
 * two places where one side publishes and the other reads.
 *
 * The last two let a driver and a device work through a ring as they do in life, asleep now and then, and look at
 * each entry, each element and the data behind them; here a lost wakeup is a wait that ends after WAIT_MS.
 *
 * On one processor nothing of it can be seen; the tests pass there. The emulated machine has one, so this is the only
 * test that sees barriers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/ring/guest_memory.h"
#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"

#define MEMORY	  0x10000u
#define USER_BASE UINT64_C(0x7f0000000000)

/* Guest addresses. */
#define DESCRIPTORS 0x0u
#define AVAILABLE   0x1000u
#define USED	    0x2000u
#define DATA	    0x4000u

/* So long that the words behind the rings have cache lines of their own. */
#define SIZE 64u

/* A test ends after so many rounds, or, where processors are few or busy, after so long. */
#define ROUNDS	 300000u
#define ROUNDS_S 0.5
/* Nothing takes that long but for a wakeup that is lost. */
#define WAIT_MS 10000

/* What both threads use. Each member is written by one of them, or is the ring's. */
struct shared {
	int memory_fd, kick_fd, call_fd;
	uint8_t *base;
	struct guest_memory memory;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtqueue *queue;
	bool event_idx;
	cpu_set_t allowed;
	bool two_processors;

	/* The round that a side has come to, each on a line of its own. */
	_Alignas(128) unsigned device_at;
	_Alignas(128) unsigned driver_at;
	_Alignas(128) bool over;
	bool driver_good; /* what the driver's part of this round returned */
	const char *wrong;
};

static struct shared shared;
/* Too large for a stack. */
static struct virtqueue_chain chain;

static void shared_make(bool event_idx)
{
	struct virtqueue_setup setup = {
		.memory = &shared.memory,
		.size = SIZE,
		.features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | (event_idx ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0),
	};

	memset(&shared, 0, sizeof(shared));
	shared.event_idx = event_idx;
	shared.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_true(shared.memory_fd >= 0);
	assert_int_equal(ftruncate(shared.memory_fd, MEMORY), 0);
	shared.base = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, shared.memory_fd, 0);
	assert_true(shared.base != MAP_FAILED);
	guest_memory_init(&shared.memory);
	assert_int_equal(guest_memory_add(&shared.memory, 0, MEMORY, USER_BASE, 0, shared.memory_fd), 0);
	shared.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shared.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	shared.descriptors = (void *)(shared.base + DESCRIPTORS);
	shared.available = (void *)(shared.base + AVAILABLE);
	shared.used = (void *)(shared.base + USED);
	setup.descriptor_table = guest_memory_range(&shared.memory, DESCRIPTORS, 16u * SIZE);
	setup.available_ring = guest_memory_range(&shared.memory, AVAILABLE, 6u + 2u * SIZE);
	setup.used_ring = guest_memory_range(&shared.memory, USED, 6u + 8u * SIZE);
	setup.kick_fd = shared.kick_fd;
	setup.call_fd = shared.call_fd;
	assert_int_equal(virtqueue_new(&setup, &shared.queue), 0);
}

static void shared_clear(void)
{
	virtqueue_free(shared.queue);
	guest_memory_clear(&shared.memory);
	munmap(shared.base, MEMORY);
	close(shared.memory_fd);
	close(shared.kick_fd);
	close(shared.call_fd);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/*
 * A processor of its own for each of the two threads, for as long as they run: left to itself, the scheduler of a busy
 * machine leaves both on one. Returns whether there are two; *allowed is what the first thread goes back to.
 */
static bool part(cpu_set_t *allowed, pthread_attr_t *second)
{
	int processors[2], found = 0;
	cpu_set_t one;

	pthread_attr_init(second);
	assert_int_equal(sched_getaffinity(0, sizeof(*allowed), allowed), 0);
	for (int processor = 0; processor < CPU_SETSIZE && found < 2; processor++)
		if (CPU_ISSET(processor, allowed))
			processors[found++] = processor;
	if (found < 2)
		return false;
	CPU_ZERO(&one);
	CPU_SET(processors[1], &one);
	pthread_attr_setaffinity_np(second, sizeof(one), &one);
	CPU_ZERO(&one);
	CPU_SET(processors[0], &one);
	sched_setaffinity(0, sizeof(one), &one);
	return true;
}

/* Starts the second thread. */
static void shared_start(pthread_t *thread, void *(*run)(void *), const void *argument)
{
	pthread_attr_t attributes;

	shared.two_processors = part(&shared.allowed, &attributes);
	assert_int_equal(pthread_create(thread, &attributes, run, (void *)argument), 0);
	pthread_attr_destroy(&attributes);
}

static void shared_join(pthread_t thread)
{
	pthread_join(thread, NULL);
	sched_setaffinity(0, sizeof(shared.allowed), &shared.allowed);
}

/* --- The driver (virtio 1.2, 2.7.13 and 2.7.14) --- */

#define load(location)	       __atomic_load_n(&(location), __ATOMIC_RELAXED)
#define store(location, value) __atomic_store_n(&(location), (value), __ATOMIC_RELAXED)

static void driver_offer(uint16_t index, uint16_t head)
{
	store(shared.available->ring[index % SIZE], head);
	__atomic_store_n(&shared.available->idx, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

/* Whether the device wants to be told of the entries [old, new), which are published. */
static bool driver_must_kick(uint16_t old_index, uint16_t new_index)
{
	const uint16_t *avail_event = (const void *)&shared.used->ring[SIZE];
	uint16_t event;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!shared.event_idx)
		return (load(shared.used->flags) & VIRTQ_USED_F_NO_NOTIFY) == 0;
	event = load(*avail_event);
	return (uint16_t)(new_index - event - 1) < (uint16_t)(new_index - old_index);
}

static void driver_disable_interrupts(void)
{
	if (!shared.event_idx)
		store(shared.available->flags, VIRTQ_AVAIL_F_NO_INTERRUPT);
}

/* Asks for an interrupt at the element `index`, then looks whether it is there already. */
static bool driver_enable_interrupts(uint16_t index)
{
	if (shared.event_idx)
		store(shared.available->ring[SIZE], index);
	else
		store(shared.available->flags, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&shared.used->idx, __ATOMIC_ACQUIRE) != index;
}

/* --- Both at one place at the same time --- */

/* Who gives its processor away seldom runs when the other one does; where there is but one, it must. */
static void look_again(unsigned *looks)
{
	if (++*looks > (shared.two_processors ? 100000 : 10))
		sched_yield();
}

/* Waits until the other side has come to `round` too, or beyond it already. */
static void wait_for(const unsigned *other, unsigned round)
{
	for (unsigned looks = 0; __atomic_load_n(other, __ATOMIC_ACQUIRE) < round;)
		look_again(&looks);
}

/*
 * The device comes to a meeting last, for it has more to do between two of them, and so leaves it at once, while the
 * driver hears of it when a cache line has come over. How long that takes is the machine's: the device waits for any
 * time up to what is surely longer.
 */
static void dawdle(unsigned round, unsigned most)
{
	for (unsigned turns = (round * 2654435761u >> 16) % most; turns > 0; turns--)
		__asm__ volatile("" : : : "memory");
}

static void device_meet(unsigned round)
{
	__atomic_store_n(&shared.device_at, round, __ATOMIC_RELEASE);
	wait_for(&shared.driver_at, round);
}

static void driver_meet(unsigned round)
{
	__atomic_store_n(&shared.driver_at, round, __ATOMIC_RELEASE);
	wait_for(&shared.device_at, round);
}

/* A race: `driver` and `device` each do their part of round `index`. The round went wrong if neither returns true. */
struct race {
	bool (*driver)(uint16_t index);
	bool (*device)(uint16_t index);
	void (*prepare)(uint16_t index); /* before it, both sides' part in one thread */
	void (*finish)(uint16_t index);	 /* and behind it */
};

static void *driver_run(void *argument)
{
	const struct race *race = argument;

	/* Each round has two meetings: before the race, and behind it. */
	for (unsigned round = 0;; round++) {
		driver_meet(2 * round + 1);
		if (shared.over)
			return NULL;
		dawdle(round + 1, 16);
		shared.driver_good = race->driver((uint16_t)round);
		driver_meet(2 * round + 2);
	}
}

static void race_run(const struct race *race, bool event_idx)
{
	unsigned wrong = 0, round;
	double started;
	pthread_t driver;

	shared_make(event_idx);
	shared_start(&driver, driver_run, race);
	started = seconds();
	for (round = 0; round < ROUNDS && (round % 256 != 0 || seconds() - started < ROUNDS_S); round++) {
		bool device_good;

		race->prepare((uint16_t)round);
		device_meet(2 * round + 1);
		dawdle(round, 256);
		device_good = race->device((uint16_t)round);
		device_meet(2 * round + 2);
		if (!device_good && !shared.driver_good)
			wrong++;
		race->finish((uint16_t)round);
	}
	shared.over = true;
	device_meet(2 * round + 1);
	shared_join(driver);
	if (wrong > 0)
		print_error("%u of %u rounds went wrong\n", wrong, round);
	assert_null(virtqueue_broken(shared.queue));
	shared_clear();
	assert_int_equal(wrong, 0);
}

/* In an order in which no two rounds of the ring are alike: what is read too early is not right by luck. */
static uint16_t race_head(uint16_t index)
{
	return (uint16_t)((index + index / SIZE * 7) % SIZE);
}

static void one_chain(uint16_t index)
{
	shared.descriptors[race_head(index)] = (struct virtq_desc){.addr = DATA, .len = 8};
}

static void pop(uint16_t index)
{
	assert_int_equal(virtqueue_pop(shared.queue, &chain), 1);
	assert_int_equal(chain.token.head, race_head(index));
}

/* A chain offered while the device goes to sleep is seen by it, or it is kicked. */
static void kick_prepare(uint16_t index)
{
	one_chain(index);
	virtqueue_disable_kicks(shared.queue);
}

static bool kick_driver(uint16_t index)
{
	driver_offer(index, race_head(index));
	return driver_must_kick(index, (uint16_t)(index + 1));
}

static bool kick_device(uint16_t index)
{
	(void)index;
	return virtqueue_enable_kicks(shared.queue);
}

static void kick_finish(uint16_t index)
{
	pop(index);
	virtqueue_push(shared.queue, &chain.token, 0);
	virtqueue_publish(shared.queue);
}

static const struct race kick = {
	.driver = kick_driver,
	.device = kick_device,
	.prepare = kick_prepare,
	.finish = kick_finish,
};

/* An element used while the driver goes to sleep is seen by it, or it gets an interrupt. */
static void interrupt_prepare(uint16_t index)
{
	one_chain(index);
	driver_disable_interrupts();
	driver_offer(index, race_head(index));
	pop(index);
	virtqueue_push(shared.queue, &chain.token, 0);
}

static bool interrupt_driver(uint16_t index)
{
	return driver_enable_interrupts(index);
}

static bool interrupt_device(uint16_t index)
{
	(void)index;
	return virtqueue_complete(shared.queue);
}

static void interrupt_finish(uint16_t index)
{
	assert_int_equal(shared.used->idx, (uint16_t)(index + 1));
}

static const struct race interrupt = {
	.driver = interrupt_driver,
	.device = interrupt_device,
	.prepare = interrupt_prepare,
	.finish = interrupt_finish,
};

/* A driver that sees the used index sees the element. */
static void used_prepare(uint16_t index)
{
	one_chain(index);
	driver_offer(index, race_head(index));
	pop(index);
}

static bool used_driver(uint16_t index)
{
	const struct virtq_used_elem *element = &shared.used->ring[index % SIZE];

	for (unsigned looks = 0; __atomic_load_n(&shared.used->idx, __ATOMIC_ACQUIRE) == index;)
		look_again(&looks);
	return load(element->id) == race_head(index) && load(element->len) == index + 1u;
}

static bool used_device(uint16_t index)
{
	virtqueue_push(shared.queue, &chain.token, index + 1u);
	virtqueue_publish(shared.queue);
	return false;
}

static void nothing(uint16_t index)
{
	(void)index;
}

static const struct race used_order = {
	.driver = used_driver,
	.device = used_device,
	.prepare = used_prepare,
	.finish = nothing,
};

/* A device that sees the available index sees the entry. */
static bool available_driver(uint16_t index)
{
	driver_offer(index, race_head(index));
	return false;
}

static bool available_device(uint16_t index)
{
	int result;

	for (unsigned looks = 0; (result = virtqueue_pop(shared.queue, &chain)) == 0;)
		look_again(&looks);
	return result == 1 && chain.token.head == race_head(index);
}

static void available_finish(uint16_t index)
{
	(void)index;
	virtqueue_push(shared.queue, &chain.token, 0);
	virtqueue_publish(shared.queue);
}

static const struct race available_order = {
	.driver = available_driver,
	.device = available_device,
	.prepare = one_chain,
	.finish = available_finish,
};

static void a_chain_is_seen_or_kicked_with_event_idx(void **state)
{
	(void)state;
	race_run(&kick, true);
}

static void a_chain_is_seen_or_kicked_with_flags(void **state)
{
	(void)state;
	race_run(&kick, false);
}

static void a_used_element_is_seen_or_interrupts_with_event_idx(void **state)
{
	(void)state;
	race_run(&interrupt, true);
}

static void a_used_element_is_seen_or_interrupts_with_flags(void **state)
{
	(void)state;
	race_run(&interrupt, false);
}

static void a_used_element_is_there_before_its_index(void **state)
{
	(void)state;
	race_run(&used_order, true);
}

static void an_available_entry_is_read_behind_its_index(void **state)
{
	(void)state;
	race_run(&available_order, true);
}

/* --- A driver and a device at work --- */

/*
 * Request n of the stream has two descriptors: 8 bytes that say n, and 8 bytes for ~n. They begin at 2 * slot, and
 * slots come in an order in which no two rounds of the ring are alike, so that what is read too early is never right by
 * luck. The length of its used element says n as well.
 */
#define SLOTS (SIZE / 2)
#define SHIFT 7		      /* of the slots' order, from one round of them to the next */
#define BATCH (SLOTS - SHIFT) /* so many requests that follow each other have slots of their own */

static uint16_t request_slot(uint64_t request)
{
	return (uint16_t)((request + request / SLOTS * SHIFT) % SLOTS);
}

static uint64_t *request_data(uint64_t request, size_t word)
{
	return (uint64_t *)(void *)(shared.base + DATA) + 2u * request_slot(request) + word;
}

static void request_offer(uint64_t request)
{
	uint16_t head = (uint16_t)(2 * request_slot(request));

	*request_data(request, 0) = request;
	*request_data(request, 1) = 0;
	shared.descriptors[head] = (struct virtq_desc){
		.addr = DATA + 8u * head, .len = 8, .flags = VIRTQ_DESC_F_NEXT, .next = (uint16_t)(head + 1)};
	shared.descriptors[head + 1] =
		(struct virtq_desc){.addr = DATA + 8u * (head + 1u), .len = 8, .flags = VIRTQ_DESC_F_WRITE};
	driver_offer((uint16_t)request, head);
}

static void go_wrong(const char *how)
{
	const char *nothing = NULL;

	__atomic_compare_exchange_n(&shared.wrong, &nothing, how, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shared.over, true, __ATOMIC_SEQ_CST);
	/* For the other one, who may be asleep. */
	eventfd_write(shared.kick_fd, 1);
	eventfd_write(shared.call_fd, 1);
}

static bool is_over(void)
{
	return __atomic_load_n(&shared.over, __ATOMIC_ACQUIRE);
}

static void sleep_on(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	eventfd_t count;

	if (poll(&poll_fd, 1, WAIT_MS) == 0)
		go_wrong("both sides sleep: a kick or an interrupt is lost");
	eventfd_read(fd, &count);
}

/* Whether `word` becomes another than `value` in a number of looks that changes with `moment`. */
static bool changes_soon(const uint16_t *word, uint16_t value, uint64_t moment)
{
	unsigned looks = (unsigned)moment * 2654435761u >> 21;

	while (looks-- > 0)
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
			return true;
	return false;
}

/* All requests from *request on that are there. */
static void device_work(uint64_t *request)
{
	int result;

	while ((result = virtqueue_pop(shared.queue, &chain)) == 1) {
		uint64_t word = 0, answer = ~*request;

		if (chain.token.head != 2 * request_slot(*request))
			go_wrong("an available entry was read before it was there");
		if (virtqueue_chain_read(&chain, 0, &word, sizeof(word)) != sizeof(word) || word != *request)
			go_wrong("a request was read before it was there");
		virtqueue_chain_write(&chain, 0, &answer, sizeof(answer));
		virtqueue_push(shared.queue, &chain.token, (uint32_t)*request);
		/* One by one, or in batches. */
		if (*request % 8 < 5)
			virtqueue_complete(shared.queue);
		++*request;
	}
	virtqueue_complete(shared.queue);
	if (result < 0)
		go_wrong(virtqueue_broken(shared.queue));
}

static void *device_run(void *argument)
{
	uint64_t request = 0;

	(void)argument;
	while (!is_over()) {
		virtqueue_disable_kicks(shared.queue);
		do {
			device_work(&request);
			if (is_over())
				return NULL;
		} while (changes_soon(&shared.available->idx, (uint16_t)request, request) ||
			 virtqueue_enable_kicks(shared.queue));
		sleep_on(shared.kick_fd);
	}
	return NULL;
}

/* The answers that are there, from *answer on. */
static void driver_take(uint64_t *answer)
{
	uint16_t used = __atomic_load_n(&shared.used->idx, __ATOMIC_ACQUIRE);

	for (; (uint16_t)*answer != used; ++*answer) {
		const struct virtq_used_elem *element = &shared.used->ring[*answer % SIZE];

		if (load(element->id) != 2u * request_slot(*answer) ||
		    load(element->len) != (uint32_t)*answer)
			go_wrong("a used index was published before its element");
		if (*request_data(*answer, 1) != ~*answer)
			go_wrong("a used index was published before its data");
	}
}

/* Some requests, one kick if it is wanted, and all their answers. */
static void driver_batch(uint64_t *request, uint64_t *answer)
{
	uint16_t old = (uint16_t)*request;

	for (uint64_t more = *request % 5 == 0 ? *request % BATCH : 0;; more--) {
		request_offer((*request)++);
		if (more == 0)
			break;
	}
	if (driver_must_kick(old, (uint16_t)*request))
		eventfd_write(shared.kick_fd, 1);
	driver_disable_interrupts();
	for (driver_take(answer); *answer != *request && !is_over(); driver_take(answer))
		if (!changes_soon(&shared.used->idx, (uint16_t)*answer, *answer * 3) &&
		    !driver_enable_interrupts((uint16_t)*answer))
			sleep_on(shared.call_fd);
}

static void stream_run(bool event_idx)
{
	uint64_t request = 0, answer = 0;
	double started = seconds();
	const char *wrong;
	pthread_t device;

	shared_make(event_idx);
	shared_start(&device, device_run, NULL);
	while (request < ROUNDS && !is_over() && seconds() - started < ROUNDS_S)
		driver_batch(&request, &answer);
	go_wrong(NULL);
	shared_join(device);
	wrong = shared.wrong;
	shared_clear();
	if (wrong != NULL)
		fail_msg("%s, at request %llu", wrong, (unsigned long long)answer);
}

static void a_stream_with_event_idx_is_whole(void **state)
{
	(void)state;
	stream_run(true);
}

static void a_stream_with_flags_is_whole(void **state)
{
	(void)state;
	stream_run(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_is_seen_or_kicked_with_event_idx),
		cmocka_unit_test(a_chain_is_seen_or_kicked_with_flags),
		cmocka_unit_test(a_used_element_is_seen_or_interrupts_with_event_idx),
		cmocka_unit_test(a_used_element_is_seen_or_interrupts_with_flags),
		cmocka_unit_test(a_used_element_is_there_before_its_index),
		cmocka_unit_test(an_available_entry_is_read_behind_its_index),
		cmocka_unit_test(a_stream_with_event_idx_is_whole),
		cmocka_unit_test(a_stream_with_flags_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
