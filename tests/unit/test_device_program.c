/*
 * The library alone makes a device's program of a table (dev-rng/main.c): both of its lives, a front end that reads from it,
 * ones that break the rules, and what it ends with. Issue 9, item 4. The program is the build tree's; `make check` runs at
 * its top.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/program/child.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"

#define PROGRAM	   "dev-rng/atoll-rng"
#define TIMEOUT_MS 30000

/* --- The driver and its front end --- */

#define RING_SIZE    1024u /* more than one round takes */
#define MEMORY_BYTES 0x20000u
#define USER	     UINT64_C(0x7fab00000000)
#define AVAILABLE    0x8000u
#define USED	     0xc000u
#define DATA	     0x10000u

static struct front {
	int wire;
	uint8_t *memory;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	int kick_fd, call_fd, error_fd;
} front;

static void front_send(uint32_t request, const void *payload, uint32_t size, int fd)
{
	assert_int_equal(vhost_user_send(front.wire, request, VHOST_USER_VERSION, payload, size,
					 fd >= 0 ? &fd : NULL, fd >= 0 ? 1 : 0, TIMEOUT_MS),
			 0);
}

static uint64_t front_ask(uint32_t request)
{
	struct vhost_user_receiver receiver;
	uint64_t value;

	front_send(request, NULL, 0, -1);
	vhost_user_receiver_init(&receiver);
	assert_int_equal(vhost_user_receive_timeout(front.wire, &receiver, TIMEOUT_MS), 1);
	assert_int_equal(receiver.message.header.request, request);
	value = receiver.message.payload.u64;
	vhost_user_receiver_clear(&receiver);
	return value;
}

static int front_send_eventfd(uint32_t request)
{
	uint64_t queue = 0;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	front_send(request, &queue, sizeof(queue), fd);
	return fd;
}

/* Negotiates, and starts the queue. kicks: whether the device is given an eventfd for them. */
static void front_begin(int wire, bool kicks)
{
	struct vhost_user_memory memory = {.region_count = 1, .regions = {{0, MEMORY_BYTES, USER, 0}}};
	struct vhost_user_vring_addr addresses = {
		.descriptor = USER, .available = USER + AVAILABLE, .used = USER + USED};
	struct vhost_user_vring_state state = {.index = 0, .num = RING_SIZE};
	int memory_fd = memfd_create("guest", MFD_CLOEXEC);
	uint64_t features, none = VHOST_USER_VRING_NOFD;

	assert_int_equal(ftruncate(memory_fd, MEMORY_BYTES), 0);
	front = (struct front){.wire = wire, .kick_fd = -1};
	front.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	assert_true(front.memory != MAP_FAILED);
	front.descriptors = (struct virtq_desc *)(void *)front.memory;
	front.available = (struct virtq_avail *)(void *)(front.memory + AVAILABLE);
	front.used = (struct virtq_used *)(void *)(front.memory + USED);

	features = front_ask(VHOST_USER_GET_FEATURES);
	assert_true(features & VIRTIO_BIT(VIRTIO_F_VERSION_1));
	assert_int_equal(features & ((1u << 24) - 1), 0);
	features = VIRTIO_BIT(VIRTIO_F_VERSION_1);
	front_send(VHOST_USER_SET_OWNER, NULL, 0, -1);
	front_send(VHOST_USER_SET_FEATURES, &features, sizeof(features), -1);
	front_send(VHOST_USER_SET_MEM_TABLE, &memory, 8 + 32, memory_fd);
	close(memory_fd);
	front_send(VHOST_USER_SET_VRING_NUM, &state, sizeof(state), -1);
	state.num = 0;
	front_send(VHOST_USER_SET_VRING_BASE, &state, sizeof(state), -1);
	front_send(VHOST_USER_SET_VRING_ADDR, &addresses, sizeof(addresses), -1);
	front.error_fd = front_send_eventfd(VHOST_USER_SET_VRING_ERR);
	front.call_fd = front_send_eventfd(VHOST_USER_SET_VRING_CALL);
	if (kicks)
		front.kick_fd = front_send_eventfd(VHOST_USER_SET_VRING_KICK);
	else
		front_send(VHOST_USER_SET_VRING_KICK, &none, sizeof(none), -1);
}

static void front_end(void)
{
	close(front.wire);
	close(front.error_fd);
	close(front.call_fd);
	if (front.kick_fd >= 0)
		close(front.kick_fd);
	munmap(front.memory, MEMORY_BYTES);
}

/* A chain of one descriptor at DATA, which the device writes or, with a flag of 0, reads. */
static void front_offer(uint16_t head, uint32_t size, uint16_t flags)
{
	uint16_t index = front.available->idx;

	front.descriptors[head] = (struct virtq_desc){.addr = DATA, .len = size, .flags = flags};
	front.available->ring[index % RING_SIZE] = head;
	__atomic_store_n(&front.available->idx, (uint16_t)(index + 1), __ATOMIC_RELEASE);
}

static void front_kick(void)
{
	assert_int_equal(eventfd_write(front.kick_fd, 1), 0);
}

