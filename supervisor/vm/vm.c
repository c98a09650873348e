/*
 * One VM's life: its beginning, and what its processes tell. Everything happens in callbacks of the loop; how it ends, vm_end.c
 * has, and what it is ordered to do, vm_orders.c.
 */
#include "supervisor/vm/vm.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/report.h"
#include "common/jail/jail.h"
#include "supervisor/host/record.h"
#include "supervisor/vm/restart.h"
#include "supervisor/vm/vm_configure.h"
#include "supervisor/vm/vm_console_file.h"
#include "supervisor/vm/vm_device.h"
#include "supervisor/vm/vm_devices.h"
#include "supervisor/vm/vm_memory.h"

/* From its start to "ready". */
#define READY_TIMEOUT_S 30
/* A guest that ran for so long has not reset "again soon". */
#define RESET_QUIET_US UINT64_C(10000000)
/* The first pause of one that has. */
#define RESET_BACKOFF_US UINT64_C(100000)

/* --- what the processes tell --- */

static void vm_child_ready(void *owner, struct child_process *child)
{
	struct vm *vm = owner;
	struct child_process *other, *core = TAILQ_FIRST(&vm->children);

	log_info("%s: %s is ready", child_role_program(child->role), child->object);
	if (vm->state == VM_RUNNING)
		vm_device_ready(vm_device_of(vm, child));
	if (vm->state != VM_STARTING)
		return;
	TAILQ_FOREACH (other, &vm->children, link)
		if (other->state != CHILD_RUNNING)
			return;
	loop_timer_disarm(vm->ready_timer);
	if (control_send_order(core->control_fd, ATOLL__CONTROL__ORDER__KIND__KIND_START) < 0) {
		/* It has just died; that is told when it is reaped. */
		return;
	}
	vm->state = VM_RUNNING;
	vm->ran_us = clock_us(CLOCK_MONOTONIC);
	vm_devices_run(vm);
	log_info("all processes are ready; the guest starts");
	if (!vm->was_running) {
		vm->was_running = true;
		vm->ops->running(vm->owner);
	}
}

/* The guest's own doing starts the VM anew, with a pause if it has done so soon after its start, again and again. */
static void vm_relaunch(struct vm *vm, int exit_status, const char *what)
{
	uint64_t now_us = clock_us(CLOCK_MONOTONIC), pause_us;

	if (vm->ran_us != 0 && now_us - vm->ran_us >= RESET_QUIET_US)
		vm->reset_pause_us = 0;
	pause_us = restart_pause(&vm->reset_pause_us, RESET_BACKOFF_US);
	vm->relaunch_us = now_us + pause_us;
	if (pause_us > 0)
		log_notice("%s, soon after its start and not for the first time; the VM starts anew in %u ms",
			   what, (unsigned)(pause_us / 1000));
	else
		log_notice("%s; the VM starts anew", what);
	vm_end(vm, exit_status, true, STOP_TIMEOUT_US);
}

static void vm_guest_reset(struct vm *vm, const char *what)
{
	if (vm->config->on_reset == CONFIG_ON_RESET_RESTART) {
		vm_relaunch(vm, EXIT_STATUS_OK, what);
		return;
	}
	log_notice("%s; the VM ends (on-reset: exit)", what);
	vm_ends_for(vm, "%s (on-reset: exit)", what);
	vm_end(vm, EXIT_STATUS_OK, false, STOP_TIMEOUT_US);
}

static void vm_guest_panicked(struct vm *vm)
{
	switch (vm->config->on_panic) {
	case CONFIG_ON_PANIC_EXIT:
		report_error("%s: the guest panicked; see its console for the reason", vm->config->name);
		vm_ends_for(vm, "the guest panicked");
		vm_end(vm, EXIT_STATUS_PANIC, false, STOP_TIMEOUT_US);
		return;
	case CONFIG_ON_PANIC_RESTART:
		vm_relaunch(vm, EXIT_STATUS_PANIC, "the guest panicked (on-panic: restart)");
		return;
	case CONFIG_ON_PANIC_HOLD:
		log_notice(
			"the guest panicked; the VM is held (on-panic: hold): end it with \"atoll kill %s\"",
			vm->config->name);
		vm->state = VM_HELD;
		loop_timer_disarm(vm->power_timer);
		vm_devices_end(vm, "the guest panicked, and the VM is held");
		return;
	}
}

