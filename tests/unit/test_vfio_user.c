/*
 * vfio-user: the stream's framing, the capabilities, and the back-end half against clients that keep the
 * rules and clients that do not.
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
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/vfio-user/vfio_user_backend.h"
#include "common/vfio-user/vfio_user_message.h"
#include "tests/unit/test_fds.h"

#define REGION_SIZE 16

/* A device of two regions (the second cannot be written) and one interrupt, and a client of it. */
struct bench {
	struct loop *loop;
	struct vfio_user_backend *backend;
	int client; /* our end */
	struct vfio_user_stream replies;
	uint16_t message_id;

	uint8_t memory[2][REGION_SIZE];
	unsigned writes;
	unsigned resets;
	int eventfd;
	int end; /* what session_end() was told; 1 before */
	unsigned fds_before;
};

static int device_read(void *device, uint32_t region, uint64_t offset, void *data, uint32_t count)
{
	struct bench *bench = device;

	memcpy(data, bench->memory[region] + offset, count);
	return offset == 15 ? -EIO : 0;
}

static int device_write(void *device, uint32_t region, uint64_t offset, const void *data, uint32_t count)
{
	struct bench *bench = device;

	if (offset == 15)
		return -EIO;
	memcpy(bench->memory[region] + offset, data, count);
	bench->writes++;
	return 0;
}

static void device_set_irq(void *device, uint32_t index, int fd)
{
	struct bench *bench = device;

	assert_int_equal(index, 0);
	bench->eventfd = fd;
}

static void device_reset(void *device)
{
	struct bench *bench = device;

	bench->resets++;
}

static void device_session_end(void *device, int error)
{
	struct bench *bench = device;

	bench->end = error;
	vfio_user_backend_free(bench->backend);
	bench->backend = NULL;
}

static const struct vfio_user_device_ops device_ops = {
	.device_flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET,
	.region_count = 2,
	.regions = {{REGION_SIZE, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE},
		    {REGION_SIZE, VFIO_REGION_INFO_FLAG_READ}},
	.irq_count = 1,
	.region_read = device_read,
	.region_write = device_write,
	.set_irq = device_set_irq,
	.reset = device_reset,
	.session_end = device_session_end,
};

/* --- The client --- */

static void serve(struct bench *bench)
{
	for (int i = 0; i < 4; i++)
		loop_run_once(bench->loop, 0);
}

static void send_raw(struct bench *bench, const void *data, size_t size)
{
	assert_int_equal(send(bench->client, data, size, MSG_NOSIGNAL), size);
}

static void post_fds(struct bench *bench, uint16_t command, uint32_t flags, const void *payload, size_t size,
		     const int *fds, size_t fd_count)
{
	struct vfio_user_header header = {
		.message_id = ++bench->message_id, .command = command, .flags = flags};

	assert_int_equal(vfio_user_send(bench->client, &header, payload, size, NULL, 0, fds, fd_count), 0);
	serve(bench);
}

/* The next reply: its error, or 0 with the payload. */
static int take_reply(struct bench *bench, uint16_t command, void *payload, size_t size)
{
	struct vfio_user_message message;
	int result = vfio_user_stream_next(&bench->replies, &message);

	if (result == 0) {
		assert_true(vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) > 0);
		result = vfio_user_stream_next(&bench->replies, &message);
	}
	assert_int_equal(result, 1);
	assert_int_equal(message.header.command, command);
	if (message.header.flags & VFIO_USER_FLAG_ERROR) {
		/* "If an error occurs, the reply message must only include the reply header." */
		assert_int_equal(message.payload_size, 0);
		assert_int_equal(message.header.flags, VFIO_USER_FLAG_TYPE_REPLY | VFIO_USER_FLAG_ERROR);
		return -(int)message.header.error;
	}
	assert_int_equal(message.header.flags, VFIO_USER_FLAG_TYPE_REPLY);
	assert_int_equal(message.payload_size, size);
	if (size > 0)
		memcpy(payload, message.payload, size);
	return 0;
}

static void assert_no_reply(struct bench *bench)
{
	struct vfio_user_message message;

	assert_int_equal(vfio_user_stream_next(&bench->replies, &message), 0);
	assert_int_equal(vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT), -EAGAIN);
}

static int call(struct bench *bench, uint16_t command, const void *payload, size_t size, void *reply,
		size_t reply_size)
{
	post_fds(bench, command, 0, payload, size, NULL, 0);
	assert_int_equal(bench->end, 1);
	return take_reply(bench, command, reply, reply_size);
}

