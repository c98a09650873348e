/*
 * The virtio-pci transport as a driver sees it, over a KVM and a back end of our own: what registers hold and
 * take, when the back end hears of it, and which eventfds end up where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/loop.h"
#include "common/spec/virtio_spec.h"
#include "tests/unit/fake_backend.h"
#include "tests/unit/fake_core.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/virtio/virtio_pci_device.h"
#include "vmm-core/virtio/virtio_pci_spec.h"
#include "vmm-core/wire/backend_vhost_user.h"

#define SLOT	      1
#define QUEUES	      2
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

struct fixture {
	struct core core;
	struct fake_backend backend;
	struct virtio_pci *device;
	uint64_t common;
	uint64_t isr;
	uint64_t config;
	uint64_t notify;
	uint64_t msix_table;
	unsigned msix_cap;
	unsigned pci_cfg_cap;
};
static struct fixture f;

static uint32_t config_space(unsigned offset, unsigned size)
{
	return guest_config_read(&f.core, SLOT, offset, size);
}

static void find_structures(uint64_t bar)
{
	unsigned cap = config_space(PCI_CAPABILITY_LIST, 1);

	for (unsigned seen = 0; cap != 0; cap = config_space(cap + 1, 1)) {
		uint64_t at = bar + config_space(cap + 8, 4);

		assert_true(++seen < 16);
		if (config_space(cap, 1) == PCI_CAP_ID_MSIX) {
			f.msix_cap = cap;
			f.msix_table = bar + (config_space(cap + PCI_MSIX_TABLE, 4) & ~7u);
			assert_int_equal(config_space(cap + PCI_MSIX_CONTROL, 2) & 0x7ff, QUEUES);
			continue;
		}
		assert_int_equal(config_space(cap, 1), PCI_CAP_ID_VNDR);
		switch (config_space(cap + 3, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			f.common = at;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			f.notify = at;
			assert_int_equal(config_space(cap + 16, 4), 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			f.isr = at;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			f.config = at;
			assert_int_equal(config_space(cap + 12, 4), 60);
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			f.pci_cfg_cap = cap;
			break;
		default:
			fail_msg("capability %u", config_space(cap + 3, 1));
		}
	}
	assert_true(f.common != 0 && f.isr != 0 && f.config != 0 && f.notify != 0 && f.msix_table != 0 &&
		    f.pci_cfg_cap != 0);
}

static int attach(void)
{
	const struct virtio_pci_setup setup = {
		.core = &f.core,
		.id = "root",
		.type = device_type_of(VIRTIO_ID_BLOCK),
		.queues = QUEUES,
		.backend_ops = &backend_vhost_user,
	};

	return virtio_pci_new(&setup, fake_backend_start(&f.backend), &f.device);
}

static void decode_on(void)
{
	guest_config_write(&f.core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	find_structures(config_space(PCI_BASE_ADDRESS_0, 4) & ~(uint64_t)PCI_BASE_ADDRESS_FLAGS);
}

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	fake_core_new(&f.core);
	fake_backend_init(&f.backend);
	assert_int_equal(attach(), 0);
	decode_on();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	virtio_pci_free(f.device);
	fake_backend_join(&f.backend);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.ioeventfd_count, 0);
	fake_core_free(&f.core);
	return 0;
}

/* --- A driver --- */

static uint32_t get(unsigned field, unsigned size)
{
	return guest_read(&f.core, f.common + field, size);
}

static void put(unsigned field, uint64_t value, unsigned size)
{
	guest_write(&f.core, f.common + field, value, size);
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
	put(COMMON(queue_desc), 0x10000 + index * 0x10000u, 4);
	put(COMMON(queue_desc) + 4, 0, 4);
	put(COMMON(queue_driver), 0x11000 + index * 0x10000u, 8);
	put(COMMON(queue_device), 0x12000 + index * 0x10000u, 4);
	put(COMMON(queue_enable), 1, 2);
}

static void vector_open(unsigned vector)
{
	guest_write(&f.core, f.msix_table + vector * 16, 0xfee00000, 4);
	guest_write(&f.core, f.msix_table + vector * 16 + 8, 0x40 + vector, 4);
	guest_write(&f.core, f.msix_table + vector * 16 + 12, 0, 4);
	guest_config_write(&f.core, SLOT, f.msix_cap + PCI_MSIX_CONTROL, PCI_MSIX_ENABLE, 2);
}

