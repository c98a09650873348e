/* How a VM ends; see vm_end.h. */
#include "supervisor/vm/vm_end.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/report.h"
#include "supervisor/vm/vm_devices.h"
#include "supervisor/vm/vm_memory.h"
#include "supervisor/vm/vm_parts.h"
#include "supervisor/vm/vm_query.h"

/* With a core that is gone the whole VM is, within a second; less what is waited for before. */
#define CORE_GONE_TIMEOUT_US UINT64_C(700000)
/* For a stdout that nobody reads, once all processes have ended. */
#define DRAIN_TIMEOUT_US UINT64_C(5000000)
/* One process's death makes others fail; their complaint may be here before the death is. */
#define CAUSE_US UINT64_C(100000)

void vm_ends_for(struct vm *vm, const char *format, ...)
{
	va_list arguments;

	if (vm->state == VM_STOPPING && !vm->relaunch)
		return;
	va_start(arguments, format);
	vsnprintf(vm->why, sizeof(vm->why), format, arguments);
	va_end(arguments);
}

/* STOPPING comes to its end after this time at the latest; never later than was said before. */
static void vm_stop_within(struct vm *vm, uint64_t timeout_us)
{
	uint64_t until_us = clock_us(CLOCK_MONOTONIC) + timeout_us;

	if (vm->stop_us != 0 && vm->stop_us <= until_us)
		return;
	vm->stop_us = until_us;
	loop_timer_arm(vm->draining ? vm->drain_timer : vm->stop_timer, timeout_us);
}

void vm_end(struct vm *vm, int exit_status, bool relaunch, uint64_t timeout_us)
{
	struct child_process *child;
	uint64_t serial;

	if (vm->state == VM_STOPPING) {
		if (vm->relaunch && !relaunch) {
			vm->relaunch = false;
			vm->exit_status = exit_status;
		}
		vm_stop_within(vm, timeout_us);
	} else {
		vm->state = VM_STOPPING;
		vm->exit_status = exit_status;
		vm->relaunch = relaunch;
		loop_timer_disarm(vm->ready_timer);
		loop_timer_disarm(vm->power_timer);
		loop_timer_disarm(vm->cause_timer);
		vm->stop_us = 0;
		vm_stop_within(vm, timeout_us);
		if (vm->record != NULL)
			vm_request_statistics(vm, &serial);
		vm_devices_end(vm, "the VM is ending, and its devices with it");
		TAILQ_FOREACH (child, &vm->children, link)
			child_process_shut_down(child);
	}
	vm_settle(vm);
}

void vm_fail(struct vm *vm, const char *format, ...)
{
	const struct child_process *core = TAILQ_FIRST(&vm->children);
	char text[LOG_TEXT_MAX + 256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (vm->state != VM_STOPPING || vm->relaunch)
		report_error("%s: %s", vm->config->name, text);
	vm_ends_for(vm, "%s", text);
	vm_end(vm, EXIT_STATUS_FAILED, false,
	       core != NULL && core->state == CHILD_DEAD ? CORE_GONE_TIMEOUT_US : STOP_TIMEOUT_US);
}

static void vm_fail_cause(void *argument)
{
	struct vm *vm = argument;

	if (vm->state != VM_STOPPING)
		vm_fail(vm, "%s", vm->cause);
}

void vm_suspect(struct vm *vm, enum cause_weight weight, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	if (vm->state == VM_STOPPING || weight <= vm->cause_weight)
		return;
	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if (vm->cause_weight == 0)
		loop_timer_arm(vm->cause_timer, CAUSE_US);
	free(vm->cause);
	vm->cause = text;
	vm->cause_weight = weight;
	if (weight == CAUSE_KILLED)
		vm_fail_cause(vm);
}

static bool vm_processes_left(const struct vm *vm)
{
	const struct child_process *child;

	TAILQ_FOREACH (child, &vm->children, link)
		if (child->state != CHILD_DEAD)
			return true;
	return false;
}

void vm_free_processes(struct vm *vm)
{
	struct child_process *child;

	while ((child = TAILQ_FIRST(&vm->children)) != NULL) {
		TAILQ_REMOVE(&vm->children, child, link);
		child_process_free(child);
	}
}

void vm_settle(struct vm *vm)
{
	if (vm->state != VM_STOPPING || vm->over || vm_processes_left(vm))
		return;
	/* The last who had it is gone: what is in it is the end of the console. */
	if (vm->console_fd >= 0)
		close(vm->console_fd);
	vm->console_fd = -1;
	vm_memory_close(&vm->memory_fd);
	if (vm->relay != NULL && relay_busy(vm->relay)) {
		/* vm_console_drained() comes next, or the timer. */
		loop_timer_disarm(vm->stop_timer);
		if (!vm->draining) {
			vm->draining = true;
			vm->stop_us = 0;
			vm_stop_within(vm, vm->hurried ? KILL_TIMEOUT_US : DRAIN_TIMEOUT_US);
		}
		return;
	}
	loop_timer_disarm(vm->stop_timer);
	loop_timer_disarm(vm->drain_timer);
	if (vm->relaunch) {
		uint64_t now_us = clock_us(CLOCK_MONOTONIC);

		/* Not from here: a process that has just died is still in its callback. */
		loop_timer_arm(vm->relaunch_timer, vm->relaunch_us > now_us ? vm->relaunch_us - now_us : 0);
		return;
	}
	vm->over = true;
	vm->ops->ended(vm->owner, vm->exit_status);
}

void vm_console_drained(struct vm *vm)
{
	vm_settle(vm);
}

static void vm_drain_timer(void *argument)
{
	struct vm *vm = argument;

	log_warning("nobody reads standard output: the end of the console is lost");
	relay_free(vm->relay);
	vm->relay = NULL;
	vm->relaunch = false;
	vm_settle(vm);
}

static void vm_stop_timer(void *argument)
{
	struct vm *vm = argument;
	struct child_process *child;

	TAILQ_FOREACH (child, &vm->children, link) {
		if (child->state == CHILD_DEAD)
			continue;
		log_warning("%s: %s did not end in time and is killed", child_role_program(child->role),
			    child->object);
		child_process_kill(child);
	}
}

int vm_end_new(struct vm *vm)
{
	vm->stop_timer = loop_watch_timer(vm->loop, vm_stop_timer, vm);
	vm->drain_timer = loop_watch_timer(vm->loop, vm_drain_timer, vm);
	vm->cause_timer = loop_watch_timer(vm->loop, vm_fail_cause, vm);
	return vm->stop_timer == NULL || vm->drain_timer == NULL || vm->cause_timer == NULL ? -ENOMEM : 0;
}

void vm_end_free(struct vm *vm)
{
	loop_unwatch(vm->stop_timer);
	loop_unwatch(vm->drain_timer);
	loop_unwatch(vm->cause_timer);
	vm->stop_timer = vm->drain_timer = vm->cause_timer = NULL;
	free(vm->cause);
	vm->cause = NULL;
}