static int read_register(struct bench *bench, uint32_t region, uint64_t offset, uint32_t count, void *data)
{
	struct {
		struct vfio_user_region_access access;
		uint8_t data[REGION_SIZE];
	} reply;
	struct vfio_user_region_access access = {.offset = offset, .region = region, .count = count};
	int result = call(bench, VFIO_USER_REGION_READ, &access, sizeof(access), &reply,
			  sizeof(access) + (count <= REGION_SIZE ? count : 0));

	if (result < 0)
		return result;
	assert_memory_equal(&reply.access, &access, sizeof(access));
	memcpy(data, reply.data, count);
	return 0;
}

/* size: bytes of data that are sent, whatever count says. */
static int write_register(struct bench *bench, uint32_t region, uint64_t offset, uint32_t count, size_t size)
{
	struct {
		struct vfio_user_region_access access;
		uint8_t data[REGION_SIZE + 1];
	} request = {.access = {.offset = offset, .region = region, .count = count}};
	struct vfio_user_region_access reply;

	memset(request.data, 0x5a, sizeof(request.data));
	return call(bench, VFIO_USER_REGION_WRITE, &request, sizeof(request.access) + size, &reply,
		    sizeof(reply));
}

static int negotiate(struct bench *bench, uint16_t major, uint16_t minor, const char *text, size_t text_size)
{
	uint8_t request[256];
	struct vfio_user_version version = {.major = major, .minor = minor};

	memcpy(request, &version, sizeof(version));
	memcpy(request + sizeof(version), text, text_size);
	post_fds(bench, VFIO_USER_VERSION, 0, request, sizeof(version) + text_size, NULL, 0);
	return 0;
}

static struct vfio_user_capabilities take_version(struct bench *bench, uint16_t minor)
{
	struct vfio_user_capabilities capabilities;
	struct vfio_user_message message;
	struct vfio_user_version version;

	assert_true(vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) > 0);
	assert_int_equal(vfio_user_stream_next(&bench->replies, &message), 1);
	assert_int_equal(message.header.flags, VFIO_USER_FLAG_TYPE_REPLY);
	memcpy(&version, message.payload, sizeof(version));
	assert_int_equal(version.major, VFIO_USER_VERSION_MAJOR);
	assert_int_equal(version.minor, minor);
	assert_int_equal(vfio_user_capabilities_parse(message.payload + sizeof(version),
						      message.payload_size - sizeof(version), &capabilities),
			 0);
	return capabilities;
}

/* --- Set-up --- */

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static int connect_client(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int pair[2];

	log_set_sink(ignore_log, NULL);
	bench->fds_before = count_open_fds();
	bench->loop = loop_new();
	bench->end = 1;
	bench->eventfd = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	bench->client = pair[0];
	assert_int_equal(vfio_user_stream_init(&bench->replies, bench->client, 16384), 0);
	assert_int_equal(vfio_user_backend_new(bench->loop, pair[1], &device_ops, bench, &bench->backend), 0);
	*state = bench;
	return 0;
}

static int start_session(void **state)
{
	struct bench *bench;
	static const char text[] = "{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}";

	connect_client(state);
	bench = *state;
	negotiate(bench, 0, 1, text, sizeof(text));
	take_version(bench, 1);
	return 0;
}

static int end_session(void **state)
{
	struct bench *bench = *state;

	vfio_user_backend_free(bench->backend);
	vfio_user_stream_clear(&bench->replies);
	close(bench->client);
	loop_free(bench->loop);
	assert_int_equal(count_open_fds(), bench->fds_before);
	free(bench);
	return 0;
}

static void assert_session_lost(struct bench *bench, int error)
{
	uint8_t byte;

	serve(bench);
	assert_int_equal(bench->end, error);
	assert_null(bench->backend);
	while (recv(bench->client, &byte, 1, 0) > 0)
		;
}

/* --- The version --- */

static void version_is_negotiated(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_capabilities capabilities;
	static const char text[] =
		"{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true,\"later\":[1]}}";

	negotiate(bench, 0, 7, text, sizeof(text));
	capabilities = take_version(bench, 1);
	assert_true(capabilities.write_multiple);
	assert_false(capabilities.twin_socket);
	assert_int_equal(capabilities.max_data_xfer_size, VFIO_USER_ACCESS_MAX);
	/* Once is enough. */
	negotiate(bench, 0, 1, text, sizeof(text));
	assert_int_equal(take_reply(bench, VFIO_USER_VERSION, NULL, 0), -EINVAL);
	assert_int_equal(bench->end, 1);
}

