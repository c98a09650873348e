/*
 * Issue 9, 5: devices that come into a machine whose guest runs, and leave it, made of nothing but what was there before: a
 * vCPU on a thread of its own, the main thread's part here, and back ends of our own. Linked with
 * --wrap=vhost_user_receive_timeout, so that silence is told sooner.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/spare_devices.h"
#include "common/spec/virtio_spec.h"
#include "tests/unit/fake_backend.h"
#include "tests/unit/fake_core.h"
#include "tests/unit/test_fds.h"
#include "tests/unit/test_vcpu.h"
#include "vmm-core/device_set.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci_spec.h"

#define SLOT	      1
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)
#define CONFIG_PAGE   0x2000
#define TABLE_PAGE    0x4000

int __real_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);
int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms);

static _Atomic bool impatient; /* wait less long than the front end says */

int __wrap_vhost_user_receive_timeout(int socket_fd, struct vhost_user_receiver *receiver, int timeout_ms)
{
	return __real_vhost_user_receive_timeout(socket_fd, receiver, impatient ? 20 : timeout_ms);
}

static struct core core;
static struct device_set *set;
static uint64_t bar;

/* --- The main thread --- */

static struct {
	unsigned count;
	uint64_t serial;
	char error[DEVICE_LINK_DETAIL_MAX];
} answer;
static unsigned reports;

static int take_answer(void *argument, uint64_t serial, const char *id, const char *error)
{
	(void)argument;
	(void)id;
	/* The control wire has no room for the first try of each. */
	if (answer.count % 2 == 0) {
		answer.count++;
		loop_wake(core.loop);
		return -EAGAIN;
	}
	answer.count++;
	answer.serial = serial;
	snprintf(answer.error, sizeof(answer.error), "%s", error);
	return 0;
}

static int take_report(void *argument, const char *id, const struct device_report *report)
{
	(void)argument, (void)id, (void)report;
	reports++;
	return 0;
}

static void woken(void *argument)
{
	(void)argument;
	device_set_attend(set);
	if (device_set_answer(set, take_answer, NULL) == 0)
		device_set_report(set, take_report, NULL);
}