static void driver_start(void)
{
	put(COMMON(device_status), 0, 1);
	status_add(VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(VIRTIO_STATUS_DRIVER);
	features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(COMMON(device_status), 1),
			 VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
	vector_open(0);
	vector_open(1);
	vector_open(2);
	put(COMMON(config_msix_vector), 0, 2);
	queue_set_up(0);
	queue_set_up(1);
	status_add(VIRTIO_STATUS_DRIVER_OK);
}

/* E3: a ring that the back end gave up is told to the driver, as often as it happens; and whatever the back end does to
 * the eventfd, the loop does not wait. */
static void a_broken_ring_needs_a_reset(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		int error_fd;

		driver_start();
		error_fd = f.backend.rings[1].error_fd;
		assert_true(error_fd >= 0);
		assert_int_equal(fcntl(error_fd, F_SETFL, 0), 0);
		assert_int_equal(eventfd_write(error_fd, 1), 0);
		assert_int_equal(loop_run_once(f.core.loop, 0), 0);
		assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DEVICE_NEEDS_RESET,
				 VIRTIO_STATUS_DEVICE_NEEDS_RESET);
		assert_int_equal(guest_read(&f.core, f.isr, 1) & VIRTIO_PCI_ISR_CONFIG,
				 VIRTIO_PCI_ISR_CONFIG);
		assert_int_equal(loop_run_once(f.core.loop, 0), 0);
		put(COMMON(device_status), 0, 1);
		assert_int_equal(get(COMMON(device_status), 1), 0);
	}
}

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

	virtio_pci_counters(f.device, sum_counter, &sum);
	return sum.value;
}

/* --- Tests --- */

static void features_as_offered(void **state)
{
	uint32_t low, high;

	(void)state;
	put(COMMON(device_feature_select), 0, 4);
	low = get(COMMON(device_feature), 4);
	put(COMMON(device_feature_select), 1, 4);
	high = get(COMMON(device_feature), 4);
	/* Neither bit 30, which is the wire's, nor a ring format that the core does not carry. */
	assert_int_equal(low, VIRTIO_BIT(9) | VIRTIO_BIT(11) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
				      VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC));
	assert_int_equal(high, 1);
	put(COMMON(device_feature_select), 2, 4);
	assert_int_equal(get(COMMON(device_feature), 4), 0);
	put(COMMON(device_feature_select), 0xffffffff, 4);
	assert_int_equal(get(COMMON(device_feature), 4), 0);
	put(COMMON(driver_feature_select), 2, 4);
	put(COMMON(driver_feature), 0xffffffff, 4);
	assert_int_equal(get(COMMON(driver_feature), 4), 0);
	assert_int_equal(get(COMMON(num_queues), 2), QUEUES);
}

