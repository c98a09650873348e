/*
 * The vfio-user client, and a serial port over it, against a server in a thread that keeps the protocol or
 * breaks it at one reply. Linked with --wrap=setsockopt, so that silence is told sooner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/loop.h"
#include "common/vfio-user/vfio_user_message.h"
#include "tests/unit/fake_core.h"
#include "vmm-core/wire/serial_port.h"
#include "vmm-core/wire/vfio_user_client.h"

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);

static bool impatient; /* wait less long than the client says */

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	struct timeval soon = {.tv_usec = 50000};

	return __real_setsockopt(fd, level, option, impatient ? &soon : value, size);
}

/* --- The server --- */

enum lie {
	LIE_NONE,
	LIE_SILENCE,
	LIE_HANG_UP,
	LIE_HALF,
	LIE_SHORT,
	LIE_SMALL_SIZE, /* a message size below the header's */
	LIE_HUGE,
	LIE_OTHER_ID,
	LIE_OTHER_COMMAND,
	LIE_NOT_A_REPLY,
	LIE_DESCRIPTOR,
	LIES,
	LIE_ERROR, /* a well-formed refusal */
};

#define ACCESSES_MAX 2048

struct server {
	enum lie lie;
	uint16_t lie_at;
	uint64_t region_size;
	uint32_t irqs;
	uint16_t minor;

	uint8_t registers[8];
	struct {
		uint16_t id;
		bool write;
		uint8_t offset;
		uint8_t value;
	} accesses[ACCESSES_MAX];
	_Atomic unsigned access_count;
	int irq_fd;
	_Atomic unsigned reads;
	_Atomic unsigned writes;
	_Atomic unsigned replies_to_writes;

	int socket_fd;
	pthread_t thread;
};

static void check(bool good)
{
	if (!good)
		abort();
}

static void send_bytes(struct server *server, const void *bytes, size_t size, int fd)
{
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};

	fd_send(server->socket_fd, &iov, 1, &fd, fd >= 0 ? 1 : 0, 0);
}

static void reply(struct server *server, const struct vfio_user_header *request, const void *payload,
		  size_t size)
{
	struct {
		struct vfio_user_header header;
		uint8_t payload[512];
	} message = {.header = {.message_id = request->message_id,
				.command = request->command,
				.message_size = (uint32_t)(sizeof(message.header) + size),
				.flags = VFIO_USER_FLAG_TYPE_REPLY}};
	enum lie lie = request->command == server->lie_at ? server->lie : LIE_NONE;
	int fd = -1;

	memcpy(message.payload, payload, size);
	switch (lie) {
	case LIE_SILENCE:
		return;
	case LIE_HANG_UP:
		shutdown(server->socket_fd, SHUT_RDWR);
		return;
	case LIE_HALF:
		send_bytes(server, &message, 7, -1);
		return;
	case LIE_SHORT:
		size = size > 0 ? size - 1 : 0;
		message.header.message_size = (uint32_t)(sizeof(message.header) + size);
		/* Replies without a payload cannot be shorter. */
		if (request->command == VFIO_USER_DEVICE_SET_IRQS)
			message.header.message_size--;
		break;
	case LIE_SMALL_SIZE:
		message.header.message_size = 3;
		break;
	case LIE_HUGE:
		message.header.message_size = 0x7fffffff;
		break;
	case LIE_OTHER_ID:
		message.header.message_id++;
		break;
	case LIE_OTHER_COMMAND:
		message.header.command++;
		break;
	case LIE_NOT_A_REPLY:
		message.header.flags = VFIO_USER_FLAG_TYPE_COMMAND;
		break;
	case LIE_DESCRIPTOR:
		fd = STDERR_FILENO;
		break;
	case LIE_ERROR:
		message.header.flags |= VFIO_USER_FLAG_ERROR;
		message.header.error = EINVAL;
		message.header.message_size = sizeof(message.header);
		size = 0;
		break;
	default:
		break;
	}
	send_bytes(server, &message, sizeof(message.header) + size, fd);
}

