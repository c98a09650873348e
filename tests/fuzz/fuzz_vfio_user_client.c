/*
 * The client half of vfio-user against a device that answers as the input says. Held to it: the calls return;
 * data of a read that failed is untouched; after a failure nothing is said any more, while an error reply is
 * no failure of the wire; nothing stays open.
 *
 * Linked with --wrap=vfio_user_send, which is where the device reads what it is asked and answers before the
 * client looks, and --wrap=vfio_user_stream_receive, so that nobody waits for what will not come.
 *
 * Input: calls, each with what is needed of: arguments, how the device answers, its bytes. The first two
 * answers are to the version and the device's info.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/vfio-user/vfio_user_message.h"
#include "tests/fuzz/fuzz_support.h"
#include "vmm-core/wire/vfio_user_client.h"

#define CALLS_MAX 64

int __real_vfio_user_send(int socket_fd, struct vfio_user_header *header, const void *payload,
			  size_t payload_size, const void *data, size_t data_size, const int *fds,
			  size_t fd_count);
int __wrap_vfio_user_send(int socket_fd, struct vfio_user_header *header, const void *payload,
			  size_t payload_size, const void *data, size_t data_size, const int *fds,
			  size_t fd_count);
ssize_t __real_vfio_user_stream_receive(struct vfio_user_stream *stream, int flags);
ssize_t __wrap_vfio_user_stream_receive(struct vfio_user_stream *stream, int flags);

/* The device. */
static struct {
	struct fuzz_input *input;
	int socket_fd;
	unsigned asked; /* messages that it was sent */
} device;

static int event_fd = -1;

/* --- The device --- */

static void device_say(const void *bytes, size_t size, unsigned fd_count)
{
	int fds[] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
	struct iovec iov = {(void *)bytes, size};

	if (size > 0)
		fd_send(device.socket_fd, &iov, 1, fds, fd_count, MSG_DONTWAIT);
}

/* The payload of an answer that keeps the rules. */
static size_t device_answer(uint16_t command, const void *payload, size_t size, uint8_t *answer)
{
	static const char version[] = "\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}";
	struct vfio_user_device_info info = {sizeof(info), 0, 2, 2};
	struct vfio_user_region_access access;

	switch (command) {
	case VFIO_USER_VERSION:
		memcpy(answer, version, sizeof(version));
		return sizeof(version);
	case VFIO_USER_DEVICE_GET_INFO:
		memcpy(answer, &info, sizeof(info));
		return sizeof(info);
	case VFIO_USER_DEVICE_SET_IRQS:
		return 0;
	case VFIO_USER_REGION_READ:
		memcpy(&access, payload, sizeof(access));
		memcpy(answer, payload, size);
		memset(answer + size, 0x5a, access.count);
		return size + access.count;
	default:
		memcpy(answer, payload, size);
		return size;
	}
}

static void device_reply(const struct vfio_user_header *request, const void *payload, size_t payload_size)
{
	struct {
		struct vfio_user_header header;
		uint8_t payload[512];
	} message = {.header = {.message_id = request->message_id,
				.command = request->command,
				.flags = VFIO_USER_FLAG_TYPE_REPLY}};
	size_t size = device_answer(request->command, payload, payload_size, message.payload), length;
	uint8_t how = fuzz_take_u8(device.input);
	const uint8_t *bytes;

	message.header.message_size = (uint32_t)(sizeof(message.header) + size);
	switch (how & 0xf) {
	case 1: /* another header */
		bytes = fuzz_take(device.input, sizeof(message.header), &length);
		memcpy(&message.header, bytes, length);
		if (message.header.message_size <= sizeof(message) &&
		    message.header.message_size >= sizeof(message.header))
			size = message.header.message_size - sizeof(message.header);
		break;
	case 2: /* another payload, of another size */
		bytes = fuzz_take(device.input, fuzz_take_u16(device.input) % sizeof(message.payload), &size);
		memcpy(message.payload, bytes, size);
		message.header.message_size = (uint32_t)(sizeof(message.header) + size);
		break;
	case 3: /* any bytes */
		bytes = fuzz_take(device.input, fuzz_take_u16(device.input) % 512, &length);
		device_say(bytes, length, how >> 6);
		return;
	case 4: /* a part of it */
		device_say(&message, fuzz_take_u8(device.input) % (sizeof(message.header) + size), how >> 6);
		return;
	case 5: /* a part of it, and the end */
		device_say(&message, fuzz_take_u8(device.input) % (sizeof(message.header) + size), how >> 6);
		shutdown(device.socket_fd, SHUT_RDWR);
		return;
	case 6: /* an error */
		message.header.flags |= VFIO_USER_FLAG_ERROR;
		message.header.error = fuzz_take_u32(device.input);
		message.header.message_size = sizeof(message.header);
		size = 0;
		break;
	case 7: /* it sends a second one, for the next command to find */
		device_say(&message, sizeof(message.header) + size, 0);
		break;
	case 8: /* in two pieces, the second with descriptors */
		device_say(&message, 7, 0);
		device_say((uint8_t *)&message + 7, sizeof(message.header) + size - 7, how >> 6);
		return;
	default:
		break;
	}
	device_say(&message, sizeof(message.header) + size, how >> 6);
}

