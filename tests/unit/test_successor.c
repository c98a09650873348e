/*
 * Processes of devices that end, lie or stay silent while a guest uses them, and those that take their place:
 * a driver on a thread of its own, the main thread's part here, and back ends of our own. Linked with
 * --wrap=vhost_user_receive_timeout and --wrap=setsockopt, so that silence is told sooner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/spec/virtio_spec.h"
#include "tests/unit/fake_backend.h"
#include "tests/unit/fake_core.h"
#include "tests/unit/test_vcpu.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/virtio/virtio_pci_device.h"
#include "vmm-core/virtio/virtio_pci_spec.h"
#include "vmm-core/wire/backend_vhost_user.h"
#include "vmm-core/wire/device_link.h"

#define SLOT	      1
#define QUEUES	      2
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)
#define ISR_PAGE      0x1000
#define CONFIG_PAGE   0x2000
#define NOTIFY_PAGE   0x3000
#define TABLE_PAGE    0x4000
#define DESC(queue)   (0x10000 + (queue)*0x10000u)
#define AVAIL(queue)  (0x11000 + (queue)*0x10000u)
#define USED(queue)   (0x12000 + (queue)*0x10000u)
#define WRITEBACK     32 /* a byte of the configuration that a driver writes */
#define FEATURES      (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(9))

int __real_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);
int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);

static _Atomic bool impatient; /* wait less long than the front end says */

int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms)
{
	return __real_vhost_user_receive_timeout(socket_fd, receiver, impatient ? 1 : timeout_ms);
}

static struct core core;
static struct virtio_pci *device;
static struct device_link *link_;
static uint64_t bar;
static struct device_report report; /* the last one */
static unsigned reports;

/* --- The main thread --- */