#define RUN_UNTIL(condition)                                                                          \
	do {                                                                                          \
		uint64_t deadline_ = clock_us(CLOCK_MONOTONIC) + 8000000;                             \
                                                                                                      \
		while (!(condition) && clock_us(CLOCK_MONOTONIC) < deadline_)                         \
			loop_run_once(core.loop, 5);                                                  \
		if (!(condition))                                                                     \
			fail_msg("waited in vain at %d: " #condition "; %s", __LINE__, answer.error); \
	} while (0)

static const char *answered(uint64_t serial)
{
	RUN_UNTIL(answer.count == 2);
	assert_int_equal(answer.serial, serial);
	answer.count = 0;
	return answer.error;
}

static int set_up(void **state)
{
	(void)state;
	fake_core_new(&core);
	/* The set makes its own. */
	pci_bus_free(core.pci);
	impatient = false;
	memset(&answer, 0, sizeof(answer));
	reports = 0;
	assert_int_equal(device_set_new(&core, &set), 0);
	assert_int_equal(device_set_stock(set), 0);
	assert_int_equal(device_set_release(set, NULL), 0);
	loop_on_wake(core.loop, woken, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.ioeventfd_count, 0);
	device_set_free(set);
	fake_core_free(&core);
	return 0;
}

static void add(const char *id, uint64_t serial, int wire_fd)
{
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;

	attach.id = (char *)id;
	attach.virtio_id = VIRTIO_ID_BLOCK;
	attach.queues = 2;
	attach.is_new = true;
	device_set_add(set, &attach, serial, wire_fd);
}

/* --- The vCPU --- */

static void put(unsigned field, uint64_t value, unsigned size)
{
	guest_write(&core, bar + field, value, size);
}

static void driver_start(void)
{
	uint64_t features = VIRTIO_BIT(VIRTIO_F_VERSION_1);

	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	bar = guest_config_read(&core, SLOT, PCI_BASE_ADDRESS_0, 4) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS;
	guest_config_write(&core, SLOT, PCI_FIRST_CAPABILITY + PCI_MSIX_CONTROL, PCI_MSIX_ENABLE, 2);
	for (unsigned i = 0; i < 3; i++) {
		put(TABLE_PAGE + i * 16, 0xfee00000, 4);
		put(TABLE_PAGE + i * 16 + 8, 0x40 + i, 4);
		put(TABLE_PAGE + i * 16 + 12, 0, 4);
	}
	put(COMMON(device_status), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER, 1);
	put(COMMON(driver_feature_select), 1, 4);
	put(COMMON(driver_feature), features >> 32, 4);
	put(COMMON(device_status), 11, 1);
	for (unsigned i = 0; i < 2; i++) {
		put(COMMON(queue_select), i, 2);
		put(COMMON(queue_size), 64, 2);
		put(COMMON(queue_msix_vector), i + 1, 2);
		put(COMMON(queue_desc), 0x10000 + i * 0x10000, 8);
		put(COMMON(queue_driver), 0x11000 + i * 0x10000, 8);
		put(COMMON(queue_device), 0x12000 + i * 0x10000, 8);
		put(COMMON(queue_enable), 1, 2);
	}
	put(COMMON(device_status), 15, 1);
}

static uint32_t seen;

static void config_look(void)
{
	seen = guest_read(&core, bar + CONFIG_PAGE, 4);
}

static void vcpu_end(void)
{
	RUN_UNTIL(vcpu.done);
	vcpu_join();
}

static bool slot_is_empty(void)
{
	return guest_config_read(&core, SLOT, PCI_VENDOR_ID, 4) == 0xffffffff &&
	       (bar == 0 || guest_read(&core, bar, 4) == 0xffffffff);
}

/* --- */

static void comes_and_goes(void **state)
{
	static struct fake_backend backend;
	unsigned before = count_open_fds();

	(void)state;
	for (unsigned round = 1; round <= 30; round++) {
		fake_backend_init(&backend);
		add("root", 2 * round, fake_backend_start(&backend));
		assert_string_equal(answered(2 * round), "");
		assert_int_equal(guest_config_read(&core, SLOT, PCI_VENDOR_ID, 4), 0x10421af4);
		vcpu_begin(driver_start);
		vcpu_end();
		assert_true(backend.rings[0].enabled && !backend.rings[0].stopped);
		assert_int_equal(fake_kvm.ioeventfd_count, 2);
		assert_int_equal(fake_kvm.irqfd_count, 3);
		device_set_remove(set, "root", 2 * round + 1);
		assert_string_equal(answered(2 * round + 1), "");
		fake_backend_join(&backend);
		assert_true(backend.rings[0].stopped && backend.rings[1].stopped);
		assert_true(slot_is_empty());
		assert_int_equal(fake_kvm.ioeventfd_count, 0);
		assert_int_equal(fake_kvm.irqfd_count, 0);
		assert_int_equal(count_open_fds(), before);
	}
	assert_int_equal(reports, 0);
}

/* Whatever it answers wrong in its first handshake: it is not there, and the next one is none the worse for it. */
static void liars_do_not_come(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_GET_FEATURES, VHOST_USER_GET_PROTOCOL_FEATURES,
					    VHOST_USER_GET_QUEUE_NUM, VHOST_USER_GET_CONFIG};
	static struct fake_backend backend;
	unsigned before = count_open_fds();
	uint64_t serial = 0;

	(void)state;
	impatient = true;
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		for (enum fake_lie lie = LIE_SILENCE; lie < LIE_VALUE; lie++) {
			fake_backend_init(&backend);
			backend.lie = lie;
			backend.lie_at = requests[i];
			add("root", ++serial, fake_backend_start(&backend));
			assert_string_not_equal(answered(serial), "");
			fake_backend_join(&backend);
			assert_true(slot_is_empty());
			assert_int_equal(count_open_fds(), before);
		}
	}
	/* It has no queues to speak of, or offers less than it must. */
	fake_backend_init(&backend);
	backend.queue_num = 1;
	add("root", ++serial, fake_backend_start(&backend));
	assert_non_null(strstr(answered(serial), "queues"));
	fake_backend_join(&backend);
	fake_backend_init(&backend);
	backend.features &= ~VIRTIO_BIT(VIRTIO_F_VERSION_1);
	add("root", ++serial, fake_backend_start(&backend));
	assert_non_null(strstr(answered(serial), "VIRTIO_F_VERSION_1"));
	fake_backend_join(&backend);
	assert_int_equal(count_open_fds(), before);
	assert_int_equal(reports, 0);
	impatient = false;
	comes_and_goes(state);
}