int __wrap_vfio_user_send(int socket_fd, struct vfio_user_header *header, const void *payload,
			  size_t payload_size, const void *data, size_t data_size, const int *fds,
			  size_t fd_count)
{
	int result = __real_vfio_user_send(socket_fd, header, payload, payload_size, data, data_size, fds,
					   fd_count);

	device.asked++;
	fuzz_drain(device.socket_fd);
	if (result == 0 && (header->flags & VFIO_USER_FLAG_NO_REPLY) == 0)
		device_reply(header, payload, payload_size);
	return result;
}

ssize_t __wrap_vfio_user_stream_receive(struct vfio_user_stream *stream, int flags)
{
	return __real_vfio_user_stream_receive(stream, flags | MSG_DONTWAIT);
}

/* --- The core --- */

static int call_read(struct vfio_user_client *client, struct fuzz_input *input)
{
	uint8_t data[9], before[sizeof(data)];
	uint32_t count = 1 + fuzz_take_u8(input) % 8;
	int result;

	memset(before, 0xa5, sizeof(before));
	memcpy(data, before, sizeof(data));
	result = vfio_user_client_read(client, 7, fuzz_take_u8(input), fuzz_take_u16(input), data, count);
	if (result < 0)
		fuzz_require(memcmp(data, before, sizeof(data)) == 0);
	fuzz_require(memcmp(data + count, before, sizeof(data) - count) == 0);
	return result;
}

static int call(struct vfio_user_client *client, struct fuzz_input *input)
{
	uint64_t size = 0xa5;
	int result;

	switch (fuzz_take_u8(input) % 5) {
	case 0:
		result = vfio_user_client_region_size(client, fuzz_take_u8(input), &size);
		fuzz_require(result == 0 || size == 0);
		return result;
	case 1:
		return vfio_user_client_set_irq(client, fuzz_take_u8(input), event_fd);
	case 2:
		return vfio_user_client_write(client, 7, false, 0, fuzz_take_u16(input), &size,
					      1 + fuzz_take_u8(input) % 8);
	case 3:
		return vfio_user_client_write(client, 7, true, 0, fuzz_take_u16(input), &size,
					      1 + fuzz_take_u8(input) % 8);
	default:
		return call_read(client, input);
	}
}

static void run(struct vfio_user_client *client, struct fuzz_input *input)
{
	bool broken = false;

	for (unsigned i = 0; i < CALLS_MAX && input->size > 0; i++) {
		unsigned asked = device.asked;
		int result = call(client, input);

		fuzz_require(result <= 0 && result > -4096);
		fuzz_require(!broken || device.asked == asked);
		/* Who fails without having asked will not ask again. */
		broken = broken || (result < 0 && device.asked == asked);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct vfio_user_client *client;
	int pair[2], first_fd;

	if (event_fd < 0) {
		fuzz_quiet_log();
		event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	first_fd = fuzz_next_fd();
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	memset(&device, 0, sizeof(device));
	device.input = &input;
	device.socket_fd = pair[0];
	if (vfio_user_client_new(pair[1], &client) == 0) {
		run(client, &input);
		vfio_user_client_free(client);
	} else {
		close(pair[1]);
	}
	close(pair[0]);
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
