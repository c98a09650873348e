/*
 * What each process of a VM is told and given when it starts: docs/control-wire.md, "Start-up".
 *
 * The wires between the core and its devices are socket pairs made here; each end goes to one process and our
 * copy is closed at once, so that the death of either process is the end of the wire for the other.
 */
#include "supervisor/vm/vm_configure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/report.h"
#include "common/base/spare_devices.h"
#include "common/program/program_path.h"
#include "common/ring/inflight.h"
#include "supervisor/host/cgroup.h"
#include "supervisor/vm/device_message.h"
#include "supervisor/vm/spawn.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm_memory.h"
#include "supervisor/vm/vm_parts.h"

typedef Atoll__Control__Envelope Envelope;

/* Whether the operator said --no-sandbox for this process. */
static bool vm_no_sandbox(const struct vm *vm, enum child_role role, const char *id)
{
	const char *name = role == CHILD_ROLE_CORE ? "core" : id;

	for (size_t i = 0; i < vm->no_sandbox_count; i++)
		if (vm->no_sandbox[i] == NULL || strcmp(vm->no_sandbox[i], name) == 0)
			return true;
	return false;
}

/*
 * Beside the guest's memory: programs, libraries, stacks, heaps, rings. Processes of this size take 20 to 40 MiB of
 * address space, and some more a thread; what an arena of the C library's allocator reserves for a thread is 64 MiB.
 */
#define PROCESS_MEMORY ((uint64_t)256 << 20)
#define THREAD_MEMORY  ((uint64_t)1 << 20)

/* device: NULL for the core, and whose undertaker it is. */
static void vm_limits(const struct vm *vm, enum child_role role, const struct vm_device *device,
		      struct spawn_limits *limits)
{
	const struct config *config = vm->config;
	uint64_t threads = 0;

	limits->file = 0;
	if (role == CHILD_ROLE_CORE) {
		threads = (uint64_t)config->cpus + vm->device_count + SPARE_DEVICES;
		limits->file = INFLIGHT_FILE_MAX;
	} else if (role != CHILD_ROLE_UNDERTAKER) {
		threads = role_of(role)->has_tasks ? device->queues : 0;
		limits->file = resource_file_limit(device->resource);
	}
	limits->memory = config->memory_bytes + PROCESS_MEMORY + threads * THREAD_MEMORY;
}

static int table_add(const struct vm *vm, struct starter_table *table, enum child_role role, const char *id)
{
	return starter_table_add(table, role, vm->config->name, id, !vm_no_sandbox(vm, role, id),
				 cgroups_fd(vm->cgroups, role, id) >= 0);
}

int vm_starter_table(const struct vm *vm, struct starter_table *table)
{
	int result = table_add(vm, table, CHILD_ROLE_CORE, "");
	const struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link) {
		if (result == 0)
			result = table_add(vm, table, device->role, device->id);
		if (result == 0)
			result = table_add(vm, table, CHILD_ROLE_UNDERTAKER, device->id);
	}
	return result;
}

static int vm_start_one(struct vm *vm, enum child_role role, const struct vm_device *device,
			struct child_process **child)
{
	const char *id = device != NULL ? device->id : "";
	struct spawn_problem problem;
	struct spawn_limits limits;
	char path[PATH_MAX];
	int result;

	vm_limits(vm, role, device, &limits);
	limits.cgroup_fd = cgroups_fd(vm->cgroups, role, id);
	result =
		child_process_start(vm->loop, vm->starter, role, vm->config->name, id,
				    vm_no_sandbox(vm, role, id), &limits, vm->child_ops, vm, child, &problem);
	if (result < 0) {
		program_path(child_role_program(role), path, sizeof(path));
		report_error("%s: cannot start %s: %s%s%s; %s", vm->config->name, path, problem.step,
			     problem.step[0] != '\0' ? ": " : "", strerror(-result), problem.remedy);
		if (problem.host)
			vm->host_lacks = true;
		return result;
	}
	return 0;
}

static int core_configure(struct vm *vm, struct child_process *core, unsigned devices)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__CoreConfigure configure = ATOLL__CONTROL__CORE_CONFIGURE__INIT;
	const struct config *config = vm->config;
	int fds[] = {vm->resources->kvm_fd, vm->memory_fd, vm->resources->kernel_fd,
		     vm->resources->initrd_fd};

	configure.vm = config->name;
	configure.cpus = config->cpus;
	configure.memory_bytes = config->memory_bytes;
	configure.cmdline = config->boot.cmdline != NULL ? config->boot.cmdline : (char *)"";
	configure.has_initrd = vm->resources->initrd_fd >= 0;
	configure.debug_exit = config->debug_exit;
	configure.devices = devices;
	configure.log_level = log_get_level();
	configure.no_sandbox = core->no_sandbox;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE;
	envelope.core_configure = &configure;
	return child_process_send(core, &envelope, fds, configure.has_initrd ? 4 : 3);
}

