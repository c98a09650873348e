/*
 * A console's process is killed, and the next one goes on: at each step that has a trace outside of it in turn, with a
 * core, a driver and a host that go on where it died. And pages that no process of ours can have left.
 *
 * Linked with --wrap for what the steps are: see step().
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
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "common/vfio-user/vfio_user_message.h"
#include "common/vhost-user/vhost_user_message.h"
#include "dev-console/console_state.h"
#include "dev-console/output.h"
#include "dev-console/serial.h"
#include "dev-console/virtio_console.h"
#include "dev-console/virtio_console_spec.h"

/* --- Steps --- */

static long steps_left = -1; /* the child's; negative: it lives */
/* Shared with it: it dies where the host has been given output and that is not noted. */
static bool *dies_behind_write;

static void step(bool behind_write)
{
	if (steps_left <= 0 || --steps_left > 0)
		return;
	*dies_behind_write = behind_write;
	kill(getpid(), SIGKILL);
}

#define STEP_WRAP(type, name, behind_write, parameters, arguments) \
	type __real_##name parameters;                             \
	type __wrap_##name parameters;                             \
	type __wrap_##name parameters                              \
	{                                                          \
		type result;                                       \
                                                                   \
		step(false);                                       \
		result = __real_##name arguments;                  \
		step(behind_write);                                \
		return result;                                     \
	}
#define STEP_WRAP_VOID(name, behind_write, parameters, arguments) \
	void __real_##name parameters;                            \
	void __wrap_##name parameters;                            \
	void __wrap_##name parameters                             \
	{                                                         \
		step(behind_write);                               \
		__real_##name arguments;                          \
		step(false);                                      \
	}