static void await(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	eventfd_t count;

	assert_int_equal(poll(&readable, 1, TIMEOUT_MS), 1);
	assert_int_equal(eventfd_read(fd, &count), 0);
}

/* Until so many chains have been used since the begin, each after an interrupt. */
static void front_await_used(uint16_t count)
{
	while (__atomic_load_n(&front.used->idx, __ATOMIC_ACQUIRE) != count)
		await(front.call_fd);
}

/* One request for random bytes; `so_far` had been used before. */
static void front_read_random(uint16_t so_far)
{
	static const uint8_t none[32];

	memset(front.memory + DATA, 0, 64);
	front_offer(0, sizeof(none), VIRTQ_DESC_F_WRITE);
	if (front.kick_fd >= 0)
		front_kick();
	front_await_used((uint16_t)(so_far + 1));
	assert_int_equal(front.used->ring[so_far % RING_SIZE].len, sizeof(none));
	assert_memory_not_equal(front.memory + DATA, none, sizeof(none));
	assert_memory_equal(front.memory + DATA + sizeof(none), none, sizeof(none));
}

/* --- By hand --- */

static char directory[] = "/tmp/atoll-device-program-XXXXXX";
static char socket_option[64];
static const char *socket_path = socket_option + sizeof("--socket-path=") - 1;

static int set_up(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(socket_option, sizeof(socket_option), "--socket-path=%s/sock", directory);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(directory);
}

static pid_t hand_start(const char *first, const char *second)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO) < 0 ||
	    dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		_exit(126);
	execl(PROGRAM, "atoll-rng", first, second, NULL);
	_exit(127);
}

static int end_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Connects as soon as the program listens. */
static int hand_connect(pid_t pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		poll(NULL, 0, 5);
	}
	return fd;
}

static void item_4_a_table_serves_one_front_end_after_the_other(void **state)
{
	pid_t pid = hand_start("--no-sandbox", socket_option);
	struct stat status;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		front_begin(hand_connect(pid), true);
		front_read_random(0);
		front_read_random(1);
		front_end();
	}
	/* One that gives no kicks is looked at again and again. */
	front_begin(hand_connect(pid), false);
	for (uint16_t i = 0; i < 3; i++)
		front_read_random(i);
	front_end();
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(end_of(pid), 0);
	assert_int_equal(stat(socket_path, &status), -1);
}

/* More chains than a round takes, with one kick. */
static void item_4_a_full_ring_is_served_to_its_end(void **state)
{
	pid_t pid = hand_start("--no-sandbox", socket_option);

	(void)state;
	front_begin(hand_connect(pid), true);
	for (uint16_t i = 0; i < RING_SIZE; i++)
		front_offer(i, 8, VIRTQ_DESC_F_WRITE);
	front_kick();
	front_await_used(RING_SIZE);
	front_end();
	kill(pid, SIGINT);
	assert_int_equal(end_of(pid), 0);
}

/* A chain that the device says is none, one outside of memory: the queue stops, and the front end is told; the program stays. */
static void item_4_a_bad_chain_stops_the_queue_and_no_more(void **state)
{
	pid_t pid = hand_start("--no-sandbox", socket_option);

	(void)state;
	for (unsigned bad = 0; bad < 2; bad++) {
		front_begin(hand_connect(pid), true);
		front_offer(0, 16, bad == 0 ? 0 : VIRTQ_DESC_F_WRITE);
		if (bad == 1)
			front.descriptors[0].addr = MEMORY_BYTES;
		front_kick();
		await(front.error_fd);
		assert_int_equal(front.used->idx, 0);
		front_end();
	}
	front_begin(hand_connect(pid), true);
	front_read_random(0);
	front_end();
	kill(pid, SIGTERM);
	assert_int_equal(end_of(pid), 0);
}

