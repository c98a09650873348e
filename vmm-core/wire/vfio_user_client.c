/*
 * The client half of vfio-user. The socket is blocking, with a timeout that the kernel keeps (SO_RCVTIMEO),
 * so that a register read is two system calls and no more.
 */
#include "vmm-core/wire/vfio_user_client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/vfio-user/vfio_user_message.h"

/* A reply of ours is a header and at most this much. */
#define REPLY_MAX 4096

struct vfio_user_client {
	int socket_fd;
	pthread_mutex_t lock;
	struct vfio_user_stream stream;
	uint16_t next_id;
	struct vfio_user_device_info info;
	int error; /* the first failure */
};

static int client_fail(struct vfio_user_client *client, int error)
{
	if (error == -EAGAIN)
		error = -ETIMEDOUT; /* SO_RCVTIMEO and SO_SNDTIMEO tell it so */
	if (client->error == 0)
		client->error = error;
	return error;
}

/* Waits for the reply to the message `id`; it stays in the stream. The lock is held. */
static int client_reply(struct vfio_user_client *client, uint16_t id, uint16_t command,
			struct vfio_user_message *message)
{
	time_t started = 0;
	int result;

	for (;;) {
		ssize_t received;

		result = vfio_user_stream_next(&client->stream, message);
		if (result != 0)
			break;
		/* The kernel bounds one wait; a reply that comes in drops has a bound too. */
		if (started == 0)
			started = clock_s(CLOCK_MONOTONIC);
		else if (clock_s(CLOCK_MONOTONIC) - started > CLIENT_TIMEOUT_MS / 1000)
			return client_fail(client, -ETIMEDOUT);
		received = vfio_user_stream_receive(&client->stream, 0);
		if (received <= 0)
			return client_fail(client, received == 0 ? -EPIPE : (int)received);
	}
	if (result < 0)
		return client_fail(client, result);
	if (message->header.message_id != id || message->header.command != command ||
	    message->fd_count != 0 ||
	    (message->header.flags & VFIO_USER_FLAG_TYPE_MASK) != VFIO_USER_FLAG_TYPE_REPLY) {
		vfio_user_message_clear(message);
		return client_fail(client, -EPROTO);
	}
	if ((message->header.flags & VFIO_USER_FLAG_ERROR) != 0)
		return message->header.error > 0 && message->header.error < 4096 ? -(int)message->header.error
										 : -EIO;
	return 0;
}

/* Sends a command; flags may hold VFIO_USER_FLAG_NO_REPLY. The lock is held. */
static int client_send(struct vfio_user_client *client, uint16_t id, uint16_t command, uint32_t flags,
		       const void *payload, size_t payload_size, const void *data, size_t data_size,
		       const int *fds, size_t fd_count)
{
	struct vfio_user_header header = {
		.message_id = id,
		.command = command,
		.flags = VFIO_USER_FLAG_TYPE_COMMAND | flags,
	};
	int result;

	if (client->error < 0)
		return client->error;
	result = vfio_user_send(client->socket_fd, &header, payload, payload_size, data, data_size, fds,
				fd_count);
	return result < 0 ? client_fail(client, result == -ECONNRESET ? -EPIPE : result) : 0;
}

/* A command whose reply repeats its fixed-size payload, filled in. */
static int client_query(struct vfio_user_client *client, uint16_t command, void *payload, size_t size)
{
	struct vfio_user_message message;
	uint16_t id = client->next_id++;
	int result;

	pthread_mutex_lock(&client->lock);
	result = client_send(client, id, command, 0, payload, size, NULL, 0, NULL, 0);
	if (result == 0)
		result = client_reply(client, id, command, &message);
	if (result == 0) {
		/* Capabilities may follow; what we asked for comes first. */
		if (message.payload_size < size)
			result = client_fail(client, -EPROTO);
		else
			memcpy(payload, message.payload, size);
	}
	pthread_mutex_unlock(&client->lock);
	return result;
}

static int client_negotiate(struct vfio_user_client *client)
{
	struct vfio_user_version version = {.major = VFIO_USER_VERSION_MAJOR,
					    .minor = VFIO_USER_VERSION_MINOR};
	const struct vfio_user_capabilities ours = {
		.max_msg_fds = 1,
		.max_data_xfer_size = VFIO_USER_DEFAULT_MAX_DATA_XFER_SIZE,
		.max_dma_maps = VFIO_USER_DEFAULT_MAX_DMA_MAPS,
		.pgsizes = VFIO_USER_DEFAULT_PGSIZES,
	};
	struct vfio_user_capabilities theirs;
	char text[VFIO_USER_CAPABILITIES_TEXT_MAX];
	size_t text_size = vfio_user_capabilities_format(&ours, text);
	struct vfio_user_message message;
	struct vfio_user_version answer;
	uint16_t id = client->next_id++;
	int result = client_send(client, id, VFIO_USER_VERSION, 0, &version, sizeof(version), text, text_size,
				 NULL, 0);

	if (result == 0)
		result = client_reply(client, id, VFIO_USER_VERSION, &message);
	if (result < 0)
		return result;
	if (message.payload_size < sizeof(answer))
		return -EPROTO;
	memcpy(&answer, message.payload, sizeof(answer));
	/* A server answers with our major and a minor that it knows and that is not above ours. */
	if (answer.major != version.major || answer.minor > version.minor ||
	    vfio_user_capabilities_parse(message.payload + sizeof(answer),
					 message.payload_size - sizeof(answer), &theirs) < 0)
		return -EPROTO;
	client->info = (struct vfio_user_device_info){.argsz = sizeof(client->info)};
	return client_query(client, VFIO_USER_DEVICE_GET_INFO, &client->info, sizeof(client->info));
}