static void features_that_will_not_do(void **state)
{
	(void)state;
	status_add(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	/* Without VERSION_1. */
	features_set(VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_FEATURES_OK, 0);
	/* With one that was not offered. */
	features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_FEATURES_OK, 0);
	/* DRIVER_OK without FEATURES_OK starts nothing. */
	queue_set_up(0);
	status_add(VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(f.backend.memory.region_count, 0);
	/* Accepted ones cannot be changed any more. */
	put(COMMON(device_status), 0, 1);
	features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	assert_int_equal(get(COMMON(device_status), 1), VIRTIO_STATUS_FEATURES_OK);
	features_set(UINT64_MAX);
	put(COMMON(driver_feature_select), 0, 4);
	assert_int_equal(get(COMMON(driver_feature), 4), 0);
}

static void features_after_the_driver_is_ok(void **state)
{
	(void)state;
	status_add(VIRTIO_STATUS_DRIVER_OK);
	assert_int_equal(f.backend.acked_features, 0);
	features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	/* A back end that was not told where memory is could not look for the ring. */
	assert_true(f.backend.memory.region_count > 0);
	assert_int_equal(f.backend.acked_features & VIRTIO_BIT(VIRTIO_F_VERSION_1),
			 VIRTIO_BIT(VIRTIO_F_VERSION_1));
	queue_set_up(0);
	assert_true(f.backend.rings[0].enabled);
}

static void queue_registers(void **state)
{
	static const uint64_t sizes[] = {0, 3, 100, 255, 257, 512, 32768, 65535};

	(void)state;
	put(COMMON(queue_select), 0, 2);
	assert_int_equal(get(COMMON(queue_size), 2), VIRTIO_PCI_QUEUE_SIZE_MAX);
	assert_int_equal(get(COMMON(queue_msix_vector), 2), VIRTIO_MSI_NO_VECTOR);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put(COMMON(queue_size), sizes[i], 2);
		assert_int_equal(get(COMMON(queue_size), 2), VIRTIO_PCI_QUEUE_SIZE_MAX);
	}
	put(COMMON(queue_size), 16, 2);
	assert_int_equal(get(COMMON(queue_size), 2), 16);
	/* A vector that does not exist reads back as none. */
	put(COMMON(queue_msix_vector), QUEUES + 1, 2);
	assert_int_equal(get(COMMON(queue_msix_vector), 2), VIRTIO_MSI_NO_VECTOR);
	put(COMMON(config_msix_vector), 2, 2);
	assert_int_equal(get(COMMON(config_msix_vector), 2), 2);
	put(COMMON(config_msix_vector), 0x1000, 2);
	assert_int_equal(get(COMMON(config_msix_vector), 2), VIRTIO_MSI_NO_VECTOR);
	/* Halves and wholes of an address. */
	put(COMMON(queue_desc), UINT64_C(0x1122334455667788), 8);
	put(COMMON(queue_desc) + 4, 0xaabbccdd, 4);
	assert_int_equal(get(COMMON(queue_desc), 4), 0x55667788);
	assert_int_equal(get(COMMON(queue_desc) + 4, 4), 0xaabbccdd);
	/* Only 1 enables, and then nothing moves. */
	put(COMMON(queue_enable), 2, 2);
	assert_int_equal(get(COMMON(queue_enable), 2), 0);
	put(COMMON(queue_enable), 1, 2);
	assert_int_equal(get(COMMON(queue_enable), 2), 1);
	put(COMMON(queue_enable), 0, 2);
	put(COMMON(queue_size), 8, 2);
	put(COMMON(queue_desc), 0, 8);
	assert_int_equal(get(COMMON(queue_enable), 2), 1);
	assert_int_equal(get(COMMON(queue_size), 2), 16);
	assert_int_equal(get(COMMON(queue_desc), 4), 0x55667788);
	/* A queue that is not there. */
	put(COMMON(queue_select), QUEUES, 2);
	assert_int_equal(get(COMMON(queue_size), 2), 0);
	put(COMMON(queue_size), 16, 2);
	put(COMMON(queue_enable), 1, 2);
	assert_int_equal(get(COMMON(queue_enable), 2), 0);
}

static void accesses_of_every_size_everywhere(void **state)
{
	(void)state;
	/* Whatever a guest does: nothing but its own device is harmed. Status stays out of it. */
	for (uint64_t page = 0; page < 8; page++) {
		for (uint64_t offset = 0; offset < 0x1000; offset = offset < 0x60 ? offset + 1 : offset + 509)
			for (unsigned size = 1; size <= 8; size++) {
				uint64_t data;

				exit_router_read(f.core.router, 0, EXIT_SPACE_MMIO,
						 f.common + (page << 12) + offset, &data, size);
				data = UINT64_MAX;
				if (page != 0 || offset != COMMON(device_status))
					exit_router_write(f.core.router, 0, EXIT_SPACE_MMIO,
							  f.common + (page << 12) + offset, &data, size);
			}
	}
	assert_int_equal(get(COMMON(device_status), 1), 0);
	assert_false(run_end_decided(&f.core.end));
}

static bool same_eventfd(int a, int b)
{
	eventfd_t count = 0;

	return eventfd_write(a, 5) == 0 && eventfd_read(b, &count) == 0 && count == 5;
}