static void version_needs_no_capabilities(void **state)
{
	struct bench *bench = *state;

	negotiate(bench, 0, 0, "", 0);
	assert_false(take_version(bench, 0).write_multiple);
}

static void version_of_another_major_is_refused(void **state)
{
	struct bench *bench = *state;

	negotiate(bench, 1, 0, "", 0);
	assert_int_equal(take_reply(bench, VFIO_USER_VERSION, NULL, 0), -EPROTONOSUPPORT);
	assert_session_lost(bench, -EPROTO);
}

static void version_with_bad_data_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t size;
	} bad[] = {{"{", 2},
		   {"{}", 2},
		   {"[]", 3},
		   {"\0{}", 4},
		   {"nonsense", 9},
		   {"{\"capabilities\":1}", 19},
		   {"{\"capabilities\":{\"max_msg_fds\":\"8\"}}", 37},
		   {"{\"capabilities\":{\"max_msg_fds\":-1}}", 36},
		   {"{\"capabilities\":{\"write_multiple\":1}}", 38},
		   {"{\"capabilities\":{\"twin_socket\":true}}", 38}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bench *bench;

		connect_client(state);
		bench = *state;
		negotiate(bench, 0, 1, bad[i].text, bad[i].size);
		assert_int_equal(take_reply(bench, VFIO_USER_VERSION, NULL, 0), -EINVAL);
		assert_session_lost(bench, -EPROTO);
		end_session(state);
	}
	connect_client(state);
}

static void version_comes_first(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_device_info info = {.argsz = sizeof(info)};

	post_fds(bench, VFIO_USER_DEVICE_GET_INFO, 0, &info, sizeof(info), NULL, 0);
	assert_session_lost(bench, -EPROTO);
}

/* --- Information --- */

static void device_tells_what_it_is(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_device_info info = {.argsz = sizeof(info)};
	struct vfio_user_region_info region = {.argsz = sizeof(region), .index = 1};
	struct vfio_user_irq_info irq = {.argsz = sizeof(irq)};

	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info), &info, sizeof(info)), 0);
	assert_int_equal(info.argsz, sizeof(info));
	assert_int_equal(info.flags, VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET);
	assert_int_equal(info.num_regions, 2);
	assert_int_equal(info.num_irqs, 1);
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_REGION_INFO, &region, sizeof(region), &region,
			      sizeof(region)),
			 0);
	assert_int_equal(region.index, 1);
	assert_int_equal(region.size, REGION_SIZE);
	assert_int_equal(region.flags, VFIO_REGION_INFO_FLAG_READ);
	assert_int_equal(region.cap_offset, 0);
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq), &irq, sizeof(irq)), 0);
	assert_int_equal(irq.count, 1);
	assert_int_equal(irq.flags, VFIO_IRQ_INFO_EVENTFD);
}

static void information_that_is_not_there_is_refused(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_device_info info = {.argsz = sizeof(info) - 1};
	struct vfio_user_region_info region = {.argsz = sizeof(region), .index = 2};
	struct vfio_user_irq_info irq = {.argsz = sizeof(irq), .index = 1};

	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info), NULL, 0), -EINVAL);
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_REGION_INFO, &region, sizeof(region), NULL, 0),
			 -EINVAL);
	region = (struct vfio_user_region_info){.argsz = sizeof(region) - 1};
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_REGION_INFO, &region, sizeof(region), NULL, 0),
			 -EINVAL);
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0), -EINVAL);
	irq = (struct vfio_user_irq_info){.argsz = 0};
	assert_int_equal(call(bench, VFIO_USER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0), -EINVAL);
}

static void payloads_of_another_size_are_refused(void **state)
{
	static const struct {
		uint16_t command;
		size_t size;
		bool more; /* is allowed */
	} commands[] = {
		{VFIO_USER_DMA_MAP, sizeof(struct vfio_user_dma_map), false},
		{VFIO_USER_DMA_UNMAP, sizeof(struct vfio_user_dma_unmap), false},
		{VFIO_USER_DEVICE_GET_INFO, sizeof(struct vfio_user_device_info), false},
		{VFIO_USER_DEVICE_GET_REGION_INFO, sizeof(struct vfio_user_region_info), false},
		{VFIO_USER_DEVICE_GET_IRQ_INFO, sizeof(struct vfio_user_irq_info), false},
		{VFIO_USER_DEVICE_SET_IRQS, sizeof(struct vfio_user_irq_set), true},
		{VFIO_USER_REGION_READ, sizeof(struct vfio_user_region_access), false},
		{VFIO_USER_REGION_WRITE, sizeof(struct vfio_user_region_access), true},
		{VFIO_USER_REGION_WRITE_MULTI, sizeof(uint64_t), true},
		{VFIO_USER_DEVICE_RESET, 0, false},
	};
	struct bench *bench = *state;
	static const uint8_t payload[64];

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (size_t size = 0; size < commands[i].size; size++)
			assert_int_equal(call(bench, commands[i].command, payload, size, NULL, 0), -EINVAL);
		if (!commands[i].more)
			assert_int_equal(
				call(bench, commands[i].command, payload, commands[i].size + 1, NULL, 0),
				-EINVAL);
	}
	assert_int_equal(bench->resets, 0);
}

