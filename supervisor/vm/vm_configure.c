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
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/report.h"
#include "common/base/spare_devices.h"
#include "common/ring/inflight.h"
#include "supervisor/host/cgroup.h"
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
/* A disk's process cannot make the image larger than it found it. */
static uint64_t disk_file_limit(const struct vm *vm, unsigned index)
{
	struct stat status;

	if (fstat(vm->resources->disk_fds[index], &status) == 0 && S_ISREG(status.st_mode))
		return (uint64_t)status.st_size;
	return UINT64_MAX; /* a block device has the size that it has */
}

static void vm_limits(const struct vm *vm, enum child_role role, unsigned index, struct spawn_limits *limits)
{
	const struct config *config = vm->config;
	uint64_t threads = 0;

	limits->file = 0;
	switch (role) {
	case CHILD_ROLE_CORE:
		threads = (uint64_t)config->cpus + vm->device_count + SPARE_DEVICES;
		limits->file = INFLIGHT_FILE_MAX;
		break;
	case CHILD_ROLE_BLK:
		threads = config->disks[index].queues;
		limits->file = disk_file_limit(vm, index);
		break;
	case CHILD_ROLE_CONSOLE:
		if (config->consoles[index].output == CONFIG_OUTPUT_FILE)
			limits->file = vm->resources->console_files[index].max > 0
					       ? vm->resources->console_files[index].max
					       : UINT64_MAX;
		break;
	case CHILD_ROLE_NET:
	case CHILD_ROLE_UNDERTAKER:
		break;
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

	for (unsigned i = 0; i < vm->device_count && result == 0; i++) {
		const struct vm_device *device = &vm->devices[i];

		result = table_add(vm, table, device->role, device->id);
		if (result == 0)
			result = table_add(vm, table, CHILD_ROLE_UNDERTAKER, device->id);
	}
	return result;
}

static int vm_start_one(struct vm *vm, enum child_role role, unsigned index, const char *id,
			struct child_process **child)
{
	struct spawn_problem problem;
	struct spawn_limits limits;
	char path[PATH_MAX];
	int result;

	vm_limits(vm, role, index, &limits);
	limits.cgroup_fd = cgroups_fd(vm->cgroups, role, id);
	result =
		child_process_start(vm->loop, vm->starter, role, index, vm->config->name, id,
				    vm_no_sandbox(vm, role, id), &limits, vm->child_ops, vm, child, &problem);
	if (result < 0) {
		spawn_program_path(child_role_program(role), path, sizeof(path));
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
	envelope.serial = device->wire;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &attach;
	return child_process_send(core, &envelope, &wire_fd, 1);
}

/* The guest saw none of a process that ended before the VM ran. */
static bool device_resumes(const struct vm_device *device)
{
	return device->state != DEVICE_STARTING;
}

/* What a device's process is told and given; the parts of the kinds stay until it is sent. */
struct device_message {
	Atoll__Control__DeviceConfigure configure;
	Atoll__Control__BlkConfigure blk;
	Atoll__Control__NetConfigure net;
	Atoll__Control__ConsoleConfigure console;
	Atoll__Control__UndertakerConfigure undertaker;
	int fds[CONTROL_FRAME_FDS_MAX];
	size_t fd_count;
};

static void message_add_fd(struct device_message *message, int fd)
{
	message->fds[message->fd_count++] = fd;
}

static void message_add_state(struct device_message *message, int state_fd)
{
	message->configure.has_state = true;
	message_add_fd(message, state_fd);
}

static int blk_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	const struct config_disk *disk = &vm->config->disks[device->index];
	const struct disk_discard *discard = &vm->resources->disk_discards[device->index];

	atoll__control__blk_configure__init(&message->blk);
	message->blk.readonly = disk->readonly;
	message->blk.queues = device->queues;
	message->blk.discard_max = discard->max;
	message->blk.discard_granularity = discard->granularity;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK;
	message->configure.blk = &message->blk;
	message_add_state(message, vm->resources->disk_states[device->index]);
	message_add_fd(message, vm->resources->disk_fds[device->index]);
	for (unsigned i = 0; i < DISK_WITNESSES && !disk->readonly; i++)
		message_add_fd(message, vm->resources->disk_witnesses[device->index][i]);
	return 0;
}

static int net_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	const struct config_network *config = &vm->config->networks[device->index];
	struct network_resource *network = &vm->resources->networks[device->index];
	const char *problem;

	/* After a reset of the machine; a device that has no tap any more is there all the same. */
	resources_renew_tap(network, config->tap, &problem);
	atoll__control__net_configure__init(&message->net);
	message->net.mac.data = (uint8_t *)config->mac_bytes;
	message->net.mac.len = sizeof(config->mac_bytes);
	message->net.mtu = network->mtu;
	message->net.link_up = network->link_up;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_NET;
	message->configure.net = &message->net;
	message_add_state(message, network->state_fd);
	message_add_fd(message, network->fd);
	return 0;
}

