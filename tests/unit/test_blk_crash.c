/*
 * atoll-blk killed at each of its crash points, before a front end that goes on with a successor.
 *
 * The device is a process of its own, forked from this program, with crash points compiled in (tests/unit/blk.mk).
 * Guest memory, the inflight region and the eventfds are this program's, as they are the core's; it is front end and
 * driver, sends no kick and expects no interrupt but by the rules, and numbers its requests. A device that ends is
 * waited for, and its successor gets a new socket, the same memory and region, and a ring base that is nonsense.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/crash_point.h"
#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/ring/inflight.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_message.h"
#include "dev-blk/blk_device.h"
#include "dev-blk/virtio_blk_spec.h"

#define TIMEOUT_MS  20000
#define USER	    UINT64_C(0x7f5500000000)
#define MEMORY	    (1u << 20)
#define SIZE	    64u
#define DEPTH	    16u /* requests at a time; 4 descriptors each */
#define REQUESTS    160u
#define SECTOR	    512u
#define IMAGE_BYTES (1u << 20)
#define AVAILABLE   0x1000u
#define USED	    0x2000u
#define SLOTS	    0x10000u /* a request's header, status, table and data */
#define SLOT_BYTES  0x1000u

static struct {
	uint64_t features;
	enum blk_engine_kind engine;
	int memory_fd, image_fd, region_fd, kick_fd, call_fd;
	struct vhost_user_inflight region;
	uint8_t *memory;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;

	/* The device of the moment. */
	pid_t pid;
	int wire;
	unsigned deaths;

	/* The driver. */
	uint16_t seen;
	unsigned offered, completed;
	bool done[REQUESTS];
	int number_of[DEPTH]; /* by slot; -1: free */
} machine;

/* --- The device's process --- */

static bool device_over;

static void device_session_ended(void *argument, int error)
{
	(void)argument;
	(void)error;
	device_over = true;
}

static void discard_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static _Noreturn void device_main(int socket_fd, const char *crash_at)
{
	struct loop *loop = loop_new();
	struct blk_device device;
	const char *problem;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_set_sink(discard_log, NULL);
	blk_device_init(&device);
	device.engine = machine.engine;
	if (loop == NULL || crash_point_choose(crash_at) < 0 ||
	    blk_device_configure(&device, dup(machine.image_fd), false, 1, "crash", &problem) < 0 ||
	    blk_device_prepare(&device) < 0 ||
	    blk_device_session_start(&device, loop, socket_fd, device_session_ended, NULL) < 0)
		_exit(99);
	while (!device_over)
		loop_run_once(loop, -1);
	blk_device_close(&device);
	_exit(0);
}

static void device_start(const char *crash_at)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	machine.pid = fork();
	assert_true(machine.pid >= 0);
	if (machine.pid == 0) {
		close(pair[0]);
		device_main(pair[1], crash_at);
	}
	close(pair[1]);
	machine.wire = pair[0];
}