static void unknown_commands_are_answered(void **state)
{
	static const uint16_t commands[] = {0,
					    VFIO_USER_DEVICE_GET_REGION_IO_FDS,
					    VFIO_USER_DMA_READ,
					    VFIO_USER_DMA_WRITE,
					    14,
					    VFIO_USER_DEVICE_FEATURE,
					    VFIO_USER_MIG_DATA_READ,
					    VFIO_USER_MIG_DATA_WRITE,
					    19,
					    0xffff};
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		assert_int_equal(call(bench, commands[i], "abcdefgh", 8, NULL, 0), -ENOTSUP);
}

/* --- Registers --- */

static void registers_are_read_and_written(void **state)
{
	struct bench *bench = *state;
	uint8_t data[4];

	memcpy(bench->memory[1], "0123456789abcdef", REGION_SIZE);
	assert_int_equal(read_register(bench, 1, 4, 4, data), 0);
	assert_memory_equal(data, "4567", 4);
	assert_int_equal(write_register(bench, 0, 12, 4, 4), 0);
	assert_memory_equal(bench->memory[0] + 12, "ZZZZ", 4);
	assert_int_equal(bench->writes, 1);
}

static void accesses_outside_are_refused(void **state)
{
	struct bench *bench = *state;
	uint8_t data[REGION_SIZE];

	assert_int_equal(read_register(bench, 2, 0, 1, data), -EINVAL);
	assert_int_equal(read_register(bench, UINT32_MAX, 0, 1, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, REGION_SIZE, 1, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, REGION_SIZE - 1, 2, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, UINT64_MAX, 1, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, UINT64_MAX, 2, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, 0, 0, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, 0, REGION_SIZE + 1, data), -EINVAL);
	assert_int_equal(read_register(bench, 0, 0, UINT32_MAX, data), -EINVAL);
	assert_int_equal(write_register(bench, 1, 0, 1, 1), -EINVAL);
	assert_int_equal(write_register(bench, 0, REGION_SIZE, 1, 1), -EINVAL);
	assert_int_equal(write_register(bench, 0, 0, 0, 0), -EINVAL);
	/* Another count than there is data. */
	assert_int_equal(write_register(bench, 0, 0, 2, 1), -EINVAL);
	assert_int_equal(write_register(bench, 0, 0, 1, 2), -EINVAL);
	assert_int_equal(bench->writes, 0);
	assert_int_equal(read_register(bench, 0, 0, REGION_SIZE, data), 0);
}

static void device_errors_are_passed_on(void **state)
{
	struct bench *bench = *state;
	uint8_t data[1];

	assert_int_equal(read_register(bench, 0, 15, 1, data), -EIO);
	assert_int_equal(write_register(bench, 0, 15, 1, 1), -EIO);
}

static void posted_writes_have_no_reply(void **state)
{
	struct bench *bench = *state;
	struct {
		struct vfio_user_region_access access;
		uint8_t data[1];
	} write = {.access = {.offset = 3, .count = 1}, .data = {7}};
	uint8_t data;

	for (int i = 0; i < 10; i++)
		post_fds(bench, VFIO_USER_REGION_WRITE, VFIO_USER_FLAG_NO_REPLY, &write,
			 sizeof(write.access) + 1, NULL, 0);
	/* Not even when they fail. */
	write.access.region = 9;
	post_fds(bench, VFIO_USER_REGION_WRITE, VFIO_USER_FLAG_NO_REPLY, &write, sizeof(write.access) + 1,
		 NULL, 0);
	assert_no_reply(bench);
	assert_int_equal(bench->writes, 10);
	assert_int_equal(read_register(bench, 0, 3, 1, &data), 0);
	assert_int_equal(data, 7);
}