static void item_4_the_command_line_is_the_librarys(void **state)
{
	static const struct {
		const char *first, *second;
		int status;
	} cases[] = {
		{"--help", NULL, 0},
		{"--version", "--nonsense", 0},
		{"--print-capabilities", NULL, 0},
		{"--nonsense", "--help", 2},
		{"--no-sandbox", NULL, 2},
		{"--fd=0", "--socket-path=x", 2},
		{"--fd=-1", NULL, 2},
		{"--fd=18446744073709551616", NULL, 2},
		{"--fd=9", "more", 2},
		{"--fd=900", "--no-sandbox", 2},
		{"--no-sandbox", "--socket-path=/proc/none/sock", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(end_of(hand_start(cases[i].first, cases[i].second)), cases[i].status);
}

/* --- Supervised --- */

struct supervised {
	pid_t pid;
	int control;
	int wire;
	char said[LOG_TEXT_MAX]; /* its last record */
};

/* Starts it with a configuration; extra: descriptors behind the wire. */
static struct supervised supervised_start(Atoll__Control__DeviceConfigure *configure, size_t extra)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	struct supervised program = {0};
	int control[2], wire[2];
	char vm[] = "web", id[] = "rng";

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
	assert_int_equal(fcntl(wire[1], F_SETFL, O_NONBLOCK), 0);
	program.pid = fork();
	assert_true(program.pid >= 0);
	if (program.pid == 0) {
		char name[] = "atoll-rng: web/rng", variable[] = CHILD_CONTROL_FD_ENV "=3";
		char *const argv[] = {name, NULL}, *const environment[] = {variable, NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (dup2(control[1], 3) != 3 || fcntl(3, F_SETFD, 0) < 0)
			_exit(126);
		close_range(4, ~0u, 0);
		execve(PROGRAM, argv, environment);
		_exit(127);
	}
	close(control[1]);
	program.control = control[0];
	program.wire = wire[0];
	configure->vm = vm;
	configure->id = id;
	configure->log_level = 3;
	configure->no_sandbox = true; /* a sanitizer could not live in it; and we are no supervisor */
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE;
	envelope.device_configure = configure;
	assert_int_equal(control_send(program.control, &envelope, (const int[]){wire[1], wire[1]}, 1 + extra),
			 0);
	close(wire[1]);
	return program;
}

/* The next message that is no log record; false at the program's end. */
static bool supervised_receive(struct supervised *program, struct control_message *message)
{
	int result;

	while ((result = control_receive_timeout(program->control, TIMEOUT_MS, message)) == 1) {
		if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD)
			return true;
		snprintf(program->said, sizeof(program->said), "%s", message->envelope->log_record->text);
		control_message_clear(message);
	}
	assert_int_equal(result, 0);
	return false;
}

/* The answer of this kind to a message. */
static void supervised_ask(struct supervised *program, Atoll__Control__Envelope *envelope,
			   Atoll__Control__Envelope__BodyCase answer, struct control_message *message)
{
	envelope->serial = 42;
	assert_int_equal(control_send(program->control, envelope, NULL, 0), 0);
	assert_true(supervised_receive(program, message));
	assert_int_equal(message->envelope->body_case, answer);
	assert_int_equal(message->envelope->serial, 42);
}

static void item_4_a_table_serves_under_the_supervisor(void **state)
{
	Atoll__Control__DeviceConfigure configure = ATOLL__CONTROL__DEVICE_CONFIGURE__INIT;
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__StatisticsRequest request = ATOLL__CONTROL__STATISTICS_REQUEST__INIT;
	Atoll__Control__Heartbeat heartbeat = ATOLL__CONTROL__HEARTBEAT__INIT;
	struct supervised program = supervised_start(&configure, 0);
	struct control_message message;

	(void)state;
	assert_true(supervised_receive(&program, &message));
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_READY);
	control_message_clear(&message);
	front_begin(program.wire, true);
	front_read_random(0);

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST;
	envelope.statistics_request = &request;
	supervised_ask(&program, &envelope, ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS, &message);
	assert_int_equal(message.envelope->statistics->n_counters, 2);
	assert_string_equal(message.envelope->statistics->counters[0]->name, "requests");
	assert_int_equal(message.envelope->statistics->counters[0]->value, 1);
	assert_string_equal(message.envelope->statistics->counters[1]->name, "bytes");
	assert_int_equal(message.envelope->statistics->counters[1]->value, 32);
	control_message_clear(&message);

	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &heartbeat;
	supervised_ask(&program, &envelope, ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY, &message);
	assert_int_equal(message.envelope->heartbeat_reply->accepted, 1);
	assert_int_equal(message.envelope->heartbeat_reply->completed, 1);
	assert_false(message.envelope->heartbeat_reply->kicked);
	control_message_clear(&message);

	/* The session's end is none of the program's: the supervisor says what is to come. */
	front_end();
	supervised_ask(&program, &envelope, ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY, &message);
	control_message_clear(&message);
	assert_int_equal(control_send_order(program.control, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN), 0);
	assert_false(supervised_receive(&program, &message));
	assert_int_equal(end_of(program.pid), 0);
	close(program.control);
}

/* Of another kind of device, with descriptors that are too many, or with no state page where one is announced. */
static void item_4_a_configuration_that_does_not_fit_is_refused(void **state)
{
	Atoll__Control__BlkConfigure blk = ATOLL__CONTROL__BLK_CONFIGURE__INIT;

	(void)state;
	for (unsigned bad = 0; bad < 3; bad++) {
		Atoll__Control__DeviceConfigure configure = ATOLL__CONTROL__DEVICE_CONFIGURE__INIT;
		struct supervised program;
		struct control_message message;

		if (bad == 0) {
			configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK;
			configure.blk = &blk;
		}
		configure.has_state = bad == 2;
		program = supervised_start(&configure, bad == 1 ? 1 : 0);
		assert_false(supervised_receive(&program, &message));
		assert_int_equal(end_of(program.pid), 1);
		assert_non_null(strstr(program.said, "cannot start"));
		close(program.control);
		close(program.wire);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(item_4_a_table_serves_one_front_end_after_the_other),
		cmocka_unit_test(item_4_a_full_ring_is_served_to_its_end),
		cmocka_unit_test(item_4_a_bad_chain_stops_the_queue_and_no_more),
		cmocka_unit_test(item_4_the_command_line_is_the_librarys),
		cmocka_unit_test(item_4_a_table_serves_under_the_supervisor),
		cmocka_unit_test(item_4_a_configuration_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
