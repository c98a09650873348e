/* What is asked of a running VM; see vm_orders.h. */
#include "supervisor/vm/vm_orders.h"

#include <errno.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/report.h"
#include "common/host/tap.h"
#include "supervisor/vm/vm_devices.h"
#include "supervisor/vm/vm_end.h"
#include "supervisor/vm/vm_parts.h"

void vm_kill(struct vm *vm, int exit_status, const char *why)
{
	if (!vm->hurried)
		log_notice("the VM is ended%s: %s", vm->state == VM_STOPPING ? " at once" : "", why);
	vm->hurried = true;
	vm_ends_for(vm, "%s", why);
	vm_end(vm, exit_status, false, KILL_TIMEOUT_US);
}

void vm_power_button(struct vm *vm, uint64_t timeout_us)
{
	struct child_process *core = TAILQ_FIRST(&vm->children);

	/* A guest that does not run cannot heed it. */
	if (vm->state == VM_STARTING || vm->state == VM_HELD) {
		vm_kill(vm, vm->state == VM_HELD ? EXIT_STATUS_PANIC : EXIT_STATUS_FAILED,
			"it was stopped while no guest was running");
		return;
	}
	if (vm->state == VM_STOPPING) {
		vm_ends_for(vm, "it was stopped while it started anew");
		vm_end(vm, EXIT_STATUS_OK, false, STOP_TIMEOUT_US);
		return;
	}
	control_send_order(core->control_fd, ATOLL__CONTROL__ORDER__KIND__KIND_POWER_BUTTON);
	if (timeout_us > 0)
		loop_timer_arm(vm->power_timer, timeout_us);
}

int vm_reset(struct vm *vm)
{
	/* Whoever asks for it knows what he does: no pause. */
	vm->relaunch_us = vm->reset_pause_us = 0;
	if (vm->state == VM_STOPPING && vm->relaunch) {
		vm_settle(vm);
		return 0;
	}
	if (vm->state == VM_STOPPING)
		return -EBUSY;
	log_notice("the VM is reset");
	vm_end(vm, EXIT_STATUS_OK, true, KILL_TIMEOUT_US);
	return 0;
}

uint64_t vm_pause(struct vm *vm, bool paused, const char **why)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Heartbeat heartbeat = ATOLL__CONTROL__HEARTBEAT__INIT;
	struct child_process *core = TAILQ_FIRST(&vm->children);
	size_t slot = 0;

	if (vm->state != VM_RUNNING) {
		*why = vm->state == VM_STARTING ? "the VM is starting; try again when it runs"
						: "the VM is ending, or held; no guest runs";
		return 0;
	}
	while (slot < VM_PAUSES_MAX && vm->pause_tickets[slot] != 0)
		slot++;
	if (slot == VM_PAUSES_MAX) {
		*why = "its core does not answer; end it with atoll kill";
		return 0;
	}
	if (!paused)
		vm_devices_resume(vm);
	if (vm->paused != paused) {
		log_notice("the VM is %s: a command asks for it", paused ? "paused" : "resumed");
		vm_devices_excuse(vm, clock_us(CLOCK_MONOTONIC));
	}
	/* The answer to a heartbeat behind the order says that the order is done. */
	envelope.serial = ++vm->serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &heartbeat;
	if (control_send_order(core->control_fd, paused ? ATOLL__CONTROL__ORDER__KIND__KIND_PAUSE
							: ATOLL__CONTROL__ORDER__KIND__KIND_RESUME) < 0 ||
	    child_process_send(core, &envelope, NULL, 0) < 0) {
		*why = "its core does not take orders; end it with atoll kill";
		return 0;
	}
	vm->paused = paused;
	vm->pause_tickets[slot] = envelope.serial;
	return envelope.serial;
}

void vm_console_resize(struct vm *vm, unsigned columns, unsigned rows)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleResize resize = ATOLL__CONTROL__CONSOLE_RESIZE__INIT;
	struct vm_device *device;

	vm->columns = columns;
	vm->rows = rows;
	resize.columns = columns;
	resize.rows = rows;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_RESIZE;
	envelope.console_resize = &resize;
	TAILQ_FOREACH (device, &vm->devices, link) {
		if (device->role != CHILD_ROLE_CONSOLE || device->child == NULL ||
		    device->child->state == CHILD_DEAD)
			continue;
		/* A UART has no size. */
		if (device->resource->console.config->output == CONFIG_OUTPUT_STDIO && device->virtio_id != 0)
			child_process_send(device->child, &envelope, NULL, 0);
	}
}

/* A tap that is down may be one that was deleted. */
static void vm_look_for_tap(const struct vm_device *device)
{
	struct tap_resource *tap = &device->resource->tap;
	const char *vm = device->vm->config->name;

	if (tap->gone || !tap_gone(device->resource->fd))
		return;
	tap->gone = true;
	log_warning(
		"%s/%s has lost its tap %s, which was deleted; make it again, and then: atoll restart %s %s",
		vm, device->id, tap->config->tap, vm, device->id);
}

void vm_link_changed(struct vm *vm, unsigned interface_index, bool up)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__LinkState link = ATOLL__CONTROL__LINK_STATE__INIT;
	struct vm_device *device;

	link.up = up;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_LINK_STATE;
	envelope.link_state = &link;
	TAILQ_FOREACH (device, &vm->devices, link) {
		struct tap_resource *tap = &device->resource->tap;

		if (device->role != CHILD_ROLE_NET || tap->interface_index != interface_index)
			continue;
		if (!up)
			vm_look_for_tap(device);
		if (tap->link_up == up)
			continue;
		tap->link_up = up;
		log_info("the tap of network %s is %s", device->id, up ? "up" : "down");
		if (device->child != NULL)
			child_process_send(device->child, &envelope, NULL, 0);
	}
}

void vm_power_timer(void *argument)
{
	vm_kill(argument, EXIT_STATUS_FAILED, "the guest did not power off in time");
}
