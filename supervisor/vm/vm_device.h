/*
 * One device of a running VM: its process, and that process's successors.
 * What is wanted of it at any time, device_state.h has.
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
struct resource;
struct vm;
struct vm_device;

/* Adds a device that serves the resource, which is to live as long. NULL: no memory is left. */
struct vm_device *vm_device_new(struct vm *vm, struct resource *resource);
/* Takes it off the list, and frees it; its processes are the VM's. */
void vm_device_free(struct vm_device *device);

/* All processes are about to be started. */
void vm_device_launch(struct vm_device *device);
/* The VM runs: from here on it is restarted. */
void vm_device_run(struct vm_device *device);
/* The VM ends, or is held: it is not restarted any more. why: for the commands that wait. */
void vm_device_end(struct vm_device *device, const char *why);
/* The guest goes on: one that is held for a look at it has failed from here on. */
void vm_device_resume(struct vm_device *device);
/* Asks whether who answers for it lives, if that is due, and ends one that does not. now: CLOCK_MONOTONIC. */
void vm_device_beat(struct vm_device *device, uint64_t now);

/* What its process and the core tell; only while the VM runs. */
void vm_device_ready(struct vm_device *device);
void vm_device_died(struct vm_device *device, struct child_process *child);
/* wire: the serial. False if it cannot be: then the core is not to be trusted. */
bool vm_device_told(struct vm_device *device, uint64_t wire, const Atoll__Control__DeviceState *state);

/*
 * Replaces its process as planned, or gives a device that has none a new one. Returns a ticket, with which
 * vm_ops.answered is called when it is done; or 0 with *why.
 */
uint64_t vm_device_replace(struct vm_device *device, const char **why);

#endif