/* It ended or is about to: by itself, or at its crash point. */
static void device_wait(bool crashed)
{
	int status;

	close(machine.wire);
	assert_int_equal(waitpid(machine.pid, &status, 0), machine.pid);
	if (crashed) {
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
		machine.deaths++;
	} else {
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

/* --- The front end; false when the device is gone --- */

static bool tell(uint32_t request, const void *payload, uint32_t size, const int *fds, size_t fd_count)
{
	return vhost_user_send(machine.wire, request, 0, payload, size, fds, fd_count, TIMEOUT_MS) == 0;
}

static bool tell_u64(uint32_t request, uint64_t value)
{
	return tell(request, &value, sizeof(value), NULL, 0);
}

static bool tell_state(uint32_t request, uint32_t num)
{
	struct vhost_user_vring_state state = {.num = num};

	return tell(request, &state, sizeof(state), NULL, 0);
}

static bool ask(uint32_t request, const void *payload, uint32_t size, struct vhost_user_receiver *receiver)
{
	vhost_user_receiver_init(receiver);
	return tell(request, payload, size, NULL, 0) &&
	       vhost_user_receive_timeout(machine.wire, receiver, TIMEOUT_MS) == 1;
}

/* The first device makes the region, and with the payload as long as the specification has it. */
static bool get_region(void)
{
	struct vhost_user_inflight asked = {.num_queues = 1, .queue_size = SIZE};
	struct vhost_user_receiver receiver;

	if (!ask(VHOST_USER_GET_INFLIGHT_FD, &asked, VHOST_USER_INFLIGHT_SIZE_MIN, &receiver))
		return false;
	assert_int_equal(receiver.message.header.size, VHOST_USER_INFLIGHT_SIZE_MIN);
	assert_int_equal(receiver.message.fd_count, 1);
	machine.region = receiver.message.payload.inflight;
	assert_int_equal(machine.region.num_queues, 1);
	assert_int_equal(machine.region.queue_size, SIZE);
	machine.region_fd = receiver.message.fds[0];
	receiver.message.fds[0] = -1;
	return true;
}

static bool set_up_device(void)
{
	struct vhost_user_memory memory = {.region_count = 1, .regions = {{0, MEMORY, USER, 0}}};
	struct vhost_user_vring_addr addresses = {
		.descriptor = USER, .available = USER + AVAILABLE, .used = USER + USED};
	struct vhost_user_receiver receiver;
	uint64_t ring = 0;

	if (!ask(VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &receiver))
		return false;
	assert_true(receiver.message.payload.u64 & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD));
	return tell_u64(VHOST_USER_SET_PROTOCOL_FEATURES, VIRTIO_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) &&
	       tell_u64(VHOST_USER_SET_FEATURES, machine.features) &&
	       (machine.region_fd >= 0 || get_region()) &&
	       tell(VHOST_USER_SET_MEM_TABLE, &memory, VHOST_USER_MEMORY_HEADER_SIZE + 32, &machine.memory_fd,
		    1) &&
	       tell(VHOST_USER_SET_INFLIGHT_FD, &machine.region, sizeof(machine.region), &machine.region_fd,
		    1) &&
	       tell_state(VHOST_USER_SET_VRING_NUM, SIZE) && tell_state(VHOST_USER_SET_VRING_BASE, 4711) &&
	       tell(VHOST_USER_SET_VRING_ADDR, &addresses, sizeof(addresses), NULL, 0) &&
	       tell(VHOST_USER_SET_VRING_CALL, &ring, sizeof(ring), &machine.call_fd, 1) &&
	       tell(VHOST_USER_SET_VRING_KICK, &ring, sizeof(ring), &machine.kick_fd, 1) &&
	       tell_state(VHOST_USER_SET_VRING_ENABLE, 1);
}

/* --- The driver --- */

static uint8_t *slot_of(unsigned slot)
{
	return machine.memory + SLOTS + slot * SLOT_BYTES;
}

/* Requests come in pairs: sector n is written, and once that is done it is read. */
static bool is_write(unsigned number)
{
	return number % (2 * DEPTH) < DEPTH;
}

static unsigned sector_of(unsigned number)
{
	return number / (2 * DEPTH) * DEPTH + number % DEPTH;
}

static void fill(uint8_t *data, unsigned sector)
{
	for (unsigned i = 0; i < SECTOR; i++)
		data[i] = (uint8_t)(sector * 7 + i);
}

static void driver_build(unsigned slot, unsigned number)
{
	uint8_t *at = slot_of(slot);
	uint64_t guest = SLOTS + slot * SLOT_BYTES;
	bool write = is_write(number);
	struct virtio_blk_req_header header = {.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
					       .sector = sector_of(number)};
	uint16_t first = (uint16_t)(slot * 4), base = first;
	struct virtq_desc *table = machine.descriptors;

	memcpy(at, &header, sizeof(header));
	at[0x40] = 0xff;
	memset(at + 0x200, 0, SECTOR);
	if (write)
		fill(at + 0x200, sector_of(number));
	if (machine.features & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)) {
		machine.descriptors[first] =
			(struct virtq_desc){.addr = guest + 0x80, .len = 48, .flags = VIRTQ_DESC_F_INDIRECT};
		table = (void *)(at + 0x80);
		base = 0;
	}
	table[base] = (struct virtq_desc){guest, 16, VIRTQ_DESC_F_NEXT, (uint16_t)(base + 1)};
	table[base + 1] = (struct virtq_desc){
		guest + 0x200, SECTOR, (uint16_t)(VIRTQ_DESC_F_NEXT | (write ? 0 : VIRTQ_DESC_F_WRITE)),
		(uint16_t)(base + 2)};
	table[base + 2] = (struct virtq_desc){guest + 0x40, 1, VIRTQ_DESC_F_WRITE, 0};
	machine.number_of[slot] = (int)number;
}

