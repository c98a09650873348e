/*
 * The server of vfio-user. One socket, one device, one thread:
 *
 *   readable  one recvmsg, then every complete message in the order it came: its handler writes the reply's payload
 *             straight into the outgoing buffer
 *   flush     one sendmsg for all replies of the batch
 *   no room   a client that does not take its replies is not read from until it does
 *
 * A vCPU waits for most of these replies, so the way of an access is two system calls and nothing is
 * allocated.
 *
 * What a client gets wrong inside a well-formed message (size, descriptors, index, range) is answered with
 * EINVAL, a command that we do not serve with ENOTSUP. What leaves us without an order to go on in ends the
 * session: a size that cannot be, a message that is no command, anything before the version, a version that
 * cannot be agreed on.
 */
#include "common/vfio-user/vfio_user_backend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/base/peers.h"
#include "common/vfio-user/vfio_user_message.h"

/* The largest message either way: a register access with all its data. */
#define BACKEND_MESSAGE_MAX \
	(sizeof(struct vfio_user_header) + sizeof(struct vfio_user_region_access) + VFIO_USER_ACCESS_MAX)
#define BACKEND_REPLIES_MAX  (2 * BACKEND_MESSAGE_MAX)
#define BACKEND_DMA_MAPS_MAX 128
#define BACKEND_DRAIN_MAX    1024

struct backend_dma_map {
	uint64_t address;
	uint64_t size;
};

struct vfio_user_backend {
	struct loop *loop;
	struct loop_watch *watch;
	int socket_fd;
	const struct vfio_user_device_ops *ops;
	void *device;

	bool negotiated;
	bool write_multiple;
	/* Set by a handler: the session ends once its reply is on the way. */
	int fatal;
	struct vfio_user_stream stream;
	uint16_t message_id; /* of the message that is served */

	uint8_t *replies;
	size_t replies_start;
	size_t replies_end;

	int eventfds[VFIO_USER_IRQS_MAX];
	struct backend_dma_map *dma_maps; /* made by the first DMA_MAP */
	size_t dma_map_count;
};

/* --- Handlers: read the message, write the reply's payload, return its size or -errno --- */

static ssize_t backend_version(struct vfio_user_backend *backend, struct vfio_user_message *message,
			       uint8_t *reply)
{
	struct vfio_user_capabilities client, ours = {
						      .max_msg_fds = 1,
						      .max_data_xfer_size = VFIO_USER_ACCESS_MAX,
						      .max_dma_maps = BACKEND_DMA_MAPS_MAX,
						      .pgsizes = VFIO_USER_DEFAULT_PGSIZES,
					      };
	char text[VFIO_USER_CAPABILITIES_TEXT_MAX];
	struct vfio_user_version version;
	size_t text_size;

	memcpy(&version, message->payload, sizeof(version));
	if (backend->negotiated)
		return -EINVAL;
	backend->fatal = -EPROTO;
	if (version.major != VFIO_USER_VERSION_MAJOR) {
		log_warning("vfio-user: the client speaks version %u.%u, we speak %u.%u", version.major,
			    version.minor, VFIO_USER_VERSION_MAJOR, VFIO_USER_VERSION_MINOR);
		return -EPROTONOSUPPORT;
	}
	if (vfio_user_capabilities_parse(message->payload + sizeof(version),
					 message->payload_size - sizeof(version), &client) < 0) {
		log_warning("vfio-user: the client's version data is no JSON object with capabilities");
		return -EINVAL;
	}
	backend->fatal = 0;
	/* "The capability list must be a subset of those proposed": of the two that are no limits, at least.
	 */
	backend->write_multiple = ours.write_multiple = client.write_multiple;
	/* "The minor version in the reply must be equal to or less than the minor version proposed." */
	if (version.minor > VFIO_USER_VERSION_MINOR)
		version.minor = VFIO_USER_VERSION_MINOR;
	text_size = vfio_user_capabilities_format(&ours, text);
	memcpy(reply, &version, sizeof(version));
	memcpy(reply + sizeof(version), text, text_size);
	backend->negotiated = true;
	return (ssize_t)(sizeof(version) + text_size);
}