static void many_messages_come_at_once(void **state)
{
	struct bench *bench = *state;
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
	} reads[200];
	struct vfio_user_message message;

	for (unsigned i = 0; i < 200; i++) {
		memset(&reads[i], 0, sizeof(reads[i]));
		reads[i].header.message_id = (uint16_t)i;
		reads[i].header.command = VFIO_USER_REGION_READ;
		reads[i].header.message_size = sizeof(reads[i]);
		reads[i].access.count = REGION_SIZE;
	}
	send_raw(bench, reads, sizeof(reads));
	for (int i = 0; i < 10; i++)
		serve(bench);
	assert_true(vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) > 0);
	for (unsigned i = 0; i < 200; i++) {
		if (vfio_user_stream_next(&bench->replies, &message) != 1) {
			assert_true(vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) > 0);
			assert_int_equal(vfio_user_stream_next(&bench->replies, &message), 1);
		}
		assert_int_equal(message.header.message_id, i);
	}
}

/* A client that asks and does not listen is not served further, and loses nothing when it listens again. */
static void client_that_takes_no_replies_is_not_read_from(void **state)
{
	struct bench *bench = *state;
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
	} read = {.header = {.command = VFIO_USER_REGION_READ, .message_size = sizeof(read)},
		  .access = {.count = REGION_SIZE}};
	struct vfio_user_message message;
	unsigned sent = 0, answered = 0;

	while (send(bench->client, &read, sizeof(read), MSG_DONTWAIT) == sizeof(read)) {
		sent++;
		if (sent % 64 == 0)
			serve(bench);
		assert_true(sent < 1000000);
	}
	while (answered < sent) {
		int result = vfio_user_stream_next(&bench->replies, &message);

		assert_true(result >= 0);
		answered += (unsigned)result;
		if (result == 0 && vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) == -EAGAIN)
			loop_run_once(bench->loop, 0);
	}
	assert_int_equal(bench->end, 1);
}

static void half_messages_wait_for_their_rest(void **state)
{
	struct bench *bench = *state;
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
	} read = {.header = {.command = VFIO_USER_REGION_READ, .message_size = sizeof(read)},
		  .access = {.count = 4}};
	struct {
		struct vfio_user_region_access access;
		uint8_t data[4];
	} reply;

	for (size_t i = 0; i < sizeof(read); i++) {
		assert_no_reply(bench);
		send_raw(bench, (const uint8_t *)&read + i, 1);
		serve(bench);
	}
	assert_int_equal(take_reply(bench, VFIO_USER_REGION_READ, &reply, sizeof(reply.access) + 4), 0);
}

static void writes_come_as_a_list(void **state)
{
	struct bench *bench = *state;
	struct {
		uint64_t count;
		struct vfio_user_region_write_one writes[3];
	} list = {.count = 3,
		  .writes = {{.offset = 0, .count = 1, .data = "a"},
			     {.offset = 1, .count = 8, .data = "bcdefgh"},
			     {.offset = 9, .count = 2, .data = "ij"}}};
	uint64_t done = 0;

	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), &done, sizeof(done)),
			 0);
	assert_int_equal(done, 3);
	assert_memory_equal(bench->memory[0], "abcdefgh\0ij", 11);
	/* The device refuses the second. */
	list.writes[1] = (struct vfio_user_region_write_one){.offset = 15, .count = 1};
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), &done, sizeof(done)),
			 0);
	assert_int_equal(done, 1);
	bench->writes = 0;
	/* None is done if one cannot be. */
	list.writes[1] = (struct vfio_user_region_write_one){.offset = 0, .count = 9};
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), NULL, 0), -EINVAL);
	list.writes[1] = (struct vfio_user_region_write_one){.offset = 16, .count = 1};
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), NULL, 0), -EINVAL);
	list.count = 4;
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), NULL, 0), -EINVAL);
	list.count = UINT64_MAX / 8;
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &list, sizeof(list), NULL, 0), -EINVAL);
	assert_int_equal(bench->writes, 0);
}

static void writes_as_a_list_must_be_negotiated(void **state)
{
	struct bench *bench = *state;
	uint64_t count = 0;

	negotiate(bench, 0, 1, "", 0);
	take_version(bench, 1);
	assert_int_equal(call(bench, VFIO_USER_REGION_WRITE_MULTI, &count, sizeof(count), NULL, 0), -ENOTSUP);
}

static void reset_reaches_the_device(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(call(bench, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0), 0);
	assert_int_equal(bench->resets, 1);
}

/* --- Interrupts --- */

