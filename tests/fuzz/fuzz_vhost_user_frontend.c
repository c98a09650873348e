/*
 * The front-end half of vhost-user against a device that answers as the input says: replies that fit, replies
 * that do not, bytes in place of replies, descriptors that nobody asked for, the end, notices in between.
 * Held to it: the calls return; output that a failed call had is untouched; after a failure nothing is said
 * any more; the owner hears of the end once; nothing stays open.
 *
 * Linked with --wrap=vhost_user_send, which is where the device reads what it is asked and answers before the
 * front end looks, and --wrap=vhost_user_receive_timeout, so that nobody waits for what will not come.
 *
 * Input: a byte with the device's ways (bit 0: it has protocol features, bit 1: it acknowledges), then calls,
 * each with what is needed of: arguments, how the device answers, its bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/unit/test_ram.h"
#include "vmm-core/wire/vhost_user_frontend.h"

#define CALLS_MAX 64

int __real_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms);
int __wrap_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms);
int __real_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);
int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);

/* The device. */
static struct {
	struct fuzz_input *input;
	uint8_t ways;
	int socket_fd;
	int channel_fd; /* where it sends notices */
	unsigned asked; /* messages that it was sent */
} device;

static struct {
	unsigned gone;
	unsigned config_changes;
} owner;

static struct loop *loop;
static struct guest_ram ram;
static int event_fd;

/* --- The device --- */

static void device_say(const void *bytes, size_t size, unsigned fd_count)
{
	int fds[] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};
	struct iovec iov = {(void *)bytes, size};

	if (size > 0)
		fd_send(device.socket_fd, &iov, 1, fds, fd_count, MSG_DONTWAIT);
}

/* The answer that keeps the rules, with values of the input's. */
static uint32_t device_answer(uint32_t request, const void *payload, uint32_t size, void *answer)
{
	uint64_t value = fuzz_take_u8(device.input);

	if (size > 0)
		memcpy(answer, payload, size);
	switch (request) {
	case VHOST_USER_GET_FEATURES:
		value = value << 56 | VIRTIO_BIT(VIRTIO_F_VERSION_1) |
			(device.ways & 1 ? VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) : 0);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		value = VIRTIO_BIT(VHOST_USER_PROTOCOL_F_MQ) | VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
			VIRTIO_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			(device.ways & 2 ? VIRTIO_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) : 0);
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		break;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_GET_VRING_BASE:
		return size;
	default:
		/* Mostly it does what it is told. */
		value = value < 0xf0 ? 0 : value;
		break;
	}
	memcpy(answer, &value, sizeof(value));
	return sizeof(value);
}

static void device_reply(uint32_t request, const void *payload, uint32_t size)
{
	struct {
		struct vhost_user_header header;
		uint8_t payload[sizeof(struct vhost_user_config) + 64];
	} message = {.header = {request, VHOST_USER_VERSION | VHOST_USER_REPLY_FLAG, 0}};
	uint8_t how = fuzz_take_u8(device.input);
	const uint8_t *bytes;
	size_t length;

	message.header.size = device_answer(request, payload, size, message.payload);
	length = VHOST_USER_HEADER_SIZE + message.header.size;
	switch (how & 0xf) {
	case 1: /* another header */
		bytes = fuzz_take(device.input, sizeof(message.header), &length);
		memcpy(&message.header, bytes, length);
		length = VHOST_USER_HEADER_SIZE + (message.header.size < sizeof(message.payload)
							   ? message.header.size
							   : sizeof(message.payload));
		break;
	case 2: /* another payload */
		bytes = fuzz_take(device.input, message.header.size, &length);
		memcpy(message.payload, bytes, length);
		length = VHOST_USER_HEADER_SIZE + message.header.size;
		break;
	case 3: /* any bytes */
		bytes = fuzz_take(device.input, fuzz_take_u16(device.input) % 512, &length);
		device_say(bytes, length, how >> 6);
		return;
	case 4: /* a part of it */
		length = fuzz_take_u8(device.input) % length;
		break;
	case 5: /* a part of it, and the end */
		device_say(&message, fuzz_take_u8(device.input) % length, how >> 6);
		shutdown(device.socket_fd, SHUT_RDWR);
		return;
	case 6: /* another size */
		message.header.size += fuzz_take_u8(device.input);
		length += fuzz_take_u8(device.input) % 64;
		break;
	case 7: /* it sends a second one, for the next request to find */
		device_say(&message, length, 0);
		break;
	default:
		break;
	}
	device_say(&message, length, how >> 6);
}

static bool device_answers(uint32_t request, uint32_t flags)
{
	return (flags & VHOST_USER_NEED_REPLY_FLAG) != 0 || request == VHOST_USER_GET_FEATURES ||
	       request == VHOST_USER_GET_PROTOCOL_FEATURES || request == VHOST_USER_GET_QUEUE_NUM ||
	       request == VHOST_USER_GET_CONFIG || request == VHOST_USER_GET_VRING_BASE;
}

int __wrap_vhost_user_send(int socket_fd, uint32_t request, uint32_t flags, const void *payload,
			   uint32_t size, const int *fds, size_t fd_count, int timeout_ms)
{
	int result =
		__real_vhost_user_send(socket_fd, request, flags, payload, size, fds, fd_count, timeout_ms);

	/* An acknowledgement on the other channel. */
	if ((flags & VHOST_USER_REPLY_FLAG) != 0)
		return result;
	device.asked++;
	fuzz_drain(device.socket_fd);
	if (result == 0 && request == VHOST_USER_SET_BACKEND_REQ_FD)
		device.channel_fd = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	if (result == 0 && device_answers(request, flags))
		device_reply(request, payload, size);
	return result;
}

