/*
 * What is wanted of a device of a running VM, and by what it becomes wanted: one table. What there is, its process and the core's
 * end of its wire, stands beside it in struct vm_device.
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
 */
#ifndef ATOLL_SUPERVISOR_VM_DEVICE_STATE_H
#define ATOLL_SUPERVISOR_VM_DEVICE_STATE_H

enum device_state {
	DEVICE_STARTING,
	DEVICE_RUNNING,
	DEVICE_DRAINING,
	DEVICE_WAITING,
	DEVICE_SUCCEEDING,
	DEVICE_HELD,
	DEVICE_FAILED,
	DEVICE_STATES,
};

enum device_event {
	DEVICE_LAUNCHED, /* all processes of the VM are about to be started */
	DEVICE_BEGAN,	 /* the VM runs */
	DEVICE_ORDERED, /* who answers for it, its process or its undertaker, is ordered to end for the next one */
	DEVICE_LOST,	 /* it has no process, and is to get one */
	DEVICE_TRIED,	 /* that one is being started */
	DEVICE_SERVED,	 /* and serves */
	DEVICE_STOPPED,	 /* it is held for a look at it */
	DEVICE_GIVEN_UP, /* it gets no process any more */
	DEVICE_EVENTS,
};

/* Where the event leads from there; that it can come there is asserted. */
enum device_state device_state_after(enum device_state state, enum device_event event);
/* "restarting", as `atoll list` has it. */
const char *device_state_name(enum device_state state);

#endif