static void driver_kick(uint16_t before, uint16_t now)
{
	uint16_t event;
	bool wanted;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n((uint16_t *)(void *)&machine.used->ring[SIZE], __ATOMIC_RELAXED);
	if (machine.features & VIRTIO_BIT(VIRTIO_F_EVENT_IDX))
		wanted = (uint16_t)(now - event - 1) < (uint16_t)(now - before);
	else
		wanted = (__atomic_load_n(&machine.used->flags, __ATOMIC_RELAXED) & VIRTQ_USED_F_NO_NOTIFY) ==
			 0;
	if (wanted)
		eventfd_write(machine.kick_fd, 1);
}

/* A read waits for its write. */
static bool may_offer(unsigned number)
{
	return is_write(number) || machine.done[number - DEPTH];
}

static void driver_offer(void)
{
	uint16_t before = machine.available->idx, now = before;

	for (unsigned slot = 0; slot < DEPTH && machine.offered < REQUESTS && may_offer(machine.offered);
	     slot++) {
		if (machine.number_of[slot] >= 0)
			continue;
		driver_build(slot, machine.offered++);
		machine.available->ring[now++ % SIZE] = (uint16_t)(slot * 4);
	}
	__atomic_store_n(&machine.available->idx, now, __ATOMIC_RELEASE);
	if (now != before)
		driver_kick(before, now);
}

static void driver_take(struct virtq_used_elem element)
{
	unsigned slot = element.id / 4;
	uint8_t expected[SECTOR], *at;
	unsigned number;

	assert_true(element.id % 4 == 0 && slot < DEPTH && machine.number_of[slot] >= 0);
	number = (unsigned)machine.number_of[slot];
	at = slot_of(slot);
	assert_false(machine.done[number]);
	assert_int_equal(at[0x40], VIRTIO_BLK_S_OK);
	assert_int_equal(element.len, is_write(number) ? 1 : SECTOR + 1);
	fill(expected, sector_of(number));
	assert_memory_equal(at + 0x200, expected, SECTOR);
	machine.done[number] = true;
	machine.number_of[slot] = -1;
	machine.completed++;
}

static void driver_reap(void)
{
	do {
		while (__atomic_load_n(&machine.used->idx, __ATOMIC_ACQUIRE) != machine.seen)
			driver_take(machine.used->ring[machine.seen++ % SIZE]);
		__atomic_store_n(&machine.available->ring[SIZE], machine.seen, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	} while (__atomic_load_n(&machine.used->idx, __ATOMIC_ACQUIRE) != machine.seen);
}

/* --- Lives --- */

/* A device's life; it is to end at crash_at (NULL: after all requests). Whether it reached it. */
static bool live(const char *crash_at)
{
	bool gone;

	device_start(crash_at);
	gone = !set_up_device();
	if (!gone)
		driver_offer();
	while (!gone && machine.completed < REQUESTS) {
		struct pollfd fds[2] = {{machine.call_fd, POLLIN, 0}, {machine.wire, POLLIN, 0}};
		eventfd_t count;

		/* A time-out here is a kick or an interrupt that got lost. */
		assert_true(poll(fds, 2, TIMEOUT_MS) > 0);
		if (fds[0].revents) {
			eventfd_read(machine.call_fd, &count);
			driver_reap();
			driver_offer();
		}
		gone = fds[1].revents != 0;
	}
	/* With nothing to do it asks for kicks and sleeps, sooner or later. */
	if (!gone && crash_at != NULL && strcmp(crash_at, "KICKS:1") == 0) {
		struct pollfd wire = {machine.wire, POLLIN, 0};

		gone = poll(&wire, 1, TIMEOUT_MS) > 0;
	}
	if (!gone && crash_at != NULL) {
		/* Some steps come with the end. */
		int status;

		close(machine.wire);
		assert_int_equal(waitpid(machine.pid, &status, 0), machine.pid);
		if (WIFSIGNALED(status)) {
			assert_int_equal(WTERMSIG(status), SIGILL);
			machine.deaths++;
		}
		return WIFSIGNALED(status);
	}
	device_wait(gone);
	return gone;
}

static void machine_start(uint64_t features, enum blk_engine_kind engine)
{
	memset(&machine, 0, sizeof(machine));
	machine.features =
		features | VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	machine.engine = engine;
	machine.memory_fd = memfd_create("guest", MFD_CLOEXEC);
	machine.image_fd = memfd_create("image", MFD_CLOEXEC);
	machine.region_fd = -1;
	assert_int_equal(ftruncate(machine.memory_fd, MEMORY), 0);
	assert_int_equal(ftruncate(machine.image_fd, IMAGE_BYTES), 0);
	machine.memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, machine.memory_fd, 0);
	assert_true(machine.memory != MAP_FAILED);
	machine.kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	machine.call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	machine.descriptors = (void *)machine.memory;
	machine.available = (void *)(machine.memory + AVAILABLE);
	machine.used = (void *)(machine.memory + USED);
	for (unsigned i = 0; i < DEPTH; i++)
		machine.number_of[i] = -1;
	/* Half way to the indices' wrap-around. */
	machine.available->idx = machine.used->idx = machine.seen = (uint16_t)(0 - REQUESTS / 2);
	machine.available->ring[SIZE] = machine.seen;
}

