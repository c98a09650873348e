/*
 * virtio-console in the hands of a hostile driver and of a host that reads when it likes: rings and buffers
 * are the input's, and change while they are used. Held to it: a broken queue is told of once; the output
 * gets nothing that its counters do not know of, and loses nothing while the host is there; input goes to
 * guest memory and nowhere else; a queue that is stopped is not touched any more.
 *
 * The device's ops are called as a vhost-user session does, with queues of our own;
 * --wrap=vhost_user_backend_queue_broken stands where the session would be.
 *
 * Input: a byte with the features, two bytes with the size of what guest memory starts with, that, then what
 * happens, in order: see happen().
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "dev-console/virtio_console.h"
#include "dev-console/virtio_console_spec.h"
#include "tests/fuzz/fuzz_support.h"

#define MEMORY_BYTES 16384u
#define QUEUE_SIZE   16
#define AVAILABLE_AT 256
#define USED_AT	     304
/* The second queue's rings are behind the first one's. */
#define QUEUE_BYTES 512
#define EVENTS_MAX  128
#define HOST_BUFFER 4608 /* as small as the kernel allows */

void __wrap_vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index);

static struct loop *loop;
static struct guest_memory memory;
static uint8_t *base;

static struct bench {
	struct virtio_console *console;
	struct console_state state;
	struct output *output;
	int host;
	uint64_t host_read, host_written;
	struct virtqueue *queues[VIRTIO_CONSOLE_QUEUES]; /* NULL: stopped */
	uint16_t next_available[VIRTIO_CONSOLE_QUEUES];
	int kicks[VIRTIO_CONSOLE_QUEUES];
	bool broken[VIRTIO_CONSOLE_QUEUES];
	uint64_t features;
} bench;

void __wrap_vhost_user_backend_queue_broken(struct vhost_user_backend *backend, uint16_t index)
{
	fuzz_require(backend == NULL && index < VIRTIO_CONSOLE_QUEUES);
	fuzz_require(bench.queues[index] != NULL && virtqueue_broken(bench.queues[index]) != NULL);
	fuzz_require(!bench.broken[index]);
	bench.broken[index] = true;
}

/* --- The session --- */

static void start_queue(uint16_t index)
{
	uint64_t at = index * QUEUE_BYTES;
	struct virtqueue_setup setup = {
		.memory = &memory,
		.size = QUEUE_SIZE,
		.descriptor_table = guest_memory_range(&memory, at, AVAILABLE_AT),
		.available_ring = guest_memory_range(&memory, at + AVAILABLE_AT, USED_AT - AVAILABLE_AT),
		.used_ring = guest_memory_range(&memory, at + USED_AT, 6 + 8 * QUEUE_SIZE),
		.next_available = bench.next_available[index],
		.features = bench.features,
		.kick_fd = bench.kicks[index],
		.call_fd = -1,
	};
	struct virtqueue *queue;

	if (bench.queues[index] != NULL)
		return;
	fuzz_require(virtqueue_new(&setup, &queue) == 0);
	bench.queues[index] = queue;
	bench.broken[index] = false;
	fuzz_require(virtio_console_ops.start_queue(bench.console, index, queue) == 0);
}

static void stop_queue(uint16_t index)
{
	struct virtqueue *queue = bench.queues[index];

	if (queue == NULL)
		return;
	virtio_console_ops.stop_queue(bench.console, index);
	bench.next_available[index] = virtqueue_next_available(queue);
	/* It is told of as long as the queue is there. */
	fuzz_require(bench.broken[index] == (virtqueue_broken(queue) != NULL));
	bench.queues[index] = NULL;
	virtqueue_free(queue);
}

/* --- The host --- */

static void host_read(size_t size)
{
	uint8_t bytes[4096];

	while (size > 0) {
		ssize_t count =
			recv(bench.host, bytes, size < sizeof(bytes) ? size : sizeof(bytes), MSG_DONTWAIT);

		if (count <= 0)
			return;
		bench.host_read += (uint64_t)count;
		size -= (size_t)count;
	}
}

static void host_write(struct fuzz_input *input)
{
	size_t size;
	const uint8_t *bytes = fuzz_take(input, fuzz_take_u8(input), &size);
	ssize_t count = send(bench.host, bytes, size, MSG_DONTWAIT);

	bench.host_written += count > 0 ? (uint64_t)count : 0;
}

static void check_bytes(void)
{
	const struct output_counters *counters = output_counters(bench.output);

	fuzz_require(counters->dropped == 0);
	fuzz_require(counters->written >= bench.host_read);
	fuzz_require(counters->read <= bench.host_written);
	fuzz_require(output_room(bench.output) <= OUTPUT_BUFFER);
}

