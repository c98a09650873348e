/*
 * One VM's life. Everything happens in callbacks of the loop; vm_end() is the one way into STOPPING, and
 * vm_settle() the one way out of it.
 */
#include "supervisor/vm/vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/report.h"
#include "common/host/tap.h"
#include "common/jail/jail.h"
#include "supervisor/host/record.h"
#include "supervisor/vm/restart.h"
#include "supervisor/vm/vm_configure.h"
#include "supervisor/vm/vm_device.h"
#include "supervisor/vm/vm_memory.h"

#define SECOND UINT64_C(1000000)

/* From its start to "ready". */
#define READY_TIMEOUT_US (30 * SECOND)
/* To write back what a guest was told is written may take a slow disk this long. */
#define STOP_TIMEOUT_US (10 * SECOND)
/* Who kills does not want to wait. */
#define KILL_TIMEOUT_US (2 * SECOND)
/* With a core that is gone the whole VM is, within a second; less what is waited for before. */
#define CORE_GONE_TIMEOUT_US (SECOND * 7 / 10)
/* For a stdout that nobody reads, once all processes have ended. */
#define DRAIN_TIMEOUT_US (5 * SECOND)
/* A guest that ran for so long has not reset "again soon". */
#define RESET_QUIET_US (10 * SECOND)
/* The first pause of one that has. */
#define RESET_BACKOFF_US (SECOND / 10)
/* One process's death makes others fail; their complaint may be here before the death is. */
#define CAUSE_US (SECOND / 10)

/* How likely a thing is the cause of everything else that goes wrong in the same moment. */
enum cause_weight {
	CAUSE_QUIET_END = 1, /* a process ended with status 0, unasked: its wire ended */
	CAUSE_COMPLAINT,     /* the core says that the machine failed */
	CAUSE_CORE_FAILED,   /* the core ended with an error, perhaps a device's */
	CAUSE_DEVICE_FAILED,
	CAUSE_KILLED, /* by a signal: nobody else's fault */
};

static void vm_settle(struct vm *vm);

const char *vm_state_name(const struct vm *vm)
{
	static const char *const names[] = {"starting", "running", "held", "stopping"};

	if (vm->state == VM_STOPPING && vm->relaunch)
		return "restarting";
	return vm->state == VM_RUNNING && vm->paused ? "paused" : names[vm->state];
}

uint64_t vm_uptime(const struct vm *vm)
{
	return vm->started_us != 0 ? clock_us(CLOCK_BOOTTIME) - vm->started_us : 0;
}

/* --- the end --- */

/* Notes why it ends; the first who wants the end has the word. */
static void __attribute__((format(printf, 2, 3))) vm_ends_for(struct vm *vm, const char *format, ...)
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
	loop_timer_arm(vm->stop_timer, timeout_us);
}

/*
 * Every process is to end. exit_status is what the run ends with if it is not started anew; the first caller
 * decides both, except that nothing is started anew once somebody wanted the end.
 */
static void vm_end(struct vm *vm, int exit_status, bool relaunch, uint64_t timeout_us)
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

/* The VM cannot go on; the first such message is the cause, later ones follow from it. */
static void __attribute__((format(printf, 2, 3))) vm_fail(struct vm *vm, const char *format, ...)
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

/* The VM cannot go on; why is told when everything that went wrong at the same time is known. */
static void __attribute__((format(printf, 3, 4)))
vm_suspect(struct vm *vm, enum cause_weight weight, const char *format, ...)
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

static void vm_free_processes(struct vm *vm)
{
	struct child_process *child;

	while ((child = TAILQ_FIRST(&vm->children)) != NULL) {
		TAILQ_REMOVE(&vm->children, child, link);
		child_process_free(child);
	}
}

/* Goes on from STOPPING when nothing of the run is left. */
static void vm_settle(struct vm *vm)
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
		if (!vm->draining) {
			vm->draining = true;
			vm->stop_us = 0;
			vm_stop_within(vm, vm->hurried ? KILL_TIMEOUT_US : DRAIN_TIMEOUT_US);
		}
		return;
	}
	loop_timer_disarm(vm->stop_timer);
	if (vm->relaunch) {
		uint64_t now_us = clock_us(CLOCK_MONOTONIC);

		/* Not from here: a process that has just died is still in its callback. */
		loop_timer_arm(vm->ready_timer, vm->relaunch_us > now_us ? vm->relaunch_us - now_us : 0);
		return;
	}
	vm->over = true;
	vm->ops->ended(vm->owner, vm->exit_status);
}

void vm_console_drained(struct vm *vm)
{
	vm_settle(vm);
}

