/*
 * Any bytes as what a front end sends: the session ends or goes on, every queue that was started is stopped,
 * and no descriptor stays open.
 *
 * Input: records of a byte that says how many bytes follow in one piece (low six bits, in fours) and which
 * descriptor goes with them (high two bits: none, guest memory, an eventfd, two times guest memory).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/vhost-user/vhost_user_backend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUES	    2
#define MEMORY_SIZE 0x10000

struct session {
	struct vhost_user_backend *backend;
	struct virtqueue *queues[QUEUES];
	uint8_t config[16];
	bool ended;
};

static struct loop *loop;
static void *memory;
static int memory_fd, event_fd;
static struct virtqueue_chain chain;

static void check(bool condition)
{
	if (!condition)
		abort();
}

static int device_set_features(void *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

static void device_get_config(void *device, uint8_t *config)
{
	memcpy(config, ((struct session *)device)->config, sizeof(((struct session *)device)->config));
}

static int device_set_config(void *device, uint32_t offset, const uint8_t *data, uint32_t size)
{
	struct session *session = device;

	check(size > 0 && offset < sizeof(session->config) && size <= sizeof(session->config) - offset);
	memcpy(session->config + offset, data, size);
	return 0;
}

static int device_start_queue(void *device, uint16_t index, struct virtqueue *queue)
{
	struct session *session = device;

	check(index < QUEUES && session->queues[index] == NULL);
	session->queues[index] = queue;
	/* Serve what is there; the bytes of the ring are zero or what the queue itself wrote. */
	for (int i = 0; i < 16 && virtqueue_pop(queue, &chain) == 1; i++)
		virtqueue_push(queue, &chain.token, 0);
	virtqueue_complete(queue);
	return 0;
}

static void device_stop_queue(void *device, uint16_t index)
{
	struct session *session = device;

	check(index < QUEUES && session->queues[index] != NULL);
	session->queues[index] = NULL;
}

static int device_set_mtu(void *device, uint16_t mtu)
{
	(void)device;
	return mtu < 68 ? -EINVAL : 0;
}

static void device_session_end(void *device, int error)
{
	struct session *session = device;

	(void)error;
	check(!session->ended);
	session->ended = true;
	vhost_user_backend_free(session->backend);
}

static const struct vhost_user_device_ops ops = {
	.device_features = 0xff,
	.queue_max = QUEUES,
	.config_size = 16,
	.set_features = device_set_features,
	.get_config = device_get_config,
	.set_config = device_set_config,
	.start_queue = device_start_queue,
	.stop_queue = device_stop_queue,
	.set_mtu = device_set_mtu,
	.session_end = device_session_end,
};

static void discard_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

/* The number that the next descriptor gets: it grows when one leaks. */
static int next_fd(void)
{
	int fd = fcntl(memory_fd, F_DUPFD_CLOEXEC, 0);

	check(fd >= 0);
	close(fd);
	return fd;
}

static void prepare(void)
{
	log_set_sink(discard_log, NULL);
	loop = loop_new();
	/* Sealed, as a front end may also name it as an eventfd, and then it is written to. */
	memory_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(loop != NULL && memory_fd >= 0 && event_fd >= 0 && ftruncate(memory_fd, MEMORY_SIZE) == 0 &&
	      fcntl(memory_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) == 0);
	memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	check(memory != MAP_FAILED);
}

static void drain(int socket_fd)
{
	uint8_t bytes[4096];

	while (recv(socket_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session session = {0};
	int pair[2], first_fd;

	if (loop == NULL)
		prepare();
	/* Each run begins alike. */
	memset(memory, 0, MEMORY_SIZE);
	check(lseek(memory_fd, 0, SEEK_SET) == 0);
	first_fd = next_fd();
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	check(vhost_user_backend_new(loop, pair[1], &ops, &session, &session.backend) == 0);
	while (size > 0 && !session.ended) {
		const int fds[4][2] = {{0}, {memory_fd}, {event_fd}, {memory_fd, memory_fd}};
		static const size_t counts[] = {0, 1, 1, 2};
		unsigned kind = data[0] >> 6;
		size_t piece = (data[0] & 63u) * 4 + 4;
		struct iovec iov;

		data++;
		size--;
		iov = (struct iovec){.iov_base = (void *)data, .iov_len = piece < size ? piece : size};
		if (iov.iov_len == 0)
			break;
		check(fd_send(pair[0], &iov, 1, fds[kind], counts[kind], MSG_DONTWAIT) ==
		      (ssize_t)iov.iov_len);
		data += iov.iov_len;
		size -= iov.iov_len;
		check(loop_run_once(loop, 0) == 0);
		drain(pair[0]);
	}
	if (!session.ended) {
		shutdown(pair[0], SHUT_WR);
		check(loop_run_once(loop, 0) == 0 && session.ended);
	}
	for (unsigned i = 0; i < QUEUES; i++)
		check(session.queues[i] == NULL);
	close(pair[0]);
	check(next_fd() == first_fd);
	return 0;
}
