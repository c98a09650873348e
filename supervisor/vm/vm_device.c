/*
 * One device of a running VM. Everything happens in callbacks of the loop; device_succeed() is the one way to a
 * successor, and vm_device_died() decides whether it is taken.
 */
#include "supervisor/vm/vm_device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/control_wire.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm_configure.h"
#include "supervisor/vm/vm_console_file.h"
#include "supervisor/vm/vm_parts.h"
#include "supervisor/vm/vm_undertaker.h"

/* A process whose wire has ended is about to end. */
#define WIRE_ENDED_US UINT64_C(200000)
/* How often an undertaker is succeeded, within the window of restart.h. */
#define UNDERTAKER_LIMIT      5
#define UNDERTAKER_BACKOFF_US UINT64_C(100000)

/* The one way from state to state; whatever was waited for in the one before is waited for no more. */
static void device_become(struct vm_device *device, enum device_event event)
{
	device->state = device_state_after(device->state, event);
	loop_timer_disarm(device->start_timer);
	loop_timer_disarm(device->patience_timer);
}

static const char *device_program(const struct vm_device *device)
{
	return child_role_program(device->role);
}

/* Who waited for the successor is told how it went; "": it serves. */
static void device_answer(struct vm_device *device, const char *error)
{
	uint64_t ticket = device->ticket;

	device->ticket = 0;
	if (ticket != 0)
		device->vm->ops->answered(device->vm->owner, ticket, error);
}

static void __attribute__((format(printf, 2, 3)))
device_answer_trouble(struct vm_device *device, const char *format, ...)
{
	char text[LOG_TEXT_MAX + 128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	device_answer(device, text);
}

/* --- a process ended --- */

/* why: behind "the device is failed, ". */
static void device_fail(struct vm_device *device, const char *why)
{
	const char *vm = device->vm->config->name;

	device_become(device, DEVICE_GIVEN_UP);
	if (device->virtio_id == 0)
		vm_undertaker_none(device);
	else
		loop_timer_arm(device->start_timer, 0);
	log_error("%s: %s/%s %s; the device is failed, %s; the VM goes on; revive it with \"atoll restart %s "
		  "%s\"",
		  device_program(device), vm, device->id, device->trouble, why, vm, device->id);
	device_answer_trouble(device, "the device is failed: its process %s; see its log lines",
			      device->trouble);
}

static void device_fail_by_policy(struct vm_device *device)
{
	char why[80] = "for its restart policy is never";

	if (device->restart.always)
		snprintf(why, sizeof(why), "after %u restarts within %d s",
			 restart_recent(&device->restart, clock_us(CLOCK_MONOTONIC)),
			 (int)(RESTART_WINDOW_US / 1000000));
	device_fail(device, why);
}

/* The guest stands still, and finds the device as it was if that gets a process before the guest goes on. */
static void device_hold(struct vm_device *device)
{
	const char *vm = device->vm->config->name, *why = "";

	device_become(device, DEVICE_STOPPED);
	if (device->vm->device_ops->pause(device->vm, true, &why) == 0)
		log_error("%s: it cannot be paused: %s", vm, why);
	log_error(
		"%s: %s/%s %s; the device has no process and the VM is paused (on-violation: hold); \"atoll "
		"restart %s %s\" gives it one, \"atoll resume %s\" lets the guest go on, without the device "
		"if it has none",
		device_program(device), vm, device->id, device->trouble, vm, device->id, vm);
	device_answer_trouble(device, "the device is held: its process %s; see its log lines",
			      device->trouble);
}

/*
 * Its process called what it may not. Whoever has taken a process over gets no second try, unless the config says
 * so; a successor whose library does not fit its policy would end as this one, however often it is tried.
 */
static bool device_take_violation(struct vm_device *device)
{
	if (child_process_misfits(device->child)) {
		device_fail(device, "and no restart is tried: it ended before it served");
		return true;
	}
	if (!child_process_violated(device->child) ||
	    device->resource->of.device->on_violation == CONFIG_ON_VIOLATION_RESTART)
		return false;
	if (device->resource->of.device->on_violation == CONFIG_ON_VIOLATION_HOLD)
		device_hold(device);
	else
		device_fail(device, "for its process called what it may not (on-violation: fail)");
	return true;
}

/* device->trouble says why the last process ended, after it had served so long. */
static void device_succeed(struct vm_device *device, uint64_t served_us)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC), delay;
	char pause[48];

	if (!restart_decide(&device->restart, now, served_us, &delay)) {
		device_fail_by_policy(device);
		return;
	}
	device->restarts++;
	device_become(device, DEVICE_LOST);
	snprintf(pause, sizeof(pause), "at once");
	if (delay > 0)
		snprintf(pause, sizeof(pause), "in %" PRIu64 " ms", delay / 1000);
	log_warning("%s: %s/%s %s; its successor starts %s (restart %u of %u within %d s)",
		    device_program(device), device->vm->config->name, device->id, device->trouble, pause,
		    restart_recent(&device->restart, now), device->restart.limit,
		    (int)(RESTART_WINDOW_US / 1000000));
	device_answer_trouble(device,
			      "its successor does not serve: it %s; see its log lines; it is tried again",
			      device->trouble);
	/* In a callback of its own also when it is at once: the dead one is still in its. */
	loop_timer_arm(device->start_timer, delay);
}