/* The relay's end stays here, and so does the other, the output of the console's process and its successors. */
static int console_stream(struct vm *vm)
{
	int sockets[2], result;

	if (vm->console_fd >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
		return -errno;
	result = relay_attach(vm->relay, sockets[0]);
	if (result < 0) {
		fds_close(sockets, 2);
		return result;
	}
	vm->console_fd = sockets[1];
	return 0;
}

static int console_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	static const Atoll__Control__ConsoleConfigure__Output outputs[] = {
		[CONFIG_OUTPUT_STDIO] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_STREAM,
		[CONFIG_OUTPUT_PTY] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_PTY,
		[CONFIG_OUTPUT_FILE] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_FILE,
		[CONFIG_OUTPUT_SOCKET] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_LISTENER,
		[CONFIG_OUTPUT_NULL] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_NULL};
	const struct config_console *console = &vm->config->consoles[device->index];
	bool on_stdio = console->output == CONFIG_OUTPUT_STDIO;
	int result = on_stdio ? console_stream(vm) : 0;
	int output_fd = on_stdio ? vm->console_fd : vm->resources->console_fds[device->index];

	atoll__control__console_configure__init(&message->console);
	message->console.serial = device->virtio_id == 0;
	message->console.output = outputs[console->output];
	message->console.columns = on_stdio ? vm->columns : 0;
	message->console.rows = on_stdio ? vm->rows : 0;
	message->console.max_bytes = vm->resources->console_files[device->index].max;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_CONSOLE;
	message->configure.console = &message->console;
	message_add_state(message, vm->resources->console_states[device->index]);
	if (output_fd >= 0)
		message_add_fd(message, output_fd);
	return result;
}

static int undertaker_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	(void)vm;
	atoll__control__undertaker_configure__init(&message->undertaker);
	message->undertaker.virtio_id = device->virtio_id;
	message->undertaker.queues = device->queues;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_UNDERTAKER;
	message->configure.undertaker = &message->undertaker;
	return 0;
}

/* The part of its kind. */
static int device_describe(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	if (device->undertaker != NULL)
		return undertaker_configure(vm, device, message);
	switch (device->role) {
	case CHILD_ROLE_BLK:
		return blk_configure(vm, device, message);
	case CHILD_ROLE_NET:
		return net_configure(vm, device, message);
	default:
		return console_configure(vm, device, message);
	}
}

static int device_configure(struct vm *vm, const struct vm_device *device, int wire_fd)
{
	struct child_process *child = device->undertaker != NULL ? device->undertaker : device->child;
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	struct device_message message = {.fds = {wire_fd}, .fd_count = 1};
	int result;

	atoll__control__device_configure__init(&message.configure);
	message.configure.vm = vm->config->name;
	message.configure.id = (char *)device->id;
	message.configure.log_level = log_get_level();
	message.configure.no_sandbox = child->no_sandbox;
	message.configure.resume = device->undertaker == NULL && device_resumes(device);
	result = device_describe(vm, device, &message);
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
	device->wire = device->state == DEVICE_STARTING ? 0 : ++vm->serial;
	device->wire_ended = device->core_serves = false;
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
	result = vm_start_one(vm, CHILD_ROLE_UNDERTAKER, device->index, device->id, &device->undertaker);
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
	result = vm_start_one(vm, device->role, device->index, device->id, &child);

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
	int result = vm_memory_renew(vm->config, &vm->memory_fd);

	if (result == 0)
		result = vm_start_one(vm, CHILD_ROLE_CORE, 0, "", &core);
	if (result < 0)
		return result;
	TAILQ_INSERT_TAIL(&vm->children, core, link);
	for (unsigned i = 0; i < vm->device_count; i++) {
		struct vm_device *device = &vm->devices[i];

		result = vm_start_one(vm, device->role, device->index, device->id, &device->child);
		if (result < 0)
			return result;
		TAILQ_INSERT_TAIL(&vm->children, device->child, link);
	}
	result = core_configure(vm, core, vm->device_count);
	if (result == -EPIPE)
		result = 0;
	for (unsigned i = 0; i < vm->device_count && result == 0; i++)
		result = device_wire(vm, &vm->devices[i]);
	if (result < 0)
		report_error("%s: cannot configure its processes: %s; see that this host has files and "
			     "memory left",
			     vm->config->name, strerror(-result));
	return result;
}