static void vm_guest_event(void *owner, struct child_process *child, const Atoll__Control__GuestEvent *event)
{
	struct vm *vm = owner;

	(void)child;
	if (vm->state == VM_STOPPING)
		return;
	switch (event->kind) {
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF:
		log_info("the guest powered off");
		vm_ends_for(vm, "the guest powered off");
		vm_end(vm, EXIT_STATUS_OK, false, STOP_TIMEOUT_US);
		return;
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET:
		vm_guest_reset(vm, "the guest reset the machine");
		return;
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_TRIPLE_FAULT:
		vm_guest_reset(vm, "the guest reset the machine by a triple fault");
		return;
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC:
		vm_guest_panicked(vm);
		return;
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_DEBUG_EXIT:
		if (!vm->config->debug_exit)
			break;
		log_info("the guest ended through its debug-exit port with status %u", event->status & 0xff);
		vm_ends_for(vm, "the guest ended it through its debug-exit port");
		vm_end(vm, (int)(event->status & 0xff), false, STOP_TIMEOUT_US);
		return;
	case ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE:
		vm_suspect(vm, CAUSE_COMPLAINT, "the machine failed: %s; see atoll-core's log lines above",
			   event->detail[0] != '\0' ? event->detail : "no reason was given");
		return;
	default:
		break;
	}
	vm_fail(vm, "atoll-core told of an end that there is not (%d); this is a fault of Atoll",
		(int)event->kind);
}

static void vm_child_statistics(void *owner, struct child_process *child, uint64_t serial)
{
	struct vm *vm = owner;

	/* A record wants what they come to at the end. */
	if (vm->record != NULL && vm->state == VM_STOPPING)
		for (size_t i = 0; i < child->counter_count; i++)
			record_counter(vm->record, child_role_name(child->role), child->counters[i].name,
				       child->counters[i].value);
	vm->ops->statistics(vm->owner, serial);
}

static void vm_child_recording(void *owner, struct child_process *child, int listener_fd)
{
	struct vm *vm = owner;

	/* Recording takes the place of the filters: only who asked for it may be told of it. */
	if (vm->record == NULL) {
		close(listener_fd);
		child_process_break(child, "it records, and was not asked to");
	} else if (record_follow(vm->record, child_role_name(child->role), listener_fd) < 0) {
		child_process_kill(child);
	}
}

static bool vm_device_state(void *owner, struct child_process *child, uint64_t serial,
			    const Atoll__Control__DeviceState *state)
{
	struct vm_device *device = vm_device_find(owner, state->id);

	(void)child;
	return device != NULL && vm_device_told(device, serial, state);
}

static bool vm_heartbeat_reply(void *owner, struct child_process *child, uint64_t serial,
			       const Atoll__Control__HeartbeatReply *reply)
{
	struct vm *vm = owner;
	struct vm_device *device = vm_device_of(vm, child);

	if (device != NULL)
		return heartbeat_answered(&device->heartbeat, serial, reply, clock_us(CLOCK_MONOTONIC));
	/* The core has done what it was ordered before; nothing else of what commands wait for is its to answer. */
	for (size_t i = 0; i < VM_PAUSES_MAX; i++) {
		if (serial == 0 || vm->pause_tickets[i] != serial)
			continue;
		vm->pause_tickets[i] = 0;
		vm->ops->answered(vm->owner, serial, "");
		return true;
	}
	return false;
}

static bool vm_console_full(void *owner, struct child_process *child)
{
	struct vm_device *device = vm_device_of(owner, child);

	return device != NULL && vm_console_file_full(device, child);
}

static enum cause_weight vm_death_weight(const struct child_process *child)
{
	if (child->broken != NULL || child->violation[0] != '\0' || child_process_signal(child) != 0 ||
	    child->wait_status == JAIL_EXIT_VIOLATION)
		return CAUSE_KILLED;
	if (child->wait_status == 0)
		return CAUSE_QUIET_END;
	return child->role == CHILD_ROLE_CORE ? CAUSE_CORE_FAILED : CAUSE_DEVICE_FAILED;
}

/* Whether its end is its own. When the core ends, its devices may be reaped first. */
static bool vm_death_is_device(const struct vm *vm, const struct child_process *child)
{
	return vm->state == VM_RUNNING && vm->cause_weight == 0 && child->role != CHILD_ROLE_CORE &&
	       !child_process_has_ended(TAILQ_FIRST(&vm->children));
}

