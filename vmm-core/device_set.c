/*
 * The devices of the VM. Which kind of wire and transport a device type has is said in one table; all else is
 * a walk over the list.
 *
 * A device that is attached or detached while the VM runs is on its way for a while: its attendant has the process
 * greeted, or stop, and the main thread goes on when it is woken (device_settle()).
 */
#include "vmm-core/device_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/names.h"
#include "common/base/spare_devices.h"
#include "common/spec/virtio_spec.h"
#include "vmm-core/machine/eventfd_pool.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci.h"
#include "vmm-core/virtio/virtio_pci_limits.h"
#include "vmm-core/wire/attendant.h"
#include "vmm-core/wire/backend_vhost_user.h"
#include "vmm-core/wire/inflight_memory.h"
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

/* Of a network, with its three queues, as many as there are attendants. */
#define SPARE_EVENTFDS (SPARE_DEVICES * 8)
/* Of devices that were attached before the core sealed itself, too. */
#define SPARE_INFLIGHTS_ROOM (SPARE_DEVICES + PCI_SLOTS)

struct device {
	TAILQ_ENTRY(device) entry;
	struct virtio_pci *virtio; /* one of the two */
	struct serial_device *serial;
	/* While the VM runs: it is not in the machine yet, or is to leave it; and the serial of the message that is to be
	 * answered then. */
	bool attaching, detaching;
	uint64_t serial_number;
};

/* An answer that waits for room in the control wire. */
struct answer {
	STAILQ_ENTRY(answer) entry;
	uint64_t serial_number;
	char *id;
	char error[DEVICE_LINK_DETAIL_MAX];
};

