/*
 * What each process of a VM is told and given when it starts: docs/control-wire.md, "Start-up".
 *
 * The wires between the core and its devices are socket pairs made here; each end goes to one process and our
 * copy is closed at once, so that the death of either process is the end of the wire for the other.
 */
#include "supervisor/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd_passing.h"
#include "supervisor/report.h"
#include "supervisor/spawn.h"

typedef Atoll__Control__Envelope Envelope;

/* A device on its way: what the core is told of it, and what itself is. */
struct device_start {
	enum child_role role;
	unsigned index;
	const char *id;
	Atoll__Control__DeviceType type;
	unsigned queues;
	struct child_process *child;
};

/* Whether the operator said --no-sandbox for this process. */
static bool vm_no_sandbox(const struct vm *vm, enum child_role role, const char *id)
{
	const char *name = role == CHILD_ROLE_CORE ? "core" : id;

	for (size_t i = 0; i < vm->no_sandbox_count; i++)
		if (vm->no_sandbox[i] == NULL || strcmp(vm->no_sandbox[i], name) == 0)
			return true;
	return false;
}

static int vm_start_one(struct vm *vm, enum child_role role, unsigned index, const char *id,
			const struct child_process_ops *ops, struct child_process **child)
{
	struct spawn_problem problem;
	int result = child_process_start(vm->loop, role, index, vm->config->name, id,
					 vm_no_sandbox(vm, role, id), ops, vm, child, &problem);
	char path[PATH_MAX];

	if (result < 0) {
		spawn_program_path(child_role_program(role), path, sizeof(path));
		report_error("%s: cannot start %s: %s%s%s; %s", vm->config->name, path, problem.step,
			     problem.step[0] != '\0' ? ": " : "", strerror(-result), problem.remedy);
		return result;
	}
	TAILQ_INSERT_TAIL(&vm->children, *child, link);
	return 0;
}

static int core_configure(struct vm *vm, struct child_process *core, unsigned devices)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__CoreConfigure configure = ATOLL__CONTROL__CORE_CONFIGURE__INIT;
	const struct config *config = vm->config;
	int fds[] = {vm->resources->kvm_fd, vm->resources->kernel_fd, vm->resources->initrd_fd};

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
	return child_process_send(core, &envelope, fds, configure.has_initrd ? 3 : 2);
}

static int core_attach(struct child_process *core, const struct device_start *start, int wire_fd)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__AttachDevice attach = ATOLL__CONTROL__ATTACH_DEVICE__INIT;

	attach.id = (char *)start->id;
	attach.type = start->type;
	attach.queues = start->queues;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_ATTACH_DEVICE;
	envelope.attach_device = &attach;
	return child_process_send(core, &envelope, &wire_fd, 1);
}

static int blk_configure(struct vm *vm, const struct device_start *start, int wire_fd)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__BlkConfigure configure = ATOLL__CONTROL__BLK_CONFIGURE__INIT;
	int fds[] = {vm->resources->disk_fds[start->index], wire_fd};

	configure.vm = vm->config->name;
	configure.id = (char *)start->id;
	configure.readonly = vm->config->disks[start->index].readonly;
	configure.queues = start->queues;
	configure.log_level = log_get_level();
	configure.no_sandbox = start->child->no_sandbox;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_BLK_CONFIGURE;
	envelope.blk_configure = &configure;
	return child_process_send(start->child, &envelope, fds, 2);
}

static int net_configure(struct vm *vm, const struct device_start *start, int wire_fd)
{
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__NetConfigure configure = ATOLL__CONTROL__NET_CONFIGURE__INIT;
	const struct network_resource *network = &vm->resources->networks[start->index];
	int fds[] = {network->fd, wire_fd};

	configure.vm = vm->config->name;
	configure.id = (char *)start->id;
	configure.mac.data = vm->config->networks[start->index].mac_bytes;
	configure.mac.len = sizeof(vm->config->networks[start->index].mac_bytes);
	configure.mtu = network->mtu;
	configure.link_up = network->link_up;
	configure.log_level = log_get_level();
	configure.no_sandbox = start->child->no_sandbox;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_NET_CONFIGURE;
	envelope.net_configure = &configure;
	return child_process_send(start->child, &envelope, fds, 2);
}

