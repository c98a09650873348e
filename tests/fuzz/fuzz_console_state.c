/*
 * A console's state page as a process left it that had been taken over by its guest: all of it, the indices of the
 * rings, of the input and of the output among them, is the input's. Held to it: it is refused, or the device goes on
 * with it as with one of its own, inside of the page, and leaves a page that can be taken over again.
 *
 * Input: a byte that says which kind of console (bit 0), whether its output is a file with a bound (bit 2), and whether the page's beginning or the record that counts (bit 1)
 * is replaced by what follows, and how much of it (two bytes; the rest is as one of ours would have left it); that; then
 * accesses of two bytes each, or for virtio, a byte of a used index. The checksum is made right.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "dev-console/console_state.h"
#include "dev-console/output.h"
#include "dev-console/serial.h"
#include "dev-console/virtio_console.h"
#include "dev-console/virtio_console_spec.h"
#include "tests/fuzz/fuzz_support.h"

#define MEMORY_BYTES 16384u
#define QUEUE_SIZE   16
#define AVAILABLE_AT 256
#define USED_AT	     304
#define QUEUE_BYTES  512
#define BUFFERS_AT   4096
#define BUFFER_BYTES 64

static struct loop *loop;
static struct guest_memory memory;
static uint8_t *base;
static int page_fd = -1;
static struct console_page *page;

static void prepare(void)
{
	int memory_fd = memfd_create("guest", MFD_CLOEXEC);
	void *mapping = NULL;

	fuzz_quiet_log();
	loop = loop_new();
	fuzz_require(loop != NULL && memory_fd >= 0 && ftruncate(memory_fd, MEMORY_BYTES) == 0);
	guest_memory_init(&memory);
	fuzz_require(guest_memory_add(&memory, 0, MEMORY_BYTES, 0, 0, memory_fd) == 0);
	base = guest_memory_range(&memory, 0, MEMORY_BYTES);
	fuzz_require(state_page_create(&page_fd) == 0 && state_page_map(page_fd, &mapping) == 0);
	page = mapping;
}

/* What one of our own processes could have left, as a start. */
static void page_fill(enum console_kind kind)
{
	struct console_state state;

	memset(page, 0, sizeof(*page));
	fuzz_require(console_state_open(&state, kind, page_fd, false) == 0);
	uart16550_write(&state.live.uart, UART16550_FCR, UART16550_FCR_ENABLE);
	uart16550_write(&state.live.uart, UART16550_MCR, UART16550_MCR_RTS | UART16550_MCR_OUT2);
	uart16550_receive(&state.live.uart, 'r', 0);
	uart16550_write(&state.live.uart, UART16550_THR, 't');
	memcpy(console_state_land(&state, 8), "input", 5);
	console_state_landed(&state, 5);
	memcpy(page->output, "output", 6);
	state.live.output_end = 6;
	state.live.listens = state.live.access_known = 1;
	state.live.transmit_running = state.live.receive_running = 1;
	state.live.transmit_next = 1;
	console_state_commit(&state);
	memcpy(console_state_land(&state, 16), "more", 4);
	console_state_close(&state);
}

static void check_inside(const struct console_state *state)
{
	const struct console_record *live = &state->live;

	fuzz_require(uart16550_valid(&live->uart));
	fuzz_require(state->output_start <= state->committed_end && state->committed_end <= live->output_end);
	fuzz_require(live->output_end - state->output_start <= CONSOLE_STATE_OUTPUT);
	fuzz_require(live->input_start <= live->input_end && live->input_end <= CONSOLE_STATE_INPUT);
	fuzz_require(state->unclaimed <= CONSOLE_STATE_INPUT);
}

/* A UART as its owner uses it, without the wire. */
static void run_serial(struct console_state *state, struct output *output, struct fuzz_input *input)
{
	struct serial *serial;

	fuzz_require(serial_new(loop, output, state, &serial) == 0);
	for (unsigned i = 0; i < 64 && input->size > 0; i++) {
		uint8_t what = fuzz_take_u8(input);

		if (what & 8)
			uart16550_read(&state->live.uart, what);
		else
			uart16550_write(&state->live.uart, what, fuzz_take_u8(input));
		loop_run_once(loop, 0);
		check_inside(state);
	}
	serial_free(serial);
}

