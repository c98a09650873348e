/*
 * virtio-console behind a vhost-user session: a driver with rings in memory on one side, a host stream on the
 * other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"
#include "dev-console/virtio_console.h"
#include "dev-console/virtio_console_spec.h"

#define MEMORY_SIZE  (4u << 20)
#define RING_SIZE    64u
#define RINGS(queue) (0x10000u * (queue))
#define AVAILABLE    0x1000u
#define USED	     0x2000u
#define DATA	     0x100000u

struct ring {
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	uint16_t seen;
	int kick;
	int call;
};

struct bench {
	struct loop *loop;
	struct console_state state;
	struct output *output;
	struct virtio_console *console;
	int front;    /* the front end's socket */
	int requests; /* the back-end channel */
	int host;
	int memory_fd;
	uint8_t *memory;
	struct vhost_user_receiver receiver;
	struct ring rings[VIRTIO_CONSOLE_QUEUES];
	int end; /* 1 before */
};

#define RUN_UNTIL(bench, condition)                                 \
	do {                                                        \
		bool holds = condition;                             \
                                                                    \
		for (int turn = 0; turn < 2000 && !holds; turn++) { \
			loop_run_once((bench)->loop, 1);            \
			holds = condition;                          \
		}                                                   \
		assert_true(holds);                                 \
	} while (0)

