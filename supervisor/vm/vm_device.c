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
#include "common/spec/virtio_spec.h"
#include "supervisor/host/resources.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm_configure.h"
#include "supervisor/vm/vm_parts.h"

/* A process whose wire has ended is about to end. */
#define WIRE_ENDED_US UINT64_C(200000)
/* Between two heartbeats, at most. */
#define BEAT_US UINT64_C(1000000)
/* How often an undertaker is succeeded, within the window of restart.h. */
#define UNDERTAKER_LIMIT      5
#define UNDERTAKER_BACKOFF_US UINT64_C(100000)
/* A beat that comes so much too late: it is we who were stopped. */
#define BEAT_LATE_US UINT64_C(500000)
/* New files that a console is given: so many at once, and then one in so long. */
#define FILE_BURST     16
#define FILE_PERIOD_US UINT64_C(50000)

const char *vm_device_state_name(const struct vm_device *device)
{
	static const char *const names[] = {"starting",	  "running", "restarting", "restarting",
					    "restarting", "held",    "failed"};

	return names[device->state];
}

static const char *device_program(const struct vm_device *device)
{
	return child_role_program(device->role);
}

/* Who answers the guest, or last did. */
static struct child_process *device_process(const struct vm_device *device)
{
	bool undertaker = device->undertaker != NULL && device->undertaker->state != CHILD_DEAD;

	return undertaker ? device->undertaker : device->child;
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

/* Why, as an operator reads it behind the program's name. */
static void describe_end(const struct child_process *child, char *text, size_t size)
{
	char how[320];

	child_process_describe_end(child, how, sizeof(how));
	if (child->violation[0] != '\0')
		snprintf(text, size, "%.160s: %.512s%.256s", how, child->violation, child->misfit);
	else if (child->broken == NULL && child_process_signal(child) == 0 && child->last_text[0] != '\0')
		snprintf(text, size, "%s: \"%.600s\"", how, child->last_text);
	else
		snprintf(text, size, "%s", how);
}

static void device_tell_core_failed(struct vm_device *device)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__FailDevice fail = ATOLL__CONTROL__FAIL_DEVICE__INIT;

	fail.id = (char *)device->id;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_FAIL_DEVICE;
	envelope.fail_device = &fail;
	child_process_send(TAILQ_FIRST(&device->vm->children), &envelope, NULL, 0);
}

/* why: behind "the device is failed, ". */
static void device_fail(struct vm_device *device, const char *why)
{
	const char *vm = device->vm->config->name;

	device->state = DEVICE_FAILED;
	if (device->virtio_id == 0)
		device_tell_core_failed(device);
	else
		loop_timer_arm(device->timer, 0);
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

	device->state = DEVICE_HELD;
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
	if (!child_process_violated(device->child) || device->on_violation == CONFIG_ON_VIOLATION_RESTART)
		return false;
	if (device->on_violation == CONFIG_ON_VIOLATION_HOLD)
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
	device->state = DEVICE_WAITING;
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
	loop_timer_arm(device->timer, delay);
}

/* --- its undertaker --- */

/* Of a device that has FAILED. */
static void device_bury(struct vm_device *device)
{
	int result;

	device->core_serves = false;
	device->heartbeat = (struct heartbeat){0};
	result = vm_start_undertaker(device->vm, device);
	if (result == 0) {
		loop_timer_arm(device->timer, device->vm->config->heartbeat_us);
		return;
	}
	/* The reason is in the log. */
	if (device->undertaker != NULL)
		child_process_break(device->undertaker, "it could not be told what to do");
	else
		device_tell_core_failed(device);
}

static void undertaker_serves(struct vm_device *device)
{
	if (device->undertaker == NULL || device->undertaker->state != CHILD_RUNNING ||
	    !device->core_serves || device->wire_ended)
		return;
	loop_timer_disarm(device->timer);
	device->serving_us = clock_us(CLOCK_MONOTONIC);
	log_notice("%s: %s/%s answers for the failed device: what the guest asks of it fails",
		   child_role_program(CHILD_ROLE_UNDERTAKER), device->vm->config->name, device->id);
}

