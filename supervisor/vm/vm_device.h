/*
 * One device of a running VM: its process, and that process's successors.
 *
 *   STARTING    the VM starts; a process that ends now ends the VM
 *   RUNNING     its process serves
 *   DRAINING    a planned replacement: its process has the order to finish and end
 *   WAITING     its process ended; the next one starts after a pause
 *   SUCCEEDING  the next one has started: it is to say that it is ready, and the core that it serves
 *   HELD        its process called what its policy does not allow (on-violation: hold): the VM is paused, nothing else
 *               is done to the device, until `atoll restart` or `atoll resume`
 *   FAILED      no process, until `atoll restart`; a virtio device has an undertaker meanwhile, which fails what the
 *               guest asks of it
 *
 * A process is succeeded only when it is reaped: what it had handed to the kernel is done or cancelled then, and
 * nothing of it reaches the guest's memory or the disk any more. Its successor is given the same descriptors of the
 * host and a new wire, whose other end goes to the core.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_DEVICE_H
#define ATOLL_SUPERVISOR_VM_VM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/control.pb-c.h"

struct child_process;
struct vm;
struct vm_device;

/* The devices of the config, in the order of the guest's PCI bus. 0 or -ENOMEM. */
int vm_devices_new(struct vm *vm);
void vm_devices_free(struct vm *vm);
/* NULL: there is none of this id. */
struct vm_device *vm_device_find(const struct vm *vm, const char *id);
/* The one whose process this is, or whose undertaker; NULL for the core. */
struct vm_device *vm_device_of(const struct vm *vm, const struct child_process *child);
/* "restarting" */
const char *vm_device_state_name(const struct vm_device *device);

/* All processes are about to be started. */
void vm_devices_launch(struct vm *vm);
/* The VM runs: from here on devices are restarted, and asked whether they live. */
void vm_devices_run(struct vm *vm);
/* The VM ends, or is held: nothing is restarted any more. why: for the commands that wait. */
void vm_devices_end(struct vm *vm, const char *why);
/* The guest goes on: devices that are held for a look at them have failed from here on. */
void vm_devices_resume(struct vm *vm);
/* The guest was stopped, or goes on: what took long is no hang. */
void vm_devices_excuse(struct vm *vm, uint64_t now);

/* What its process and the core tell; only while the VM runs. */
void vm_device_ready(struct vm_device *device);
void vm_device_died(struct vm_device *device, struct child_process *child);
/* Its process says that its file is full; device may be NULL. False if that cannot be. */
bool vm_device_file_full(struct vm_device *device, const struct child_process *child);
bool vm_device_told(struct vm *vm, uint64_t wire, const Atoll__Control__DeviceState *state);

/*
 * Replaces its process as planned, or gives a device that has none a new one. Returns a ticket, with which
 * vm_ops.answered is called when it is done; or 0 with *why.
 */
uint64_t vm_device_replace(struct vm_device *device, const char **why);

#endif