struct device_set {
	struct core *core;
	TAILQ_HEAD(, device) devices;
	STAILQ_HEAD(, answer) answers;
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
	STAILQ_INIT(&new_set->answers);
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

/* Its type is NULL if there is none such. */
static struct virtio_pci_setup virtio_setup(const struct device_set *set,
					    const Atoll__Control__AttachDevice *device)
{
	struct virtio_pci_setup setup = {.core = set->core,
					 .id = device->id,
					 .type = device_type_of(device->virtio_id),
					 .backend_ops = &backend_vhost_user};

	if (setup.type != NULL && setup.type->queues == 0)
		setup.queues = device->queues;
	return setup;
}

int device_set_attach(struct device_set *set, const Atoll__Control__AttachDevice *device, int wire_fd)
{
	struct virtio_pci_setup setup = virtio_setup(set, device);
	struct device *new_device = calloc(1, sizeof(*new_device));
	int result;

	if (new_device == NULL) {
		close(wire_fd);
		return -ENOMEM;
	}
	if (setup.type == NULL && device->virtio_id != 0) {
		log_error("device %s: unknown type %u", device->id, device->virtio_id);
		close(wire_fd);
		free(new_device);
		return -EPROTO;
	}
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
	if (set->core->attendants != NULL) {
		int released = attendants_release(set->core, attendant_filter);

		result = result < 0 ? result : released;
	}
	return result;
}

int device_set_stock(struct device_set *set)
{
	struct core *core = set->core;
	int result = eventfd_pool_new(SPARE_EVENTFDS, &core->eventfds);

	if (result == 0)
		result = inflight_pool_new(SPARE_DEVICES, SPARE_INFLIGHTS_ROOM, VIRTIO_PCI_QUEUES_MAX,
					   VIRTIO_PCI_QUEUE_SIZE_MAX, &core->inflights);
	if (result == 0)
		result = attendants_stock(core, &device_link_attendance, SPARE_DEVICES);
	if (result < 0)
		log_error("what devices that are attached later need cannot be made: %s; see that files, "
			  "memory and "
			  "threads (\"limits: pids\") are left",
			  strerror(-result));
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

	/* One that is on its way has no successor. */
	if (known == NULL || known->attaching || known->detaching) {
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

	if (known == NULL || known->attaching || known->detaching)
		return -ENOENT;
	device_link_fail(device_link_of(known));
	return 0;
}

static void device_free(struct device *device)
{
	virtio_pci_free(device->virtio);
	serial_device_free(device->serial);
	free(device);
}

/* --- Attached and detached while the VM runs --- */

/* error: "", or why not. */
static void answer_add(struct device_set *set, uint64_t serial_number, const char *id, const char *error)
{
	struct answer *answer = calloc(1, sizeof(*answer));
	char *copy = strdup(id);

	if (error[0] != '\0')
		log_warning("device %s: %s", id, error);
	if (answer == NULL || copy == NULL) {
		log_error("device %s: no memory is left for an answer about it", id);
		free(answer);
		free(copy);
		return;
	}
	answer->serial_number = serial_number;
	answer->id = copy;
	snprintf(answer->error, sizeof(answer->error), "%s", error);
	STAILQ_INSERT_TAIL(&set->answers, answer, entry);
	loop_wake(set->core->loop);
}

static void answer_free_first(struct device_set *set)
{
	struct answer *answer = STAILQ_FIRST(&set->answers);

	STAILQ_REMOVE_HEAD(&set->answers, entry);
	free(answer->id);
	free(answer);
}

/* Why a device cannot be attached, as far as its message says it; or NULL. */
static const char *attach_problem(const struct device_set *set, const Atoll__Control__AttachDevice *device,
				  int wire_fd)
{
	if (name_check_device(device->id) != NULL)
		return "it has an id that no device can have";
	if (device_find(set, device->id) != NULL)
		return "there is a device of this id; detach it first";
	if (device->undertaker)
		return "a new device has no undertaker";
	if (device->virtio_id == 0)
		return "a serial port is there from the beginning, or not at all";
	if (device_type_of(device->virtio_id) == NULL)
		return "it has a type that is not known";
	if (device->queues > VIRTIO_PCI_QUEUES_MAX)
		return "it is to have more queues than a device can have";
	if (wire_fd < 0)
		return "with it comes one descriptor, the core's end of its wire";
	if (run_end_decided(&set->core->end))
		return "the VM is ending";
	return set->core->attendants == NULL ? "the core is not ready" : NULL;
}

void device_set_add(struct device_set *set, const Atoll__Control__AttachDevice *device,
		    uint64_t serial_number, int wire_fd)
{
	const struct virtio_pci_setup setup = virtio_setup(set, device);
	const char *problem = attach_problem(set, device, wire_fd);
	struct device *new_device = problem == NULL ? calloc(1, sizeof(*new_device)) : NULL;
	int result = new_device == NULL ? -ENOMEM : 0;

	if (new_device != NULL)
		result = virtio_pci_invite(&setup, wire_fd, serial_number, &new_device->virtio);
	if (result < 0) {
		if (problem == NULL)
			problem =
				result == -ENOSPC
					? "as many devices were attached as the core has room for; detach one"
					: strerror(-result);
		answer_add(set, serial_number, device->id, problem);
		if (wire_fd >= 0)
			close(wire_fd);
		free(new_device);
		return;
	}
	new_device->attaching = true;
	new_device->serial_number = serial_number;
	TAILQ_INSERT_TAIL(&set->devices, new_device, entry);
}

void device_set_remove(struct device_set *set, const char *id, uint64_t serial_number)
{
	struct device *device = device_find(set, id);
	const char *problem = NULL;

	if (device == NULL)
		problem = "there is no device of this id";
	else if (device->virtio == NULL)
		problem = "a serial port cannot be detached";
	else if (device->attaching)
		problem = "it is still being attached";
	else if (device->detaching)
		problem = "it is being detached already";
	else if (run_end_decided(&set->core->end))
		problem = "the VM is ending";
	if (problem != NULL) {
		answer_add(set, serial_number, id, problem);
		return;
	}
	device->detaching = true;
	device->serial_number = serial_number;
	device_link_leave(device_link_of(device), NULL);
}

/* A device that has come is told of; one that has left, or could not come, is taken out and told of. */
static void device_settle(struct device_set *set, struct device *device)
{
	struct device_link *link = device_link_of(device);
	enum device_link_state state = device_link_state(link);
	struct device_report report;

	/* Or it served, and is lost already, which is reported. */
	if (device->attaching && (state == DEVICE_LINK_SERVING || state == DEVICE_LINK_LOST)) {
		device->attaching = false;
		answer_add(set, device->serial_number, link->id, "");
		return;
	}
	if (state != DEVICE_LINK_LEFT)
		return;
	device_link_report(link, &report);
	answer_add(set, device->serial_number, link->id, device->detaching ? "" : report.detail);
	TAILQ_REMOVE(&set->devices, device, entry);
	device_free(device);
}

int device_set_answer(struct device_set *set, device_answer_fn tell, void *argument)
{
	struct answer *answer;

	while ((answer = STAILQ_FIRST(&set->answers)) != NULL) {
		int result = tell(argument, answer->serial_number, answer->id, answer->error);

		if (result == -EAGAIN)
			return result;
		answer_free_first(set);
	}
	return 0;
}

void device_set_attend(struct device_set *set)
{
	struct device *device, *next;

	for (device = TAILQ_FIRST(&set->devices); device != NULL; device = next) {
		next = TAILQ_NEXT(device, entry);
		device_link_attend(device_link_of(device));
		if (device->attaching || device->detaching)
			device_settle(set, device);
	}
}

int device_set_report(struct device_set *set, device_report_fn tell, void *argument)
{
	struct device *device;

	TAILQ_FOREACH (device, &set->devices, entry) {
		struct device_link *link = device_link_of(device);
		struct device_report report;
		int result;

		/* Of one that could not come its answer tells. */
		if (device->attaching || !device_link_report(link, &report))
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
		device_free(device);
	}
	while (!STAILQ_EMPTY(&set->answers))
		answer_free_first(set);
	attendants_free(set->core);
	inflight_pool_free(set->core->inflights);
	eventfd_pool_free(set->core->eventfds);
	set->core->inflights = NULL;
	set->core->eventfds = NULL;
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
