/*
 * A virtio-pci device with a back end of a kind of its own, in this process: what the transport asks of a back end, in
 * which order, and what becomes of its errors, whatever kind it is (backend.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/spec/virtio_spec.h"
#include "tests/unit/fake_core.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/virtio/virtio_pci_spec.h"
#include "vmm-core/wire/backend.h"
#include "vmm-core/wire/device_link.h"

#define SLOT	      1
#define QUEUES	      2
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)
#define CONFIG_PAGE   0x2000
#define FEATURES      (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(9))

/* --- The kind --- */

struct fake {
	struct backend backend;
	int fd;
	const struct backend_notices *notices;
	void *owner;
	uint8_t config[BACKEND_CONFIG_MAX];
};

/* What the next one has, what was asked of all, and of which they say an error, once. */
static struct {
	bool little;
	char trace[2048];
	const char *fail_at;
	int error;
	struct fake *last;
	unsigned alive;
	pthread_mutex_t lock;
} kind = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int told(const char *format, ...)
{
	char what[64];
	va_list arguments;
	int result = 0;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	pthread_mutex_lock(&kind.lock);
	snprintf(kind.trace + strlen(kind.trace), sizeof(kind.trace) - strlen(kind.trace), "%s ", what);
	if (kind.fail_at != NULL && strcmp(kind.fail_at, what) == 0) {
		kind.fail_at = NULL;
		result = kind.error;
	}
	pthread_mutex_unlock(&kind.lock);
	return result;
}

static const struct backend_ops fake_ops;

static int fake_connect(int fd, const _Atomic bool *cancelled, const struct backend_notices *notices,
			void *owner, struct backend **backend)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	int result = told("connect");

	(void)cancelled;
	if (result < 0) {
		free(fake);
		return result;
	}
	*fake = (struct fake){.fd = fd, .notices = notices, .owner = owner};
	fake->backend = (struct backend){
		.ops = &fake_ops,
		/* The last is none that a transport could carry. */
		.features = FEATURES | VIRTIO_BIT(VIRTIO_F_RING_PACKED),
		.queues = kind.little ? 0 : QUEUES,
		.has_config = !kind.little,
		.has_inflight = !kind.little,
	};
	memset(fake->config, 0x5a, sizeof(fake->config));
	kind.last = fake;
	kind.alive++;
	*backend = &fake->backend;
	return 0;
}

static int fake_watch(struct backend *backend, struct loop *loop)
{
	(void)backend, (void)loop;
	return told("watch");
}

static void fake_free(struct backend *backend)
{
	close(((struct fake *)backend)->fd);
	free(backend);
	kind.alive--;
}

static int fake_get_config(struct backend *backend, uint32_t offset, void *data, uint32_t size)
{
	int result = told("get_config");

	if (result == 0)
		memcpy(data, ((struct fake *)backend)->config + offset, size);
	return result;
}

static int fake_set_config(struct backend *backend, uint32_t offset, const void *data, uint32_t size)
{
	int result = told("set_config");

	if (result == 0)
		memcpy(((struct fake *)backend)->config + offset, data, size);
	return result;
}

static int fake_set_features(struct backend *backend, uint64_t features)
{
	(void)backend;
	assert_true(features == FEATURES);
	return told("set_features");
}

static int fake_set_memory(struct backend *backend, const struct guest_ram *ram)
{
	(void)backend;
	assert_int_equal(ram->region_count, 1);
	return told("set_memory");
}

static int fake_set_inflight(struct backend *backend, int fd, size_t size, uint16_t queues,
			     uint16_t queue_size)
{
	(void)backend, (void)size;
	assert_true(fd >= 0 && queues == QUEUES && queue_size >= 64);
	return told("set_inflight");
}

static int fake_set_status(struct backend *backend, uint8_t status)
{
	(void)backend;
	return told("set_status:%x", status);
}

static int fake_reset(struct backend *backend)
{
	(void)backend;
	return told("reset");
}

static int fake_set_error(struct backend *backend, uint16_t index, int error_fd)
{
	(void)backend;
	assert_true(error_fd >= 0);
	return told("set_error:%u", index);
}

static int fake_start_ring(struct backend *backend, uint16_t index, const struct backend_ring *ring)
{
	(void)backend;
	assert_int_equal(ring->size, 64);
	assert_true(ring->kick_fd >= 0 && ring->descriptors == 0x10000 * (index + 1u));
	return told("start_ring:%u@%u", index, ring->base);
}

static int fake_set_call(struct backend *backend, uint16_t index, int call_fd)
{
	(void)backend, (void)call_fd;
	return told("set_call:%u", index);
}

static int fake_stop_ring(struct backend *backend, uint16_t index, uint16_t *base)
{
	int result = told("stop_ring:%u", index);

	(void)backend;
	if (result == 0)
		*base = 7;
	return result;
}