static void rings_start_with_the_driver(void **state)
{
	(void)state;
	driver_start();
	assert_false(run_end_decided(&f.core.end));
	assert_true(f.backend.acked_features ==
		    (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
		     VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)));
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct fake_backend_ring *ring = &f.backend.rings[i];
		int kick = fake_ioeventfd_at(f.notify + i * 4u);

		assert_true(ring->enabled);
		assert_int_equal(ring->size, 64);
		assert_int_equal(ring->base, 0);
		assert_true(ring->addresses.descriptor == 0x10000 + i * 0x10000u);
		assert_true(ring->addresses.available == 0x11000 + i * 0x10000u);
		assert_true(ring->addresses.used == 0x12000 + i * 0x10000u);
		/* A kick goes from KVM to the back end; an interrupt from it to KVM. */
		assert_true(kick >= 0);
		assert_true(same_eventfd(kick, ring->kick_fd));
	}
	for (unsigned i = 0; i < fake_kvm.ioeventfd_count; i++)
		assert_int_equal(fake_kvm.ioeventfds[i].length, 0);
	/* Vector i + 1 is queue i's. */
	assert_int_equal(fake_kvm.irqfd_count, QUEUES + 1);
	for (unsigned i = 0; i < QUEUES; i++) {
		unsigned matches = 0;

		eventfd_write(f.backend.rings[i].call_fd, 1);
		for (unsigned k = 0; k < fake_kvm.irqfd_count; k++) {
			uint64_t address;
			uint32_t data;
			eventfd_t count;

			if (!fake_msi_route(fake_kvm.irqfds[k].gsi, &address, &data))
				fail();
			if (eventfd_read(fake_kvm.irqfds[k].fd, &count) == 0) {
				assert_int_equal(data, 0x40 + i + 1);
				matches++;
			}
		}
		assert_int_equal(matches, 1);
	}
	assert_int_equal(counter("notify-exits"), 0);
}

/* A3: who has an eventfd too can clear its O_NONBLOCK, empty it and fill it up. */
static void peers_flags_hold_up_no_reset(void **state)
{
	int kick;

	(void)state;
	driver_start();
	kick = fake_ioeventfd_at(f.notify);
	assert_int_equal(fcntl(kick, F_SETFL, fcntl(kick, F_GETFL) & ~O_NONBLOCK), 0);
	/* It would wait for ever for a count. */
	alarm(20);
	put(COMMON(device_status), 0, 1);
	alarm(0);
	assert_int_equal(get(COMMON(device_status), 1), 0);
}

/* A3: nor what wakes the rings when the function becomes a bus master again. */
static void peers_flags_hold_up_no_bus_master(void **state)
{
	int kick;

	(void)state;
	driver_start();
	kick = fake_ioeventfd_at(f.notify);
	guest_config_write(&f.core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fcntl(kick, F_SETFL, fcntl(kick, F_GETFL) & ~O_NONBLOCK), 0);
	assert_int_equal(eventfd_write(kick, UINT64_MAX - 1), 0);
	/* It would wait for ever for room. */
	alarm(20);
	guest_config_write(&f.core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	alarm(0);
	assert_true(f.backend.rings[0].enabled);
}

static void reset_is_done_when_it_reads_zero(void **state)
{
	int kick;
	eventfd_t count;

	(void)state;
	driver_start();
	kick = fake_ioeventfd_at(f.notify);
	eventfd_write(kick, 1);
	put(COMMON(device_status), 0, 1);
	assert_int_equal(get(COMMON(device_status), 1), 0);
	assert_true(f.backend.rings[0].stopped && f.backend.rings[1].stopped);
	put(COMMON(queue_select), 1, 2);
	assert_int_equal(get(COMMON(queue_enable), 2), 0);
	assert_int_equal(get(COMMON(queue_size), 2), VIRTIO_PCI_QUEUE_SIZE_MAX);
	assert_int_equal(get(COMMON(queue_desc), 4), 0);
	assert_int_equal(get(COMMON(queue_msix_vector), 2), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(get(COMMON(config_msix_vector), 2), VIRTIO_MSI_NO_VECTOR);
	/* The former life's kick is gone; its eventfd is not. */
	assert_int_equal(eventfd_read(kick, &count), -1);
	driver_start();
	assert_int_equal(fake_ioeventfd_at(f.notify), kick);
	assert_true(f.backend.rings[0].enabled && !f.backend.rings[0].stopped);
	assert_int_equal(f.backend.rings[0].base, 0);
}

/* Requests of a kind that the back end was sent, and where the last one was. */
static unsigned requests_of(uint32_t request, unsigned *last)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f.backend.request_count && i < FAKE_BACKEND_REQUESTS; i++) {
		if (f.backend.requests[i] != request)
			continue;
		count++;
		*last = i;
	}
	return count;
}