static int core_attach(struct child_process *core, const struct vm_device *device, bool undertaker,
		       int wire_fd)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;

	attach.id = (char *)device->id;
	attach.virtio_id = device->virtio_id;
	attach.queues = device->queues;
	attach.undertaker = undertaker;
	envelope.serial = device->wire.serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &attach;
	return child_process_send(core, &envelope, &wire_fd, 1);
}

static int device_configure(struct vm *vm, const struct vm_device *device, int wire_fd)
{
	struct child_process *child = device->undertaker != NULL ? device->undertaker : device->child;
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	struct device_message message;
	int result = device_message_fill(vm, device, child, wire_fd, &message);

	if (result < 0)
		return result;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE;
	envelope.device_configure = &message.configure;
	return child_process_send(child, &envelope, message.fds, message.fd_count);
}

/* Makes the wire and tells both ends of it. */
static int device_wire(struct vm *vm, struct vm_device *device)
{
	int wire[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0)
		return -errno;
	/* The device never waits on its end, and could not say so itself. */
	if (fcntl(wire[1], F_SETFL, O_NONBLOCK) < 0) {
		result = -errno;
		fds_close(wire, 2);
		return result;
	}
	/* The first wires have none: the core tells nothing of them before the VM runs. */
	device->wire = (struct device_wire){.serial = device->state == DEVICE_STARTING ? 0 : ++vm->serial};
	result = core_attach(TAILQ_FIRST(&vm->children), device, device->undertaker != NULL, wire[0]);
	if (result == 0)
		result = device_configure(vm, device, wire[1]);
	fds_close(wire, 2);
	/* One that is dead already tells its own story when it is reaped. */
	return result == -EPIPE ? 0 : result;
}

/* A dead one. Not from its own callback. */
static void undertaker_forget(struct vm *vm, struct vm_device *device)
{
	if (device->undertaker == NULL)
		return;
	TAILQ_REMOVE(&vm->children, device->undertaker, link);
	child_process_free(device->undertaker);
	device->undertaker = NULL;
}

int vm_start_undertaker(struct vm *vm, struct vm_device *device)
{
	int result;

	undertaker_forget(vm, device);
	result = vm_start_one(vm, CHILD_ROLE_UNDERTAKER, device, &device->undertaker);
	if (result < 0) {
		device->undertaker = NULL;
		return result;
	}
	TAILQ_INSERT_AFTER(&vm->children, device->child, device->undertaker, link);
	return device_wire(vm, device);
}

int vm_start_device(struct vm *vm, struct vm_device *device)
{
	struct child_process *before = device->child, *child;
	int result;

	undertaker_forget(vm, device);
	result = vm_start_one(vm, device->role, device, &child);

	if (result < 0)
		return result;
	TAILQ_INSERT_AFTER(&vm->children, before, child, link);
	TAILQ_REMOVE(&vm->children, before, link);
	child_process_free(before);
	device->child = child;
	return device_wire(vm, device);
}

int vm_start_processes(struct vm *vm)
{
	struct child_process *core;
	struct vm_device *device;
	int result = vm_memory_renew(vm->config, &vm->memory_fd);

	if (result == 0)
		result = vm_start_one(vm, CHILD_ROLE_CORE, NULL, &core);
	if (result < 0)
		return result;
	TAILQ_INSERT_TAIL(&vm->children, core, link);
	TAILQ_FOREACH (device, &vm->devices, link) {
		result = vm_start_one(vm, device->role, device, &device->child);
		if (result < 0)
			return result;
		TAILQ_INSERT_TAIL(&vm->children, device->child, link);
	}
	result = core_configure(vm, core, vm->device_count);
	if (result == -EPIPE)
		result = 0;
	TAILQ_FOREACH (device, &vm->devices, link)
		if (result == 0)
			result = device_wire(vm, device);
	if (result < 0)
		report_error("%s: cannot configure its processes: %s; see that this host has files and "
			     "memory left",
			     vm->config->name, strerror(-result));
	return result;
}