static const struct backend_ops fake_ops = {
	.connect = fake_connect,
	.watch = fake_watch,
	.free = fake_free,
	.get_config = fake_get_config,
	.set_config = fake_set_config,
	.set_features = fake_set_features,
	.set_memory = fake_set_memory,
	.set_inflight = fake_set_inflight,
	.set_status = fake_set_status,
	.reset = fake_reset,
	.set_error = fake_set_error,
	.start_ring = fake_start_ring,
	.set_call = fake_set_call,
	.stop_ring = fake_stop_ring,
};

static void trace_clear(void)
{
	kind.trace[0] = '\0';
}

static void expect_trace(const char *expected)
{
	assert_string_equal(kind.trace, expected);
	trace_clear();
}

/* --- The machine --- */

static struct core core;
static struct virtio_pci *device;
static struct device_link *link_;
static uint64_t bar;
static int peers[64];
static unsigned peer_count;

static void woken(void *argument)
{
	struct device_report report;

	(void)argument;
	device_link_attend(link_);
	if (device_link_report(link_, &report))
		device_link_reported(link_, &report);
}

static int wire_new(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peers[peer_count++] = pair[1];
	return pair[0];
}

static uint32_t get(unsigned field, unsigned size)
{
	return guest_read(&core, bar + field, size);
}

static void put(unsigned field, uint64_t value, unsigned size)
{
	guest_write(&core, bar + field, value, size);
}

static int device_new(void)
{
	struct virtio_pci_setup setup = {
		.core = &core,
		.id = "it",
		.type = device_type_of(VIRTIO_ID_BLOCK),
		.queues = QUEUES,
		.backend_ops = &fake_ops,
	};

	return virtio_pci_new(&setup, wire_new(), &device);
}

static void begin(void)
{
	fake_core_new(&core);
	peer_count = 0;
	kind.fail_at = NULL;
	trace_clear();
	assert_int_equal(device_new(), 0);
	link_ = virtio_pci_link(device);
	assert_int_equal(device_link_release(link_, NULL), 0);
	loop_on_wake(core.loop, woken, NULL);
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	bar = guest_config_read(&core, SLOT, PCI_BASE_ADDRESS_0, 4) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS;
}

static void end(void)
{
	virtio_pci_free(device);
	assert_int_equal(kind.alive, 0);
	for (unsigned i = 0; i < peer_count; i++)
		close(peers[i]);
	fake_core_free(&core);
}

static void driver_start(void)
{
	static const uint64_t features = FEATURES;

	put(COMMON(device_status), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER, 1);
	for (unsigned i = 0; i < 2; i++) {
		put(COMMON(driver_feature_select), i, 4);
		put(COMMON(driver_feature), (uint32_t)(features >> 32 * i), 4);
	}
	put(COMMON(device_status), VIRTIO_STATUS_FEATURES_OK, 1);
	for (uint16_t i = 0; i < QUEUES; i++) {
		put(COMMON(queue_select), i, 2);
		put(COMMON(queue_size), 64, 2);
		put(COMMON(queue_desc), 0x10000 * (i + 1u), 8);
		put(COMMON(queue_driver), 0x10000 * (i + 1u) + 0x1000, 8);
		put(COMMON(queue_device), 0x10000 * (i + 1u) + 0x2000, 8);
		put(COMMON(queue_enable), 1, 2);
	}
	put(COMMON(device_status), VIRTIO_STATUS_DRIVER_OK, 1);
}

static void driver_reset(void)
{
	put(COMMON(device_status), 0, 1);
}

static void vector_change(void)
{
	put(COMMON(queue_select), 1, 2);
	put(COMMON(queue_msix_vector), 1, 2);
}

static void config_look(void)
{
	get(CONFIG_PAGE, 1);
}

static void config_write(void)
{
	put(CONFIG_PAGE + 32, 0, 1);
}

/* --- Tests --- */

#define STARTED                                                                                     \
	"set_features set_status:b set_memory set_inflight set_error:0 start_ring:0@0 set_error:1 " \
	"start_ring:1@0 set_status:f "