/* --- its end, and what comes of it --- */

/* Who was ordered to end for the next one has. how: the way it did. */
static void device_drained(struct vm_device *device, const struct child_process *child, const char *how,
			   const char *meanwhile)
{
	if (child->killed || child->wait_status != 0)
		log_warning("%s: %s/%s %s while %s", child_role_program(child->role),
			    device->vm->config->name, device->id, how, meanwhile);
	device_become(device, DEVICE_LOST);
	loop_timer_arm(device->start_timer, 0);
}

static void device_undertaker_died(struct vm_device *device)
{
	char how[LOG_TEXT_MAX];

	if (device->state != DEVICE_DRAINING) {
		vm_undertaker_died(device);
		return;
	}
	child_process_tell_end(device->undertaker, how, sizeof(how));
	device_drained(device, device->undertaker, how, "the device was being revived");
}

void vm_device_died(struct vm_device *device, struct child_process *died)
{
	enum device_state before = device->state;
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	if (died == device->undertaker) {
		device_undertaker_died(device);
		return;
	}
	loop_timer_disarm(device->patience_timer);
	vm_console_turn_forget(device);
	child_process_tell_end(device->child, device->trouble, sizeof(device->trouble));
	if (before == DEVICE_RUNNING)
		device->ended_us = now;
	if (device_take_violation(device))
		return;
	if (before == DEVICE_DRAINING) {
		device_drained(device, device->child, device->trouble, "it was being replaced");
		snprintf(device->trouble, sizeof(device->trouble), "was replaced as a command asked");
		device->restarts++;
		return;
	}
	device_succeed(device, before == DEVICE_RUNNING ? now - device->serving_us : 0);
}

/* --- its successor --- */

/*
 * What is gone from the host cannot be served any more, by no successor: what has its name now is taken in its place. 0, or -errno
 * with device->trouble.
 */
static int device_renew(struct vm_device *device)
{
	char lost[LOG_TEXT_MAX - 16];
	int result = resource_renew(device->resource, lost, sizeof(lost));

	if (result < 0)
		snprintf(device->trouble, sizeof(device->trouble), "has lost %s", lost);
	return result;
}

static void device_start(struct vm_device *device)
{
	int result;

	device_become(device, DEVICE_TRIED);
	device->wire.served = false;
	device->heartbeat = (struct heartbeat){0};
	/* Where nothing can be started, nothing is tried. */
	if (starter_pid(device->vm->starter) == 0) {
		device_fail(device, "for the process that starts the others has ended");
		return;
	}
	if (device_renew(device) < 0) {
		/* Each further one would be refused, too. */
		device_fail(device, "for it has nothing to serve");
		return;
	}
	result = vm_start_device(device->vm, device);
	if (result == 0) {
		loop_timer_arm(device->patience_timer, device->vm->config->heartbeat_us);
		return;
	}
	snprintf(device->trouble, sizeof(device->trouble), "could not be started: %s", strerror(-result));
	if (device->child->state != CHILD_DEAD) {
		/* It waits for words that will not come; its death goes on from here. */
		child_process_break(device->child, device->trouble);
		return;
	}
	device_succeed(device, 0);
}

static void device_serves(struct vm_device *device)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	if (device->child->state != CHILD_RUNNING || !device->wire.served || device->wire.ended)
		return;
	device_become(device, DEVICE_SERVED);
	device->serving_us = now;
	log_notice("%s: %s/%s serves again, %" PRIu64 ".%" PRIu64 " ms after the one before it ended",
		   device_program(device), device->vm->config->name, device->id,
		   (now - device->ended_us) / 1000, (now - device->ended_us) / 100 % 10);
	device->ended_us = 0;
	device_answer(device, "");
}