/* A vCPU waits for a successor of one that is gone: the device goes, and it goes on. */
static void who_waits_goes_on(void **state)
{
	static struct fake_backend backend;

	(void)state;
	fake_backend_init(&backend);
	add("root", 1, fake_backend_start(&backend));
	assert_string_equal(answered(1), "");
	vcpu_begin(driver_start);
	vcpu_end();
	fake_backend_hang_up(&backend);
	RUN_UNTIL(reports == 1);
	fake_backend_join(&backend);
	vcpu_begin(config_look);
	for (unsigned i = 0; i < 20; i++)
		loop_run_once(core.loop, 1);
	assert_false(vcpu.done);
	device_set_remove(set, "root", 2);
	assert_string_equal(answered(2), "");
	vcpu_end();
	assert_int_equal(seen, 0xffffffff);
	assert_true(slot_is_empty());
}

/* One that does not stop its queues is cut off. */
static void who_does_not_stop_goes(void **state)
{
	static struct fake_backend backend;

	(void)state;
	fake_backend_init(&backend);
	backend.lie = LIE_SILENCE;
	backend.lie_at = VHOST_USER_GET_VRING_BASE;
	add("root", 1, fake_backend_start(&backend));
	assert_string_equal(answered(1), "");
	vcpu_begin(driver_start);
	vcpu_end();
	impatient = true;
	device_set_remove(set, "root", 2);
	assert_string_equal(answered(2), "");
	fake_backend_join(&backend);
	assert_true(slot_is_empty());
}

static int silent_wire(int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*peer = pair[1];
	return pair[0];
}

static void what_is_wrong_is_refused(void **state)
{
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;
	int peers[SPARE_DEVICES + 1];
	char id[32];

	(void)state;
	device_set_remove(set, "root", 1);
	assert_string_equal(answered(1), "there is no device of this id");
	add("root", 2, -1);
	assert_non_null(strstr(answered(2), "one descriptor"));
	add("", 3, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_non_null(strstr(answered(3), "no device can have"));
	attach.id = (char *)"root";
	attach.virtio_id = 0;
	device_set_add(set, &attach, 4, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_non_null(strstr(answered(4), "serial port"));
	attach.virtio_id = 4711;
	device_set_add(set, &attach, 5, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_non_null(strstr(answered(5), "not known"));
	attach.virtio_id = VIRTIO_ID_BLOCK;
	attach.undertaker = true;
	device_set_add(set, &attach, 6, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_non_null(strstr(answered(6), "undertaker"));
	add("root", 7, open("/dev/null", O_RDWR | O_CLOEXEC));
	assert_non_null(strstr(answered(7), "cannot be connected"));
	/* As many as there are attendants, which nobody answers. */
	for (unsigned i = 0; i < SPARE_DEVICES; i++) {
		snprintf(id, sizeof(id), "silent-%u", i);
		add(id, 10 + i, silent_wire(&peers[i]));
	}
	add("silent-0", 30, silent_wire(&peers[SPARE_DEVICES]));
	assert_non_null(strstr(answered(30), "there is a device of this id"));
	close(peers[SPARE_DEVICES]);
	add("another", 31, silent_wire(&peers[SPARE_DEVICES]));
	assert_non_null(strstr(answered(31), "as many devices"));
	device_set_remove(set, "silent-0", 32);
	assert_non_null(strstr(answered(32), "still being attached"));
	/* No successor for what is not there. */
	attach.id = (char *)"silent-0";
	attach.undertaker = false;
	assert_int_equal(device_set_replace(set, &attach, 33, open("/dev/null", O_RDWR | O_CLOEXEC)),
			 -ENOENT);
	assert_int_equal(device_set_fail(set, "silent-0"), -ENOENT);
	close(peers[SPARE_DEVICES]);
	for (unsigned i = 0; i < SPARE_DEVICES; i++)
		close(peers[i]);
	RUN_UNTIL(answer.count == 2 * SPARE_DEVICES);
	answer.count = 0;
	assert_non_null(strstr(answer.error, "its process is gone"));
	assert_true(slot_is_empty());
	comes_and_goes(state);
}

static void the_end_comes_first(void **state)
{
	static struct fake_backend backend;
	int peer;

	(void)state;
	fake_backend_init(&backend);
	add("root", 1, fake_backend_start(&backend));
	assert_string_equal(answered(1), "");
	add("silent", 2, silent_wire(&peer));
	device_set_remove(set, "root", 3);
	device_set_cancel(set);
	device_set_quiesce(set);
	device_set_free(set);
	set = NULL;
	fake_backend_join(&backend);
	close(peer);
	assert_int_equal(device_set_new(&core, &set), 0);
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(comes_and_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(liars_do_not_come, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_does_not_stop_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_comes_first, set_up, tear_down),
	};

	log_set_sink(ignore_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