static void machine_stop(void)
{
	struct vhost_user_inflight_queue queue;

	assert_int_equal(machine.completed, REQUESTS);
	assert_int_equal(machine.used->idx, machine.available->idx);
	assert_int_equal(pread(machine.region_fd, &queue, sizeof(queue), 0), sizeof(queue));
	assert_int_equal(queue.version, 0);
	assert_int_equal(queue.used_idx, machine.used->idx);
	for (unsigned sector = 0; sector < REQUESTS / 2; sector++) {
		uint8_t is[SECTOR], expected[SECTOR];

		assert_int_equal(pread(machine.image_fd, is, SECTOR, sector * SECTOR), SECTOR);
		fill(expected, sector);
		assert_memory_equal(is, expected, SECTOR);
	}
	munmap(machine.memory, MEMORY);
	close(machine.memory_fd);
	close(machine.image_fd);
	close(machine.region_fd);
	close(machine.kick_fd);
	close(machine.call_fd);
}

#define NAME(name, when) #name,
static const char *const names[] = {CRASH_POINTS(NAME)};
static const uint64_t feature_sets[] = {
	0,
	VIRTIO_BIT(VIRTIO_F_EVENT_IDX),
	VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
	VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC),
};

/* The first device dies the `count`th time it gets there; so do successors, as long as one gets there. */
static void kill_at(const char *name, unsigned count, uint64_t features, enum blk_engine_kind engine)
{
	char at[64];
	bool died;

	snprintf(at, sizeof(at), "%s:%u", name, count);
	machine_start(features, engine);
	/* Recovery has something to clear behind a device that died in the middle of that. */
	if (strncmp(name, "RECOVER", 7) == 0)
		assert_true(live("PUBLISHED"));
	died = live(at);
	/* What comes in every life comes in the first. */
	assert_true(died || count > 1);
	for (unsigned lives = 0; died && lives < 4 && machine.completed < REQUESTS; lives++)
		died = live(at);
	/* Also when all was done: the last words are a successor's. */
	if (died)
		assert_false(live(NULL));
	machine_stop();
}

static void each_request_completes_once(void **state)
{
	static const unsigned counts[] = {1, 5, 33};

	(void)state;
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		for (size_t f = 0; f < 4; f++) {
			for (size_t c = 0; c < 3; c++) {
				kill_at(names[n], counts[c], feature_sets[f], BLK_ENGINE_SYNC);
				kill_at(names[n], counts[c], feature_sets[f], BLK_ENGINE_AUTO);
			}
		}
	}
}

static void without_a_crash_there_is_one_life(void **state)
{
	(void)state;
	machine_start(feature_sets[3], BLK_ENGINE_AUTO);
	assert_false(live(NULL));
	assert_int_equal(machine.deaths, 0);
	machine_stop();
}

static void crash_points_are_named(void **state)
{
	(void)state;
	assert_int_equal(crash_point_choose(NULL), 0);
	assert_int_equal(crash_point_choose("NOTHING"), -EINVAL);
	assert_int_equal(crash_point_choose("POPPE"), -EINVAL);
	assert_int_equal(crash_point_choose("POPPED:"), -EINVAL);
	assert_int_equal(crash_point_choose("POPPED:0"), -EINVAL);
	assert_int_equal(crash_point_choose("POPPED:1x"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crash_points_are_named),
		cmocka_unit_test(without_a_crash_there_is_one_life),
		cmocka_unit_test(each_request_completes_once),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