/* The relay's end stays here, the other is the console's output. */
static int console_stream(struct vm *vm, int *output_fd)
{
	int sockets[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
		return -errno;
	result = relay_attach(vm->relay, sockets[0]);
	if (result < 0) {
		fds_close(sockets, 2);
		return result;
	}
	*output_fd = sockets[1];
	return 0;
}

static int console_configure(struct vm *vm, const struct device_start *start, int wire_fd)
{
	static const Atoll__Control__ConsoleConfigure__Output outputs[] = {
		[CONFIG_OUTPUT_STDIO] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_STREAM,
		[CONFIG_OUTPUT_PTY] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_PTY,
		[CONFIG_OUTPUT_FILE] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_FILE,
		[CONFIG_OUTPUT_SOCKET] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_LISTENER,
		[CONFIG_OUTPUT_NULL] = ATOLL__CONTROL__CONSOLE_CONFIGURE__OUTPUT__OUTPUT_NULL};
	Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleConfigure configure = ATOLL__CONTROL__CONSOLE_CONFIGURE__INIT;
	const struct config_console *console = &vm->config->consoles[start->index];
	int fds[] = {wire_fd, vm->resources->console_fds[start->index]};
	bool on_stdio = console->output == CONFIG_OUTPUT_STDIO;
	int result = 0;

	configure.vm = vm->config->name;
	configure.id = (char *)start->id;
	configure.type = start->type;
	configure.output = outputs[console->output];
	configure.columns = on_stdio ? vm->columns : 0;
	configure.rows = on_stdio ? vm->rows : 0;
	configure.log_level = log_get_level();
	configure.no_sandbox = start->child->no_sandbox;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_CONFIGURE;
	envelope.console_configure = &configure;
	if (on_stdio)
		result = console_stream(vm, &fds[1]);
	if (result == 0)
		result = child_process_send(start->child, &envelope, fds, fds[1] >= 0 ? 2 : 1);
	if (on_stdio && fds[1] >= 0)
		close(fds[1]);
	return result;
}

static int device_configure(struct vm *vm, const struct device_start *start, int wire_fd)
{
	switch (start->role) {
	case CHILD_ROLE_BLK:
		return blk_configure(vm, start, wire_fd);
	case CHILD_ROLE_NET:
		return net_configure(vm, start, wire_fd);
	default:
		return console_configure(vm, start, wire_fd);
	}
}

/* Makes the wire and tells both ends of it. */
static int device_wire(struct vm *vm, struct child_process *core, const struct device_start *start)
{
	int wire[2], result;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire) < 0)
		return -errno;
	result = core_attach(core, start, wire[0]);
	if (result == 0)
		result = device_configure(vm, start, wire[1]);
	fds_close(wire, 2);
	return result;
}

/* The order is the core's: the slots of the guest's PCI bus follow from it. */
static struct device_start *device_list(const struct config *config, unsigned *count)
{
	struct device_start *list, *next;

	*count = config->disks_count + config->networks_count + config->consoles_count;
	list = next = calloc(*count + 1, sizeof(*list));
	if (list == NULL)
		return NULL;
	for (unsigned i = 0; i < config->disks_count; i++, next++)
		*next = (struct device_start){
			CHILD_ROLE_BLK,		 i,
			config->disks[i].id,	 ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_BLK,
			config->disks[i].queues, NULL};
	for (unsigned i = 0; i < config->networks_count; i++, next++)
		*next = (struct device_start){CHILD_ROLE_NET,
					      i,
					      config->networks[i].id,
					      ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_NET,
					      0,
					      NULL};
	for (unsigned i = 0; i < config->consoles_count; i++, next++)
		*next = (struct device_start){CHILD_ROLE_CONSOLE,
					      i,
					      config->consoles[i].id,
					      config->consoles[i].type == CONFIG_CONSOLE_SERIAL
						      ? ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_SERIAL
						      : ATOLL__CONTROL__DEVICE_TYPE__DEVICE_TYPE_CONSOLE,
					      0,
					      NULL};
	return list;
}

int vm_start_processes(struct vm *vm, const struct child_process_ops *ops)
{
	struct child_process *core;
	struct device_start *devices;
	unsigned count;
	int result;

	devices = device_list(vm->config, &count);
	if (devices == NULL) {
		report_error("%s: out of memory; free some, and try again", vm->config->name);
		return -ENOMEM;
	}
	result = vm_start_one(vm, CHILD_ROLE_CORE, 0, "", ops, &core);
	for (unsigned i = 0; i < count && result == 0; i++)
		result = vm_start_one(vm, devices[i].role, devices[i].index, devices[i].id, ops,
				      &devices[i].child);
	if (result < 0)
		goto free_devices;
	result = core_configure(vm, core, count);
	for (unsigned i = 0; i < count && result == 0; i++)
		result = device_wire(vm, core, &devices[i]);
	/* One that is dead already tells its own story when it is reaped. */
	if (result == -EPIPE)
		result = 0;
	if (result < 0)
		report_error("%s: cannot configure its processes: %s; see that this host has files and "
			     "memory left",
			     vm->config->name, strerror(-result));
free_devices:
	free(devices);
	return result;
}
