/*
 * The devices of the VM. Which kind of wire and transport a device type has is said in one table; all else is
 * a walk over the list.
 */
#include "vmm-core/device_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/wire/backend_vhost_user.h"
#include "vmm-core/wire/serial_port.h"

/* COM1 to COM4. The first two have the PC's interrupts; the others get free ones, since edges cannot be
 * shared. */
static const struct serial_port serial_places[] = {
	{LAYOUT_PORT_COM1, LAYOUT_GSI_COM1},
	{0x2f8, 3},
	{0x3e8, 5},
	{0x2e8, 7},
};
#define SERIAL_PLACES (sizeof(serial_places) / sizeof(serial_places[0]))

/* How long the queues of all devices may take to stop at the end. */
#define QUIESCE_SECONDS 5

struct device {
	TAILQ_ENTRY(device) entry;
	struct virtio_pci *virtio; /* one of the two */
	struct serial_device *serial;
};

struct device_set {
	struct core *core;
	TAILQ_HEAD(, device) devices;
	unsigned serial_count;
};

int device_set_new(struct core *core, struct device_set **set)
{
	struct device_set *new_set = calloc(1, sizeof(*new_set));
	int result;

	if (new_set == NULL)
		return -ENOMEM;
	new_set->core = core;
	TAILQ_INIT(&new_set->devices);
	result = pci_bus_new(core, &core->pci);
	if (result < 0) {
		free(new_set);
		return result;
	}
	*set = new_set;
	return 0;
}

static int attach_serial(struct device_set *set, struct device *device, const char *id, int wire_fd)
{
	const struct serial_port *place = &serial_places[set->serial_count];
	int result;

	if (set->serial_count == SERIAL_PLACES) {
		log_error("device %s: the machine has no more than %zu serial ports", id, SERIAL_PLACES);
		close(wire_fd);
		return -ENOSPC;
	}
	result = serial_device_new(set->core, id, place->port, place->gsi, wire_fd, &device->serial);
	if (result == 0)
		set->serial_count++;
	return result;
}