static void the_order_of_a_drivers_life(void **state)
{
	(void)state;
	begin();
	expect_trace("connect get_config watch ");
	/* What the transport cannot carry is not offered. */
	put(COMMON(device_feature_select), 1, 4);
	assert_int_equal(get(COMMON(device_feature), 4), FEATURES >> 32);
	expect_trace("");
	driver_start();
	expect_trace(STARTED);
	vector_change();
	expect_trace("set_call:1 ");
	config_write();
	expect_trace("set_config get_config ");
	/* Without bus mastering nothing runs, and with it rings go on where the back end said. */
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	expect_trace("stop_ring:0 stop_ring:1 ");
	guest_config_write(&core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	expect_trace("set_error:0 start_ring:0@7 set_error:1 start_ring:1@7 ");
	driver_reset();
	expect_trace("stop_ring:0 stop_ring:1 reset ");
	end();
}

static void a_back_end_that_has_little(void **state)
{
	(void)state;
	kind.little = true;
	begin();
	assert_int_equal(get(COMMON(num_queues), 2), QUEUES);
	driver_start();
	config_look();
	config_write();
	kind.little = false;
	expect_trace(
		"connect watch set_features set_status:b set_memory set_error:0 start_ring:0@0 set_error:1 "
		"start_ring:1@0 set_status:f ");
	end();
}

static void what_it_says_unasked(void **state)
{
	uint32_t generation;

	(void)state;
	begin();
	generation = get(COMMON(config_generation), 1);
	kind.last->config[0] = 0x77;
	kind.last->notices->config_changed(kind.last->owner);
	assert_int_equal(get(0x1000, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(get(CONFIG_PAGE, 1), 0x77);
	assert_int_not_equal(get(COMMON(config_generation), 1), generation);
	/* A refusal is the driver's to find out. */
	kind.fail_at = "set_config";
	kind.error = -EREMOTEIO;
	config_write();
	assert_int_equal(get(CONFIG_PAGE + 32, 1), 0x5a);
	assert_int_equal(device_link_state(link_), DEVICE_LINK_SERVING);
	kind.last->notices->gone(kind.last->owner, 0);
	assert_int_equal(device_link_state(link_), DEVICE_LINK_LOST);
	end();
}

/* --- Errors --- */

static void (*vcpu_act)(void);
static _Atomic bool vcpu_done;

static void *vcpu_run(void *argument)
{
	(void)argument;
	vcpu_act();
	vcpu_done = true;
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void run_until_serving(uint64_t serial)
{
	uint64_t deadline = now_ms() + 8000;

	while ((device_link_state(link_) != DEVICE_LINK_SERVING || link_->wire.serial != serial) &&
	       now_ms() < deadline)
		loop_run_once(core.loop, 1);
	assert_int_equal(device_link_state(link_), DEVICE_LINK_SERVING);
}

/*
 * An access is begun with a back end that fails at `what`, and ends with the next one, to which the driver is no other.
 */
static void fails_at(const char *what, bool started, void (*act)(void))
{
	uint64_t deadline = now_ms() + 8000;
	pthread_t vcpu;

	begin();
	if (started)
		driver_start();
	kind.error = -EPROTO;
	kind.fail_at = what;
	vcpu_act = act;
	vcpu_done = false;
	assert_int_equal(pthread_create(&vcpu, NULL, vcpu_run, NULL), 0);
	while (!device_link_waits(device_link_state(link_)) && now_ms() < deadline)
		loop_run_once(core.loop, 1);
	assert_true(device_link_waits(device_link_state(link_)));
	assert_false(vcpu_done);
	device_link_attach(link_, wire_new(), 1, false);
	run_until_serving(1);
	pthread_join(vcpu, NULL);
	assert_null(kind.fail_at);
	if (act == driver_start)
		assert_int_equal(get(COMMON(device_status), 1), 0xf);
	assert_int_equal(kind.alive, 1);
	end();
}

static void each_error_is_the_next_ones_to_mend(void **state)
{
	static const char *const of_start[] = {"set_features", "set_status:b",	 "set_memory",
					       "set_inflight", "set_error:0",	 "start_ring:0@0",
					       "set_error:1",  "start_ring:1@0", "set_status:f"};

	(void)state;
	for (unsigned i = 0; i < sizeof(of_start) / sizeof(of_start[0]); i++)
		fails_at(of_start[i], false, driver_start);
	fails_at("get_config", true, config_look);
	fails_at("set_config", true, config_write);
	fails_at("set_call:1", true, vector_change);
	fails_at("stop_ring:1", true, driver_reset);
	fails_at("reset", true, driver_reset);
}

static void a_successor_is_given_all_again(void **state)
{
	(void)state;
	begin();
	driver_start();
	config_write();
	shutdown(peers[0], SHUT_RDWR);
	while (device_link_state(link_) == DEVICE_LINK_SERVING)
		loop_run_once(core.loop, 1);
	/* One that cannot be connected changes nothing. */
	kind.fail_at = "connect";
	kind.error = -EPROTO;
	device_link_attach(link_, wire_new(), 1, false);
	while (device_link_state(link_) != DEVICE_LINK_LOST)
		loop_run_once(core.loop, 1);
	trace_clear();
	device_link_attach(link_, wire_new(), 2, false);
	run_until_serving(2);
	expect_trace("connect set_features set_status:b set_memory set_inflight set_config set_error:0 "
		     "start_ring:0@0 set_error:1 start_ring:1@0 set_status:f get_config watch ");
	assert_int_equal(kind.last->config[32], 0);
	end();
}

static void one_that_cannot_be_connected(void **state)
{
	static const char *const at[] = {"connect", "get_config", "watch"};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fake_core_new(&core);
		peer_count = 0;
		kind.fail_at = at[i];
		kind.error = -EPIPE;
		assert_int_equal(device_new(), -EPIPE);
		assert_int_equal(kind.alive, 0);
		close(peers[0]);
		fake_core_free(&core);
	}
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order_of_a_drivers_life),
		cmocka_unit_test(a_back_end_that_has_little),
		cmocka_unit_test(what_it_says_unasked),
		cmocka_unit_test(each_error_is_the_next_ones_to_mend),
		cmocka_unit_test(a_successor_is_given_all_again),
		cmocka_unit_test(one_that_cannot_be_connected),
	};

	log_set_sink(ignore_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
