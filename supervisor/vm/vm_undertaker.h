/*
 * The undertaker of a device that has failed: the process that is at its end of the wire until the device is revived, and those
 * that come after it.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_UNDERTAKER_H
#define ATOLL_SUPERVISOR_VM_VM_UNDERTAKER_H

struct child_process;
struct vm_device;

/* Who answers the guest for the device, or last did: its undertaker, or its process. */
struct child_process *vm_device_process(const struct vm_device *device);

/* Of a device that is FAILED, and that nobody answers for. */
void vm_undertaker_start(struct vm_device *device);
/* It is ready, or the core serves it: when both are so, it has been waited for. */
void vm_undertaker_serves(struct vm_device *device);
/* It ended, and was not ordered to. */
void vm_undertaker_died(struct vm_device *device);
/* None is to come: so the core is told, whose answers are ones from here on. */
void vm_undertaker_none(struct vm_device *device);

#endif