/* C2: a reset is the back end's too, whether rings ran or not, and comes behind their end. */
static void c2_a_reset_reaches_the_back_end(void **state)
{
	unsigned reset = 0, stop = 0, features = 0;

	(void)state;
	driver_start();
	assert_int_equal(f.backend.resets, 1);
	put(COMMON(device_status), 0, 1);
	assert_int_equal(f.backend.resets, 2);
	assert_int_equal(requests_of(VHOST_USER_RESET_DEVICE, &reset), 2);
	assert_int_equal(requests_of(VHOST_USER_GET_VRING_BASE, &stop), QUEUES);
	assert_true(reset > stop);
	assert_int_equal(f.backend.statuses_count, 0);
	/* What was set up before it is set up again behind it. */
	driver_start();
	assert_int_equal(f.backend.resets, 3);
	requests_of(VHOST_USER_RESET_DEVICE, &reset);
	assert_int_equal(requests_of(VHOST_USER_SET_FEATURES, &features), 2);
	assert_true(features > reset);
	assert_true(f.backend.rings[0].enabled && f.backend.rings[1].enabled);
}

static int attach_without(uint64_t protocol_features)
{
	memset(&f, 0, sizeof(f));
	fake_core_new(&f.core);
	fake_backend_init(&f.backend);
	f.backend.protocol_features &= ~protocol_features;
	assert_int_equal(attach(), 0);
	decode_on();
	return 0;
}

static int set_up_status(void **state)
{
	(void)state;
	return attach_without(VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE));
}

static int set_up_old(void **state)
{
	(void)state;
	return attach_without(VIRTIO_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			      VIRTIO_BIT(VHOST_USER_PROTOCOL_F_STATUS));
}

/* C2: one that has STATUS alone is told of the driver's life, for it may wait for DRIVER_OK. */
static void c2_a_back_end_with_status(void **state)
{
	const uint8_t set_up_ = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK;
	unsigned status = 0, enable = 0;

	(void)state;
	driver_start();
	assert_int_equal(f.backend.statuses_count, 3);
	assert_int_equal(f.backend.statuses[0], 0);
	assert_int_equal(f.backend.statuses[1], set_up_);
	assert_int_equal(f.backend.statuses[2], set_up_ | VIRTIO_STATUS_DRIVER_OK);
	requests_of(VHOST_USER_SET_STATUS, &status);
	requests_of(VHOST_USER_SET_VRING_ENABLE, &enable);
	assert_true(status > enable);
	put(COMMON(device_status), 0, 1);
	assert_int_equal(f.backend.statuses_count, 4);
	assert_int_equal(f.backend.statuses[3], 0);
	assert_int_equal(f.backend.resets, 0);
}

/* C2: and one that has neither hears what it heard before. */
static void c2_a_back_end_with_neither(void **state)
{
	(void)state;
	driver_start();
	put(COMMON(device_status), 0, 1);
	driver_start();
	assert_int_equal(f.backend.resets, 0);
	assert_int_equal(f.backend.statuses_count, 0);
	assert_true(f.backend.rings[0].enabled && !f.backend.rings[0].stopped);
}

static void command_set(uint16_t command)
{
	guest_config_write(&f.core, SLOT, PCI_COMMAND, command, 2);
}

/* Whether KVM turns the signals of a queue into messages. */
static bool delivers(unsigned queue)
{
	eventfd_t count;
	bool found = false;

	eventfd_write(f.backend.rings[queue].call_fd, 1);
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++)
		found = found || eventfd_read(fake_kvm.irqfds[i].fd, &count) == 0;
	return found;
}

/* C3: without bus mastering the back end touches no ring and no message is sent; with it, rings go on where they
 * were, and nothing is lost. */