int device_set_attach(struct device_set *set, const Atoll__Control__AttachDevice *device, int wire_fd)
{
	struct virtio_pci_setup setup = {
		.core = set->core, .id = device->id, .backend_ops = &backend_vhost_user};
	struct device *new_device = calloc(1, sizeof(*new_device));
	int result;

	if (new_device == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	setup.type = device_type_of(device->virtio_id);
	if (setup.type == NULL && device->virtio_id != 0) {
		log_error("device %s: unknown type %u", device->id, device->virtio_id);
		close(wire_fd);
		free(new_device);
		return -EPROTO;
	}
	if (setup.type != NULL && setup.type->queues == 0)
		setup.queues = device->queues;
	if (setup.type != NULL)
		result = virtio_pci_new(&setup, wire_fd, &new_device->virtio);
	else
		result = attach_serial(set, new_device, device->id, wire_fd);
	if (result < 0) {
		free(new_device);
		return result;
	}
	TAILQ_INSERT_TAIL(&set->devices, new_device, entry);
	return 0;
}

static struct device_link *device_link_of(const struct device *device)
{
	return device->virtio != NULL ? virtio_pci_link(device->virtio) : serial_device_link(device->serial);
}

int device_set_release(struct device_set *set, const struct seccomp_filter *attendant_filter)
{
	struct device *device;
	int result = 0;

	TAILQ_FOREACH (device, &set->devices, entry) {
		int released = device_link_release(device_link_of(device), attendant_filter);

		result = result < 0 ? result : released;
	}
	return result;
}

static struct device *device_find(const struct device_set *set, const char *id)
{
	struct device *device;

	TAILQ_FOREACH (device, &set->devices, entry) {
		if (strcmp(device_link_of(device)->id, id) == 0)
			return device;
	}
	return NULL;
}

int device_set_replace(struct device_set *set, const Atoll__Control__AttachDevice *device, uint64_t serial,
		       int wire_fd)
{
	const struct device *known = device_find(set, device->id);

	if (known == NULL) {
		close(wire_fd);
		return -ENOENT;
	}
	/* A serial port's registers have no answer but their own. */
	if (device->undertaker && known->virtio == NULL) {
		close(wire_fd);
		return -EINVAL;
	}
	device_link_attach(device_link_of(known), wire_fd, serial, device->undertaker);
	return 0;
}

int device_set_fail(struct device_set *set, const char *id)
{
	const struct device *known = device_find(set, id);

	if (known == NULL)
		return -ENOENT;
	device_link_fail(device_link_of(known));
	return 0;
}

void device_set_attend(struct device_set *set)
{
	struct device *device;

	TAILQ_FOREACH (device, &set->devices, entry)
		device_link_attend(device_link_of(device));
}

int device_set_report(struct device_set *set, device_report_fn tell, void *argument)
{
	struct device *device;

	TAILQ_FOREACH (device, &set->devices, entry) {
		struct device_link *link = device_link_of(device);
		struct device_report report;
		int result;

		if (!device_link_report(link, &report))
			continue;
		result = tell(argument, link->id, &report);
		if (result == -EAGAIN)
			return result;
		device_link_reported(link, &report);
	}
	return 0;
}

void device_set_cancel(struct device_set *set)
{
	struct device *device;

	/* A queue wire is still needed, to stop the queues in order; a register wire is not. */
	TAILQ_FOREACH (device, &set->devices, entry)
		device_link_cancel(device_link_of(device), device->virtio == NULL);
}

void device_set_quiesce(struct device_set *set)
{
	time_t deadline = clock_s(CLOCK_MONOTONIC) + QUIESCE_SECONDS;
	struct device *device;

	TAILQ_FOREACH (device, &set->devices, entry) {
		/* The ones left are ended by the supervisor, finished or not. */
		if (clock_s(CLOCK_MONOTONIC) >= deadline)
			break;
		if (device->virtio != NULL)
			virtio_pci_quiesce(device->virtio);
	}
}

void device_set_free(struct device_set *set)
{
	struct device *device;

	if (set == NULL)
		return;
	while ((device = TAILQ_FIRST(&set->devices)) != NULL) {
		TAILQ_REMOVE(&set->devices, device, entry);
		virtio_pci_free(device->virtio);
		serial_device_free(device->serial);
		free(device);
	}
	pci_bus_free(set->core->pci);
	set->core->pci = NULL;
	free(set);
}

void device_set_serial_ports(const struct device_set *set, struct serial_port *ports, unsigned *count)
{
	memcpy(ports, serial_places, set->serial_count * sizeof(ports[0]));
	*count = set->serial_count;
}

/* Counters of one name are added up over the devices. */
#define DEVICE_COUNTERS_MAX 16

struct counter_sum {
	const char *names[DEVICE_COUNTERS_MAX];
	uint64_t values[DEVICE_COUNTERS_MAX];
	size_t count;
};

static void counter_add(void *argument, const char *name, uint64_t value)
{
	struct counter_sum *sum = argument;
	size_t i = 0;

	while (i < sum->count && strcmp(sum->names[i], name) != 0)
		i++;
	if (i == DEVICE_COUNTERS_MAX)
		return;
	if (i == sum->count)
		sum->names[sum->count++] = name;
	sum->values[i] += value;
}

void device_set_counters(const struct device_set *set,
			 void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	const struct device *device;
	struct counter_sum sum = {0};

	TAILQ_FOREACH (device, &set->devices, entry) {
		if (device->virtio != NULL)
			virtio_pci_counters(device->virtio, counter_add, &sum);
	}
	for (size_t i = 0; i < sum.count; i++)
		each(argument, sum.names[i], sum.values[i]);
	TAILQ_FOREACH (device, &set->devices, entry)
		device_link_counters(device_link_of(device), each, argument);
}