static void serve_access(struct server *server, struct vfio_user_message *message)
{
	struct {
		struct vfio_user_region_access access;
		uint8_t data[8];
	} answer;
	bool write = message->header.command == VFIO_USER_REGION_WRITE;

	check(message->payload_size >= sizeof(answer.access));
	memcpy(&answer.access, message->payload, sizeof(answer.access));
	check(answer.access.offset + answer.access.count <= sizeof(server->registers));
	check(server->access_count < ACCESSES_MAX);
	server->accesses[server->access_count].id = message->header.message_id;
	server->accesses[server->access_count].write = write;
	server->accesses[server->access_count].offset = (uint8_t)answer.access.offset;
	server->accesses[server->access_count].value =
		write ? message->payload[sizeof(answer.access)] : server->registers[answer.access.offset];
	server->access_count++;
	if (write) {
		check(message->payload_size == sizeof(answer.access) + answer.access.count);
		memcpy(server->registers + answer.access.offset, message->payload + sizeof(answer.access),
		       answer.access.count);
		atomic_fetch_add(&server->writes, 1);
		if ((message->header.flags & VFIO_USER_FLAG_NO_REPLY) != 0)
			return;
		atomic_fetch_add(&server->replies_to_writes, 1);
		reply(server, &message->header, &answer.access, sizeof(answer.access));
		return;
	}
	atomic_fetch_add(&server->reads, 1);
	memcpy(answer.data, server->registers + answer.access.offset, answer.access.count);
	reply(server, &message->header, &answer, sizeof(answer.access) + answer.access.count);
}

static void serve(struct server *server, struct vfio_user_message *message)
{
	struct vfio_user_version version = {.minor = server->minor};
	struct vfio_user_device_info info = {.argsz = sizeof(info), .num_regions = 1};
	struct vfio_user_region_info region = {.argsz = sizeof(region), .size = server->region_size};

	info.num_irqs = server->irqs;
	switch (message->header.command) {
	case VFIO_USER_VERSION:
		reply(server, &message->header, &version, sizeof(version));
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		reply(server, &message->header, &info, sizeof(info));
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		reply(server, &message->header, &region, sizeof(region));
		break;
	case VFIO_USER_DEVICE_SET_IRQS:
		check(message->fd_count == 1);
		server->irq_fd = message->fds[0];
		message->fds[0] = -1;
		reply(server, &message->header, "", 0);
		break;
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		serve_access(server, message);
		break;
	default:
		abort();
	}
}

static void *run(void *argument)
{
	struct server *server = argument;
	struct vfio_user_stream stream;
	struct vfio_user_message message;

	check(vfio_user_stream_init(&stream, server->socket_fd, 4096) == 0);
	while (vfio_user_stream_receive(&stream, 0) > 0) {
		while (vfio_user_stream_next(&stream, &message) == 1) {
			serve(server, &message);
			vfio_user_message_clear(&message);
		}
	}
	vfio_user_stream_clear(&stream);
	return NULL;
}

static int server_start(struct server *server, enum lie lie, uint16_t lie_at)
{
	int pair[2];

	*server = (struct server){.lie = lie,
				  .lie_at = lie_at,
				  .region_size = 8,
				  .irqs = 1,
				  .minor = VFIO_USER_VERSION_MINOR,
				  .irq_fd = -1};
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	server->socket_fd = pair[0];
	return pair[1];
}

static void server_go(struct server *server)
{
	check(pthread_create(&server->thread, NULL, run, server) == 0);
}

static void server_join(struct server *server)
{
	pthread_join(server->thread, NULL);
	close(server->socket_fd);
	if (server->irq_fd >= 0)
		close(server->irq_fd);
}

/* --- The client --- */