int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms)
{
	(void)timeout_ms;
	return __real_vhost_user_receive_timeout(socket_fd, receiver, 0);
}

/* A notice, or what the input makes of it. */
static void device_notify(struct fuzz_input *input)
{
	struct vhost_user_header notice = {VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, VHOST_USER_VERSION, 0};
	uint8_t how = fuzz_take_u8(input);
	struct iovec iov = {&notice, VHOST_USER_HEADER_SIZE};
	int fds[] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};

	if (device.channel_fd < 0)
		return;
	if (how & 1)
		notice.flags |= VHOST_USER_NEED_REPLY_FLAG;
	if (how & 2)
		iov.iov_base = (void *)fuzz_take(input, how >> 2 & 15, &iov.iov_len);
	if (iov.iov_len > 0)
		fd_send(device.channel_fd, &iov, 1, fds, how >> 6, MSG_DONTWAIT);
	loop_run_once(loop, 0);
	fuzz_drain(device.channel_fd);
}

/* --- The owner --- */

static void owner_config_changed(void *argument)
{
	fuzz_require(argument == &owner && owner.gone == 0);
	owner.config_changes++;
}

static void owner_gone(void *argument, int error)
{
	fuzz_require(argument == &owner && error <= 0 && owner.gone++ == 0);
}

static const struct vhost_user_frontend_ops ops = {owner_config_changed, owner_gone};

static int call_get_config(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE], before[sizeof(config)];
	uint32_t offset = fuzz_take_u8(input), size = fuzz_take_u16(input) % 300;
	int result;

	memset(before, 0xa5, sizeof(before));
	memcpy(config, before, sizeof(config));
	result = vhost_user_frontend_get_config(frontend, offset, config, size);
	if (result < 0)
		fuzz_require(memcmp(config, before, sizeof(config)) == 0);
	else
		fuzz_require(memcmp(config + size, before, sizeof(config) - size) == 0);
	return result;
}

static int call_set_config(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	uint8_t config[300] = {0};
	uint32_t offset = fuzz_take_u8(input), size = fuzz_take_u16(input) % 300;

	return vhost_user_frontend_set_config(frontend, offset, config, size);
}

static int call_start_ring(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	struct vhost_user_ring ring = {.size = 256,
				       .descriptors = 0x1000,
				       .available = 0x2000,
				       .used = 0x3000,
				       .kick_fd = event_fd,
				       .call_fd = event_fd};
	uint8_t index = fuzz_take_u8(input);

	if (index & 0x80)
		ring.call_fd = -1;
	return vhost_user_frontend_start_ring(frontend, index & 0x7f, &ring);
}

static int call_stop_ring(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	uint16_t base = 0xa5a5;
	int result = vhost_user_frontend_stop_ring(frontend, fuzz_take_u8(input), &base);

	fuzz_require(result == 0 || base == 0xa5a5);
	return result;
}

static _Atomic bool cancelled;

/* One call; 0 or its failure. */
static int call(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	switch (fuzz_take_u8(input) % 11) {
	case 0:
		return call_get_config(frontend, input);
	case 1:
		return call_set_config(frontend, input);
	case 2:
		return vhost_user_frontend_set_features(frontend, fuzz_take_u64(input));
	case 3:
		return vhost_user_frontend_set_memory(frontend, &ram);
	case 4:
		return call_start_ring(frontend, input);
	case 5:
		return call_stop_ring(frontend, input);
	case 6:
		return vhost_user_frontend_set_call(frontend, fuzz_take_u8(input), event_fd);
	case 7:
		cancelled = true;
		return 0;
	case 9:
		return vhost_user_frontend_reset(frontend);
	case 10:
		return vhost_user_frontend_set_status(frontend, fuzz_take_u8(input));
	default:
		device_notify(input);
		return 0;
	}
}

static void run(struct vhost_user_frontend *frontend, struct fuzz_input *input)
{
	bool broken = false;

	for (unsigned i = 0; i < CALLS_MAX && input->size > 0; i++) {
		unsigned asked = device.asked;
		int result = call(frontend, input);

		fuzz_require(result <= 0);
		/* A refusal, and what we did not even ask for, break nothing. */
		fuzz_require(!broken || device.asked == asked);
		broken = broken || (result < 0 && result != -EREMOTEIO && result != -EINVAL);
	}
	fuzz_require(vhost_user_frontend_queues(frontend) <= UINT16_MAX);
	fuzz_require((vhost_user_frontend_features(frontend) & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) ==
		     0);
}

static void prepare(void)
{
	fuzz_quiet_log();
	loop = loop_new();
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fuzz_require(loop != NULL && event_fd >= 0 && test_ram_create(1 << 20, &ram) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct vhost_user_frontend *frontend;
	int pair[2], first_fd;

	if (loop == NULL)
		prepare();
	first_fd = fuzz_next_fd();
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	memset(&owner, 0, sizeof(owner));
	memset(&device, 0, sizeof(device));
	device.input = &input;
	device.ways = fuzz_take_u8(&input);
	device.socket_fd = pair[0];
	device.channel_fd = -1;
	cancelled = false;
	if (vhost_user_frontend_new(pair[1], &cancelled, &ops, &owner, &frontend) == 0) {
		fuzz_require(vhost_user_frontend_watch(frontend, loop) == 0);
		run(frontend, &input);
		vhost_user_frontend_free(frontend);
	} else {
		close(pair[1]);
	}
	if (device.channel_fd >= 0)
		close(device.channel_fd);
	close(pair[0]);
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