static void note_end(void *argument, int error)
{
	((struct bench *)argument)->end = error;
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

/* --- The front end --- */

static void say(struct bench *bench, uint32_t request, const void *payload, uint32_t size, int fd)
{
	assert_int_equal(vhost_user_send(bench->front, request, VHOST_USER_VERSION, payload, size, &fd,
					 fd >= 0 ? 1 : 0, 1000),
			 0);
	for (int i = 0; i < 3; i++)
		loop_run_once(bench->loop, 0);
}

static void say_u64(struct bench *bench, uint32_t request, uint64_t value, int fd)
{
	say(bench, request, &value, sizeof(value), fd);
}

static void say_state(struct bench *bench, uint32_t request, uint32_t index, uint32_t value)
{
	struct vhost_user_vring_state state = {.index = index, .num = value};

	say(bench, request, &state, sizeof(state), -1);
}

static const struct vhost_user_message *ask(struct bench *bench, uint32_t request, const void *payload,
					    uint32_t size)
{
	vhost_user_receiver_next(&bench->receiver);
	say(bench, request, payload, size, -1);
	assert_int_equal(vhost_user_receive_timeout(bench->front, &bench->receiver, 1000), 1);
	assert_int_equal(bench->receiver.message.header.request, request);
	return &bench->receiver.message;
}

static void start_queue(struct bench *bench, uint32_t index, uint16_t base)
{
	struct vhost_user_vring_addr addr = {.index = index,
					     .descriptor = RINGS(index),
					     .available = RINGS(index) + AVAILABLE,
					     .used = RINGS(index) + USED};

	say_state(bench, VHOST_USER_SET_VRING_NUM, index, RING_SIZE);
	say_state(bench, VHOST_USER_SET_VRING_BASE, index, base);
	say(bench, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
	say_u64(bench, VHOST_USER_SET_VRING_CALL, index, bench->rings[index].call);
	say_u64(bench, VHOST_USER_SET_VRING_KICK, index, bench->rings[index].kick);
	say_state(bench, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static uint16_t stop_queue(struct bench *bench, uint32_t index)
{
	struct vhost_user_vring_state state = {.index = index};

	return (uint16_t)ask(bench, VHOST_USER_GET_VRING_BASE, &state, sizeof(state))->payload.state.num;
}

static void start_driver(struct bench *bench)
{
	struct {
		uint32_t count, padding;
		struct vhost_user_memory_region region;
	} table = {.count = 1, .region = {.size = MEMORY_SIZE}};

	say(bench, VHOST_USER_SET_OWNER, NULL, 0, -1);
	say_u64(bench, VHOST_USER_SET_PROTOCOL_FEATURES,
		VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ), -1);
	say_u64(bench, VHOST_USER_SET_FEATURES,
		VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) |
			VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE),
		-1);
	say(bench, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), bench->memory_fd);
	for (uint32_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++)
		start_queue(bench, i, 0);
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int host[2], wire[2], small = 4096;

	log_set_sink(ignore_log, NULL);
	bench->end = 1;
	bench->requests = -1;
	bench->loop = loop_new();
	bench->memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(bench->memory_fd, MEMORY_SIZE), 0);
	bench->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, bench->memory_fd, 0);
	for (uint32_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		uint8_t *base = bench->memory + RINGS(i);

		bench->rings[i] = (struct ring){.descriptors = (void *)base,
						.available = (void *)(base + AVAILABLE),
						.used = (void *)(base + USED),
						.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
						.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, host), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
	setsockopt(host[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	bench->host = host[0];
	bench->front = wire[0];
	vhost_user_receiver_init(&bench->receiver);
	assert_int_equal(console_state_open(&bench->state, CONSOLE_KIND_VIRTIO, -1, false), 0);
	assert_int_equal(
		output_new(bench->loop, OUTPUT_STREAM, host[1], host[1], &bench->state, &bench->output), 0);
	assert_int_equal(virtio_console_new(bench->loop, bench->output, &bench->state, &bench->console), 0);
	virtio_console_resize(bench->console, 80, 25);
	assert_int_equal(virtio_console_start(bench->console, wire[1], note_end, bench), 0);
	start_driver(bench);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	virtio_console_free(bench->console);
	output_free(bench->output);
	console_state_close(&bench->state);
	vhost_user_receiver_clear(&bench->receiver);
	for (uint32_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		close(bench->rings[i].kick);
		close(bench->rings[i].call);
	}
	if (bench->requests >= 0)
		close(bench->requests);
	close(bench->front);
	close(bench->host);
	close(bench->memory_fd);
	munmap(bench->memory, MEMORY_SIZE);
	loop_free(bench->loop);
	free(bench);
	return 0;
}

/* --- The driver --- */

/* Makes a buffer available; its descriptor is the one of its place in the ring. */
static void offer(struct bench *bench, unsigned queue, uint64_t address, uint32_t size, uint16_t flags)
{
	struct ring *ring = &bench->rings[queue];
	uint16_t place = ring->available->idx % RING_SIZE;

	ring->descriptors[place] = (struct virtq_desc){.addr = address, .len = size, .flags = flags};
	ring->available->ring[place] = place;
	__atomic_store_n(&ring->available->idx, (uint16_t)(ring->available->idx + 1), __ATOMIC_RELEASE);
}

static void kick(struct bench *bench, unsigned queue)
{
	eventfd_write(bench->rings[queue].kick, 1);
}

static unsigned used(struct bench *bench, unsigned queue)
{
	struct ring *ring = &bench->rings[queue];

	return (uint16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - ring->seen);
}

static void print(struct bench *bench, const char *text)
{
	memcpy(bench->memory + DATA, text, strlen(text));
	offer(bench, VIRTIO_CONSOLE_TRANSMITQ_0, DATA, (uint32_t)strlen(text), 0);
}

static void expect_output(struct bench *bench, const char *text)
{
	char data[256] = {0};
	size_t size = 0;

	for (int i = 0; i < 2000 && size < strlen(text); i++) {
		ssize_t got = recv(bench->host, data + size, sizeof(data) - 1 - size, MSG_DONTWAIT);

		size += got > 0 ? (size_t)got : 0;
		loop_run_once(bench->loop, 1);
	}
	assert_string_equal(data, text);
}

/* --- Output --- */

static void output_arrives(void **state)
{
	struct bench *bench = *state;
	eventfd_t calls = 0;

	print(bench, "hello, console\n");
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	expect_output(bench, "hello, console\n");
	assert_int_equal(used(bench, VIRTIO_CONSOLE_TRANSMITQ_0), 1);
	assert_int_equal(eventfd_read(bench->rings[VIRTIO_CONSOLE_TRANSMITQ_0].call, &calls), 0);
}

/* Chains longer than the buffer, and a host that takes little at a time. */
static void output_to_a_slow_host_is_not_lost(void **state)
{
	struct bench *bench = *state;
	uint32_t chain = 200000, chains = 5, seen = 0;

	for (uint32_t i = 0; i < chain * chains; i++)
		bench->memory[DATA + i] = (uint8_t)(i * 7 ^ i >> 8);
	for (uint32_t i = 0; i < chains; i++)
		offer(bench, VIRTIO_CONSOLE_TRANSMITQ_0, DATA + i * chain, chain, 0);
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(used(bench, VIRTIO_CONSOLE_TRANSMITQ_0), 0);
	while (seen < chain * chains) {
		static uint8_t data[30000];
		ssize_t got = recv(bench->host, data, sizeof(data), MSG_DONTWAIT);

		for (ssize_t i = 0; i < got; i++, seen++)
			assert_int_equal(data[i], (uint8_t)(seen * 7 ^ seen >> 8));
		loop_run_once(bench->loop, 1);
	}
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_TRANSMITQ_0) == chains);
}