static void vm_stop_timer(void *argument)
{
	struct vm *vm = argument;
	struct child_process *child;

	if (!vm_processes_left(vm)) {
		log_warning("nobody reads standard output: the end of the console is lost");
		relay_free(vm->relay);
		vm->relay = NULL;
		vm->relaunch = false;
		vm_settle(vm);
		return;
	}
	TAILQ_FOREACH (child, &vm->children, link) {
		if (child->state == CHILD_DEAD)
			continue;
		log_warning("%s: %s did not end in time and is killed", child_role_program(child->role),
			    child->object);
		child_process_kill(child);
	}
}

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
	(void)child;
	return vm_device_told(owner, serial, state);
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
	return vm_device_file_full(vm_device_of(owner, child), child);
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
	loop_timer_arm(vm->ready_timer, READY_TIMEOUT_US);
	/* What went wrong has been reported. */
	if (vm_start_processes(vm) < 0) {
		/* Those that were started wait for words that will not come. */
		TAILQ_FOREACH (child, &vm->children, link)
			child_process_kill(child);
		vm_ends_for(vm, "its processes could not be started");
		vm_end(vm, vm->host_lacks ? EXIT_STATUS_HOST : EXIT_STATUS_FAILED, false, KILL_TIMEOUT_US);
	}
}

static void vm_ready_timer(void *argument)
{
	struct vm *vm = argument;
	struct child_process *child;

	if (vm->state == VM_STOPPING) {
		/* Armed by vm_settle(); somebody may have wanted the end since. */
		if (vm->relaunch)
			vm_launch(vm);
		else
			vm_settle(vm);
		return;
	}
	TAILQ_FOREACH (child, &vm->children, link)
		if (child->state == CHILD_STARTING)
			break;
	if (child == NULL)
		return;
	vm_fail(vm, "%s: %s was not ready after %d seconds; %s%s", child_role_program(child->role),
		child->object, (int)(READY_TIMEOUT_US / SECOND),
		child->last_text[0] != '\0' ? "it last said: " : "run with -vv for more", child->last_text);
}

static void vm_power_timer(void *argument)
{
	vm_kill(argument, EXIT_STATUS_FAILED, "the guest did not power off in time");
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
	vm->stop_timer = loop_watch_timer(loop, vm_stop_timer, vm);
	vm->power_timer = loop_watch_timer(loop, vm_power_timer, vm);
	vm->cause_timer = loop_watch_timer(loop, vm_fail_cause, vm);
	if (vm_devices_new(vm) < 0 || vm->cause_timer == NULL || vm->ready_timer == NULL ||
	    vm->stop_timer == NULL || vm->power_timer == NULL) {
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
	loop_unwatch(vm->stop_timer);
	loop_unwatch(vm->power_timer);
	loop_unwatch(vm->cause_timer);
	vm->ready_timer = vm->stop_timer = vm->power_timer = vm->cause_timer = NULL;
	free(vm->cause);
	vm->cause = NULL;
}

/* --- orders --- */

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
	struct child_process *child;

	vm->columns = columns;
	vm->rows = rows;
	resize.columns = columns;
	resize.rows = rows;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_RESIZE;
	envelope.console_resize = &resize;
	TAILQ_FOREACH (child, &vm->children, link) {
		if (child->role != CHILD_ROLE_CONSOLE || child->state == CHILD_DEAD)
			continue;
		/* A UART has no size. */
		if (vm->config->consoles[child->index].output == CONFIG_OUTPUT_STDIO &&
		    vm->config->consoles[child->index].type == CONFIG_CONSOLE_VIRTIO)
			child_process_send(child, &envelope, NULL, 0);
	}
}

/* A tap that is down may be one that was deleted. */
static void vm_look_for_tap(const struct vm *vm, unsigned index)
{
	const struct config_network *network = &vm->config->networks[index];
	struct network_resource *resource = &vm->resources->networks[index];

	if (resource->gone || !tap_gone(resource->fd))
		return;
	resource->gone = true;
	log_warning(
		"%s/%s has lost its tap %s, which was deleted; make it again, and then: atoll restart %s %s",
		vm->config->name, network->id, network->tap, vm->config->name, network->id);
}

void vm_link_changed(struct vm *vm, unsigned interface_index, bool up)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__LinkState link = ATOLL__CONTROL__LINK_STATE__INIT;
	struct child_process *child;

	link.up = up;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_LINK_STATE;
	envelope.link_state = &link;
	for (unsigned i = 0; i < vm->resources->network_count; i++) {
		struct network_resource *network = &vm->resources->networks[i];

		if (network->interface_index != interface_index)
			continue;
		if (!up)
			vm_look_for_tap(vm, i);
		if (network->link_up == up)
			continue;
		network->link_up = up;
		log_info("the tap of network %s is %s", vm->config->networks[i].id, up ? "up" : "down");
		TAILQ_FOREACH (child, &vm->children, link)
			if (child->role == CHILD_ROLE_NET && child->index == i)
				child_process_send(child, &envelope, NULL, 0);
	}
}

unsigned vm_request_statistics(struct vm *vm, uint64_t *serial)
{
	struct child_process *child;
	unsigned asked = 0;

	*serial = ++vm->serial;
	TAILQ_FOREACH (child, &vm->children, link)
		if (child->state == CHILD_RUNNING && child_process_ask_statistics(child, *serial) == 0)
			asked++;
	return asked;
}