static void vm_child_died(void *owner, struct child_process *child)
{
	struct vm *vm = owner;
	char how[320];

	if (vm_death_is_device(vm, child)) {
		vm_device_died(vm_device_of(vm, child), child);
		return;
	}
	child_process_describe_end(child, how, sizeof(how));
	/* A held VM's core has nothing more to do; what it had told is all that is kept of it. */
	if (vm->state == VM_HELD) {
		log_notice("%s: %s %s while the VM is held", child_role_program(child->role), child->object,
			   how);
		return;
	}
	if (vm->state != VM_STOPPING && child->violation[0] != '\0') {
		vm_suspect(vm, CAUSE_KILLED, "%s: %s: %s%s", child_role_program(child->role), child->object,
			   child->violation, child->misfit);
		return;
	}
	if (vm->state != VM_STOPPING) {
		vm_suspect(vm, vm_death_weight(child), "%s: %s %s%s: %s%s%s", child_role_program(child->role),
			   child->object, how, vm->was_running ? "" : " during start-up",
			   child->last_text[0] != '\0' ? "\"" : "",
			   child->last_text[0] != '\0' ? child->last_text : "it left no log record",
			   child->last_text[0] != '\0' ? "\"; see its log lines above"
						       : "; run with -vv for more");
		return;
	}
	/* What we killed has been told of, or was not worth a word. */
	if (!child->killed && (child->wait_code != CLD_EXITED || child->wait_status != 0))
		log_warning("%s: %s %s", child_role_program(child->role), child->object, how);
	vm_settle(vm);
}

static const struct child_process_ops vm_child_ops = {
	vm_child_ready,	 vm_guest_event,     vm_child_statistics, vm_child_recording,
	vm_device_state, vm_heartbeat_reply, vm_console_full,	  vm_child_died};

/* --- the beginning --- */

void vm_launch(struct vm *vm)
{
	struct child_process *child;

	vm_free_processes(vm);
	vm_devices_launch(vm);
	if (vm->started_us == 0)
		vm->started_us = clock_us(CLOCK_BOOTTIME);
	vm->state = VM_STARTING;
	vm->relaunch = vm->paused = vm->draining = vm->hurried = false;
	vm->ran_us = 0;
	memset(vm->pause_tickets, 0, sizeof(vm->pause_tickets));
	vm->cause_weight = 0;
	loop_timer_arm(vm->ready_timer, READY_TIMEOUT_S * UINT64_C(1000000));
	/* What went wrong has been reported. */
	if (vm_start_processes(vm) < 0) {
		/* Those that were started wait for words that will not come. */
		TAILQ_FOREACH (child, &vm->children, link)
			child_process_kill(child);
		vm_ends_for(vm, "its processes could not be started");
		vm_end(vm, vm->host_lacks ? EXIT_STATUS_HOST : EXIT_STATUS_FAILED, false, KILL_TIMEOUT_US);
	}
}

/* Armed by vm_settle(); somebody may have wanted the end since. */
static void vm_relaunch_timer(void *argument)
{
	struct vm *vm = argument;

	if (vm->relaunch)
		vm_launch(vm);
	else
		vm_settle(vm);
}

static void vm_ready_timer(void *argument)
{
	struct vm *vm = argument;
	struct child_process *child;

	TAILQ_FOREACH (child, &vm->children, link)
		if (child->state == CHILD_STARTING)
			break;
	if (child == NULL)
		return;
	vm_fail(vm, "%s: %s was not ready after %d seconds; %s%s", child_role_program(child->role),
		child->object, READY_TIMEOUT_S,
		child->last_text[0] != '\0' ? "it last said: " : "run with -vv for more", child->last_text);
}

static const struct vm_device_ops device_ops = {vm_pause};

int vm_init(struct vm *vm, struct loop *loop, const struct config *config, struct resources *resources,
	    const struct vm_ops *ops, void *owner)
{
	*vm = (struct vm){.loop = loop,
			  .config = config,
			  .resources = resources,
			  .ops = ops,
			  .owner = owner,
			  .child_ops = &vm_child_ops,
			  .device_ops = &device_ops,
			  .console_fd = -1,
			  .memory_fd = -1};
	TAILQ_INIT(&vm->children);
	vm->ready_timer = loop_watch_timer(loop, vm_ready_timer, vm);
	vm->relaunch_timer = loop_watch_timer(loop, vm_relaunch_timer, vm);
	vm->power_timer = loop_watch_timer(loop, vm_power_timer, vm);
	if (vm_devices_new(vm) < 0 || vm_end_new(vm) < 0 || vm->ready_timer == NULL ||
	    vm->relaunch_timer == NULL || vm->power_timer == NULL) {
		vm_release(vm);
		return -ENOMEM;
	}
	return 0;
}

void vm_release(struct vm *vm)
{
	vm_free_processes(vm);
	vm_devices_free(vm);
	if (vm->console_fd >= 0)
		close(vm->console_fd);
	vm->console_fd = -1;
	vm_memory_close(&vm->memory_fd);
	loop_unwatch(vm->ready_timer);
	loop_unwatch(vm->relaunch_timer);
	loop_unwatch(vm->power_timer);
	vm->ready_timer = vm->relaunch_timer = vm->power_timer = NULL;
	vm_end_free(vm);
}