/* The queue stops in the middle of a chain and starts again: the chain goes on where it was. */
static void output_goes_on_after_a_stop_in_a_chain(void **state)
{
	struct bench *bench = *state;
	uint32_t chain = 300000, seen = 0;
	uint16_t base;

	for (uint32_t i = 0; i < chain; i++)
		bench->memory[DATA + i] = (uint8_t)(i * 11 ^ i >> 8);
	offer(bench, VIRTIO_CONSOLE_TRANSMITQ_0, DATA, chain, 0);
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	base = stop_queue(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	assert_int_equal(base, 0);
	assert_int_equal(used(bench, VIRTIO_CONSOLE_TRANSMITQ_0), 0);
	start_queue(bench, VIRTIO_CONSOLE_TRANSMITQ_0, base);
	while (seen < chain) {
		static uint8_t data[30000];
		ssize_t got = recv(bench->host, data, sizeof(data), MSG_DONTWAIT);

		for (ssize_t i = 0; i < got; i++, seen++)
			assert_int_equal(data[i], (uint8_t)(seen * 11 ^ seen >> 8));
		loop_run_once(bench->loop, 1);
	}
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_TRANSMITQ_0) == 1);
}

/* A stop overtakes a kick that was not seen yet. */
static void stop_takes_the_last_words(void **state)
{
	struct bench *bench = *state;

	print(bench, "last words");
	assert_int_equal(stop_queue(bench, VIRTIO_CONSOLE_TRANSMITQ_0), 1);
	assert_int_equal(used(bench, VIRTIO_CONSOLE_TRANSMITQ_0), 1);
	expect_output(bench, "last words");
}

static void end_of_the_program_takes_the_last_words(void **state)
{
	struct bench *bench = *state;

	print(bench, "last words");
	virtio_console_stop(bench->console);
	assert_int_equal(output_drain(bench->output, 1000), 0);
	expect_output(bench, "last words");
}

static void emergency_write_needs_no_queue(void **state)
{
	struct bench *bench = *state;
	struct vhost_user_config config = {.offset = offsetof(struct virtio_console_config, emerg_wr),
					   .size = 4};

	config.payload[0] = '!';
	say(bench, VHOST_USER_SET_CONFIG, &config, 12 + 4, -1);
	expect_output(bench, "!");
}

/* --- Input --- */

static void input_arrives(void **state)
{
	struct bench *bench = *state;
	struct ring *ring = &bench->rings[VIRTIO_CONSOLE_RECEIVEQ_0];

	offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA, 16, VIRTQ_DESC_F_WRITE);
	kick(bench, VIRTIO_CONSOLE_RECEIVEQ_0);
	assert_int_equal(write(bench->host, "typed", 5), 5);
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_RECEIVEQ_0) == 1);
	assert_int_equal(ring->used->ring[0].len, 5);
	assert_memory_equal(bench->memory + DATA, "typed", 5);
}

static void input_at_full_speed_is_not_lost(void **state)
{
	struct bench *bench = *state;
	struct ring *ring = &bench->rings[VIRTIO_CONSOLE_RECEIVEQ_0];
	uint32_t sent = 0, seen = 0, total = 500000;

	while (seen < total) {
		uint8_t data[1000];
		ssize_t taken;

		/* Two buffers at a time, which run out all the time. */
		while ((uint16_t)(ring->available->idx - ring->seen) < 2)
			offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA + ring->available->idx % 2 * 4096, 100,
			      VIRTQ_DESC_F_WRITE);
		kick(bench, VIRTIO_CONSOLE_RECEIVEQ_0);
		for (uint32_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)((sent + i) * 13);
		taken = sent < total ? send(bench->host, data, sizeof(data), MSG_DONTWAIT) : 0;
		sent += taken > 0 ? (uint32_t)taken : 0;
		RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_RECEIVEQ_0) > 0);
		while (used(bench, VIRTIO_CONSOLE_RECEIVEQ_0) > 0) {
			const struct virtq_used_elem *element = &ring->used->ring[ring->seen % RING_SIZE];
			const uint8_t *buffer = bench->memory + ring->descriptors[element->id].addr;

			for (uint32_t i = 0; i < element->len; i++)
				assert_int_equal(buffer[i], (uint8_t)(seen++ * 13));
			ring->seen++;
		}
	}
	assert_int_equal(seen, sent);
}

/* Without buffers input stays with the host, and the loop sleeps. */
static void input_without_buffers_waits(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(write(bench->host, "early", 5), 5);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(output_counters(bench->output)->read, 0);
	offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA, 2, VIRTQ_DESC_F_WRITE);
	offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA + 2, 10, VIRTQ_DESC_F_WRITE);
	kick(bench, VIRTIO_CONSOLE_RECEIVEQ_0);
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_RECEIVEQ_0) == 2);
	assert_memory_equal(bench->memory + DATA, "early", 5);
}