static void a_session(void **state)
{
	struct vfio_user_client *client;
	struct server server;
	int socket_fd = server_start(&server, LIE_NONE, 0);
	int irq_fd = eventfd(0, EFD_CLOEXEC);
	uint64_t size;
	eventfd_t count;
	uint8_t byte;

	(void)state;
	server_go(&server);
	assert_int_equal(vfio_user_client_new(socket_fd, &client), 0);
	assert_int_equal(vfio_user_client_irqs(client), 1);
	assert_int_equal(vfio_user_client_region_size(client, 0, &size), 0);
	assert_int_equal(size, 8);
	assert_int_equal(vfio_user_client_region_size(client, 1, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(vfio_user_client_set_irq(client, 0, irq_fd), 0);
	eventfd_write(server.irq_fd, 1);
	assert_int_equal(eventfd_read(irq_fd, &count), 0);
	/* Writes are posted, and a read sees all that were before it. */
	for (unsigned i = 0; i < 1000; i++) {
		byte = (uint8_t)i;
		assert_int_equal(vfio_user_client_write(client, (uint16_t)i, false, 0, i % 8, &byte, 1), 0);
	}
	assert_int_equal(vfio_user_client_read(client, 9, 0, 7, &byte, 1), 0);
	assert_int_equal(byte, (uint8_t)999);
	assert_int_equal(server.writes, 1000);
	assert_int_equal(server.replies_to_writes, 0);
	/* Unless they are to be confirmed. */
	byte = 0x77;
	assert_int_equal(vfio_user_client_write(client, 9, true, 0, 7, &byte, 1), 0);
	assert_int_equal(server.registers[7], 0x77);
	assert_int_equal(server.replies_to_writes, 1);
	vfio_user_client_free(client);
	server_join(&server);
	close(irq_fd);
}

static int whole_life(int socket_fd, struct vfio_user_client **client)
{
	int irq_fd = eventfd(0, EFD_CLOEXEC);
	uint64_t size;
	uint8_t byte = 0x5a;
	int result;

	*client = NULL;
	result = vfio_user_client_new(socket_fd, client);
	if (result < 0)
		close(socket_fd);
	if (result == 0)
		result = vfio_user_client_region_size(*client, 0, &size);
	if (result == 0)
		result = vfio_user_client_set_irq(*client, 0, irq_fd);
	if (result == 0)
		result = vfio_user_client_read(*client, 9, 0, 0, &byte, 1);
	if (result < 0)
		assert_int_equal(byte, 0x5a);
	close(irq_fd);
	return result;
}

static int expected(enum lie lie)
{
	switch (lie) {
	case LIE_SILENCE:
	case LIE_HALF:
		return -ETIMEDOUT;
	case LIE_HANG_UP:
		return -EPIPE;
	default:
		return -EPROTO;
	}
}

static void every_lie_at_every_reply(void **state)
{
	static const uint16_t commands[] = {
		VFIO_USER_VERSION,	   VFIO_USER_DEVICE_GET_INFO, VFIO_USER_DEVICE_GET_REGION_INFO,
		VFIO_USER_DEVICE_SET_IRQS, VFIO_USER_REGION_READ,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (enum lie lie = LIE_SILENCE; lie < LIES; lie++) {
			struct vfio_user_client *client;
			struct server server;
			int socket_fd = server_start(&server, lie, commands[i]);
			uint8_t byte;
			int result;

			server_go(&server);
			impatient = expected(lie) == -ETIMEDOUT;
			result = whole_life(socket_fd, &client);
			impatient = false;
			if (result != expected(lie))
				fail_msg("lie %d at command %u: %d", lie, commands[i], result);
			if (client != NULL) {
				unsigned reads = server.reads;

				assert_int_equal(vfio_user_client_read(client, 9, 0, 0, &byte, 1), result);
				assert_int_equal(vfio_user_client_write(client, 9, false, 0, 0, &byte, 1),
						 result);
				assert_int_equal(server.reads, reads);
			}
			vfio_user_client_free(client);
			server_join(&server);
		}
	}
}

static void a_refusal_is_no_end(void **state)
{
	struct vfio_user_client *client;
	struct server server;
	int socket_fd = server_start(&server, LIE_ERROR, VFIO_USER_REGION_READ);
	uint8_t byte = 1;

	(void)state;
	server_go(&server);
	assert_int_equal(whole_life(socket_fd, &client), -EINVAL);
	assert_int_equal(vfio_user_client_write(client, 9, false, 0, 3, &byte, 1), 0);
	assert_int_equal(vfio_user_client_read(client, 9, 0, 3, &byte, 1), -EINVAL);
	assert_int_equal(server.registers[3], 1);
	vfio_user_client_free(client);
	server_join(&server);
}

static void a_version_above_ours(void **state)
{
	struct vfio_user_client *client;
	struct server server;
	int socket_fd = server_start(&server, LIE_NONE, 0);

	(void)state;
	server.minor = VFIO_USER_VERSION_MINOR + 1;
	server_go(&server);
	assert_int_equal(whole_life(socket_fd, &client), -EPROTO);
	server_join(&server);
}

static void *read_once(void *argument)
{
	static int result;
	uint8_t byte;

	result = vfio_user_client_read(argument, 9, 0, 0, &byte, 1);
	return &result;
}

static void shutting_the_wire_down_wakes_who_waits(void **state)
{
	struct vfio_user_client *client;
	struct server server;
	int socket_fd = server_start(&server, LIE_SILENCE, VFIO_USER_REGION_READ);
	pthread_t reader;
	void *result;
	uint8_t byte;

	(void)state;
	server_go(&server);
	assert_int_equal(vfio_user_client_new(socket_fd, &client), 0);
	pthread_create(&reader, NULL, read_once, client);
	while (server.reads == 0)
		usleep(100);
	shutdown(socket_fd, SHUT_RDWR);
	pthread_join(reader, &result);
	assert_int_equal(*(int *)result, -EPIPE);
	assert_int_equal(vfio_user_client_write(client, 9, false, 0, 0, &byte, 1), -EPIPE);
	vfio_user_client_free(client);
	server_join(&server);
}

/* --- The serial port --- */

static void a_serial_port(void **state)
{
	struct serial_device *serial;
	struct server server;
	struct core core;
	int socket_fd = server_start(&server, LIE_NONE, 0);

	(void)state;
	fake_core_new(&core);
	server_go(&server);
	assert_int_equal(serial_device_new(&core, "serial", 0x3f8, 4, socket_fd, &serial), 0);
	assert_int_equal(fake_kvm.irqfd_count, 1);
	assert_int_equal(fake_kvm.irqfds[0].gsi, 4);
	guest_out(&core, 0x3f8, 'A', 1);
	/* A word is a byte to each of two registers. */
	guest_out(&core, 0x3fb, 0x1234, 2);
	assert_int_equal(guest_in(&core, 0x3f8, 1), 'A');
	assert_int_equal(guest_in(&core, 0x3fb, 2), 0x1234);
	assert_int_equal(guest_in(&core, 0x3ff, 2), 0xffff);
	serial_device_free(serial);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(guest_in(&core, 0x3f8, 1), 0xff);
	server_join(&server);
	assert_false(run_end_decided(&core.end));
	fake_core_free(&core);
}

static void what_is_no_uart(void **state)
{
	struct serial_device *serial;
	struct server server;
	struct core core;

	(void)state;
	fake_core_new(&core);
	for (unsigned i = 0; i < 2; i++) {
		int socket_fd = server_start(&server, LIE_NONE, 0);

		server.region_size = i == 0 ? 4096 : 8;
		server.irqs = i == 0 ? 1 : 0;
		server_go(&server);
		assert_int_equal(serial_device_new(&core, "serial", 0x3f8, 4, socket_fd, &serial), -EPROTO);
		server_join(&server);
		assert_int_equal(fake_kvm.irqfd_count, 0);
	}
	fake_core_free(&core);
}

/* --- A serial port whose process goes --- */

static struct core core;
static struct serial_device *port;
static struct device_report report;
static unsigned reports;

static void woken(void *argument)
{
	struct device_report told;

	(void)argument;
	device_link_attend(serial_device_link(port));
	if (device_link_report(serial_device_link(port), &told)) {
		report = told;
		reports++;
		device_link_reported(serial_device_link(port), &told);
	}
}

#define RUN_UNTIL(condition)                                                    \
	do {                                                                    \
		for (unsigned turn_ = 0; turn_ < 2000 && !(condition); turn_++) \
			loop_run_once(core.loop, 5);                            \
		assert_true(condition);                                         \
	} while (0)

static void expect_report(Atoll__Control__DeviceState__Kind kind, uint64_t serial)
{
	RUN_UNTIL(reports > 0);
	assert_int_equal(reports, 1);
	if (report.kind != kind || report.serial != serial)
		fail_msg("state %d: %s", report.kind, report.detail);
	reports = 0;
}

#define SERVING ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING
#define GONE	ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE
#define BROKEN	ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN

/* A vCPU in one read. */
struct reader {
	pthread_t thread;
	uint16_t port;
	uint32_t value;
	_Atomic bool done;
};

static void *reader_run(void *argument)
{
	struct reader *reader = argument;

	reader->value = guest_in(&core, reader->port, 1);
	reader->done = true;
	return NULL;
}

static void reader_begin(struct reader *reader, uint16_t port_number)
{
	*reader = (struct reader){.port = port_number};
	assert_int_equal(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

static void reader_end(struct reader *reader)
{
	RUN_UNTIL(reader->done);
	pthread_join(reader->thread, NULL);
}

static void keep_parked(void *argument, const char *name, uint64_t value)
{
	if (strcmp(name, "serial.parked-accesses") == 0)
		*(uint64_t *)argument = value;
}

static uint64_t parked(void)
{
	uint64_t value = 0;

	device_link_counters(serial_device_link(port), keep_parked, &value);
	return value;
}

static void begin(struct server *server, enum lie lie, uint16_t lie_at)
{
	int socket_fd = server_start(server, lie, lie_at);

	fake_core_new(&core);
	reports = 0;
	server_go(server);
	assert_int_equal(serial_device_new(&core, "serial", 0x3f8, 4, socket_fd, &port), 0);
	assert_int_equal(device_link_release(serial_device_link(port), NULL), 0);
	loop_on_wake(core.loop, woken, NULL);
}

static void end(void)
{
	serial_device_free(port);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_false(run_end_decided(&core.end));
	fake_core_free(&core);
}

static void attach(struct server *server, enum lie lie, uint16_t lie_at, uint64_t serial)
{
	int socket_fd = server_start(server, lie, lie_at);

	server->registers[5] = 0x60;
	server->registers[6] = 0x61;
	server_go(server);
	device_link_attach(serial_device_link(port), socket_fd, serial, false);
}

static void accesses_are_issued_again(void **state)
{
	static struct server first, second;
	struct reader a, b;
	eventfd_t count;

	(void)state;
	begin(&first, LIE_NONE, 0);
	guest_out(&core, 0x3f9, 0x55, 1);
	assert_int_equal(guest_in(&core, 0x3f9, 1), 0x55);
	/* What the reply did not confirm may be lost, for all that is known here. */
	for (unsigned i = 0; i < 10; i++)
		guest_out(&core, 0x3f8, i, 1);
	first.lie = LIE_HANG_UP;
	first.lie_at = VFIO_USER_REGION_READ;
	reader_begin(&a, 0x3fd);
	RUN_UNTIL(parked() == 1);
	expect_report(GONE, 0);
	/* Another vCPU's comes behind it. */
	reader_begin(&b, 0x3fe);
	RUN_UNTIL(parked() == 2);
	while (eventfd_read(fake_kvm.irqfds[0].fd, &count) == 0)
		;
	attach(&second, LIE_NONE, 0, 2);
	expect_report(SERVING, 2);
	reader_end(&a);
	reader_end(&b);
	assert_int_equal(a.value, 0x60);
	assert_int_equal(b.value, 0x61);
	/* The same, under the same numbers: writes, the read that had no reply, then the new one. */
	assert_int_equal(first.access_count, 13);
	assert_int_equal(second.access_count, 12);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(second.accesses[i].id,
				 i < 11 ? first.accesses[i + 2].id : (uint16_t)(first.accesses[12].id + 1));
		assert_int_equal(second.accesses[i].write, i < 10);
		assert_int_equal(second.accesses[i].offset, i < 10 ? 0 : i - 5);
		if (i < 10)
			assert_int_equal(second.accesses[i].value, i);
	}
	/* An edge, in case one was lost. */
	assert_int_equal(eventfd_read(fake_kvm.irqfds[0].fd, &count), 0);
	server_join(&first);
	end();
	server_join(&second);
}

static void successors_that_fail(void **state)
{
	static const uint16_t commands[] = {
		VFIO_USER_VERSION,	   VFIO_USER_DEVICE_GET_INFO, VFIO_USER_DEVICE_GET_REGION_INFO,
		VFIO_USER_DEVICE_SET_IRQS, VFIO_USER_REGION_WRITE,    VFIO_USER_REGION_READ,
	};
	static struct server first, bad, good;
	struct reader reader;
	uint64_t serial = 0;

	(void)state;
	begin(&first, LIE_HANG_UP, VFIO_USER_REGION_READ);
	guest_out(&core, 0x3f8, 'x', 1);
	reader_begin(&reader, 0x3fd);
	expect_report(GONE, 0);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (enum lie lie = LIE_SILENCE; lie <= LIE_ERROR; lie++) {
			/* Nobody asks what is in a write's reply. */
			if (lie == LIES || (lie == LIE_SHORT && commands[i] == VFIO_USER_REGION_WRITE))
				continue;
			impatient = lie == LIE_SILENCE || lie == LIE_HALF;
			attach(&bad, lie, commands[i], ++serial);
			expect_report(lie == LIE_HANG_UP ? GONE : BROKEN, serial);
			assert_false(reader.done);
			server_join(&bad);
			/* It did the write, and confirmed it, before it lied. */
			if (commands[i] == VFIO_USER_REGION_READ && lie == LIE_SILENCE)
				assert_int_equal(bad.accesses[0].value, 'x');
		}
	}
	impatient = false;
	attach(&good, LIE_NONE, 0, ++serial);
	expect_report(SERVING, serial);
	reader_end(&reader);
	assert_int_equal(reader.value, 0x60);
	assert_int_equal(good.access_count, 1);
	server_join(&first);
	end();
	server_join(&good);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* D1: while a successor says nothing to what is issued again, the main thread is not held up: neither a turn of
 * its loop, nor the next successor, nor the end of all hope. */
static void d1_a_silent_successor_holds_nobody_up(void **state)
{
	static struct server first, silent, good;
	struct reader reader;
	uint64_t start;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool write = i % 2 == 1, fail = i / 2 == 1;

		begin(&first, LIE_HANG_UP, VFIO_USER_REGION_READ);
		if (write)
			guest_out(&core, 0x3f8, 'x', 1);
		reader_begin(&reader, 0x3fd);
		expect_report(GONE, 0);
		attach(&silent, LIE_SILENCE, write ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ, 1);
		RUN_UNTIL(write ? silent.writes == 1 : silent.reads == 1);
		start = now_ms();
		loop_wake(core.loop);
		assert_int_equal(loop_run_once(core.loop, 1), 0);
		assert_true(now_ms() - start < CLIENT_TIMEOUT_MS / 4);
		assert_false(reader.done);
		if (fail) {
			device_link_fail(serial_device_link(port));
		} else {
			attach(&good, LIE_NONE, 0, 2);
			expect_report(SERVING, 2);
		}
		reader_end(&reader);
		assert_true(now_ms() - start < CLIENT_TIMEOUT_MS / 4);
		assert_int_equal(reader.value, fail ? 0xff : 0x60);
		/* All of it, to the one that answers. */
		if (!fail)
			assert_int_equal(good.access_count, write ? 2 : 1);
		server_join(&first);
		server_join(&silent);
		end();
		if (!fail)
			server_join(&good);
	}
}

static void few_writes_are_unconfirmed(void **state)
{
	static struct server first, second;

	(void)state;
	begin(&first, LIE_NONE, 0);
	for (unsigned i = 0; i < 1000; i++)
		guest_out(&core, 0x3f8, i & 0xff, 1);
	assert_true(first.replies_to_writes >= 1000 / 65 && first.replies_to_writes <= 1000 / 64);
	shutdown(first.socket_fd, SHUT_RDWR);
	expect_report(GONE, 0);
	server_join(&first);
	attach(&second, LIE_NONE, 0, 1);
	expect_report(SERVING, 1);
	assert_int_equal(second.access_count, 1000 % 65);
	assert_int_equal(second.accesses[1000 % 65 - 1].value, 999 & 0xff);
	end();
	server_join(&second);
}

static void a_failed_port(void **state)
{
	static struct server first, second;
	struct reader reader;

	(void)state;
	begin(&first, LIE_HANG_UP, VFIO_USER_REGION_READ);
	reader_begin(&reader, 0x3fd);
	expect_report(GONE, 0);
	device_link_fail(serial_device_link(port));
	reader_end(&reader);
	assert_int_equal(reader.value, 0xff);
	guest_out(&core, 0x3f8, 1, 1);
	assert_int_equal(guest_in(&core, 0x3f8, 2), 0xffff);
	server_join(&first);
	attach(&second, LIE_NONE, 0, 3);
	expect_report(SERVING, 3);
	guest_out(&core, 0x3f8, 7, 1);
	assert_int_equal(guest_in(&core, 0x3f8, 1), 7);
	assert_int_equal(second.access_count, 2);
	end();
	server_join(&second);
}

static void the_end_of_the_run(void **state)
{
	static struct server first, second;
	struct reader reader;

	(void)state;
	/* Parked; waiting for a process that is silent; while a successor is silent. */
	for (unsigned i = 0; i < 3; i++) {
		begin(&first, i == 1 ? LIE_SILENCE : LIE_HANG_UP, VFIO_USER_REGION_READ);
		reader_begin(&reader, 0x3fd);
		if (i == 1)
			RUN_UNTIL(first.reads == 1);
		else
			expect_report(GONE, 0);
		if (i == 2)
			attach(&second, LIE_SILENCE, VFIO_USER_REGION_READ, 1);
		if (i == 2)
			RUN_UNTIL(second.reads == 1);
		device_link_cancel(serial_device_link(port), true);
		reader_end(&reader);
		assert_int_equal(reader.value, 0xff);
		assert_int_equal(reports, 0);
		end();
		server_join(&first);
		if (i == 2)
			server_join(&second);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session),
		cmocka_unit_test(every_lie_at_every_reply),
		cmocka_unit_test(a_refusal_is_no_end),
		cmocka_unit_test(a_version_above_ours),
		cmocka_unit_test(shutting_the_wire_down_wakes_who_waits),
		cmocka_unit_test(a_serial_port),
		cmocka_unit_test(what_is_no_uart),
		cmocka_unit_test(accesses_are_issued_again),
		cmocka_unit_test(successors_that_fail),
		cmocka_unit_test(d1_a_silent_successor_holds_nobody_up),
		cmocka_unit_test(few_writes_are_unconfirmed),
		cmocka_unit_test(a_failed_port),
		cmocka_unit_test(the_end_of_the_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
