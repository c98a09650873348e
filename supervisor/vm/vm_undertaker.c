/* The undertaker of a failed device; see vm_undertaker.h. */
#include "supervisor/vm/vm_undertaker.h"

#include "common/base/clock.h"
#include "supervisor/vm/vm_configure.h"
#include "supervisor/vm/vm_parts.h"

struct child_process *vm_device_process(const struct vm_device *device)
{
	bool undertaker = device->undertaker != NULL && device->undertaker->state != CHILD_DEAD;

	return undertaker ? device->undertaker : device->child;
}

void vm_undertaker_none(struct vm_device *device)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__FailDevice fail = ATOLL__CONTROL__FAIL_DEVICE__INIT;

	fail.id = (char *)device->id;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_FAIL_DEVICE;
	envelope.fail_device = &fail;
	child_process_send(TAILQ_FIRST(&device->vm->children), &envelope, NULL, 0);
}

void vm_undertaker_start(struct vm_device *device)
{
	int result;

	device->wire.served = false;
	device->heartbeat = (struct heartbeat){0};
	result = vm_start_undertaker(device->vm, device);
	if (result == 0) {
		loop_timer_arm(device->patience_timer, device->vm->config->heartbeat_us);
		return;
	}
	/* The reason is in the log. */
	if (device->undertaker != NULL)
		child_process_break(device->undertaker, "it could not be told what to do");
	else
		vm_undertaker_none(device);
}

void vm_undertaker_serves(struct vm_device *device)
{
	if (device->undertaker == NULL || device->undertaker->state != CHILD_RUNNING ||
	    !device->wire.served || device->wire.ended)
		return;
	loop_timer_disarm(device->patience_timer);
	device->serving_us = clock_us(CLOCK_MONOTONIC);
	log_notice("%s: %s/%s answers for the failed device: what the guest asks of it fails",
		   child_role_program(CHILD_ROLE_UNDERTAKER), device->vm->config->name, device->id);
}

void vm_undertaker_died(struct vm_device *device)
{
	const struct child_process *child = device->undertaker;
	const char *program = child_role_program(CHILD_ROLE_UNDERTAKER), *vm = device->vm->config->name;
	uint64_t now = clock_us(CLOCK_MONOTONIC), delay;
	bool misfits = child_process_misfits(child);
	char how[LOG_TEXT_MAX];

	loop_timer_disarm(device->patience_timer);
	child_process_tell_end(child, how, sizeof(how));
	/* One that does not fit its policy would do no better the next time. */
	if (misfits || !restart_decide(&device->undertaker_restart, now,
				       device->wire.served ? now - device->serving_us : 0, &delay)) {
		log_error("%s: %s/%s %s, %s; nobody answers the guest for this device; revive it "
			  "with \"atoll restart %s %s\"",
			  program, vm, device->id, how, misfits ? "and no other is tried" : "once too often",
			  vm, device->id);
		vm_undertaker_none(device);
		return;
	}
	log_warning("%s: %s/%s %s; another takes its place", program, vm, device->id, how);
	loop_timer_arm(device->start_timer, delay);
}