static void c3_bus_mastering_stops_rings_and_interrupts(void **state)
{
	eventfd_t count;
	unsigned stops = 0, resets = 0;

	(void)state;
	driver_start();
	assert_true(delivers(0));
	for (unsigned i = 0; i < QUEUES; i++) {
		eventfd_read(f.backend.rings[i].kick_fd, &count);
		/* The back end is 5 behind its base then. */
		f.backend.rings[i].base = 100 + i;
		f.backend.rings[i].enabled = false;
	}
	command_set(PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_true(f.backend.rings[i].stopped);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_false(delivers(0));
	/* The driver's own state stands, and a second time changes nothing. */
	assert_int_not_equal(get(COMMON(device_status), 1) & VIRTIO_STATUS_DRIVER_OK, 0);
	command_set(PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(requests_of(VHOST_USER_GET_VRING_BASE, &stops), QUEUES);
	command_set(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_true(f.backend.rings[i].enabled && !f.backend.rings[i].stopped);
		assert_int_equal(f.backend.rings[i].base, 105 + i);
		/* A kick may have come meanwhile. */
		assert_int_equal(eventfd_read(f.backend.rings[i].kick_fd, &count), 0);
	}
	/* So may an interrupt have. */
	assert_int_equal(fake_kvm.irqfd_count, QUEUES + 1);
	assert_true(delivers(1));
	/* A reset takes the halted rings away: they are the next driver's to start. */
	command_set(PCI_COMMAND_MEMORY);
	f.backend.rings[0].enabled = f.backend.rings[1].enabled = false;
	put(COMMON(device_status), 0, 1);
	assert_int_equal(requests_of(VHOST_USER_RESET_DEVICE, &resets), 2);
	command_set(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_false(f.backend.rings[0].enabled || f.backend.rings[1].enabled);
	/* A driver that is early: its rings start when they may. */
	command_set(PCI_COMMAND_MEMORY);
	driver_start();
	assert_false(f.backend.rings[0].enabled || f.backend.rings[1].enabled);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	command_set(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_true(f.backend.rings[0].enabled && f.backend.rings[1].enabled);
	assert_int_equal(f.backend.rings[0].base, 0);
}

static void quiescing_stops_the_rings(void **state)
{
	(void)state;
	driver_start();
	device_link_cancel(virtio_pci_link(f.device), false);
	virtio_pci_quiesce(f.device);
	assert_true(f.backend.rings[0].stopped && f.backend.rings[1].stopped);
	virtio_pci_quiesce(f.device);
	assert_false(run_end_decided(&f.core.end));
}

static void late_changes_reach_the_back_end(void **state)
{
	(void)state;
	status_add(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1));
	status_add(VIRTIO_STATUS_FEATURES_OK);
	queue_set_up(0);
	status_add(VIRTIO_STATUS_DRIVER_OK);
	assert_false(f.backend.rings[1].enabled);
	queue_set_up(1);
	assert_true(f.backend.rings[1].enabled);
	/* No vector: the driver polls. */
	put(COMMON(queue_select), 0, 2);
	put(COMMON(queue_msix_vector), VIRTIO_MSI_NO_VECTOR, 2);
	assert_int_equal(f.backend.rings[0].call_fd, -1);
	put(COMMON(queue_msix_vector), 1, 2);
	assert_true(f.backend.rings[0].call_fd >= 0);
}

static void rings_outside_of_ram_stay_off(void **state)
{
	static const uint64_t places[] = {16 * MIB, 16 * MIB - 0x100, UINT64_MAX - 0x3ff, 0x10008};

	(void)state;
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		put(COMMON(device_status), 0, 1);
		f.backend.rings[0].enabled = f.backend.rings[1].enabled = false;
		features_set(VIRTIO_BIT(VIRTIO_F_VERSION_1));
		status_add(VIRTIO_STATUS_FEATURES_OK);
		put(COMMON(queue_select), 0, 2);
		put(COMMON(queue_desc), places[i], 8);
		put(COMMON(queue_driver), 0x2000, 8);
		put(COMMON(queue_device), 0x3000, 8);
		put(COMMON(queue_enable), 1, 2);
		queue_set_up(1);
		status_add(VIRTIO_STATUS_DRIVER_OK);
		assert_false(f.backend.rings[0].enabled);
		assert_true(f.backend.rings[1].enabled);
	}
	assert_false(run_end_decided(&f.core.end));
}

static void the_configuration(void **state)
{
	uint32_t generation = get(COMMON(config_generation), 1);
	eventfd_t count;

	(void)state;
	assert_int_equal(guest_read(&f.core, f.config, 4), 0x04030201);
	assert_int_equal(guest_read(&f.core, f.config + 58, 2), 0x3c3b);
	assert_int_equal(guest_read(&f.core, f.config + 60, 4), 0);
	guest_write(&f.core, f.config + 32, 0x99, 1);
	assert_int_equal(f.backend.config[32], 0x99);
	assert_int_equal(guest_read(&f.core, f.config + 32, 1), 0x99);
	/* Behind the end: the back end does not hear of it. */
	guest_write(&f.core, f.config + 58, 0xffffffff, 4);
	assert_int_equal(f.backend.config[58], 59);
	f.backend.refuse_config = true;
	guest_write(&f.core, f.config, 0x55, 1);
	assert_int_equal(guest_read(&f.core, f.config, 1), 1);

	/* The back end changes it. */
	driver_start();
	generation = get(COMMON(config_generation), 1);
	f.backend.config[0] = 0xee;
	assert_int_equal(vhost_user_send(f.backend.channel_fd, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0, NULL,
					 0, NULL, 0, 1000),
			 0);
	assert_int_equal(loop_run_once(f.core.loop, 1000), 0);
	assert_int_not_equal(get(COMMON(config_generation), 1), generation);
	assert_int_equal(guest_read(&f.core, f.config, 1), 0xee);
	assert_int_equal(guest_read(&f.core, f.isr, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(guest_read(&f.core, f.isr, 1), 0);
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++) {
		uint64_t address;
		uint32_t data;

		assert_true(fake_msi_route(fake_kvm.irqfds[i].gsi, &address, &data));
		assert_int_equal(eventfd_read(fake_kvm.irqfds[i].fd, &count), data == 0x40 ? 0 : -1);
	}
}

static void ioeventfds_follow_the_bar(void **state)
{
	uint64_t before = f.notify;
	int kick = fake_ioeventfd_at(before);

	(void)state;
	guest_config_write(&f.core, SLOT, PCI_COMMAND, 0, 2);
	assert_int_equal(fake_kvm.ioeventfd_count, 0);
	guest_config_write(&f.core, SLOT, PCI_BASE_ADDRESS_0, 0, 4);
	guest_config_write(&f.core, SLOT, PCI_BASE_ADDRESS_0 + 4, 0x41, 4);
	guest_config_write(&f.core, SLOT, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(fake_ioeventfd_at(before), -1);
	assert_int_equal(fake_kvm.ioeventfd_count, QUEUES);
	assert_int_equal(fake_ioeventfd_at(UINT64_C(0x4100000000) + (f.notify & 0x7fff)), kick);
	f.common = UINT64_C(0x4100000000);
	assert_int_equal(get(COMMON(num_queues), 2), QUEUES);
}

static void a_notify_that_exits_is_counted_and_kept(void **state)
{
	eventfd_t count;

	(void)state;
	guest_write(&f.core, f.notify + 4, 1, 2);
	assert_int_equal(eventfd_read(fake_ioeventfd_at(f.notify + 4), &count), 0);
	guest_write(&f.core, f.notify + 4 * QUEUES, 1, 2);
	guest_write(&f.core, f.notify + 0xffc, 1, 4);
	assert_int_equal(counter("notify-exits"), 3);
}

static void the_bar_through_configuration_space(void **state)
{
	unsigned cap = f.pci_cfg_cap;

	(void)state;
	guest_config_write(&f.core, SLOT, cap + 4, 0, 1);
	guest_config_write(&f.core, SLOT, cap + 8, COMMON(num_queues), 4);
	guest_config_write(&f.core, SLOT, cap + 12, 2, 4);
	assert_int_equal(config_space(cap + 16, 2), QUEUES);
	guest_config_write(&f.core, SLOT, cap + 8, COMMON(device_status), 4);
	guest_config_write(&f.core, SLOT, cap + 12, 1, 4);
	guest_config_write(&f.core, SLOT, cap + 16, VIRTIO_STATUS_ACKNOWLEDGE, 1);
	assert_int_equal(get(COMMON(device_status), 1), VIRTIO_STATUS_ACKNOWLEDGE);
	/* Windows that are none: another BAR, a width of 3 and of 8, not aligned, behind the end. */
	guest_config_write(&f.core, SLOT, cap + 12, 3, 4);
	guest_config_write(&f.core, SLOT, cap + 16, 0, 4);
	guest_config_write(&f.core, SLOT, cap + 12, 8, 4);
	guest_config_write(&f.core, SLOT, cap + 16, 0, 4);
	guest_config_write(&f.core, SLOT, cap + 12, 4, 4);
	guest_config_write(&f.core, SLOT, cap + 8, 0x7ffe, 4);
	guest_config_write(&f.core, SLOT, cap + 16, 0, 4);
	guest_config_write(&f.core, SLOT, cap + 8, 0xfffffffc, 4);
	guest_config_write(&f.core, SLOT, cap + 16, 0, 4);
	config_space(cap + 16, 4);
	guest_config_write(&f.core, SLOT, cap + 4, 1, 1);
	guest_config_write(&f.core, SLOT, cap + 8, COMMON(device_status), 4);
	guest_config_write(&f.core, SLOT, cap + 12, 1, 4);
	guest_config_write(&f.core, SLOT, cap + 16, 0, 1);
	assert_int_equal(get(COMMON(device_status), 1), VIRTIO_STATUS_ACKNOWLEDGE);
}

/* --- Back ends that fail --- */

static void back_ends_that_cannot_be_attached(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		memset(&f, 0, sizeof(f));
		fake_core_new(&f.core);
		fake_backend_init(&f.backend);
		if (i == 0)
			f.backend.features &= ~VIRTIO_BIT(VIRTIO_F_VERSION_1);
		if (i == 1)
			f.backend.queue_num = 1;
		if (i == 2)
			f.backend.lie = LIE_HANG_UP, f.backend.lie_at = VHOST_USER_GET_CONFIG;
		if (i == 3)
			f.backend.lie = LIE_GARBAGE, f.backend.lie_at = VHOST_USER_GET_FEATURES;
		assert_true(attach() < 0);
		fake_backend_join(&f.backend);
		assert_int_equal(guest_config_read(&f.core, SLOT, PCI_VENDOR_ID, 4), 0xffffffff);
		assert_false(run_end_decided(&f.core.end));
		fake_core_free(&f.core);
	}
}

#define WITH_DEVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DEVICE(features_as_offered),
		WITH_DEVICE(features_that_will_not_do),
		WITH_DEVICE(features_after_the_driver_is_ok),
		WITH_DEVICE(queue_registers),
		WITH_DEVICE(accesses_of_every_size_everywhere),
		WITH_DEVICE(rings_start_with_the_driver),
		WITH_DEVICE(reset_is_done_when_it_reads_zero),
		WITH_DEVICE(c2_a_reset_reaches_the_back_end),
		cmocka_unit_test_setup_teardown(c2_a_back_end_with_status, set_up_status, tear_down),
		cmocka_unit_test_setup_teardown(c2_a_back_end_with_neither, set_up_old, tear_down),
		WITH_DEVICE(c3_bus_mastering_stops_rings_and_interrupts),
		WITH_DEVICE(peers_flags_hold_up_no_reset),
		WITH_DEVICE(peers_flags_hold_up_no_bus_master),
		WITH_DEVICE(quiescing_stops_the_rings),
		WITH_DEVICE(late_changes_reach_the_back_end),
		WITH_DEVICE(rings_outside_of_ram_stay_off),
		WITH_DEVICE(the_configuration),
		WITH_DEVICE(ioeventfds_follow_the_bar),
		WITH_DEVICE(a_notify_that_exits_is_counted_and_kept),
		WITH_DEVICE(the_bar_through_configuration_space),
		WITH_DEVICE(a_broken_ring_needs_a_reset),
		cmocka_unit_test(back_ends_that_cannot_be_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