void vm_device_ready(struct vm_device *device)
{
	if (device->state == DEVICE_SUCCEEDING)
		device_serves(device);
	else if (device->state == DEVICE_FAILED)
		vm_undertaker_serves(device);
}

static void device_start_timer(void *argument)
{
	struct vm_device *device = argument;

	if (device->state == DEVICE_WAITING)
		device_start(device);
	else if (device->state == DEVICE_FAILED)
		vm_undertaker_start(device);
}

static void device_patience_timer(void *argument)
{
	struct vm_device *device = argument;
	struct child_process *process = vm_device_process(device);

	if (child_process_has_ended(process))
		return;
	if (starter_process_is_stopped(device->vm->starter, process->pid))
		/* By a debugger, who has time. */
		loop_timer_arm(device->patience_timer, device->vm->config->heartbeat_us);
	else if (device->wire.ended)
		child_process_break(process, "it closed its wire to the core and went on");
	else if (device->state == DEVICE_DRAINING)
		child_process_break(process, "it did not finish in time");
	else
		child_process_break(process, process->state == CHILD_RUNNING
						     ? "the core could not set it up in time"
						     : "it was not ready in time");
}

bool vm_device_told(struct vm_device *device, uint64_t wire, const Atoll__Control__DeviceState *state)
{
	char why[256];

	/* Of a predecessor's, or of a process that has ended meanwhile. */
	if (wire != device->wire.serial || device->child == NULL ||
	    vm_device_process(device)->state == CHILD_DEAD)
		return wire <= device->wire.serial;
	switch (state->kind) {
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING:
		/* It is told once a wire. */
		if (device->wire.ended || device->wire.served)
			return false;
		device->wire.served = true;
		if (device->state == DEVICE_SUCCEEDING)
			device_serves(device);
		else if (device->state == DEVICE_FAILED)
			vm_undertaker_serves(device);
		return true;
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE:
		if (device->wire.ended)
			return false;
		device->wire.ended = true;
		/* In DRAINING that is its last act; otherwise, it is what is left of one that has died. */
		if (device->state != DEVICE_DRAINING)
			loop_timer_arm(device->patience_timer, WIRE_ENDED_US);
		return true;
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN:
		if (device->wire.ended)
			return false;
		device->wire.ended = true;
		if (!child_process_has_ended(vm_device_process(device))) {
			snprintf(why, sizeof(why), "the core cut it off: %.200s", state->detail);
			child_process_break(vm_device_process(device), why);
		}
		return true;
	default:
		return false;
	}
}

uint64_t vm_device_replace(struct vm_device *device, const char **why)
{
	struct vm *vm = device->vm;

	if (vm->state != VM_RUNNING) {
		*why = vm->state == VM_STARTING ? "the VM is starting; try again when it runs"
						: "the VM is ending, or held; its devices stay as they are";
		return 0;
	}
	/* Nor is one ended that nothing could succeed. */
	if (starter_pid(vm->starter) == 0) {
		*why = "the process that starts the others has ended, and this one stays; start the VM anew";
		return 0;
	}
	/* Who serves no tap serves the driver all the same: it stays until there is one. */
	if ((device->state == DEVICE_RUNNING || device->state == DEVICE_HELD ||
	     device->state == DEVICE_FAILED) &&
	    device_renew(device) < 0) {
		*why = device->trouble;
		return 0;
	}
	if (device->ticket == 0)
		device->ticket = ++vm->serial;
	switch (device->state) {
	case DEVICE_RUNNING:
		log_notice("%s: %s/%s is replaced: a command asks for it", device_program(device),
			   vm->config->name, device->id);
		device_become(device, DEVICE_ORDERED);
		device->ended_us = clock_us(CLOCK_MONOTONIC);
		loop_timer_arm(device->patience_timer, vm->config->heartbeat_us);
		child_process_shut_down(device->child);
		break;
	case DEVICE_HELD:
	case DEVICE_FAILED:
		log_notice("%s: %s/%s is revived: a command asks for it", device_program(device),
			   vm->config->name, device->id);
		restart_forgive(&device->restart);
		device->restarts++;
		device->ended_us = clock_us(CLOCK_MONOTONIC);
		if (vm_device_process(device)->state == CHILD_DEAD) {
			device_become(device, DEVICE_LOST);
			loop_timer_arm(device->start_timer, 0);
			break;
		}
		device_become(device, DEVICE_ORDERED);
		loop_timer_arm(device->patience_timer, vm->config->heartbeat_us);
		child_process_shut_down(device->undertaker);
		break;
	case DEVICE_WAITING:
		loop_timer_arm(device->start_timer, 0);
		break;
	default:
		break;
	}
	return device->ticket;
}