/* --- Configuration --- */

static struct virtio_console_config read_config(struct bench *bench)
{
	struct vhost_user_config config = {.size = sizeof(struct virtio_console_config)};
	struct virtio_console_config layout;

	memcpy(&layout,
	       ask(bench, VHOST_USER_GET_CONFIG, &config, 12 + (uint32_t)sizeof(layout))
		       ->payload.config.payload,
	       sizeof(layout));
	return layout;
}

static void size_is_told_and_changes(void **state)
{
	struct vhost_user_header header;
	struct bench *bench = *state;
	int channel[2];

	assert_int_equal(read_config(bench).cols, 80);
	assert_int_equal(read_config(bench).rows, 25);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
	bench->requests = channel[0];
	say(bench, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, channel[1]);
	close(channel[1]);
	virtio_console_resize(bench->console, 132, 43);
	assert_int_equal(recv(bench->requests, &header, sizeof(header), MSG_DONTWAIT), sizeof(header));
	assert_int_equal(header.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(read_config(bench).cols, 132);
	assert_int_equal(read_config(bench).rows, 43);
	/* The same size again is no change. */
	virtio_console_resize(bench->console, 132, 43);
	assert_int_equal(recv(bench->requests, &header, sizeof(header), MSG_DONTWAIT), -1);
}

static void multiport_is_not_offered(void **state)
{
	struct bench *bench = *state;
	uint64_t features = ask(bench, VHOST_USER_GET_FEATURES, NULL, 0)->payload.u64;

	assert_true(features & VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE));
	assert_true(features & VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE));
	assert_false(features & VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT));
}

/* --- Drivers that break the rules --- */

static void broken_rings_stop_their_queue_alone(void **state)
{
	struct bench *bench = *state;

	/* Outside of memory. */
	offer(bench, VIRTIO_CONSOLE_TRANSMITQ_0, UINT64_MAX - 8, 64, 0);
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	print(bench, "never");
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(output_counters(bench->output)->written, 0);
	assert_int_equal(bench->end, 1);
	input_arrives(state);
	/* The other way round. */
	bench->rings[VIRTIO_CONSOLE_RECEIVEQ_0].available->idx += RING_SIZE + 1;
	kick(bench, VIRTIO_CONSOLE_RECEIVEQ_0);
	assert_int_equal(write(bench->host, "x", 1), 1);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(bench->end, 1);
	assert_int_equal(read_config(bench).cols, 80);
}

static void buffers_of_the_wrong_kind_are_returned_empty(void **state)
{
	struct bench *bench = *state;

	offer(bench, VIRTIO_CONSOLE_TRANSMITQ_0, DATA, 16, VIRTQ_DESC_F_WRITE);
	kick(bench, VIRTIO_CONSOLE_TRANSMITQ_0);
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_TRANSMITQ_0) == 1);
	offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA, 16, 0);
	offer(bench, VIRTIO_CONSOLE_RECEIVEQ_0, DATA, 16, VIRTQ_DESC_F_WRITE);
	kick(bench, VIRTIO_CONSOLE_RECEIVEQ_0);
	assert_int_equal(write(bench->host, "x", 1), 1);
	RUN_UNTIL(bench, used(bench, VIRTIO_CONSOLE_RECEIVEQ_0) == 2);
	assert_int_equal(bench->rings[VIRTIO_CONSOLE_RECEIVEQ_0].used->ring[0].len, 0);
	assert_int_equal(bench->rings[VIRTIO_CONSOLE_RECEIVEQ_0].used->ring[1].len, 1);
}

int main(void)
{
#define CONSOLE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(output_arrives),
		CONSOLE_TEST(output_to_a_slow_host_is_not_lost),
		CONSOLE_TEST(output_goes_on_after_a_stop_in_a_chain),
		CONSOLE_TEST(stop_takes_the_last_words),
		CONSOLE_TEST(end_of_the_program_takes_the_last_words),
		CONSOLE_TEST(emergency_write_needs_no_queue),
		CONSOLE_TEST(input_arrives),
		CONSOLE_TEST(input_at_full_speed_is_not_lost),
		CONSOLE_TEST(input_without_buffers_waits),
		CONSOLE_TEST(size_is_told_and_changes),
		CONSOLE_TEST(multiport_is_not_offered),
		CONSOLE_TEST(broken_rings_stop_their_queue_alone),
		CONSOLE_TEST(buffers_of_the_wrong_kind_are_returned_empty),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("virtio-console", tests, NULL, NULL);
}