static ssize_t backend_dma_map(struct vfio_user_backend *backend, struct vfio_user_message *message,
			       uint8_t *reply)
{
	struct vfio_user_dma_map map;

	(void)reply;
	memcpy(&map, message->payload, sizeof(map));
	if (map.argsz != sizeof(map) || map.flags & ~(VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE) ||
	    map.size == 0 || map.address + (map.size - 1) < map.address)
		return -EINVAL;
	for (size_t i = 0; i < backend->dma_map_count; i++) {
		const struct backend_dma_map *other = &backend->dma_maps[i];

		if (map.address <= other->address + (other->size - 1) &&
		    other->address <= map.address + (map.size - 1))
			return -EEXIST;
	}
	if (backend->dma_map_count == BACKEND_DMA_MAPS_MAX)
		return -ENOSPC;
	if (backend->dma_maps == NULL) {
		backend->dma_maps = calloc(BACKEND_DMA_MAPS_MAX, sizeof(backend->dma_maps[0]));
		if (backend->dma_maps == NULL)
			return -ENOMEM;
	}
	/* No register device of ours reads guest memory: the range is kept, the descriptor is not. */
	backend->dma_maps[backend->dma_map_count++] =
		(struct backend_dma_map){.address = map.address, .size = map.size};
	return 0;
}

static ssize_t backend_dma_unmap(struct vfio_user_backend *backend, struct vfio_user_message *message,
				 uint8_t *reply)
{
	struct vfio_user_dma_unmap unmap;

	memcpy(&unmap, message->payload, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap) || unmap.flags != 0)
		return -EINVAL;
	for (size_t i = 0; i < backend->dma_map_count; i++) {
		if (backend->dma_maps[i].address != unmap.address || backend->dma_maps[i].size != unmap.size)
			continue;
		backend->dma_maps[i] = backend->dma_maps[--backend->dma_map_count];
		/* "The server responds with the original DMA entry in the request." */
		memcpy(reply, &unmap, sizeof(unmap));
		return sizeof(unmap);
	}
	return -ENOENT;
}

static ssize_t backend_device_info(struct vfio_user_backend *backend, struct vfio_user_message *message,
				   uint8_t *reply)
{
	struct vfio_user_device_info info;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct vfio_user_device_info){
		.argsz = sizeof(info),
		.flags = backend->ops->device_flags,
		.num_regions = backend->ops->region_count,
		.num_irqs = backend->ops->irq_count,
	};
	memcpy(reply, &info, sizeof(info));
	return sizeof(info);
}

static ssize_t backend_region_info(struct vfio_user_backend *backend, struct vfio_user_message *message,
				   uint8_t *reply)
{
	struct vfio_user_region_info info;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= backend->ops->region_count)
		return -EINVAL;
	info = (struct vfio_user_region_info){
		.argsz = sizeof(info),
		.flags = backend->ops->regions[info.index].flags,
		.index = info.index,
		.size = backend->ops->regions[info.index].size,
	};
	memcpy(reply, &info, sizeof(info));
	return sizeof(info);
}

static ssize_t backend_irq_info(struct vfio_user_backend *backend, struct vfio_user_message *message,
				uint8_t *reply)
{
	struct vfio_user_irq_info info;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info) || info.index >= backend->ops->irq_count)
		return -EINVAL;
	info = (struct vfio_user_irq_info){
		.argsz = sizeof(info),
		.flags = VFIO_IRQ_INFO_EVENTFD,
		.index = info.index,
		.count = 1,
	};
	memcpy(reply, &info, sizeof(info));
	return sizeof(info);
}

/* Takes eventfd (-1: none) for an interrupt index. */
static void backend_replace_eventfd(struct vfio_user_backend *backend, uint32_t index, int eventfd)
{
	if (backend->eventfds[index] >= 0)
		close(backend->eventfds[index]);
	backend->eventfds[index] = eventfd;
	if (backend->ops->set_irq != NULL)
		backend->ops->set_irq(backend->device, index, eventfd);
}

static ssize_t backend_take_eventfd(struct vfio_user_backend *backend, const struct vfio_user_irq_set *set,
				    struct vfio_user_message *message)
{
	int result;

	/* "If no file descriptors are provided, this de-assigns the specified ... interrupts." */
	if (set->count != 1 || message->fd_count > 1)
		return -EINVAL;
	if (message->fd_count == 0) {
		backend_replace_eventfd(backend, set->index, -1);
		return 0;
	}
	/* A client that fills its eventfd up must not be able to stop us. */
	result = peer_fd_nonblocking(message->fds[0]);
	if (result < 0)
		return result;
	backend_replace_eventfd(backend, set->index, message->fds[0]);
	message->fds[0] = -1;
	return 0;
}