static void undertaker_died(struct vm_device *device)
{
	const struct child_process *child = device->undertaker;
	const char *program = child_role_program(CHILD_ROLE_UNDERTAKER), *vm = device->vm->config->name;
	uint64_t now = clock_us(CLOCK_MONOTONIC), delay;
	bool misfits = child_process_misfits(child);
	char how[LOG_TEXT_MAX];

	loop_timer_disarm(device->timer);
	describe_end(child, how, sizeof(how));
	if (device->state == DEVICE_DRAINING) {
		if (child->killed || child->wait_status != 0)
			log_warning("%s: %s/%s %s while the device was being revived", program, vm,
				    device->id, how);
		device->state = DEVICE_WAITING;
		loop_timer_arm(device->timer, 0);
		return;
	}
	/* One that does not fit its policy would do no better the next time. */
	if (misfits || !restart_decide(&device->undertaker_restart, now,
				       device->core_serves ? now - device->serving_us : 0, &delay)) {
		log_error("%s: %s/%s %s, %s; nobody answers the guest for this device; revive it "
			  "with \"atoll restart %s %s\"",
			  program, vm, device->id, how, misfits ? "and no other is tried" : "once too often",
			  vm, device->id);
		device_tell_core_failed(device);
		return;
	}
	log_warning("%s: %s/%s %s; another takes its place", program, vm, device->id, how);
	loop_timer_arm(device->timer, delay);
}

/* --- a console's file that is full --- */

static void device_change_file(struct vm_device *device)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleFile message = ATOLL__CONTROL__CONSOLE_FILE__INIT;
	struct console_file *file = &device->vm->resources->console_files[device->index];
	int *fd = &device->vm->resources->console_fds[device->index];
	const char *problem;
	int result = console_file_rotate(file, fd, &problem);

	device->file_asked = false;
	device->file_refused_us = result < 0 ? clock_us(CLOCK_MONOTONIC) : 0;
	if (result < 0 && !device->file_told)
		log_warning("%s/%s: its file %s has reached its max-size, and %s (%s): what the guest writes "
			    "is dropped until that can be done",
			    device->vm->config->name, device->id, file->path, problem, strerror(-result));
	device->file_told = result < 0;
	message.refused = result < 0;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FILE;
	envelope.console_file = &message;
	/* Its successor gets the file in its configuration. */
	if (child_process_send(device->child, &envelope, fd, result < 0 ? 0 : 1) < 0)
		child_process_kill(device->child);
}

static void device_file_timer(void *argument)
{
	struct vm_device *device = argument;

	if (device->file_asked && device->child->state != CHILD_DEAD)
		device_change_file(device);
}

/* A guest that writes fast, and a process that says so without end, wait for the next file. */
bool vm_device_file_full(struct vm_device *device, const struct child_process *child)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC), from;

	if (device == NULL || device->role != CHILD_ROLE_CONSOLE || child != device->child ||
	    device->file_asked ||
	    (device->file_refused_us != 0 && now - device->file_refused_us < CONSOLE_REFUSED_US) ||
	    !console_file_is_full(&device->vm->resources->console_files[device->index],
				  device->vm->resources->console_fds[device->index]))
		return false;
	device->file_asked = true;
	from = device->file_due_us > now ? device->file_due_us : now;
	device->file_due_us = from + FILE_PERIOD_US;
	if (from <= now + FILE_BURST * FILE_PERIOD_US)
		device_change_file(device);
	else
		loop_timer_arm(device->file_timer, from - now - FILE_BURST * FILE_PERIOD_US);
	return true;
}

static void device_forget_file(struct vm_device *device)
{
	device->file_asked = device->file_told = false;
	device->file_refused_us = 0;
	loop_timer_disarm(device->file_timer);
}

/* --- its end, and what comes of it --- */

