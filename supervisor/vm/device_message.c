/* What a device's process is told; see device_message.h. */
#include "supervisor/vm/device_message.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/base/fd_passing.h"
#include "supervisor/vm/vm_parts.h"

/* The guest saw none of a process that ended before the VM ran. */
static bool device_resumes(const struct vm_device *device)
{
	return device->state != DEVICE_STARTING;
}

static void message_add_fd(struct device_message *message, int fd)
{
	message->fds[message->fd_count++] = fd;
}

static int blk_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	const struct disk_resource *disk = &device->resource->disk;

	(void)vm;
	atoll__control__blk_configure__init(&message->blk);
	message->blk.readonly = disk->config->readonly;
	message->blk.queues = device->queues;
	message->blk.discard_max = disk->discard.max;
	message->blk.discard_granularity = disk->discard.granularity;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK;
	message->configure.blk = &message->blk;
	message_add_fd(message, device->resource->fd);
	for (unsigned i = 0; i < DISK_WITNESSES && !disk->config->readonly; i++)
		message_add_fd(message, disk->witnesses[i]);
	return 0;
}

static int net_configure(struct vm *vm, const struct vm_device *device, struct device_message *message)
{
	const struct tap_resource *tap = &device->resource->tap;
	char lost[256];

	/* After a reset of the machine; a device that has no tap any more is there all the same. */
	resource_renew(device->resource, lost, sizeof(lost));
	(void)vm;
	atoll__control__net_configure__init(&message->net);
	message->net.mac.data = (uint8_t *)tap->config->mac_bytes;
	message->net.mac.len = sizeof(tap->config->mac_bytes);
	message->net.mtu = tap->mtu;
	message->net.link_up = tap->link_up;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_NET;
	message->configure.net = &message->net;
	message_add_fd(message, device->resource->fd);
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
	const struct config_console *console = device->resource->console.config;
	bool on_stdio = console->output == CONFIG_OUTPUT_STDIO;
	int result = on_stdio ? console_stream(vm) : 0;
	int output_fd = on_stdio ? vm->console_fd : device->resource->fd;

	atoll__control__console_configure__init(&message->console);
	message->console.serial = device->virtio_id == 0;
	message->console.output = outputs[console->output];
	message->console.columns = on_stdio ? vm->columns : 0;
	message->console.rows = on_stdio ? vm->rows : 0;
	message->console.max_bytes = device->resource->console.file.max;
	message->configure.device_case = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_CONSOLE;
	message->configure.console = &message->console;
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

/* The part of a role, and the descriptors that go with it; NULL: it has none. */
static int (*const parts[CHILD_ROLES_MAX])(struct vm *vm, const struct vm_device *device,
					   struct device_message *message) = {
	[CHILD_ROLE_BLK] = blk_configure,
	[CHILD_ROLE_NET] = net_configure,
	[CHILD_ROLE_CONSOLE] = console_configure,
	[CHILD_ROLE_UNDERTAKER] = undertaker_configure,
};

int device_message_fill(struct vm *vm, const struct vm_device *device, const struct child_process *child,
			int wire_fd, struct device_message *message)
{
	Atoll__Control__DeviceConfigure *configure = &message->configure;

	*message = (struct device_message){.fds = {wire_fd}, .fd_count = 1};
	atoll__control__device_configure__init(configure);
	configure->vm = vm->config->name;
	configure->id = (char *)device->id;
	configure->log_level = log_get_level();
	configure->no_sandbox = child->no_sandbox;
	configure->resume = child->role != CHILD_ROLE_UNDERTAKER && device_resumes(device);
	configure->has_state = role_of(child->role)->has_state;
	if (configure->has_state)
		message_add_fd(message, device->resource->state_fd);
	return parts[child->role] != NULL ? parts[child->role](vm, device, message) : 0;
}
