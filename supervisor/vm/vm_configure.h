/*
 * What each process of a VM is told and given when it starts: docs/control-wire.md, "Start-up".
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_CONFIGURE_H
#define ATOLL_SUPERVISOR_VM_VM_CONFIGURE_H

struct starter_table;
struct vm;
struct vm_device;

/* All that may be started for it, now or later. 0 or -ENOMEM. */
int vm_starter_table(const struct vm *vm, struct starter_table *table);

/* Starts every process and sends each its configuration and descriptors. 0, or -errno after having reported
 * why. */
int vm_start_processes(struct vm *vm);

/* Starts a process in the place of the device's dead one, and tells it and the core of each other. 0, or -errno
 * after having reported why; device->child is the new one if it could be started. */
int vm_start_device(struct vm *vm, struct vm_device *device);
/* The same with an undertaker, in the place of a dead one if there is one; device->undertaker is the new one if it could
 * be started, else NULL. */
int vm_start_undertaker(struct vm *vm, struct vm_device *device);

#endif