void vm_device_died(struct vm_device *device, struct child_process *died)
{
	enum vm_device_state before = device->state;
	uint64_t now = clock_us(CLOCK_MONOTONIC);
	const struct child_process *child = device->child;

	if (died == device->undertaker) {
		undertaker_died(device);
		return;
	}
	loop_timer_disarm(device->timer);
	device_forget_file(device);
	describe_end(device->child, device->trouble, sizeof(device->trouble));
	if (before == DEVICE_RUNNING)
		device->ended_us = now;
	if (device_take_violation(device))
		return;
	if (before == DEVICE_DRAINING) {
		if (child->killed || child->wait_status != 0)
			log_warning("%s: %s/%s %s while it was being replaced", device_program(device),
				    device->vm->config->name, device->id, device->trouble);
		snprintf(device->trouble, sizeof(device->trouble), "was replaced as a command asked");
		device->restarts++;
		device->state = DEVICE_WAITING;
		loop_timer_arm(device->timer, 0);
		return;
	}
	device_succeed(device, before == DEVICE_RUNNING ? now - device->serving_us : 0);
}

/* --- its successor --- */

/*
 * A tap that was deleted cannot be served any more, by no successor: one that has its name is taken in its place. 0, or -errno
 * with device->trouble.
 */
static int device_renew(struct vm_device *device)
{
	const char *tap, *problem;
	int result;

	if (device->role != CHILD_ROLE_NET)
		return 0;
	tap = device->vm->config->networks[device->index].tap;
	result = resources_renew_tap(&device->vm->resources->networks[device->index], tap, &problem);
	if (result < 0)
		snprintf(device->trouble, sizeof(device->trouble),
			 "has lost its tap %s, which was deleted: %s", tap, problem);
	return result;
}

static void device_start(struct vm_device *device)
{
	int result;

	device->state = DEVICE_SUCCEEDING;
	device->core_serves = false;
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
		loop_timer_arm(device->timer, device->vm->config->heartbeat_us);
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

	if (device->child->state != CHILD_RUNNING || !device->core_serves || device->wire_ended)
		return;
	loop_timer_disarm(device->timer);
	device->state = DEVICE_RUNNING;
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
		undertaker_serves(device);
}

static void device_timer(void *argument)
{
	struct vm_device *device = argument;
	struct child_process *process;

	if (device->state == DEVICE_WAITING) {
		device_start(device);
		return;
	}
	if (device->state == DEVICE_HELD)
		return;
	process = device_process(device);
	if (device->state == DEVICE_FAILED && process->state == CHILD_DEAD) {
		device_bury(device);
		return;
	}
	if (child_process_has_ended(process))
		return;
	if (starter_process_is_stopped(device->vm->starter, process->pid)) {
		/* By a debugger, who has time. */
		loop_timer_arm(device->timer, device->vm->config->heartbeat_us);
		return;
	}
	if (device->wire_ended)
		child_process_break(process, "it closed its wire to the core and went on");
	else if (device->state == DEVICE_DRAINING)
		child_process_break(process, "it did not finish in time");
	else if (device->state == DEVICE_SUCCEEDING || device->state == DEVICE_FAILED)
		child_process_break(process, process->state == CHILD_RUNNING
						     ? "the core could not set it up in time"
						     : "it was not ready in time");
}