int vfio_user_client_new(int socket_fd, struct vfio_user_client **client)
{
	struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_MS / 1000};
	struct vfio_user_client *new_client;
	int flags = fcntl(socket_fd, F_GETFL);
	int result;

	/* The supervisor's wires do wait, and to change a flag is no right of who attends to them. */
	if (flags < 0 || ((flags & O_NONBLOCK) != 0 && fcntl(socket_fd, F_SETFL, flags & ~O_NONBLOCK) < 0) ||
	    setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    setsockopt(socket_fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	new_client = calloc(1, sizeof(*new_client));
	if (new_client == NULL)
		return -ENOMEM;
	new_client->socket_fd = socket_fd;
	pthread_mutex_init(&new_client->lock, NULL);
	result = vfio_user_stream_init(&new_client->stream, socket_fd, REPLY_MAX);
	if (result == 0)
		result = client_negotiate(new_client);
	if (result < 0) {
		new_client->socket_fd = -1;
		vfio_user_client_free(new_client);
		return result;
	}
	*client = new_client;
	return 0;
}

void vfio_user_client_free(struct vfio_user_client *client)
{
	if (client == NULL)
		return;
	vfio_user_stream_clear(&client->stream);
	pthread_mutex_destroy(&client->lock);
	if (client->socket_fd >= 0)
		close(client->socket_fd);
	free(client);
}

int vfio_user_client_region_size(struct vfio_user_client *client, uint32_t region, uint64_t *size)
{
	struct vfio_user_region_info info = {.argsz = sizeof(info), .index = region};
	int result;

	*size = 0;
	if (region >= client->info.num_regions)
		return 0;
	result = client_query(client, VFIO_USER_DEVICE_GET_REGION_INFO, &info, sizeof(info));
	if (result == 0)
		*size = info.size;
	return result;
}

uint32_t vfio_user_client_irqs(const struct vfio_user_client *client)
{
	return client->info.num_irqs;
}

int vfio_user_client_set_irq(struct vfio_user_client *client, uint32_t index, int eventfd)
{
	struct vfio_user_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.count = 1,
	};
	struct vfio_user_message message;
	uint16_t id = client->next_id++;
	int result;

	pthread_mutex_lock(&client->lock);
	result = client_send(client, id, VFIO_USER_DEVICE_SET_IRQS, 0, &set, sizeof(set), NULL, 0, &eventfd,
			     1);
	if (result == 0)
		result = client_reply(client, id, VFIO_USER_DEVICE_SET_IRQS, &message);
	pthread_mutex_unlock(&client->lock);
	return result;
}

int vfio_user_client_read(struct vfio_user_client *client, uint16_t id, uint32_t region, uint64_t offset,
			  void *data, uint32_t count)
{
	struct vfio_user_region_access access = {.offset = offset, .region = region, .count = count};
	struct vfio_user_message message;
	int result;

	pthread_mutex_lock(&client->lock);
	result = client_send(client, id, VFIO_USER_REGION_READ, 0, &access, sizeof(access), NULL, 0, NULL, 0);
	if (result == 0)
		result = client_reply(client, id, VFIO_USER_REGION_READ, &message);
	if (result == 0) {
		if (message.payload_size != sizeof(access) + count ||
		    memcmp(message.payload, &access, sizeof(access)) != 0)
			result = client_fail(client, -EPROTO);
		else
			memcpy(data, message.payload + sizeof(access), count);
	}
	pthread_mutex_unlock(&client->lock);
	return result;
}

int vfio_user_client_write(struct vfio_user_client *client, uint16_t id, bool confirm, uint32_t region,
			   uint64_t offset, const void *data, uint32_t count)
{
	struct vfio_user_region_access access = {.offset = offset, .region = region, .count = count};
	struct vfio_user_message message;
	int result;

	pthread_mutex_lock(&client->lock);
	result = client_send(client, id, VFIO_USER_REGION_WRITE, confirm ? 0 : VFIO_USER_FLAG_NO_REPLY,
			     &access, sizeof(access), data, count, NULL, 0);
	if (result == 0 && confirm)
		result = client_reply(client, id, VFIO_USER_REGION_WRITE, &message);
	pthread_mutex_unlock(&client->lock);
	return result;
}
