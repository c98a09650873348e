/*
 * All devices of a VM: what happens to each of them at once.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_DEVICES_H
#define ATOLL_SUPERVISOR_VM_VM_DEVICES_H

#include <stdint.h>

struct child_process;
struct vm;
struct vm_device;

/* A device for each of the VM's resources, in their order. 0 or -ENOMEM. */
int vm_devices_new(struct vm *vm);
void vm_devices_free(struct vm *vm);
/* NULL: there is none of this id. */
struct vm_device *vm_device_find(const struct vm *vm, const char *id);
/* The one whose process this is, or whose undertaker; NULL for the core. */
struct vm_device *vm_device_of(const struct vm *vm, const struct child_process *child);

/* vm_device.h tells what these do to each. */
void vm_devices_launch(struct vm *vm);
/* And from here on they are asked whether they live. */
void vm_devices_run(struct vm *vm);
void vm_devices_end(struct vm *vm, const char *why);
void vm_devices_resume(struct vm *vm);
/* The guest was stopped, or goes on: what took long is no hang. now: CLOCK_MONOTONIC. */
void vm_devices_excuse(struct vm *vm, uint64_t now);

#endif