/* --- heartbeats --- */

void vm_device_beat(struct vm_device *device, uint64_t now)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Heartbeat heartbeat = ATOLL__CONTROL__HEARTBEAT__INIT;
	struct child_process *process = vm_device_process(device);
	const char *hangs;

	if ((device->state != DEVICE_RUNNING && device->state != DEVICE_FAILED) ||
	    process->state != CHILD_RUNNING)
		return;
	hangs = heartbeat_hangs(&device->heartbeat, device->vm->config->heartbeat_us, now);
	if (hangs != NULL && !child_process_has_ended(process)) {
		if (!starter_process_is_stopped(device->vm->starter, process->pid)) {
			child_process_break(process, hangs);
			return;
		}
		heartbeat_excuse(&device->heartbeat, now);
	}
	if (!heartbeat_due(&device->heartbeat))
		return;
	heartbeat_asked(&device->heartbeat, ++device->vm->serial, now);
	envelope.serial = device->heartbeat.serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &heartbeat;
	/* One that cannot be sent, because it does not read, is not answered either. */
	control_send(process->control_fd, &envelope, NULL, 0);
}

/* --- with the VM --- */

void vm_device_launch(struct vm_device *device)
{
	device_become(device, DEVICE_LAUNCHED);
	device->child = device->undertaker = NULL;
	device->ended_us = 0;
	device->trouble[0] = '\0';
	device->heartbeat = (struct heartbeat){0};
	vm_console_turn_forget(device);
	restart_forgive(&device->restart);
	restart_forgive(&device->undertaker_restart);
}

void vm_device_run(struct vm_device *device)
{
	device_become(device, DEVICE_BEGAN);
	device->serving_us = clock_us(CLOCK_MONOTONIC);
	/* While the others were not ready yet. */
	if (device->wire.ended)
		loop_timer_arm(device->patience_timer, WIRE_ENDED_US);
}

void vm_device_end(struct vm_device *device, const char *why)
{
	loop_timer_disarm(device->start_timer);
	loop_timer_disarm(device->patience_timer);
	device_answer(device, why);
}

void vm_device_resume(struct vm_device *device)
{
	if (device->state == DEVICE_HELD)
		device_fail(device, "for the VM was resumed without it");
}

static uint16_t resource_virtio_id(const struct resource *resource)
{
	if (resource->of.role == CHILD_ROLE_CONSOLE &&
	    resource->console.config->type == CONFIG_CONSOLE_SERIAL)
		return 0;
	return role_of(resource->of.role)->type.virtio_id;
}

struct vm_device *vm_device_new(struct vm *vm, struct resource *resource)
{
	const struct config_restart *restart = resource->of.device->restart;
	struct vm_device *device = calloc(1, sizeof(*device));

	if (device == NULL)
		return NULL;
	*device = (struct vm_device){
		.vm = vm,
		.resource = resource,
		.role = resource->of.role,
		.id = resource->of.device->id,
		.virtio_id = resource_virtio_id(resource),
		.queues = resource->of.role == CHILD_ROLE_BLK ? resource->disk.config->queues : 0,
		.start_timer = loop_watch_timer(vm->loop, device_start_timer, device),
		.patience_timer = loop_watch_timer(vm->loop, device_patience_timer, device),
		.console_turn.timer = loop_watch_timer(vm->loop, vm_console_turn_timer, device),
	};
	TAILQ_INSERT_TAIL(&vm->devices, device, link);
	vm->device_count++;
	if (restart == NULL)
		restart = &vm->config->restart_default;
	if (device->start_timer == NULL || device->patience_timer == NULL ||
	    device->console_turn.timer == NULL ||
	    restart_init(&device->undertaker_restart, true, UNDERTAKER_LIMIT, UNDERTAKER_BACKOFF_US) < 0 ||
	    restart_init(&device->restart, restart->policy == CONFIG_RESTART_ALWAYS, restart->limit,
			 restart->backoff_us) < 0) {
		vm_device_free(device);
		return NULL;
	}
	return device;
}

void vm_device_free(struct vm_device *device)
{
	TAILQ_REMOVE(&device->vm->devices, device, link);
	device->vm->device_count--;
	loop_unwatch(device->start_timer);
	loop_unwatch(device->patience_timer);
	loop_unwatch(device->console_turn.timer);
	restart_clear(&device->restart);
	restart_clear(&device->undertaker_restart);
	free(device);
}