/* --- What happens --- */

static void write_memory(struct fuzz_input *input)
{
	uint16_t at = fuzz_take_u16(input) % MEMORY_BYTES;
	size_t size;
	const uint8_t *bytes = fuzz_take(input, fuzz_take_u8(input), &size);

	memcpy(base + at, bytes, size < MEMORY_BYTES - at ? size : MEMORY_BYTES - at);
}

/* A driver that knows how makes `count` more chains available. */
static void publish(uint16_t queue, uint8_t count)
{
	uint8_t *index = base + queue * QUEUE_BYTES + AVAILABLE_AT + 2;
	uint16_t value;

	memcpy(&value, index, sizeof(value));
	value = (uint16_t)(value + count);
	memcpy(index, &value, sizeof(value));
	eventfd_write(bench.kicks[queue], 1);
}

static void happen(struct fuzz_input *input)
{
	uint8_t what = fuzz_take_u8(input);
	uint16_t queue = what >> 7;
	uint8_t config[VHOST_USER_CONFIG_MAX] = {0};

	switch (what & 0xf) {
	case 0:
		eventfd_write(bench.kicks[queue], 1);
		break;
	case 1:
		publish(queue, (what >> 4 & 7) + 1);
		break;
	case 2:
		host_read(fuzz_take_u16(input));
		break;
	case 3:
		host_write(input);
		break;
	case 4:
		write_memory(input);
		break;
	case 5:
		stop_queue(queue);
		break;
	case 6:
		start_queue(queue);
		break;
	case 7:
		virtio_console_resize(bench.console, fuzz_take_u8(input), fuzz_take_u8(input));
		virtio_console_ops.get_config(bench.console, config);
		break;
	case 8:
		config[0] = 'x';
		virtio_console_ops.set_config(bench.console, what >> 4, config, 4);
		break;
	case 9:
		/* The driver starts anew. */
		stop_queue(0);
		stop_queue(1);
		virtio_console_ops.reset(bench.console);
		bench.next_available[0] = bench.next_available[1] = 0;
		break;
	default:
		break;
	}
	loop_run_once(loop, 0);
	check_bytes();
}

/* --- One run --- */

static void prepare(void)
{
	int memory_fd = memfd_create("guest", MFD_CLOEXEC);

	fuzz_quiet_log();
	loop = loop_new();
	fuzz_require(loop != NULL && memory_fd >= 0 && ftruncate(memory_fd, MEMORY_BYTES) == 0);
	guest_memory_init(&memory);
	/* Two regions, so that buffers lie across. */
	for (uint64_t at = 0; at < MEMORY_BYTES; at += MEMORY_BYTES / 2)
		fuzz_require(guest_memory_add(&memory, at, MEMORY_BYTES / 2, at, at, memory_fd) == 0);
	base = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	fuzz_require(base != MAP_FAILED);
	close(memory_fd);
	for (unsigned i = 0; i < VIRTIO_CONSOLE_QUEUES; i++)
		bench.kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void set_up(struct fuzz_input *input)
{
	uint8_t features = fuzz_take_u8(input);
	size_t size;
	const uint8_t *bytes = fuzz_take(input, fuzz_take_u16(input) % (MEMORY_BYTES + 1), &size);
	int pair[2], small = HOST_BUFFER;

	memset(base, 0, MEMORY_BYTES);
	if (size > 0)
		memcpy(base, bytes, size);
	bench.host_read = bench.host_written = 0;
	bench.features = (features & 1 ? VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) : 0) |
			 (features & 2 ? VIRTIO_BIT(VIRTIO_F_EVENT_IDX) : 0);
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	bench.host = pair[0];
	fuzz_require(console_state_open(&bench.state, CONSOLE_KIND_VIRTIO, -1, false) == 0);
	fuzz_require(output_new(loop, OUTPUT_STREAM, pair[1], pair[1], &bench.state, &bench.output) == 0);
	fuzz_require(virtio_console_new(loop, bench.output, &bench.state, &bench.console) == 0);
	for (uint16_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		eventfd_t count;

		eventfd_read(bench.kicks[i], &count);
		bench.next_available[i] = 0;
		start_queue(i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	int first_fd;

	if (loop == NULL)
		prepare();
	first_fd = fuzz_next_fd();
	set_up(&input);
	for (unsigned i = 0; i < EVENTS_MAX && input.size > 0; i++)
		happen(&input);
	for (uint16_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++)
		stop_queue(i);
	virtio_console_free(bench.console);
	output_free(bench.output);
	console_state_close(&bench.state);
	close(bench.host);
	fuzz_require(fuzz_next_fd() == first_fd);
	return 0;
}