static void woken(void *argument)
{
	struct device_report told;

	(void)argument;
	device_link_attend(link_);
	if (device_link_report(link_, &told)) {
		report = told;
		reports++;
		device_link_reported(link_, &told);
	}
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Runs the loop until the condition holds, for some seconds at most. */
#define RUN_UNTIL(condition)                                                                           \
	do {                                                                                           \
		uint64_t deadline_ = now_ms() + 8000;                                                  \
                                                                                                       \
		while (!(condition) && now_ms() < deadline_)                                           \
			loop_run_once(core.loop, 5);                                                   \
		if (!(condition))                                                                      \
			fail_msg("waited in vain at %d: " #condition "; %s", __LINE__, report.detail); \
	} while (0)

static void expect_report(Atoll__Control__DeviceState__Kind kind, uint64_t serial, const char *detail)
{
	RUN_UNTIL(reports > 0);
	if (report.kind != kind || report.serial != serial || strstr(report.detail, detail) == NULL)
		fail_msg("state %d of %llu: %s", report.kind, (unsigned long long)report.serial,
			 report.detail);
	/* Once. */
	for (unsigned i = 0; i < 3; i++)
		loop_run_once(core.loop, 1);
	assert_int_equal(reports, 1);
	reports = 0;
}

#define SERVING ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING
#define GONE	ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE
#define BROKEN	ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN

struct sum {
	const char *name;
	uint64_t value;
};

static void sum_counter(void *argument, const char *name, uint64_t value)
{
	struct sum *sum = argument;

	if (strcmp(name, sum->name) == 0)
		sum->value = value;
}

static uint64_t counter(const char *name)
{
	struct sum sum = {.name = name, .value = UINT64_MAX};

	device_link_counters(link_, sum_counter, &sum);
	return sum.value;
}

/* --- The driver --- */

static uint32_t get(unsigned field, unsigned size)
{
	return guest_read(&core, bar + field, size);
}

static void put(unsigned field, uint64_t value, unsigned size)
{
	guest_write(&core, bar + field, value, size);
}

static void status_add(uint8_t bits)
{
	put(COMMON(device_status), get(COMMON(device_status), 1) | bits, 1);
}

static void features_set(uint64_t features)
{
	put(COMMON(driver_feature_select), 0, 4);
	put(COMMON(driver_feature), (uint32_t)features, 4);
	put(COMMON(driver_feature_select), 1, 4);
	put(COMMON(driver_feature), features >> 32, 4);
}

static void queue_set_up(uint16_t index)
{
	put(COMMON(queue_select), index, 2);
	put(COMMON(queue_size), 64, 2);
	put(COMMON(queue_msix_vector), (uint64_t)index + 1, 2);
	put(COMMON(queue_desc), DESC(index), 8);
	put(COMMON(queue_driver), AVAIL(index), 8);
	put(COMMON(queue_device), USED(index), 8);
	put(COMMON(queue_enable), 1, 2);
}

static void driver_start(void)
{
	put(COMMON(device_status), 0, 1);
	status_add(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	features_set(FEATURES);
	status_add(VIRTIO_STATUS_FEATURES_OK);
	put(COMMON(config_msix_vector), 0, 2);
	queue_set_up(0);
	queue_set_up(1);
	status_add(VIRTIO_STATUS_DRIVER_OK);
}

static void config_look(void)
{
	get(CONFIG_PAGE, 4);
}

static void writeback_clear(void)
{
	put(CONFIG_PAGE + WRITEBACK, 0, 1);
}

static void vector_change(void)
{
	put(COMMON(queue_select), 1, 2);
	put(COMMON(queue_msix_vector), 1, 2);
}

static void driver_reset(void)
{
	put(COMMON(device_status), 0, 1);
}

static void vcpu_end(void)
{
	RUN_UNTIL(vcpu.done);
	vcpu_join();
}

static void vcpu_do(void (*act)(void))
{
	vcpu_begin(act);
	vcpu_end();
}

/* It waits for a successor. */
static void vcpu_parks(uint64_t accesses)
{
	RUN_UNTIL(counter("root.parked-accesses") == accesses);
	assert_false(vcpu.done);
}

/* --- Processes --- */

static void begin(struct fake_backend *backend)
{
	struct virtio_pci_setup setup = {
		.core = &core,
		.id = "root",
		.type = device_type_of(VIRTIO_ID_BLOCK),
		.queues = QUEUES,
		.backend_ops = &backend_vhost_user,
	};

	fake_core_new(&core);
	impatient = false;
	reports = 0;
	assert_int_equal(virtio_pci_new(&setup, fake_backend_start(backend), &device), 0);
	link_ = virtio_pci_link(device);
	assert_int_equal(device_link_release(link_, NULL), 0);
	loop_on_wake(core.loop, woken, NULL);
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	bar = guest_config_read(&core, SLOT, PCI_BASE_ADDRESS_0, 4) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS;
	guest_config_write(&core, SLOT, PCI_FIRST_CAPABILITY + PCI_MSIX_CONTROL, PCI_MSIX_ENABLE, 2);
	for (unsigned i = 0; i <= QUEUES; i++) {
		put(TABLE_PAGE + i * 16, 0xfee00000, 4);
		put(TABLE_PAGE + i * 16 + 8, 0x40 + i, 4);
		put(TABLE_PAGE + i * 16 + 12, 0, 4);
	}
}

static void end(void)
{
	virtio_pci_free(device);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_false(run_end_decided(&core.end));
	fake_core_free(&core);
}

static void attach(struct fake_backend *backend, uint64_t serial)
{
	device_link_attach(link_, fake_backend_start(backend), serial, false);
}

/* The process ends: its main wire and its channel. */
static void die(struct fake_backend *backend)
{
	fake_backend_hang_up(backend);
	fake_backend_join(backend);
}

static bool same_file(int a, int b)
{
	struct stat of_a, of_b;

	return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino;
}

static void expect_rings(const struct fake_backend *backend, const uint16_t *bases)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct fake_backend_ring *ring = &backend->rings[i];

		assert_true(ring->enabled && !ring->stopped);
		assert_int_equal(ring->size, 64);
		assert_int_equal(ring->base, bases[i]);
		assert_true(ring->addresses.descriptor == DESC(i));
		assert_true(ring->addresses.available == AVAIL(i));
		assert_true(ring->addresses.used == USED(i));
		assert_true(ring->kick_fd >= 0 && ring->call_fd >= 0);
	}
	assert_true(backend->acked_features == (FEATURES | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
	assert_int_equal(backend->memory.region_count, 1);
	assert_true(backend->inflight_fd >= 0);
}

static const uint16_t from_the_start[QUEUES];

/* Whether the vector was raised since the last time. */
static bool raised(unsigned vector)
{
	bool was = false;

	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++) {
		uint64_t address;
		uint32_t data;
		eventfd_t count;

		if (fake_msi_route(fake_kvm.irqfds[i].gsi, &address, &data) && data == 0x40 + vector)
			was = eventfd_read(fake_kvm.irqfds[i].fd, &count) == 0;
	}
	return was;
}

/* --- Tests --- */

static void a_process_that_dies_is_replaced(void **state)
{
	static struct fake_backend first, second;
	const uint16_t bases[QUEUES] = {17, 0xfff0};
	eventfd_t count;
	struct stat before;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	expect_rings(&first, from_the_start);
	writeback_clear();
	assert_int_equal(fstat(first.inflight_fd, &before), 0);
	assert_int_equal(first.inflight.num_queues, QUEUES);
	assert_int_equal(first.inflight.queue_size, VIRTIO_PCI_QUEUE_SIZE_MAX);
	assert_true(pwrite(first.inflight_fd, "mark", 4, 0) == 4);
	for (unsigned i = 0; i < QUEUES; i++) {
		eventfd_read(first.rings[i].kick_fd, &count);
		memcpy(guest_ram_range(&core.ram, USED(i) + 2, 2), &bases[i], 2);
	}
	raised(1), raised(2);

	die(&first);
	expect_report(GONE, 0, "");
	/* What needs no process is answered. */
	assert_int_equal(get(COMMON(num_queues), 2), QUEUES);
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
	vcpu_begin(config_look);
	vcpu_parks(1);

	fake_backend_init(&second);
	attach(&second, 7);
	expect_report(SERVING, 7, "");
	vcpu_end();
	expect_rings(&second, bases);
	assert_int_equal(second.config[WRITEBACK], 0);
	assert_true(pread(second.inflight_fd, &count, 4, 0) == 4 && memcmp(&count, "mark", 4) == 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_int_equal(eventfd_read(second.rings[i].kick_fd, &count), 0);
		assert_true(raised(i + 1));
		/* KVM writes where it reads. */
		eventfd_write(fake_ioeventfd_at(bar + NOTIFY_PAGE + i * 4), 1);
		assert_int_equal(eventfd_read(second.rings[i].kick_fd, &count), 0);
	}
	/* Its configuration is the same: nothing to tell. */
	assert_false(raised(0));
	assert_int_equal(counter("root.restarts"), 1);
	assert_true(counter("root.longest-outage-us") > 0);
	/* A reset, orderly, forgets what was in flight, and what was written. */
	vcpu_do(driver_reset);
	assert_true(second.rings[0].stopped && second.rings[1].stopped);
	assert_true(pread(second.inflight_fd, &count, 4, 0) == 4 && (uint32_t)count == 0);
	end();
	fake_backend_join(&second);
}

/* The requests of a driver's start, in their order. */
static const uint32_t requests_of_start[] = {
	VHOST_USER_SET_FEATURES,   VHOST_USER_SET_MEM_TABLE,  VHOST_USER_SET_INFLIGHT_FD,
	VHOST_USER_SET_VRING_NUM,  VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_ENABLE,
};

static bool is_silence(enum fake_lie lie)
{
	return lie == LIE_SILENCE || lie == LIE_HALF;
}

static Atoll__Control__DeviceState__Kind kind_of(enum fake_lie lie)
{
	return lie == LIE_HANG_UP ? GONE : BROKEN;
}

/* act() is begun with a process that fails at `request`, and must end with the next one. */
static void fails_at(uint32_t request, enum fake_lie lie, void (*prepare)(void), void (*act)(void))
{
	static struct fake_backend first, second;

	fake_backend_init(&first);
	first.lie = lie;
	first.lie_at = prepare == NULL ? request : 0;
	begin(&first);
	if (prepare != NULL)
		prepare();
	first.lie_at = request;
	impatient = is_silence(lie);
	vcpu_begin(act);
	vcpu_parks(1);
	impatient = false;
	/* Half a message before the end: whoever sees it first. */
	RUN_UNTIL(reports > 0);
	expect_report(lie == LIE_CUT ? report.kind : kind_of(lie), 0, "");
	fake_backend_init(&second);
	attach(&second, 3);
	expect_report(SERVING, 3, "");
	vcpu_end();
	if (act == driver_reset) {
		/* C2: also if it was lost between the rings' end and its own reset. */
		if (request != VHOST_USER_RESET_DEVICE)
			assert_true(second.rings[0].stopped && second.rings[1].stopped);
		assert_int_equal(second.resets, 1);
		assert_int_equal(get(COMMON(device_status), 1), 0);
	} else
		expect_rings(&second, from_the_start);
	if (act == writeback_clear)
		assert_int_equal(second.config[WRITEBACK], 0);
	if (act == vector_change)
		assert_true(same_file(second.rings[0].call_fd, second.rings[1].call_fd));
	end();
	fake_backend_join(&first);
	fake_backend_join(&second);
}

static void it_dies_in_each_phase(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(requests_of_start) / sizeof(requests_of_start[0]); i++)
		fails_at(requests_of_start[i], LIE_HANG_UP, NULL, driver_start);
	fails_at(VHOST_USER_GET_CONFIG, LIE_HANG_UP, driver_start, config_look);
	fails_at(VHOST_USER_SET_CONFIG, LIE_HANG_UP, driver_start, writeback_clear);
	fails_at(VHOST_USER_SET_VRING_CALL, LIE_HANG_UP, driver_start, vector_change);
	fails_at(VHOST_USER_GET_VRING_BASE, LIE_HANG_UP, driver_start, driver_reset);
	fails_at(VHOST_USER_RESET_DEVICE, LIE_HANG_UP, driver_start, driver_reset);
}

static void it_lies_in_each_phase(void **state)
{
	(void)state;
	for (enum fake_lie lie = LIE_SILENCE; lie < LIES; lie++) {
		/* One request by turns, for the time's sake; all bits set is a refusal where there is one. */
		fails_at(requests_of_start[lie % 9], lie, NULL, driver_start);
		fails_at(VHOST_USER_GET_VRING_BASE, lie, driver_start, driver_reset);
		fails_at(VHOST_USER_RESET_DEVICE, lie, driver_start, driver_reset);
		if (lie != LIE_VALUE)
			fails_at(VHOST_USER_SET_CONFIG, lie, driver_start, writeback_clear);
		fails_at(VHOST_USER_GET_CONFIG, lie, driver_start, config_look);
	}
}

/* Requests of a successor's handshake. */
static const uint32_t requests_of_handshake[] = {
	VHOST_USER_GET_FEATURES,       VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_GET_QUEUE_NUM,      VHOST_USER_SET_FEATURES,
	VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_MEM_TABLE,
	VHOST_USER_SET_INFLIGHT_FD,    VHOST_USER_SET_CONFIG,
	VHOST_USER_SET_VRING_NUM,      VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_ENABLE,   VHOST_USER_GET_CONFIG,
};

static void successors_that_fail_in_their_handshake(void **state)
{
	static struct fake_backend first, bad, good;
	uint64_t serial = 1;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	writeback_clear();
	die(&first);
	expect_report(GONE, 0, "");
	vcpu_begin(config_look);
	vcpu_parks(1);
	for (unsigned i = 0; i < sizeof(requests_of_handshake) / sizeof(requests_of_handshake[0]); i++) {
		for (enum fake_lie lie = LIE_SILENCE; lie < LIES; lie++) {
			/* That may be as it is told. */
			if (lie == LIE_VALUE &&
			    (requests_of_handshake[i] == VHOST_USER_GET_FEATURES ||
			     requests_of_handshake[i] == VHOST_USER_GET_QUEUE_NUM ||
			     requests_of_handshake[i] == VHOST_USER_GET_PROTOCOL_FEATURES))
				continue;
			fake_backend_init(&bad);
			bad.lie = lie;
			bad.lie_at = requests_of_handshake[i];
			impatient = is_silence(lie);
			attach(&bad, ++serial);
			expect_report(kind_of(lie), serial, "");
			assert_false(vcpu.done);
			fake_backend_join(&bad);
		}
	}
	impatient = false;
	fake_backend_init(&good);
	attach(&good, ++serial);
	expect_report(SERVING, serial, "");
	vcpu_end();
	expect_rings(&good, from_the_start);
	assert_int_equal(counter("root.restarts"), 1);
	end();
	fake_backend_join(&good);
}

static void successors_that_are_something_else(void **state)
{
	static struct fake_backend first, other;
	static const char *const details[] = {"features", "features", "queues", "configuration space"};

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	die(&first);
	expect_report(GONE, 0, "");
	for (unsigned i = 0; i < 4; i++) {
		fake_backend_init(&other);
		if (i == 0)
			other.features &= ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
		if (i == 1)
			other.features &= ~VIRTIO_BIT(9);
		if (i == 2)
			other.queue_num = QUEUES - 1;
		if (i == 3)
			other.protocol_features &= ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
		attach(&other, i + 1);
		expect_report(BROKEN, i + 1, details[i]);
		fake_backend_join(&other);
	}
	/* One that has more, and another configuration. */
	fake_backend_init(&other);
	other.features |= VIRTIO_BIT(10);
	other.config[0] = 0x99;
	raised(0);
	attach(&other, 9);
	expect_report(SERVING, 9, "");
	assert_true(raised(0));
	assert_int_equal(get(CONFIG_PAGE, 1), 0x99);
	assert_int_equal(get(ISR_PAGE, 1), VIRTIO_PCI_ISR_CONFIG);
	end();
	fake_backend_join(&other);
}

static void a_silent_successor_holds_nobody_up(void **state)
{
	static struct fake_backend first, silent, second;
	uint64_t start;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	die(&first);
	expect_report(GONE, 0, "");
	fake_backend_init(&silent);
	silent.lie = LIE_SILENCE;
	silent.lie_at = VHOST_USER_SET_VRING_ADDR;
	start = now_ms();
	attach(&silent, 1);
	/* The twelfth is the first ring's addresses. */
	RUN_UNTIL(silent.request_count >= 12);
	vcpu_begin(config_look);
	vcpu_parks(1);
	/* Neither what needs no process, nor the main thread. */
	assert_int_equal(get(COMMON(queue_desc), 4), DESC(1));
	assert_int_equal(get(ISR_PAGE, 1), 0);
	assert_int_equal(loop_run_once(core.loop, 1), 0);
	/* And it is given up for another one, of whose predecessor no word is said. */
	fake_backend_init(&second);
	attach(&second, 2);
	expect_report(SERVING, 2, "");
	vcpu_end();
	assert_true(now_ms() - start < DEVICE_LINK_HANDSHAKE_MS / 2);
	expect_rings(&second, from_the_start);
	end();
	fake_backend_join(&silent);
	fake_backend_join(&second);
}

static void a_successor_for_one_that_still_serves(void **state)
{
	static struct fake_backend first, second;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	fake_backend_init(&second);
	attach(&second, 4);
	expect_report(SERVING, 4, "");
	/* The first was let go of. */
	fake_backend_join(&first);
	expect_rings(&second, from_the_start);
	/* The second's own end is told as its own. */
	die(&second);
	expect_report(GONE, 4, "");
	end();
}

static void before_the_driver_came(void **state)
{
	static struct fake_backend first, second;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	die(&first);
	expect_report(GONE, 0, "");
	fake_backend_init(&second);
	attach(&second, 1);
	expect_report(SERVING, 1, "");
	assert_int_equal(second.memory.region_count, 0);
	/* C2: what it may know from its predecessor is no driver's. */
	assert_int_equal(second.resets, 1);
	driver_start();
	expect_rings(&second, from_the_start);
	end();
	fake_backend_join(&second);
}

static void master_off(void)
{
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static void master_on(void)
{
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* C3: a process that ends before, while and after its rings are halted. */
static void c3_bus_mastering_and_successors(void **state)
{
	static struct fake_backend first, second, third;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	first.lie = LIE_HANG_UP;
	first.lie_at = VHOST_USER_GET_VRING_BASE;
	/* Gone while it stops them: what it had accepted may still be on its way until the next one is there. */
	vcpu_begin(master_off);
	vcpu_parks(1);
	expect_report(GONE, 0, "");
	assert_int_equal(fake_kvm.irqfd_count, 0);
	fake_backend_init(&second);
	attach(&second, 1);
	expect_report(SERVING, 1, "");
	vcpu_end();
	assert_true(second.rings[0].stopped && second.rings[1].stopped);
	fake_backend_join(&first);
	/* Halted, it is set up at the next one, but not started. */
	die(&second);
	expect_report(GONE, 1, "");
	fake_backend_init(&third);
	attach(&third, 2);
	expect_report(SERVING, 2, "");
	assert_int_equal(third.memory.region_count, 1);
	assert_false(third.rings[0].enabled || third.rings[1].enabled);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	vcpu_do(master_on);
	/* As the one that stopped them said. */
	expect_rings(&third, (const uint16_t[]){5, 5});
	assert_int_equal(fake_kvm.irqfd_count, QUEUES + 1);
	vcpu_do(master_off);
	/* To go on needs a process, which may be lost. */
	die(&third);
	expect_report(GONE, 2, "");
	vcpu_begin(master_on);
	vcpu_parks(2);
	fake_backend_init(&first);
	attach(&first, 3);
	expect_report(SERVING, 3, "");
	vcpu_end();
	expect_rings(&first, (const uint16_t[]){10, 10});
	/* And may have failed: then nobody waits, and the one that comes after all finds them running. */
	device_link_fail(link_);
	fake_backend_join(&first);
	vcpu_do(master_off);
	vcpu_do(master_on);
	fake_backend_init(&second);
	attach(&second, 4);
	expect_report(SERVING, 4, "");
	expect_rings(&second, from_the_start);
	end();
	fake_backend_join(&second);
}

static void *bar_move(void *done)
{
	guest_config_write(&core, SLOT, PCI_BASE_ADDRESS_0 + 4, 1, 4);
	*(_Atomic bool *)done = true;
	return NULL;
}

/*
 * 5: a vCPU that moves the BAR waits for the one that is in it, which waits for a process, or for the end of the run.
 */
static void a_bar_that_moves_during_an_access(void **state)
{
	static struct fake_backend first, second;
	static _Atomic bool moved;
	pthread_t mover;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fake_backend_init(&first);
		begin(&first);
		driver_start();
		die(&first);
		expect_report(GONE, 0, "");
		vcpu_begin(config_look);
		vcpu_parks(1);
		moved = false;
		assert_int_equal(pthread_create(&mover, NULL, bar_move, &moved), 0);
		/* From here on no other access finds the BAR. */
		RUN_UNTIL(get(COMMON(num_queues), 2) == 0xffff);
		assert_false(moved);
		if (i == 0) {
			fake_backend_init(&second);
			attach(&second, 1);
			expect_report(SERVING, 1, "");
		} else {
			device_link_cancel(link_, false);
		}
		vcpu_end();
		RUN_UNTIL(moved);
		pthread_join(mover, NULL);
		bar |= UINT64_C(1) << 32;
		assert_int_equal(guest_read(&core, bar + COMMON(num_queues), 2), QUEUES);
		end();
		if (i == 0)
			fake_backend_join(&second);
	}
}

/* --- Without a successor --- */

static void a_failed_device_needs_a_reset(void **state)
{
	static struct fake_backend first, second;
	uint32_t config;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	config = get(CONFIG_PAGE, 4);
	die(&first);
	expect_report(GONE, 0, "");
	vcpu_begin(writeback_clear);
	vcpu_parks(1);
	raised(0);
	device_link_fail(link_);
	vcpu_end();
	assert_int_not_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
	assert_true(raised(0));
	assert_int_equal(get(ISR_PAGE, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(get(CONFIG_PAGE, 4), config);
	/* The reset is done, and the device takes no driver. */
	driver_reset();
	assert_int_equal(get(COMMON(device_status), 1), 0);
	status_add(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	features_set(FEATURES);
	status_add(VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_FEATURES_OK, 0);
	/* Until one comes after all, which hears of the reset (C2). */
	fake_backend_init(&second);
	attach(&second, 5);
	expect_report(SERVING, 5, "");
	assert_int_equal(second.resets, 1);
	driver_start();
	expect_rings(&second, from_the_start);
	end();
	fake_backend_join(&second);
}

static void a_failed_device_comes_back(void **state)
{
	static struct fake_backend first, bad, second;
	const uint16_t bases[QUEUES] = {3, 0};

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	/* While it serves: it is let go of. */
	device_link_fail(link_);
	fake_backend_join(&first);
	assert_int_not_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
	memcpy(guest_ram_range(&core.ram, USED(0) + 2, 2), &bases[0], 2);
	/* One that is none leaves it failed: nobody waits. */
	fake_backend_init(&bad);
	bad.lie = LIE_GARBAGE;
	bad.lie_at = VHOST_USER_SET_VRING_NUM;
	attach(&bad, 1);
	expect_report(BROKEN, 1, "");
	fake_backend_join(&bad);
	vcpu_do(config_look);
	/* A driver that did not reset goes on. */
	raised(0), raised(1), raised(2);
	fake_backend_init(&second);
	attach(&second, 2);
	expect_report(SERVING, 2, "");
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
	expect_rings(&second, bases);
	assert_true(raised(0) && raised(1) && raised(2));
	assert_int_equal(reports, 0);
	end();
	fake_backend_join(&second);
}

/* E7: it offers what it likes, the driver has what it was promised; a successor takes over from it. */
static void an_undertaker_answers_for_a_failed_device(void **state)
{
	static struct fake_backend first, undertaker, second;
	uint32_t config;

	(void)state;
	fake_backend_init(&first);
	first.features &= ~VIRTIO_BIT(5);
	begin(&first);
	driver_start();
	config = get(CONFIG_PAGE, 4);
	die(&first);
	expect_report(GONE, 0, "");
	fake_backend_init(&undertaker);
	undertaker.features |= VIRTIO_BIT(5);
	undertaker.protocol_features &= ~VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	memset(undertaker.config, 0x77, sizeof(undertaker.config));
	device_link_attach(link_, fake_backend_start(&undertaker), 1, true);
	expect_report(SERVING, 1, "");
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
	expect_rings(&undertaker, from_the_start);
	/* Nobody asks it. */
	assert_int_equal(get(CONFIG_PAGE, 4), config);
	writeback_clear();
	for (unsigned i = 0; i < undertaker.request_count; i++) {
		assert_int_not_equal(undertaker.requests[i], VHOST_USER_GET_CONFIG);
		assert_int_not_equal(undertaker.requests[i], VHOST_USER_SET_CONFIG);
	}
	/* A driver that begins anew is offered what the first one offered. */
	driver_reset();
	put(COMMON(device_feature_select), 0, 4);
	assert_int_equal(get(COMMON(device_feature), 4) & VIRTIO_BIT(5), 0);
	driver_start();
	assert_int_not_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DRIVER_OK, 0);
	expect_rings(&undertaker, from_the_start);
	die(&undertaker);
	expect_report(GONE, 1, "");
	fake_backend_init(&second);
	attach(&second, 2);
	expect_report(SERVING, 2, "");
	expect_rings(&second, from_the_start);
	end();
	fake_backend_join(&second);
}

/* It has to have what the driver uses, as any other. */
static void an_undertaker_that_offers_less_is_refused(void **state)
{
	static struct fake_backend first, undertaker;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	driver_start();
	die(&first);
	expect_report(GONE, 0, "");
	fake_backend_init(&undertaker);
	undertaker.features &= ~VIRTIO_BIT(9);
	device_link_attach(link_, fake_backend_start(&undertaker), 1, true);
	expect_report(BROKEN, 1, "features");
	fake_backend_join(&undertaker);
	end();
}

static void the_end_of_the_run_wakes_who_waits(void **state)
{
	static struct fake_backend first, silent;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fake_backend_init(&first);
		begin(&first);
		driver_start();
		die(&first);
		expect_report(GONE, 0, "");
		vcpu_begin(driver_reset);
		vcpu_parks(1);
		if (i == 1) {
			fake_backend_init(&silent);
			silent.lie = LIE_SILENCE;
			silent.lie_at = VHOST_USER_SET_FEATURES;
			attach(&silent, 1);
			RUN_UNTIL(silent.request_count >= 6);
		}
		device_link_cancel(link_, false);
		vcpu_end();
		virtio_pci_quiesce(device);
		assert_int_equal(reports, 0);
		end();
		if (i == 1)
			fake_backend_join(&silent);
	}
}

static void the_end_of_the_channel_is_the_wires(void **state)
{
	static struct fake_backend first;

	(void)state;
	fake_backend_init(&first);
	begin(&first);
	close(first.channel_fd);
	first.channel_fd = -1;
	expect_report(GONE, 0, "the queue wire ended");
	end();
	fake_backend_join(&first);
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_dies_is_replaced),
		cmocka_unit_test(it_dies_in_each_phase),
		cmocka_unit_test(it_lies_in_each_phase),
		cmocka_unit_test(successors_that_fail_in_their_handshake),
		cmocka_unit_test(successors_that_are_something_else),
		cmocka_unit_test(a_silent_successor_holds_nobody_up),
		cmocka_unit_test(a_successor_for_one_that_still_serves),
		cmocka_unit_test(before_the_driver_came),
		cmocka_unit_test(c3_bus_mastering_and_successors),
		cmocka_unit_test(a_bar_that_moves_during_an_access),
		cmocka_unit_test(a_failed_device_needs_a_reset),
		cmocka_unit_test(a_failed_device_comes_back),
		cmocka_unit_test(an_undertaker_answers_for_a_failed_device),
		cmocka_unit_test(an_undertaker_that_offers_less_is_refused),
		cmocka_unit_test(the_end_of_the_run_wakes_who_waits),
		cmocka_unit_test(the_end_of_the_channel_is_the_wires),
	};

	log_set_sink(ignore_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