bool vm_device_told(struct vm *vm, uint64_t wire, const Atoll__Control__DeviceState *state)
{
	struct vm_device *device = vm_device_find(vm, state->id);
	char why[256];

	if (device == NULL)
		return false;
	/* Of a predecessor's, or of a process that has ended meanwhile. */
	if (wire != device->wire || device->child == NULL || device_process(device)->state == CHILD_DEAD)
		return wire <= device->wire;
	switch (state->kind) {
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING:
		if (device->wire_ended)
			return false;
		device->core_serves = true;
		if (device->state == DEVICE_SUCCEEDING)
			device_serves(device);
		else if (device->state == DEVICE_FAILED)
			undertaker_serves(device);
		return true;
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE:
		if (device->wire_ended)
			return false;
		device->wire_ended = true;
		/* In DRAINING that is its last act; otherwise, it is what is left of one that has died. */
		if (device->state != DEVICE_DRAINING)
			loop_timer_arm(device->timer, WIRE_ENDED_US);
		return true;
	case ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN:
		if (device->wire_ended)
			return false;
		device->wire_ended = true;
		if (!child_process_has_ended(device_process(device))) {
			snprintf(why, sizeof(why), "the core cut it off: %.200s", state->detail);
			child_process_break(device_process(device), why);
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
		device->state = DEVICE_DRAINING;
		device->ended_us = clock_us(CLOCK_MONOTONIC);
		loop_timer_arm(device->timer, vm->config->heartbeat_us);
		child_process_shut_down(device->child);
		break;
	case DEVICE_HELD:
	case DEVICE_FAILED:
		log_notice("%s: %s/%s is revived: a command asks for it", device_program(device),
			   vm->config->name, device->id);
		restart_forgive(&device->restart);
		device->restarts++;
		device->ended_us = clock_us(CLOCK_MONOTONIC);
		if (device_process(device)->state == CHILD_DEAD) {
			device->state = DEVICE_WAITING;
			loop_timer_arm(device->timer, 0);
			break;
		}
		device->state = DEVICE_DRAINING;
		loop_timer_arm(device->timer, vm->config->heartbeat_us);
		child_process_shut_down(device->undertaker);
		break;
	case DEVICE_WAITING:
		loop_timer_arm(device->timer, 0);
		break;
	default:
		break;
	}
	return device->ticket;
}

/* --- heartbeats --- */

static void device_beat(struct vm_device *device, uint64_t now)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Heartbeat heartbeat = ATOLL__CONTROL__HEARTBEAT__INIT;
	struct child_process *process = device_process(device);
	const char *hangs = heartbeat_hangs(&device->heartbeat, device->vm->config->heartbeat_us, now);

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

static uint64_t beat_period_us(const struct vm *vm)
{
	return vm->config->heartbeat_us / 4 < BEAT_US ? vm->config->heartbeat_us / 4 : BEAT_US;
}

static void vm_beat(void *argument)
{
	struct vm *vm = argument;
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	/* We were stopped ourselves, or the host was: what is late is late through that. */
	if (vm->paused || now - vm->beat_us > beat_period_us(vm) + BEAT_LATE_US)
		vm_devices_excuse(vm, now);
	vm->beat_us = now;
	for (unsigned i = 0; i < vm->device_count; i++)
		if ((vm->devices[i].state == DEVICE_RUNNING || vm->devices[i].state == DEVICE_FAILED) &&
		    device_process(&vm->devices[i])->state == CHILD_RUNNING)
			device_beat(&vm->devices[i], now);
	loop_timer_arm(vm->beat_timer, beat_period_us(vm));
}

void vm_devices_resume(struct vm *vm)
{
	for (unsigned i = 0; i < vm->device_count; i++)
		if (vm->devices[i].state == DEVICE_HELD)
			device_fail(&vm->devices[i], "for the VM was resumed without it");
}

void vm_devices_excuse(struct vm *vm, uint64_t now)
{
	for (unsigned i = 0; i < vm->device_count; i++)
		heartbeat_excuse(&vm->devices[i].heartbeat, now);
}

/* --- all of them --- */

struct vm_device *vm_device_find(const struct vm *vm, const char *id)
{
	for (unsigned i = 0; i < vm->device_count; i++)
		if (strcmp(vm->devices[i].id, id) == 0)
			return &vm->devices[i];
	return NULL;
}

struct vm_device *vm_device_of(const struct vm *vm, const struct child_process *child)
{
	for (unsigned i = 0; i < vm->device_count; i++)
		if (vm->devices[i].child == child || (child != NULL && vm->devices[i].undertaker == child))
			return &vm->devices[i];
	return NULL;
}

void vm_devices_launch(struct vm *vm)
{
	for (unsigned i = 0; i < vm->device_count; i++) {
		struct vm_device *device = &vm->devices[i];

		device->state = DEVICE_STARTING;
		device->child = device->undertaker = NULL;
		device->ended_us = 0;
		device->trouble[0] = '\0';
		device->heartbeat = (struct heartbeat){0};
		device_forget_file(device);
		restart_forgive(&device->restart);
		restart_forgive(&device->undertaker_restart);
	}
}

void vm_devices_run(struct vm *vm)
{
	for (unsigned i = 0; i < vm->device_count; i++) {
		vm->devices[i].state = DEVICE_RUNNING;
		vm->devices[i].serving_us = clock_us(CLOCK_MONOTONIC);
	}
	vm->beat_us = clock_us(CLOCK_MONOTONIC);
	loop_timer_arm(vm->beat_timer, beat_period_us(vm));
}

void vm_devices_end(struct vm *vm, const char *why)
{
	loop_timer_disarm(vm->beat_timer);
	for (unsigned i = 0; i < vm->device_count; i++) {
		loop_timer_disarm(vm->devices[i].timer);
		device_answer(&vm->devices[i], why);
	}
}

static int device_init(struct vm *vm, struct vm_device *device, const struct config_restart *own,
		       enum config_on_violation on_violation)
{
	const struct config_restart *restart = own != NULL ? own : &vm->config->restart_default;

	device->vm = vm;
	device->on_violation = on_violation;
	device->timer = loop_watch_timer(vm->loop, device_timer, device);
	device->file_timer = loop_watch_timer(vm->loop, device_file_timer, device);
	if (device->timer == NULL || device->file_timer == NULL)
		return -ENOMEM;
	if (restart_init(&device->undertaker_restart, true, UNDERTAKER_LIMIT, UNDERTAKER_BACKOFF_US) < 0)
		return -ENOMEM;
	return restart_init(&device->restart, restart->policy == CONFIG_RESTART_ALWAYS, restart->limit,
			    restart->backoff_us);
}

int vm_devices_new(struct vm *vm)
{
	const struct config *config = vm->config;
	unsigned count = config->disks_count + config->networks_count + config->consoles_count;
	struct vm_device *next;
	int result = 0;

	vm->devices = next = calloc(count + 1, sizeof(*next));
	vm->beat_timer = loop_watch_timer(vm->loop, vm_beat, vm);
	if (next == NULL || vm->beat_timer == NULL)
		return -ENOMEM;
	vm->device_count = count;
	for (unsigned i = 0; i < config->disks_count && result == 0; i++, next++) {
		*next = (struct vm_device){.role = CHILD_ROLE_BLK,
					   .index = i,
					   .id = config->disks[i].id,
					   .virtio_id = VIRTIO_ID_BLOCK,
					   .queues = config->disks[i].queues};
		result = device_init(vm, next, config->disks[i].restart, config->disks[i].on_violation);
	}
	for (unsigned i = 0; i < config->networks_count && result == 0; i++, next++) {
		*next = (struct vm_device){.role = CHILD_ROLE_NET,
					   .index = i,
					   .id = config->networks[i].id,
					   .virtio_id = VIRTIO_ID_NET};
		result = device_init(vm, next, config->networks[i].restart, config->networks[i].on_violation);
	}
	for (unsigned i = 0; i < config->consoles_count && result == 0; i++, next++) {
		*next = (struct vm_device){.role = CHILD_ROLE_CONSOLE,
					   .index = i,
					   .id = config->consoles[i].id,
					   .virtio_id = config->consoles[i].type == CONFIG_CONSOLE_SERIAL
								? 0
								: VIRTIO_ID_CONSOLE};
		result = device_init(vm, next, config->consoles[i].restart, config->consoles[i].on_violation);
	}
	return result;
}

void vm_devices_free(struct vm *vm)
{
	for (unsigned i = 0; i < vm->device_count; i++) {
		loop_unwatch(vm->devices[i].timer);
		loop_unwatch(vm->devices[i].file_timer);
		restart_clear(&vm->devices[i].restart);
		restart_clear(&vm->devices[i].undertaker_restart);
	}
	free(vm->devices);
	loop_unwatch(vm->beat_timer);
	vm->devices = NULL;
	vm->beat_timer = NULL;
	vm->device_count = 0;
}