static int set_irqs(struct bench *bench, const struct vfio_user_irq_set *set, const int *fds, size_t fd_count)
{
	post_fds(bench, VFIO_USER_DEVICE_SET_IRQS, 0, set, sizeof(*set), fds, fd_count);
	return take_reply(bench, VFIO_USER_DEVICE_SET_IRQS, NULL, 0);
}

static void interrupts_are_signalled(void **state)
{
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
					.count = 1};
	struct bench *bench = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count;

	/* Nobody listens yet. */
	vfio_user_backend_interrupt(bench->backend, 0);
	assert_int_equal(set_irqs(bench, &set, &fd, 1), 0);
	assert_true(bench->eventfd >= 0);
	vfio_user_backend_interrupt(bench->backend, 0);
	assert_int_equal(eventfd_read(fd, &count), 0);
	/* The client triggers it itself. */
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	assert_int_equal(set_irqs(bench, &set, NULL, 0), 0);
	assert_int_equal(eventfd_read(fd, &count), 0);
	/* No descriptor: taken away. */
	set.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	assert_int_equal(set_irqs(bench, &set, NULL, 0), 0);
	assert_int_equal(bench->eventfd, -1);
	vfio_user_backend_interrupt(bench->backend, 0);
	assert_int_equal(eventfd_read(fd, &count), -1);
	/* Given again, replaced, and disabled by a count of 0. */
	assert_int_equal(set_irqs(bench, &set, &fd, 1), 0);
	assert_int_equal(set_irqs(bench, &set, &fd, 1), 0);
	set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	set.count = 0;
	assert_int_equal(set_irqs(bench, &set, NULL, 0), 0);
	assert_int_equal(bench->eventfd, -1);
	close(fd);
}

static void interrupts_by_booleans(void **state)
{
	struct {
		struct vfio_user_irq_set set;
		uint8_t boolean;
	} request = {.set = {.argsz = sizeof(struct vfio_user_irq_set),
			     .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			     .count = 1}};
	struct bench *bench = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	eventfd_t count;

	assert_int_equal(set_irqs(bench, &request.set, &fd, 1), 0);
	request.set.flags = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER;
	request.set.argsz++;
	assert_int_equal(call(bench, VFIO_USER_DEVICE_SET_IRQS, &request, sizeof(request.set) + 1, NULL, 0),
			 0);
	assert_int_equal(eventfd_read(fd, &count), -1);
	request.boolean = 1;
	assert_int_equal(call(bench, VFIO_USER_DEVICE_SET_IRQS, &request, sizeof(request.set) + 1, NULL, 0),
			 0);
	assert_int_equal(eventfd_read(fd, &count), 0);
	/* The boolean is missing. */
	assert_int_equal(call(bench, VFIO_USER_DEVICE_SET_IRQS, &request, sizeof(request.set), NULL, 0),
			 -EINVAL);
	close(fd);
}

static void interrupts_that_are_not_there_are_refused(void **state)
{
	const struct vfio_user_irq_set good = {.argsz = sizeof(good),
					       .flags = VFIO_IRQ_SET_DATA_EVENTFD |
							VFIO_IRQ_SET_ACTION_TRIGGER,
					       .count = 1};
	struct bench *bench = *state;
	struct vfio_user_irq_set set;
	int fds[3];
	unsigned open_before;

	for (int i = 0; i < 3; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	open_before = count_open_fds();
#define REFUSED(field, value, fd_count)                                          \
	do {                                                                     \
		set = good;                                                      \
		set.field = value;                                               \
		assert_int_equal(set_irqs(bench, &set, fds, fd_count), -EINVAL); \
	} while (0)
	REFUSED(index, 1, 1);
	REFUSED(index, UINT32_MAX, 1);
	REFUSED(start, 1, 1);
	REFUSED(count, 0, 1);
	REFUSED(count, 2, 1);
	REFUSED(count, UINT32_MAX, 1);
	REFUSED(argsz, sizeof(set) + 4, 1);
	REFUSED(argsz, 0, 1);
	REFUSED(flags, 0, 0);
	REFUSED(flags, VFIO_IRQ_SET_DATA_EVENTFD, 1);
	REFUSED(flags, VFIO_IRQ_SET_ACTION_TRIGGER, 0);
	REFUSED(flags, good.flags | VFIO_IRQ_SET_DATA_NONE, 1);
	REFUSED(flags, good.flags | VFIO_IRQ_SET_ACTION_MASK, 1);
	REFUSED(flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_MASK, 1);
	REFUSED(flags, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0);
	REFUSED(flags, good.flags | 1u << 30, 1);
	/* Descriptors that are too many, or that nothing asks for. */
	REFUSED(count, 1, 2);
	REFUSED(flags, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 1);
#undef REFUSED
	assert_int_equal(bench->eventfd, -1);
	assert_int_equal(count_open_fds(), open_before);
	fds_close(fds, 3);
}

/* --- DMA --- */

static int dma_map(struct bench *bench, uint64_t address, uint64_t size, const int *fds, size_t fd_count)
{
	struct vfio_user_dma_map map = {.argsz = sizeof(map),
					.flags = VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE,
					.address = address,
					.size = size};

	post_fds(bench, VFIO_USER_DMA_MAP, 0, &map, sizeof(map), fds, fd_count);
	return take_reply(bench, VFIO_USER_DMA_MAP, NULL, 0);
}

static int dma_unmap(struct bench *bench, uint64_t address, uint64_t size)
{
	struct vfio_user_dma_unmap reply, unmap = {.argsz = sizeof(unmap), .address = address, .size = size};
	int result = call(bench, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap), &reply, sizeof(reply));

	if (result == 0)
		assert_memory_equal(&reply, &unmap, sizeof(unmap));
	return result;
}