static ssize_t backend_set_irqs(struct vfio_user_backend *backend, struct vfio_user_message *message,
				uint8_t *reply)
{
	struct vfio_user_irq_set set;
	uint32_t data, booleans;

	(void)reply;
	memcpy(&set, message->payload, sizeof(set));
	data = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	booleans = data == VFIO_IRQ_SET_DATA_BOOL ? set.count : 0;
	/* Each index has one line and cannot be masked: what GET_IRQ_INFO says. */
	if (set.index >= backend->ops->irq_count || set.count > 1 || set.start > 0 ||
	    (set.flags & ~VFIO_IRQ_SET_DATA_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	if (set.argsz != message->payload_size || message->payload_size != sizeof(set) + booleans)
		return -EINVAL;
	if (data == VFIO_IRQ_SET_DATA_EVENTFD)
		return backend_take_eventfd(backend, &set, message);
	if (message->fd_count > 0)
		return -EINVAL;
	switch (data) {
	case VFIO_IRQ_SET_DATA_NONE:
		/* "a count (and start) of 0 ... disables all interrupts of the index" */
		if (set.count == 0)
			backend_replace_eventfd(backend, set.index, -1);
		else
			vfio_user_backend_interrupt(backend, set.index);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (set.count == 1 && message->payload[sizeof(set)] != 0)
			vfio_user_backend_interrupt(backend, set.index);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Whether the device has [offset, +count) of a region, for this kind of access. */
static bool backend_access_valid(const struct vfio_user_backend *backend,
				 const struct vfio_user_region_access *access, uint32_t flag)
{
	const struct vfio_user_region *region;

	if (access->region >= backend->ops->region_count)
		return false;
	region = &backend->ops->regions[access->region];
	return region->flags & flag && access->count > 0 && access->count <= VFIO_USER_ACCESS_MAX &&
	       access->count <= region->size && access->offset <= region->size - access->count;
}

static ssize_t backend_region_read(struct vfio_user_backend *backend, struct vfio_user_message *message,
				   uint8_t *reply)
{
	struct vfio_user_region_access access;
	int result;

	memcpy(&access, message->payload, sizeof(access));
	if (!backend_access_valid(backend, &access, VFIO_REGION_INFO_FLAG_READ))
		return -EINVAL;
	result = backend->ops->region_read(backend->device, access.region, access.offset,
					   reply + sizeof(access), access.count);
	if (result < 0)
		return result;
	memcpy(reply, &access, sizeof(access));
	return (ssize_t)(sizeof(access) + access.count);
}

static ssize_t backend_region_write(struct vfio_user_backend *backend, struct vfio_user_message *message,
				    uint8_t *reply)
{
	struct vfio_user_region_access access;
	int result;

	memcpy(&access, message->payload, sizeof(access));
	if (!backend_access_valid(backend, &access, VFIO_REGION_INFO_FLAG_WRITE) ||
	    message->payload_size != sizeof(access) + access.count)
		return -EINVAL;
	result = backend->ops->region_write(backend->device, access.region, access.offset,
					    message->payload + sizeof(access), access.count);
	if (result < 0)
		return result;
	memcpy(reply, &access, sizeof(access));
	return sizeof(access);
}

/* All writes are checked before the first is done; one that the device refuses ends the list. */
static ssize_t backend_write_multi(struct vfio_user_backend *backend, struct vfio_user_message *message,
				   uint8_t *reply)
{
	const uint8_t *writes = message->payload + sizeof(uint64_t);
	struct vfio_user_region_write_one one;
	uint64_t count, done;

	if (!backend->write_multiple)
		return -ENOTSUP;
	memcpy(&count, message->payload, sizeof(count));
	if (count > BACKEND_MESSAGE_MAX / sizeof(one) ||
	    message->payload_size != sizeof(count) + count * sizeof(one))
		return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		struct vfio_user_region_access access;

		memcpy(&one, writes + i * sizeof(one), sizeof(one));
		access = (struct vfio_user_region_access){one.offset, one.region, one.count};
		if (one.count > sizeof(one.data) ||
		    !backend_access_valid(backend, &access, VFIO_REGION_INFO_FLAG_WRITE))
			return -EINVAL;
	}
	for (done = 0; done < count; done++) {
		memcpy(&one, writes + done * sizeof(one), sizeof(one));
		if (backend->ops->region_write(backend->device, one.region, one.offset, one.data, one.count) <
		    0)
			break;
	}
	memcpy(reply, &done, sizeof(done));
	return sizeof(done);
}

static ssize_t backend_reset(struct vfio_user_backend *backend, struct vfio_user_message *message,
			     uint8_t *reply)
{
	(void)message;
	(void)reply;
	if (backend->ops->reset == NULL)
		return -ENOTSUP;
	backend->ops->reset(backend->device);
	return 0;
}

struct backend_handler {
	ssize_t (*handle)(struct vfio_user_backend *backend, struct vfio_user_message *message,
			  uint8_t *reply);
	size_t payload_size; /* exactly, or at least if more_payload */
	bool more_payload;
	size_t fds_max;
};

static const struct backend_handler backend_handlers[] = {
	[VFIO_USER_VERSION] = {backend_version, sizeof(struct vfio_user_version), true, 0},
	[VFIO_USER_DMA_MAP] = {backend_dma_map, sizeof(struct vfio_user_dma_map), false, 1},
	[VFIO_USER_DMA_UNMAP] = {backend_dma_unmap, sizeof(struct vfio_user_dma_unmap), false, 0},
	[VFIO_USER_DEVICE_GET_INFO] = {backend_device_info, sizeof(struct vfio_user_device_info), false, 0},
	[VFIO_USER_DEVICE_GET_REGION_INFO] = {backend_region_info, sizeof(struct vfio_user_region_info),
					      false, 0},
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = {backend_irq_info, sizeof(struct vfio_user_irq_info), false, 0},
	[VFIO_USER_DEVICE_SET_IRQS] = {backend_set_irqs, sizeof(struct vfio_user_irq_set), true, 1},
	[VFIO_USER_REGION_READ] = {backend_region_read, sizeof(struct vfio_user_region_access), false, 0},
	[VFIO_USER_REGION_WRITE] = {backend_region_write, sizeof(struct vfio_user_region_access), true, 0},
	[VFIO_USER_DEVICE_RESET] = {backend_reset, 0, false, 0},
	[VFIO_USER_REGION_WRITE_MULTI] = {backend_write_multi, sizeof(uint64_t), true, 0},
};

/* --- The session --- */

static ssize_t backend_handle(struct vfio_user_backend *backend, struct vfio_user_message *message,
			      uint8_t *reply)
{
	const struct backend_handler *handler;

	if (message->header.command >= sizeof(backend_handlers) / sizeof(backend_handlers[0]) ||
	    backend_handlers[message->header.command].handle == NULL)
		return -ENOTSUP;
	handler = &backend_handlers[message->header.command];
	if (message->payload_size < handler->payload_size ||
	    (message->payload_size > handler->payload_size && !handler->more_payload) ||
	    message->fd_count > handler->fds_max)
		return -EINVAL;
	return handler->handle(backend, message, reply);
}

/* Serves one message; its reply goes to the outgoing buffer, which has room. 0, or -errno when the session is
 * over. */
static int backend_dispatch(struct vfio_user_backend *backend, struct vfio_user_message *message)
{
	uint8_t *reply = backend->replies + backend->replies_end;
	struct vfio_user_header header = message->header;
	ssize_t size;

	/* We send no commands, so there are no replies to come. */
	if ((header.flags & VFIO_USER_FLAG_TYPE_MASK) != VFIO_USER_FLAG_TYPE_COMMAND)
		return -EPROTO;
	/* "This is the initial message sent by the client". */
	if (!backend->negotiated && header.command != VFIO_USER_VERSION)
		return -EPROTO;
	backend->message_id = header.message_id;
	size = backend_handle(backend, message, reply + sizeof(header));
	if (header.flags & VFIO_USER_FLAG_NO_REPLY)
		return backend->fatal;
	header.flags = VFIO_USER_FLAG_TYPE_REPLY | (size < 0 ? VFIO_USER_FLAG_ERROR : 0);
	header.error = size < 0 ? (uint32_t)-size : 0;
	header.message_size = (uint32_t)(sizeof(header) + (size < 0 ? 0 : (size_t)size));
	memcpy(reply, &header, sizeof(header));
	backend->replies_end += header.message_size;
	return backend->fatal;
}

/* Sends what there is. 0 (all or not), or -errno. */
static int backend_flush(struct vfio_user_backend *backend)
{
	while (backend->replies_start < backend->replies_end) {
		struct iovec iov = {.iov_base = backend->replies + backend->replies_start,
				    .iov_len = backend->replies_end - backend->replies_start};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t sent = sendmsg(backend->socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		backend->replies_start += (size_t)sent;
	}
	backend->replies_start = backend->replies_end = 0;
	return 0;
}

/* Serves the complete messages of the stream and sends the replies. 0 when none is left or the client must
 * first take replies, or -errno. */
static int backend_serve(struct vfio_user_backend *backend)
{
	struct vfio_user_message message;
	int result = 0;
	int more = 1;

	while (more == 1 && result == 0) {
		while (backend->replies_end + BACKEND_MESSAGE_MAX <= BACKEND_REPLIES_MAX) {
			more = vfio_user_stream_next(&backend->stream, &message);
			if (more != 1)
				break;
			result = backend_dispatch(backend, &message);
			vfio_user_message_clear(&message);
			if (result < 0)
				break;
		}
		if (more < 0)
			result = more;
		/* Also behind an error: the client should learn of it. */
		if (backend_flush(backend) < 0 && result == 0)
			result = -EPIPE;
		if (backend->replies_end > 0)
			break;
	}
	return result;
}

static void backend_ready(int fd, unsigned events, void *argument)
{
	struct vfio_user_backend *backend = argument;
	int result = 0;

	(void)fd;
	if (events & LOOP_WRITE) {
		result = backend_flush(backend);
		if (result == 0 && backend->replies_end == 0)
			result = backend_serve(backend);
	} else if (events & LOOP_READ) {
		ssize_t received = vfio_user_stream_receive(&backend->stream, MSG_DONTWAIT);

		if (received == -EAGAIN)
			return;
		if (received == 0)
			result = vfio_user_stream_partial(&backend->stream) ? -EPROTO : -ENODATA;
		else
			result = received < 0 ? (int)received : backend_serve(backend);
	}
	if (result == 0) {
		loop_watch_set_events(backend->watch, backend->replies_end > 0 ? LOOP_WRITE : LOOP_READ);
		return;
	}
	loop_watch_set_events(backend->watch, 0);
	/* The callee frees the backend. */
	if (result == -ENODATA || result == -EPIPE || result == -ECONNRESET)
		result = 0;
	backend->ops->session_end(backend->device, result);
}

void vfio_user_backend_drain(struct vfio_user_backend *backend)
{
	/* More than a socket's buffer holds; a client that never stops sending shall not keep us. */
	for (unsigned i = 0; i < BACKEND_DRAIN_MAX; i++) {
		if (vfio_user_stream_receive(&backend->stream, MSG_DONTWAIT) <= 0 ||
		    backend_serve(backend) < 0 || backend->replies_end > 0)
			return;
	}
}

uint16_t vfio_user_backend_message_id(const struct vfio_user_backend *backend)
{
	return backend->message_id;
}

void vfio_user_backend_interrupt(struct vfio_user_backend *backend, uint32_t index)
{
	if (index < backend->ops->irq_count && backend->eventfds[index] >= 0)
		eventfd_write(backend->eventfds[index], 1);
}

int vfio_user_backend_new(struct loop *loop, int socket_fd, const struct vfio_user_device_ops *ops,
			  void *device, struct vfio_user_backend **backend)
{
	struct vfio_user_backend *new;

	if (ops->region_count > VFIO_USER_REGIONS_MAX || ops->irq_count > VFIO_USER_IRQS_MAX)
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (new == NULL)
		return -ENOMEM;
	new->loop = loop;
	new->socket_fd = -1;
	new->ops = ops;
	new->device = device;
	for (size_t i = 0; i < VFIO_USER_IRQS_MAX; i++)
		new->eventfds[i] = -1;
	new->replies = malloc(BACKEND_REPLIES_MAX);
	if (new->replies == NULL || vfio_user_stream_init(&new->stream, socket_fd, BACKEND_MESSAGE_MAX) < 0)
		goto free_new;
	new->watch = loop_watch_fd(loop, socket_fd, LOOP_READ, backend_ready, new);
	if (new->watch == NULL)
		goto free_new;
	new->socket_fd = socket_fd;
	*backend = new;
	return 0;

free_new:
	vfio_user_backend_free(new);
	return -ENOMEM;
}

void vfio_user_backend_free(struct vfio_user_backend *backend)
{
	if (backend == NULL)
		return;
	loop_unwatch(backend->watch);
	vfio_user_stream_clear(&backend->stream);
	fds_close(backend->eventfds, VFIO_USER_IRQS_MAX);
	if (backend->socket_fd >= 0)
		close(backend->socket_fd);
	free(backend->dma_maps);
	free(backend->replies);
	free(backend);
}