STEP_WRAP(ssize_t, read, false, (int fd, void *data, size_t size), (fd, data, size))
STEP_WRAP(ssize_t, write, true, (int fd, const void *data, size_t size), (fd, data, size))
STEP_WRAP(ssize_t, sendmsg, false, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
STEP_WRAP_VOID(console_state_commit, false, (struct console_state * state), (state))
STEP_WRAP_VOID(console_state_written, true, (struct console_state * state, uint64_t start), (state, start))
STEP_WRAP_VOID(virtqueue_push, false,
	       (struct virtqueue * queue, const struct virtqueue_token *token, uint32_t written),
	       (queue, token, written))
STEP_WRAP_VOID(virtqueue_publish, false, (struct virtqueue * queue), (queue))

/* --- The process --- */

/* What goes in, and comes out again; of the UART's half as much, for it takes more steps. */
#define BYTES	     48u
#define SERIAL_BYTES 24u

struct bench {
	enum console_kind kind;
	int page_fd;
	int host[2]; /* ours, the process's */
	int wire;    /* our end */
	pid_t pid;
	bool file; /* the output is a file: host[1] */
	/* B5: or one of these, which have a bound: that which the supervisor gave last. */
	int *files;
	unsigned *given;
	unsigned deaths;
	long kill_at;
	int irq;

	/* The core's part for the UART: see vmm-core/wire/serial_port.c. */
	struct vfio_user_stream replies;
	uint16_t next_id;
	struct posted {
		uint16_t id;
		uint8_t offset, value;
	} posted[64];
	unsigned posted_count;

	/* The driver's part for virtio-console. */
	int memory_fd;
	uint8_t *memory;
	int kicks[VIRTIO_CONSOLE_QUEUES];
	int call;
	uint16_t seen[VIRTIO_CONSOLE_QUEUES];
};

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static void note_end(void *argument, int error)
{
	(void)error;
	*(bool *)argument = true;
}

/* Another file: what the supervisor does is done, and its answer under way. */
struct changing {
	const struct bench *bench;
	struct output *output;
	struct loop_watch *answer;
};

static int changing_full(void *owner)
{
	struct changing *changing = owner;

	step(false);
	++*changing->bench->given;
	step(false);
	loop_timer_arm(changing->answer, 0);
	return 0;
}

static void changing_answer(void *argument)
{
	struct changing *changing = argument;

	step(false);
	output_replace_file(changing->output, dup(changing->bench->files[*changing->bench->given]));
	step(false);
}

static int changing_await(void *owner, int timeout_ms)
{
	(void)timeout_ms;
	changing_answer(owner);
	return 0;
}

static const struct output_file_ops changing_ops = {changing_full, changing_await};

#define FILE_BOUND 7

/* The child: as dev-console/main.c does it. */
static void process_run(const struct bench *bench, int wire, bool resume)
{
	enum output_kind kind = bench->file ? OUTPUT_FILE : OUTPUT_STREAM;
	int out_fd = bench->files != NULL ? dup(bench->files[*bench->given]) : bench->host[1];
	struct loop *loop = loop_new();
	struct virtio_console *console;
	struct console_state state;
	struct output *output;
	struct serial *serial;
	struct changing changing;
	bool ended = false;

	if (console_state_open(&state, bench->kind, bench->page_fd, resume) < 0 ||
	    output_new(loop, kind, bench->file ? -1 : bench->host[1], out_fd, &state, &output) < 0)
		_exit(1);
	if (bench->files != NULL) {
		changing = (struct changing){bench, output, NULL};
		changing.answer = loop_watch_timer(loop, changing_answer, &changing);
		output_bound_file(output, FILE_BOUND, &changing_ops, &changing);
	}
	if (bench->kind == CONSOLE_KIND_SERIAL) {
		if (serial_new(loop, output, &state, &serial) < 0 ||
		    serial_start(serial, wire, note_end, &ended) < 0)
			_exit(1);
	} else if (virtio_console_new(loop, output, &state, &console) < 0 ||
		   virtio_console_start(console, wire, note_end, &ended) < 0) {
		_exit(1);
	}
	while (!ended)
		loop_run_once(loop, 1000);
	output_drain(output, 1000);
	_exit(0);
}

static void process_start(struct bench *bench, bool resume)
{
	struct timeval patience = {.tv_sec = 10};
	int wire[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
	bench->pid = fork();
	assert_true(bench->pid >= 0);
	if (bench->pid == 0) {
		close(wire[0]);
		steps_left = bench->kill_at;
		process_run(bench, wire[1], resume);
	}
	close(wire[1]);
	bench->kill_at = -1;
	bench->wire = wire[0];
	setsockopt(bench->wire, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* The process is gone: reaped, and a death counted. */
static void process_reap(struct bench *bench)
{
	int status;

	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	bench->deaths++;
	close(bench->wire);
}

static void bench_open(struct bench *bench, enum console_kind kind, long kill_at)
{
	*bench = (struct bench){.kind = kind, .kill_at = kill_at};
	*dies_behind_write = false;
	log_set_sink(ignore_log, NULL);
	assert_int_equal(state_page_create(&bench->page_fd), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bench->host), 0);
	bench->irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void bench_close(struct bench *bench)
{
	int status;

	close(bench->wire);
	assert_int_equal(waitpid(bench->pid, &status, 0), bench->pid);
	if (WIFSIGNALED(status))
		bench->deaths++;
	else
		assert_int_equal(status, 0);
	close(bench->page_fd);
	close(bench->host[0]);
	close(bench->host[1]);
	close(bench->irq);
}

static uint8_t input_byte(unsigned i)
{
	return (uint8_t)('A' + i);
}

/* --- The core with a UART --- */

static int core_receive(struct bench *bench, struct vfio_user_message *message)
{
	int whole;

	while ((whole = vfio_user_stream_next(&bench->replies, message)) == 0) {
		ssize_t got = vfio_user_stream_receive(&bench->replies, 0);

		if (got <= 0)
			return got == 0 || got == -ECONNRESET ? -EPIPE : (int)got;
	}
	assert_int_equal(whole, 1);
	return 0;
}

static int core_call(struct bench *bench, uint16_t command, const void *payload, size_t size, int fd)
{
	struct vfio_user_header header = {.command = command};
	struct vfio_user_message message;
	int result = vfio_user_send(bench->wire, &header, payload, size, NULL, 0, &fd, fd >= 0);

	return result < 0 ? result : core_receive(bench, &message);
}

/* confirm: wait for the reply; always so for a read. */
static int core_issue(struct bench *bench, uint16_t id, bool write, bool confirm, uint8_t offset,
		      uint8_t *value)
{
	struct vfio_user_region_access access = {.offset = offset, .count = 1};
	struct vfio_user_header header = {.message_id = id,
					  .command = write ? VFIO_USER_REGION_WRITE : VFIO_USER_REGION_READ,
					  .flags = confirm ? 0 : VFIO_USER_FLAG_NO_REPLY};
	struct vfio_user_message message;
	int result = vfio_user_send(bench->wire, &header, &access, sizeof(access), value, write, NULL, 0);

	if (result < 0 || !confirm)
		return result;
	result = core_receive(bench, &message);
	if (result == 0) {
		assert_int_equal(message.header.message_id, id);
		if (!write)
			*value = message.payload[sizeof(access)];
	}
	return result;
}

static int core_handshake(struct bench *bench)
{
	struct vfio_user_version version = {.major = VFIO_USER_VERSION_MAJOR,
					    .minor = VFIO_USER_VERSION_MINOR};
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
					.count = 1};
	int result;

	assert_int_equal(vfio_user_stream_init(&bench->replies, bench->wire, 8192), 0);
	result = core_call(bench, VFIO_USER_VERSION, &version, sizeof(version), -1);
	if (result == 0)
		result = core_call(bench, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), bench->irq);
	return result;
}

/* Until a process has the handshake behind it, and what its predecessor may have missed. */
static void core_follow(struct bench *bench)
{
	int result;

	do {
		vfio_user_stream_clear(&bench->replies);
		process_reap(bench);
		process_start(bench, true);
		result = core_handshake(bench);
		for (unsigned i = 0; result == 0 && i < bench->posted_count; i++) {
			struct posted *posted = &bench->posted[i];

			result = core_issue(bench, posted->id, true, i + 1 == bench->posted_count,
					    posted->offset, &posted->value);
		}
	} while (result < 0);
	bench->posted_count = 0;
}

static uint8_t core_access(struct bench *bench, bool write, uint8_t offset, uint8_t value)
{
	bool confirm = !write || bench->posted_count == 64;
	uint16_t id = bench->next_id++;

	while (core_issue(bench, id, write, confirm, offset, &value) < 0) {
		core_follow(bench);
		confirm = true;
	}
	if (confirm)
		bench->posted_count = 0;
	else
		bench->posted[bench->posted_count++] = (struct posted){id, offset, value};
	return value;
}

static void guest_put(struct bench *bench, uint8_t offset, uint8_t value)
{
	core_access(bench, true, offset, value);
}

static uint8_t guest_get(struct bench *bench, uint8_t offset)
{
	return core_access(bench, false, offset, 0);
}

/* --- What the host sees --- */

static void expect_output(struct bench *bench, unsigned bytes, void (*follow)(struct bench *bench))
{
	uint8_t data[1024];
	size_t size = 0;
	unsigned at = 0, back = 0;

	while (size < bytes || data[size - 1] != input_byte(bytes - 1)) {
		struct pollfd events[] = {{.fd = bench->host[0], .events = POLLIN},
					  {.fd = bench->wire, .events = POLLRDHUP}};
		ssize_t got;

		if (poll(events, 2, 5000) == 0)
			fail_msg("%zu bytes came: %.*s", size, (int)size, data);
		if (events[1].revents)
			follow(bench);
		if (!events[0].revents)
			continue;
		got = recv(bench->host[0], data + size, sizeof(data) - size, MSG_DONTWAIT);
		assert_true(got > 0);
		size += (size_t)got;
	}
	/* In order, none missing; what a write(2) gave may come twice where the process died behind it. */
	for (size_t i = 0; i < size; i++, at++) {
		if (data[i] == input_byte(at))
			continue;
		back++;
		if (data[i] > input_byte(at))
			fail_msg("%c is missing in %.*s", input_byte(at), (int)size, data);
		at = data[i] - input_byte(0);
	}
	assert_int_equal(at, bytes);
	if (back > *dies_behind_write)
		fail_msg("%u repeats: %.*s", back, (int)size, data);
}

/* --- Runs --- */

/* A guest that echoes its input; returns whether a process died for it. */
static bool serial_echoes(long kill_at)
{
	unsigned input = 0, sent = 0;
	struct bench bench;

	bench_open(&bench, CONSOLE_KIND_SERIAL, kill_at);
	process_start(&bench, false);
	if (core_handshake(&bench) < 0)
		core_follow(&bench);
	guest_put(&bench, UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_TRIGGER_14);
	guest_put(&bench, UART16550_MCR, UART16550_MCR_RTS | UART16550_MCR_OUT2);
	/* With a transmitter's interrupt characters stay in the FIFO for a while. */
	guest_put(&bench, UART16550_IER, UART16550_IER_ETBEI);
	while (input < SERIAL_BYTES) {
		/* The host types as the guest goes on. */
		if (sent == input && sent < SERIAL_BYTES) {
			uint8_t piece[12];

			for (unsigned i = 0; i < sizeof(piece); i++)
				piece[i] = input_byte(sent + i);
			assert_int_equal(send(bench.host[0], piece, sizeof(piece), 0), sizeof(piece));
			sent += sizeof(piece);
		}
		while (guest_get(&bench, UART16550_LSR) & UART16550_LSR_DR) {
			uint8_t character = guest_get(&bench, UART16550_RBR);

			if (character != input_byte(input))
				fail_msg("killed at %ld: %c came for %c", kill_at, character,
					 input_byte(input));
			input++;
			guest_put(&bench, UART16550_THR, character);
		}
	}
	/* What a posted write would not tell. */
	assert_int_equal(guest_get(&bench, UART16550_MCR), UART16550_MCR_RTS | UART16550_MCR_OUT2);
	expect_output(&bench, SERIAL_BYTES, core_follow);
	vfio_user_stream_clear(&bench.replies);
	bench_close(&bench);
	return bench.deaths > 0;
}

/* Output goes into a file, whose offset tells what is in it: exactly once. */
static bool serial_writes_file(long kill_at)
{
	struct bench bench;
	char data[SERIAL_BYTES * 4];
	int check;

	bench_open(&bench, CONSOLE_KIND_SERIAL, kill_at);
	bench.file = true;
	close(bench.host[1]);
	check = bench.host[1] = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(write(check, "##", 2), 2);
	process_start(&bench, false);
	if (core_handshake(&bench) < 0)
		core_follow(&bench);
	guest_put(&bench, UART16550_FCR, UART16550_FCR_ENABLE);
	for (unsigned i = 0; i < SERIAL_BYTES; i++) {
		guest_put(&bench, UART16550_THR, input_byte(i));
		/* One write(2) and another. */
		while (i % 12 == 11 && lseek(check, 0, SEEK_CUR) < (off_t)(2 + i))
			guest_get(&bench, UART16550_LSR);
	}
	while (lseek(check, 0, SEEK_CUR) < 2 + SERIAL_BYTES)
		guest_get(&bench, UART16550_LSR);
	assert_int_equal(pread(check, data, sizeof(data), 2), SERIAL_BYTES);
	for (unsigned i = 0; i < SERIAL_BYTES; i++)
		assert_int_equal(data[i], input_byte(i));
	vfio_user_stream_clear(&bench.replies);
	bench_close(&bench);
	return bench.deaths > 0;
}

/* B5: the same into several, each of which takes the place of the one before at its bound. */
static bool serial_writes_files(long kill_at)
{
	int files[2 + SERIAL_BYTES / FILE_BOUND];
	const unsigned count = sizeof(files) / sizeof(files[0]);
	struct bench bench;
	unsigned at = 0;

	bench_open(&bench, CONSOLE_KIND_SERIAL, kill_at);
	bench.file = true;
	bench.files = files;
	bench.given =
		mmap(NULL, sizeof(*bench.given), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (unsigned i = 0; i < count; i++)
		files[i] = memfd_create("file", MFD_CLOEXEC);
	process_start(&bench, false);
	if (core_handshake(&bench) < 0)
		core_follow(&bench);
	guest_put(&bench, UART16550_FCR, UART16550_FCR_ENABLE);
	for (unsigned i = 0; i < SERIAL_BYTES; i++) {
		guest_put(&bench, UART16550_THR, input_byte(i));
		if (i % 5 == 4)
			guest_get(&bench, UART16550_LSR);
	}
	while (lseek(files[SERIAL_BYTES / FILE_BOUND], 0, SEEK_CUR) < SERIAL_BYTES % FILE_BOUND)
		guest_get(&bench, UART16550_LSR);
	for (unsigned i = 0; i < count; i++) {
		char data[SERIAL_BYTES * 2];
		ssize_t size = pread(files[i], data, sizeof(data), 0);

		assert_true(size <= FILE_BOUND);
		for (ssize_t k = 0; k < size; k++)
			assert_int_equal(data[k], input_byte(at++));
		close(files[i]);
	}
	assert_int_equal(at, SERIAL_BYTES);
	munmap(bench.given, sizeof(*bench.given));
	vfio_user_stream_clear(&bench.replies);
	bench_close(&bench);
	return bench.deaths > 0;
}

/* --- The driver of a virtio-console --- */

#define MEMORY_SIZE 0x100000u
#define RING_SIZE   8u
#define RING(queue) (0x10000u * (queue))
#define AVAILABLE   0x1000u
#define USED	    0x2000u
#define DATA(queue) (RING(queue) + 0x4000u)
#define CHAIN_BYTES 5u

static struct virtq_avail *driver_available(struct bench *bench, unsigned queue)
{
	return (struct virtq_avail *)(bench->memory + RING(queue) + AVAILABLE);
}

static uint16_t driver_used(struct bench *bench, unsigned queue)
{
	struct virtq_used *used = (struct virtq_used *)(bench->memory + RING(queue) + USED);

	return __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
}

static int front_say(struct bench *bench, uint32_t request, const void *payload, uint32_t size, int fd)
{
	return vhost_user_send(bench->wire, request, VHOST_USER_VERSION, payload, size, &fd, fd >= 0, 5000);
}

static int front_state(struct bench *bench, uint32_t request, uint32_t index, uint32_t value)
{
	struct vhost_user_vring_state state = {.index = index, .num = value};

	return front_say(bench, request, &state, sizeof(state), -1);
}

static int front_ring(struct bench *bench, uint32_t index)
{
	struct vhost_user_vring_addr address = {.index = index,
						.descriptor = RING(index),
						.available = RING(index) + AVAILABLE,
						.used = RING(index) + USED};
	uint64_t word = index;
	int result = front_state(bench, VHOST_USER_SET_VRING_NUM, index, RING_SIZE);

	if (result == 0)
		result = front_state(bench, VHOST_USER_SET_VRING_BASE, index, driver_used(bench, index));
	if (result == 0)
		result = front_say(bench, VHOST_USER_SET_VRING_ADDR, &address, sizeof(address), -1);
	if (result == 0)
		result = front_say(bench, VHOST_USER_SET_VRING_CALL, &word, sizeof(word), bench->call);
	if (result == 0)
		result =
			front_say(bench, VHOST_USER_SET_VRING_KICK, &word, sizeof(word), bench->kicks[index]);
	if (result == 0)
		result = front_state(bench, VHOST_USER_SET_VRING_ENABLE, index, 1);
	/* A kick may have been read by one that did nothing with it. */
	eventfd_write(bench->kicks[index], 1);
	return result;
}

static int front_set_up(struct bench *bench)
{
	struct {
		uint32_t count, padding;
		struct vhost_user_memory_region region;
	} table = {.count = 1, .region = {.size = MEMORY_SIZE}};
	uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	int result = front_say(bench, VHOST_USER_SET_OWNER, NULL, 0, -1);

	if (result == 0)
		result = front_say(bench, VHOST_USER_SET_FEATURES, &features, sizeof(features), -1);
	if (result == 0)
		result = front_say(bench, VHOST_USER_SET_MEM_TABLE, &table, sizeof(table), bench->memory_fd);
	for (uint32_t i = 0; result == 0 && i < VIRTIO_CONSOLE_QUEUES; i++)
		result = front_ring(bench, i);
	return result;
}

static void driver_follow(struct bench *bench)
{
	do {
		process_reap(bench);
		process_start(bench, true);
	} while (front_set_up(bench) < 0);
}

/* Waits for either queue to go on, or for the process's end, which is made up for. */
static void driver_wait(struct bench *bench)
{
	struct pollfd events[] = {{.fd = bench->wire, .events = POLLRDHUP},
				  {.fd = bench->call, .events = POLLIN}};
	eventfd_t count;

	if (poll(events, 2, 10000) == 0)
		fail_msg("nothing happens");
	if (!events[0].revents) {
		eventfd_read(bench->call, &count);
		return;
	}
	driver_follow(bench);
}

static void driver_offer(struct bench *bench, unsigned queue, uint16_t index, uint16_t flags, uint32_t size)
{
	struct virtq_desc *descriptors = (struct virtq_desc *)(bench->memory + RING(queue));
	struct virtq_avail *available = driver_available(bench, queue);
	uint16_t head = index % RING_SIZE;

	descriptors[head] =
		(struct virtq_desc){.addr = DATA(queue) + head * 64u, .len = size, .flags = flags};
	available->ring[head] = head;
	__atomic_store_n(&available->idx, (uint16_t)(index + 1), __ATOMIC_RELEASE);
	eventfd_write(bench->kicks[queue], 1);
}

/* Chains that are in the output, as its state has it. */
static uint64_t virtio_transmitted(const struct bench *bench)
{
	const struct device_state_slot *slot;
	struct console_record record;
	struct console_page *left;
	void *mapping;

	assert_int_equal(state_page_map(bench->page_fd, &mapping), 0);
	left = mapping;
	slot = &left->device.slots[left->device.commits & 1];
	memcpy(&record, slot->record, sizeof(record));
	state_page_unmap(left);
	return record.transmit_next;
}

/* Input of the host's into buffers of all sizes, and the same bytes out again. start: the rings' indices, as they begin. */
static bool virtio_echoes_from(long kill_at, uint16_t start)
{
	uint16_t offered = start, taken = start, written = start;
	unsigned sent = 0, input = 0, echoed = 0;
	uint64_t transmitted;
	struct bench bench;

	bench_open(&bench, CONSOLE_KIND_VIRTIO, kill_at);
	bench.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	assert_int_equal(ftruncate(bench.memory_fd, MEMORY_SIZE), 0);
	bench.memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, bench.memory_fd, 0);
	for (unsigned i = 0; i < VIRTIO_CONSOLE_QUEUES; i++)
		bench.kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench.call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < VIRTIO_CONSOLE_QUEUES; i++) {
		driver_available(&bench, i)->idx = start;
		((struct virtq_used *)(bench.memory + RING(i) + USED))->idx = start;
	}
	for (; (uint16_t)(offered - start) < RING_SIZE; offered++)
		driver_offer(&bench, 0, offered, VIRTQ_DESC_F_WRITE, 1 + offered % CHAIN_BYTES);
	process_start(&bench, false);
	/* Whether it got through is seen by driver_wait(). */
	front_set_up(&bench);
	while (echoed < BYTES || driver_used(&bench, 1) != written) {
		const struct virtq_used *used = (const void *)(bench.memory + RING(0) + USED);

		if (sent == input && sent < BYTES) {
			uint8_t piece[16];

			for (unsigned i = 0; i < sizeof(piece); i++)
				piece[i] = input_byte(sent + i);
			assert_int_equal(send(bench.host[0], piece, sizeof(piece), 0), sizeof(piece));
			sent += sizeof(piece);
		}
		for (; taken != driver_used(&bench, 0); taken++, offered++) {
			const struct virtq_used_elem *element = &used->ring[taken % RING_SIZE];
			const uint8_t *data = bench.memory + DATA(0) + element->id * 64;

			for (uint32_t i = 0; i < element->len; i++, input++) {
				if (data[i] != input_byte(input))
					fail_msg("killed at %ld: %c came for %c", kill_at, data[i],
						 input_byte(input));
			}
			driver_offer(&bench, 0, offered, VIRTQ_DESC_F_WRITE, 1 + offered % CHAIN_BYTES);
		}
		while (echoed < input && (uint16_t)(written - driver_used(&bench, 1)) < RING_SIZE) {
			uint32_t size = input - echoed < CHAIN_BYTES ? input - echoed : CHAIN_BYTES;
			uint8_t *data = bench.memory + DATA(1) + written % RING_SIZE * 64u;

			for (uint32_t i = 0; i < size; i++)
				data[i] = input_byte(echoed++);
			driver_offer(&bench, 1, written++, 0, size);
		}
		if (echoed < BYTES || driver_used(&bench, 1) != written)
			driver_wait(&bench);
	}
	expect_output(&bench, BYTES, driver_follow);
	/* Across the index's wrap-around, and through each successor. */
	transmitted = (uint64_t)start + (uint16_t)(written - start);
	if (virtio_transmitted(&bench) != transmitted)
		fail_msg("killed at %ld: counted %llu of %llu", kill_at,
			 (unsigned long long)virtio_transmitted(&bench), (unsigned long long)transmitted);
	bench_close(&bench);
	munmap(bench.memory, MEMORY_SIZE);
	close(bench.memory_fd);
	close(bench.call);
	for (unsigned i = 0; i < VIRTIO_CONSOLE_QUEUES; i++)
		close(bench.kicks[i]);
	return bench.deaths > 0;
}

static bool virtio_echoes(long kill_at)
{
	return virtio_echoes_from(kill_at, 0);
}

static bool virtio_echoes_across(long kill_at)
{
	return virtio_echoes_from(kill_at, 65533);
}

/* From the first step to one that is not reached any more. */
static void each_step(bool (*run)(long kill_at), long least)
{
	long kill_at = 1;

	alarm(120);
	while (run(kill_at))
		kill_at++;
	alarm(0);
	print_message("killed at %ld steps\n", kill_at - 1);
	assert_true(kill_at > least);
}

static void killed_serial_loses_nothing(void **state)
{
	(void)state;
	each_step(serial_echoes, 100);
}

static void killed_serial_writes_a_file_once(void **state)
{
	(void)state;
	each_step(serial_writes_file, 50);
}

static void killed_serial_writes_changing_files_once(void **state)
{
	(void)state;
	each_step(serial_writes_files, 60);
}

static void killed_virtio_loses_nothing(void **state)
{
	(void)state;
	each_step(virtio_echoes, 50);
}

static void killed_virtio_counts_on(void **state)
{
	(void)state;
	each_step(virtio_echoes_across, 50);
}

/* --- Pages --- */

static struct console_page *page;
static int page_fd;

static int set_up_page(void **state)
{
	struct console_state console;
	void *mapping;

	(void)state;
	log_set_sink(ignore_log, NULL);
	assert_int_equal(state_page_create(&page_fd), 0);
	assert_int_equal(state_page_map(page_fd, &mapping), 0);
	page = mapping;
	assert_int_equal(console_state_open(&console, CONSOLE_KIND_SERIAL, page_fd, false), 0);
	uart16550_write(&console.live.uart, UART16550_FCR, UART16550_FCR_ENABLE);
	uart16550_write(&console.live.uart, UART16550_SCR, 0x5a);
	uart16550_receive(&console.live.uart, 'r', 0);
	uart16550_write(&console.live.uart, UART16550_THR, 't');
	memcpy(console_state_land(&console, 8), "input", 5);
	console_state_landed(&console, 5);
	memcpy(page->output, "output", 6);
	console.live.output_end = 6;
	console_state_commit(&console);
	console_state_written(&console, 2);
	console_state_close(&console);
	return 0;
}

static int tear_down_page(void **state)
{
	(void)state;
	state_page_unmap(page);
	close(page_fd);
	return 0;
}

static struct console_record *committed(void)
{
	return (struct console_record *)page->device.slots[page->device.commits & 1].record;
}

static struct console_state reopen(enum console_kind kind)
{
	struct console_state console;

	assert_int_equal(console_state_open(&console, kind, page_fd, true), 0);
	return console;
}

static void expect_taken_over(void)
{
	struct console_state console = reopen(CONSOLE_KIND_SERIAL);

	assert_true(console.inherited);
	assert_int_equal(uart16550_read(&console.live.uart, UART16550_SCR), 0x5a);
	assert_int_equal(console.output_start, 2);
	assert_int_equal(console.live.output_end, 6);
	assert_int_equal(console.committed_end, 6);
	assert_memory_equal(console_state_input(&console), "input", 5);
	console_state_close(&console);
}

/* As if whoever changed the record had known how to. */
static void seal(void)
{
	struct device_state_slot *slot = &page->device.slots[page->device.commits & 1];

	slot->checksum = device_state_checksum(slot->sequence, slot->record, sizeof(struct console_record));
}

/* A master reset, and the next successor finds that. */
static void expect_refused(const char *what)
{
	for (int i = 0; i < 2; i++) {
		struct console_state console = reopen(CONSOLE_KIND_SERIAL);

		if (console.inherited != (i == 1))
			fail_msg("%s: %s", what, i == 0 ? "was taken over" : "nothing to take over");
		assert_true(uart16550_valid(&console.live.uart));
		assert_int_equal(uart16550_read(&console.live.uart, UART16550_SCR), 0);
		assert_int_equal(console.live.output_end, 0);
		assert_int_equal(console.live.input_end, 0);
		console_state_close(&console);
	}
}

static void page_is_taken_over(void **state)
{
	(void)state;
	expect_taken_over();
	/* And again: taking over changes nothing. */
	expect_taken_over();
	/* A commit that was not finished is none. */
	memset(&page->device.slots[(page->device.commits + 1) & 1], 0xa5, sizeof(page->device.slots[0]));
	expect_taken_over();
}

static void page_begins_anew_unless_told(void **state)
{
	struct console_state console;

	(void)state;
	assert_int_equal(console_state_open(&console, CONSOLE_KIND_SERIAL, page_fd, false), 0);
	assert_false(console.inherited);
	assert_int_equal(console.live.output_end, 0);
	console_state_close(&console);
	console = reopen(CONSOLE_KIND_SERIAL);
	assert_true(console.inherited);
	assert_int_equal(uart16550_read(&console.live.uart, UART16550_SCR), 0);
	assert_int_equal(console.live.output_end, 0);
	assert_int_equal(console.unclaimed, 0);
	console_state_close(&console);
}

/* What was read by a process that died before it noted how much that was. */
static void unnoted_input_is_found(void **state)
{
	struct console_state console = reopen(CONSOLE_KIND_SERIAL);

	(void)state;
	console.live.input_start = 5;
	memcpy(console_state_land(&console, 16), "and this", 8);
	/* It had not even noted that the input before was taken. */
	console_state_close(&console);
	console = reopen(CONSOLE_KIND_SERIAL);
	assert_memory_equal(console_state_input(&console), "input", 5);
	assert_int_equal(console.live.input_end - console.live.input_start, 5);
	assert_int_equal(console.unclaimed, 8);
	console_state_landed(&console, console.unclaimed);
	assert_memory_equal(console_state_input(&console), "and this", 8);
	console_state_commit(&console);
	console_state_close(&console);
	console = reopen(CONSOLE_KIND_SERIAL);
	assert_int_equal(console.unclaimed, 0);
	assert_memory_equal(console_state_input(&console), "and this", 8);
	/* Nothing came. */
	console_state_land(&console, 16);
	console_state_close(&console);
	console = reopen(CONSOLE_KIND_SERIAL);
	assert_int_equal(console.unclaimed, 0);
	console_state_close(&console);
}

#define REFUSED(change)                  \
	do {                             \
		tear_down_page(state);   \
		set_up_page(state);      \
		change;                  \
		seal();                  \
		expect_refused(#change); \
	} while (0)

static void hostile_pages_are_refused(void **state)
{
	struct console_state console;
	int small = memfd_create("small", MFD_CLOEXEC);

	REFUSED(page->device.format = 0);
	REFUSED(page->device.version = CONSOLE_STATE_VERSION + 1);
	/* One whose chains were counted in 16 bits. */
	REFUSED(page->device.version = 1);
	REFUSED(page->device.kind = CONSOLE_KIND_VIRTIO);
	REFUSED(page->device.kind = 0xffffffff);
	REFUSED(page->output_start = 7);
	REFUSED(page->output_start = UINT64_MAX);
	REFUSED(committed()->output_end = 1);
	REFUSED(committed()->output_end = 2 + CONSOLE_STATE_OUTPUT + 1);
	REFUSED(committed()->output_end = UINT64_MAX);
	REFUSED(page->landing = UINT64_MAX);
	REFUSED(page->landing = (uint64_t)3 << 32 | 8);
	REFUSED(page->landing = (uint64_t)0 << 32 | 8);
	REFUSED(page->landing = (uint64_t)2 << 32 | (CONSOLE_STATE_INPUT + 1));
	REFUSED(committed()->landing = 7);
	REFUSED(committed()->input_start = 6);
	REFUSED(committed()->input_start = UINT32_MAX);
	REFUSED(committed()->input_end = CONSOLE_STATE_INPUT + 1);
	REFUSED(committed()->input_end = UINT32_MAX);
	REFUSED(committed()->listens = 2);
	REFUSED(committed()->access_known = 0xff);
	REFUSED(committed()->transmit_running = 2);
	REFUSED(committed()->receive_running = 2);
	REFUSED(committed()->receive_pending = 6);
	REFUSED(committed()->receive_pending = UINT32_MAX);
	REFUSED(committed()->transmit_next = UINT64_MAX / 2 + 1);
	REFUSED(committed()->receive_next = UINT64_MAX);
	REFUSED(committed()->uart.ier = 0x10);
	REFUSED(committed()->uart.fcr = 0x02);
	REFUSED(committed()->uart.fcr = 0xc0);
	REFUSED(committed()->uart.fcr = 0x11);
	REFUSED(committed()->uart.mcr = 0x20);
	REFUSED(committed()->uart.line_errors = 0x01);
	REFUSED(committed()->uart.line_errors = 0x80);
	REFUSED(committed()->uart.thre_pending = 2);
	REFUSED(committed()->uart.timeout_pending = 2);
	REFUSED((committed()->uart.timeout_pending = 1, committed()->uart.rx_count = 0));
	REFUSED(committed()->uart.modem_lines = 0x01);
	REFUSED(committed()->uart.rx_errors[15] = 0x02);
	REFUSED(committed()->uart.rx_head = 16);
	REFUSED(committed()->uart.rx_count = 17);
	REFUSED(committed()->uart.tx_head = 16);
	REFUSED(committed()->uart.tx_head = 255);
	REFUSED(committed()->uart.tx_count = 17);
	REFUSED((committed()->uart.fcr = 0, committed()->uart.tx_count = 2));
	REFUSED(committed()->uart.mcr_written = 2);
	REFUSED(committed()->uart.lsr_read = 2);
	REFUSED(memset(page, 0, sizeof(*page)));
	REFUSED(memset(page, 0xff, sizeof(*page)));
	/* What is no page at all is told as an error. */
	assert_int_equal(console_state_open(&console, CONSOLE_KIND_SERIAL, small, true), -EINVAL);
	assert_int_equal(ftruncate(small, (off_t)STATE_PAGE_SIZE - 1), 0);
	assert_int_equal(console_state_open(&console, CONSOLE_KIND_SERIAL, small, true), -EINVAL);
	close(small);
}

static void page_cannot_be_resized(void **state)
{
	(void)state;
	assert_int_equal(ftruncate(page_fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(page_fd, (off_t)STATE_PAGE_SIZE * 2), -1);
	assert_int_equal(fcntl(page_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(page_is_taken_over, set_up_page, tear_down_page),
		cmocka_unit_test_setup_teardown(page_begins_anew_unless_told, set_up_page, tear_down_page),
		cmocka_unit_test_setup_teardown(unnoted_input_is_found, set_up_page, tear_down_page),
		cmocka_unit_test_setup_teardown(hostile_pages_are_refused, set_up_page, tear_down_page),
		cmocka_unit_test_setup_teardown(page_cannot_be_resized, set_up_page, tear_down_page),
		cmocka_unit_test(killed_serial_loses_nothing),
		cmocka_unit_test(killed_serial_writes_a_file_once),
		cmocka_unit_test(killed_serial_writes_changing_files_once),
		cmocka_unit_test(killed_virtio_loses_nothing),
		cmocka_unit_test(killed_virtio_counts_on),
	};

	signal(SIGPIPE, SIG_IGN);
	dies_behind_write = mmap(NULL, sizeof(*dies_behind_write), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