static void dma_regions_come_and_go(void **state)
{
	struct bench *bench = *state;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned open_before = count_open_fds();

	assert_int_equal(dma_map(bench, 0, 0x1000, &fd, 1), 0);
	assert_int_equal(dma_map(bench, UINT64_MAX - 0xfff, 0x1000, NULL, 0), 0);
	assert_int_equal(dma_map(bench, 0x2000, 0x1000, NULL, 0), 0);
	assert_int_equal(dma_map(bench, 0xfff, 1, NULL, 0), -EEXIST);
	assert_int_equal(dma_map(bench, 0x1000, 0x1001, NULL, 0), -EEXIST);
	assert_int_equal(dma_map(bench, 0, 0, NULL, 0), -EINVAL);
	assert_int_equal(dma_map(bench, 0x4000, UINT64_MAX, NULL, 0), -EINVAL);
	assert_int_equal(dma_unmap(bench, 0, 0x800), -ENOENT);
	assert_int_equal(dma_unmap(bench, 0, 0x1000), 0);
	assert_int_equal(dma_unmap(bench, 0, 0x1000), -ENOENT);
	assert_int_equal(dma_map(bench, 0xfff, 1, NULL, 0), 0);
	assert_int_equal(count_open_fds(), open_before);
	for (uint64_t i = 0; i < 125; i++)
		assert_int_equal(dma_map(bench, 0x10000 + i * 0x1000, 0x1000, NULL, 0), 0);
	assert_int_equal(dma_map(bench, 0x1000000, 0x1000, NULL, 0), -ENOSPC);
	close(fd);
}

/* --- Clients that break the rules --- */

static void bad_message_sizes_end_the_session(void **state)
{
	static const uint32_t sizes[] = {0, 15, 4096 + 33, UINT32_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vfio_user_header header = {.command = VFIO_USER_DEVICE_RESET,
						  .message_size = sizes[i]};
		struct bench *bench;

		start_session(state);
		bench = *state;
		send_raw(bench, &header, sizeof(header));
		assert_session_lost(bench, -EPROTO);
		end_session(state);
	}
	start_session(state);
}

static void replies_to_nothing_end_the_session(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_header header = {.command = VFIO_USER_DMA_READ,
					  .message_size = sizeof(header),
					  .flags = VFIO_USER_FLAG_TYPE_REPLY};

	send_raw(bench, &header, sizeof(header));
	assert_session_lost(bench, -EPROTO);
}

