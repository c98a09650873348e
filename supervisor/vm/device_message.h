/*
 * What a device's process, or its undertaker, is told and given when it starts: a DeviceConfigure of proto/control.proto.
 */
#ifndef ATOLL_SUPERVISOR_VM_DEVICE_MESSAGE_H
#define ATOLL_SUPERVISOR_VM_DEVICE_MESSAGE_H

#include <stddef.h>

#include "common/base/control_wire.h"

struct child_process;
struct vm;
struct vm_device;

/* Strings and descriptors are borrowed. It is not to be moved, since the parts of the kinds are in it. */
struct device_message {
	Atoll__Control__DeviceConfigure configure;
	Atoll__Control__BlkConfigure blk;
	Atoll__Control__NetConfigure net;
	Atoll__Control__ConsoleConfigure console;
	Atoll__Control__UndertakerConfigure undertaker;
	int fds[CONTROL_FRAME_FDS_MAX];
	size_t fd_count;
};

/* child: the one that is told. wire_fd: its end of the wire. 0 or -errno. */
int device_message_fill(struct vm *vm, const struct vm_device *device, const struct child_process *child,
			int wire_fd, struct device_message *message);

#endif