static void run_virtio(struct console_state *state, struct output *output, struct fuzz_input *input)
{
	uint16_t used[VIRTIO_CONSOLE_QUEUES] = {fuzz_take_u16(input), fuzz_take_u16(input)};
	struct virtqueue *queues[VIRTIO_CONSOLE_QUEUES];
	struct virtio_console *console;
	int kicks[VIRTIO_CONSOLE_QUEUES];

	memset(base, 0, MEMORY_BYTES);
	fuzz_require(virtio_console_new(loop, output, state, &console) == 0);
	for (uint16_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		uint64_t at = i * QUEUE_BYTES;
		struct virtq_desc *descriptors = guest_memory_range(&memory, at, AVAILABLE_AT);
		struct virtq_avail *available =
			guest_memory_range(&memory, at + AVAILABLE_AT, USED_AT - AVAILABLE_AT);
		struct virtq_used *ring = guest_memory_range(&memory, at + USED_AT, 6 + 8 * QUEUE_SIZE);
		struct virtqueue_setup setup = {.memory = &memory,
						.size = QUEUE_SIZE,
						.descriptor_table = descriptors,
						.available_ring = available,
						.used_ring = ring,
						.next_available = used[i],
						.call_fd = -1};

		for (uint16_t k = 0; k < QUEUE_SIZE; k++) {
			descriptors[k] = (struct virtq_desc){
				.addr = BUFFERS_AT + (i * QUEUE_SIZE + k) * BUFFER_BYTES,
				.len = BUFFER_BYTES,
				.flags = i == VIRTIO_CONSOLE_RECEIVEQ_0 ? VIRTQ_DESC_F_WRITE : 0};
			available->ring[k] = k;
		}
		ring->idx = used[i];
		available->idx = (uint16_t)(used[i] + fuzz_take_u8(input) % (QUEUE_SIZE + 1));
		kicks[i] = setup.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fuzz_require(virtqueue_new(&setup, &queues[i]) == 0);
		fuzz_require(virtio_console_ops.start_queue(console, i, queues[i]) == 0);
		check_inside(state);
	}
	loop_run_once(loop, 0);
	for (uint16_t i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		virtio_console_ops.stop_queue(console, i);
		/* Nothing is broken in rings like these. */
		fuzz_require(virtqueue_broken(queues[i]) == NULL);
		virtqueue_free(queues[i]);
		close(kicks[i]);
		check_inside(state);
	}
	virtio_console_free(console);
}

/* --- A file with a bound, and others in its place --- */

#define FILE_BOUND 16

static struct output *file_output;
static int file_last;

static int file_full(void *owner)
{
	struct stat status;

	(void)owner;
	fuzz_require(fstat(file_last, &status) == 0 && status.st_size == FILE_BOUND);
	return 0;
}

static int file_await(void *owner, int timeout_ms)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	(void)owner;
	(void)timeout_ms;
	close(file_last);
	file_last = dup(fd);
	fuzz_require(fd >= 0 && file_last >= 0 && output_replace_file(file_output, fd) == 0);
	return 0;
}

static void file_open(struct console_state *state, struct output **output)
{
	static const struct output_file_ops ops = {file_full, file_await};
	int fd = memfd_create("file", MFD_CLOEXEC);

	file_last = dup(fd);
	fuzz_require(fd >= 0 && file_last >= 0);
	fuzz_require(output_new(loop, OUTPUT_FILE, -1, fd, state, output) == 0);
	output_bound_file(*output, FILE_BOUND, &ops, NULL);
	file_output = *output;
}

/* All of it goes into files, none of which is longer than it may be. */
static void file_end(struct output *output)
{
	struct stat status;

	fuzz_require(output_drain(output, 10000) == 0);
	fuzz_require(output_counters(output)->dropped == 0);
	fuzz_require(fstat(file_last, &status) == 0 && status.st_size <= FILE_BOUND);
	close(file_last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	struct console_state state;
	enum console_kind kind;
	struct output *output;
	const uint8_t *bytes;
	bool of_record;
	uint8_t flags;
	int pair[2];

	if (loop == NULL)
		prepare();
	flags = fuzz_take_u8(&input);
	kind = flags & 1 ? CONSOLE_KIND_VIRTIO : CONSOLE_KIND_SERIAL;
	of_record = (flags & 2) != 0;
	page_fill(kind);
	bytes = fuzz_take(&input,
			  fuzz_take_u16(&input) %
				  ((of_record ? sizeof(struct console_record) : sizeof(*page)) + 1),
			  &size);
	if (size > 0)
		memcpy(of_record ? (void *)page->device.slots[page->device.commits & 1].record : page, bytes,
		       size);
	fuzz_seal(&page->device);
	fuzz_require(console_state_open(&state, kind, page_fd, true) == 0);
	check_inside(&state);
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	fuzz_require(send(pair[0], "typed", 5, 0) == 5);
	if (flags & 4)
		file_open(&state, &output);
	else
		fuzz_require(output_new(loop, OUTPUT_STREAM, pair[1], pair[1], &state, &output) == 0);
	if (kind == CONSOLE_KIND_SERIAL)
		run_serial(&state, output, &input);
	else
		run_virtio(&state, output, &input);
	console_state_commit(&state);
	if (flags & 4) {
		file_end(output);
		close(pair[1]);
	}
	output_free(output);
	console_state_close(&state);
	/* A page of ours. */
	fuzz_require(console_state_open(&state, kind, page_fd, true) == 0 && state.inherited);
	check_inside(&state);
	console_state_close(&state);
	close(pair[0]);
	return 0;
}