static void too_many_descriptors_end_the_session(void **state)
{
	struct vfio_user_header header = {.command = VFIO_USER_DEVICE_RESET, .message_size = sizeof(header)};
	struct iovec iov = {.iov_base = &header, .iov_len = sizeof(header)};
	struct bench *bench = *state;
	int fds[VFIO_USER_FDS_MAX + 1];

	for (size_t i = 0; i < VFIO_USER_FDS_MAX + 1; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(fd_send(bench->client, &iov, 1, fds, VFIO_USER_FDS_MAX + 1, 0), sizeof(header));
	assert_session_lost(bench, -EPROTO);
	fds_close(fds, VFIO_USER_FDS_MAX + 1);
}

static void descriptors_twice_in_a_message_end_the_session(void **state)
{
	struct vfio_user_header header = {.command = VFIO_USER_DEVICE_RESET, .message_size = sizeof(header)};
	struct bench *bench = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	for (size_t i = 0; i < 2; i++) {
		struct iovec iov = {.iov_base = (uint8_t *)&header + i, .iov_len = 1};

		assert_int_equal(fd_send(bench->client, &iov, 1, &fd, 1, 0), 1);
	}
	assert_session_lost(bench, -EPROTO);
	close(fd);
}

static void descriptors_stay_with_their_message(void **state)
{
	struct bench *bench = *state;
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
					.count = 1};
	struct vfio_user_header header = {.command = VFIO_USER_DEVICE_SET_IRQS};
	struct vfio_user_header reset = {.command = VFIO_USER_DEVICE_RESET, .message_size = sizeof(reset)};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	/* All of it waits in the socket before any is read. */
	send_raw(bench, &reset, sizeof(reset));
	assert_int_equal(vfio_user_send(bench->client, &header, &set, sizeof(set), NULL, 0, &fd, 1), 0);
	send_raw(bench, &reset, sizeof(reset));
	serve(bench);
	assert_int_equal(take_reply(bench, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(take_reply(bench, VFIO_USER_DEVICE_SET_IRQS, NULL, 0), 0);
	assert_int_equal(take_reply(bench, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_true(bench->eventfd >= 0);
	close(fd);
}

static void end_of_file_ends_the_session(void **state)
{
	struct bench *bench = *state;

	shutdown(bench->client, SHUT_WR);
	assert_session_lost(bench, 0);
}

static void end_of_file_in_a_message_is_an_error(void **state)
{
	struct bench *bench = *state;

	send_raw(bench, "abcdefgh", 8);
	shutdown(bench->client, SHUT_WR);
	assert_session_lost(bench, -EPROTO);
}

static void drain_takes_posted_writes(void **state)
{
	struct bench *bench = *state;
	struct {
		struct vfio_user_header header;
		struct vfio_user_region_access access;
		uint8_t data[8];
	} write = {.header = {.command = VFIO_USER_REGION_WRITE,
			      .message_size = sizeof(write),
			      .flags = VFIO_USER_FLAG_NO_REPLY},
		   .access = {.count = 8}};

	for (int i = 0; i < 100; i++)
		send_raw(bench, &write, sizeof(write));
	vfio_user_backend_drain(bench->backend);
	assert_int_equal(bench->writes, 100);
}

int main(void)
{
#define WITHOUT_VERSION(test) cmocka_unit_test_setup_teardown(test, connect_client, end_session)
#define IN_SESSION(test)      cmocka_unit_test_setup_teardown(test, start_session, end_session)
	const struct CMUnitTest tests[] = {
		WITHOUT_VERSION(version_is_negotiated),
		WITHOUT_VERSION(version_needs_no_capabilities),
		WITHOUT_VERSION(version_of_another_major_is_refused),
		cmocka_unit_test_teardown(version_with_bad_data_is_refused, end_session),
		WITHOUT_VERSION(version_comes_first),
		IN_SESSION(device_tells_what_it_is),
		IN_SESSION(information_that_is_not_there_is_refused),
		IN_SESSION(payloads_of_another_size_are_refused),
		IN_SESSION(unknown_commands_are_answered),
		IN_SESSION(registers_are_read_and_written),
		IN_SESSION(accesses_outside_are_refused),
		IN_SESSION(device_errors_are_passed_on),
		IN_SESSION(posted_writes_have_no_reply),
		IN_SESSION(many_messages_come_at_once),
		IN_SESSION(client_that_takes_no_replies_is_not_read_from),
		IN_SESSION(half_messages_wait_for_their_rest),
		IN_SESSION(writes_come_as_a_list),
		WITHOUT_VERSION(writes_as_a_list_must_be_negotiated),
		IN_SESSION(reset_reaches_the_device),
		IN_SESSION(interrupts_are_signalled),
		IN_SESSION(interrupts_by_booleans),
		IN_SESSION(interrupts_that_are_not_there_are_refused),
		IN_SESSION(dma_regions_come_and_go),
		cmocka_unit_test_teardown(bad_message_sizes_end_the_session, end_session),
		IN_SESSION(replies_to_nothing_end_the_session),
		IN_SESSION(too_many_descriptors_end_the_session),
		IN_SESSION(descriptors_twice_in_a_message_end_the_session),
		IN_SESSION(descriptors_stay_with_their_message),
		IN_SESSION(end_of_file_ends_the_session),
		IN_SESSION(end_of_file_in_a_message_is_an_error),
		IN_SESSION(drain_takes_posted_writes),
	};

	return cmocka_run_group_tests_name("vfio-user", tests, NULL, NULL);
}
