/* A console's next file; see vm_console_file.h. */
#include "supervisor/vm/vm_console_file.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/control_wire.h"
#include "supervisor/vm/vm_parts.h"

/* New files that a console is given: so many at once, and then one in so long. */
#define FILE_BURST     16
#define FILE_PERIOD_US UINT64_C(50000)

static void turn_take(struct vm_device *device)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__ConsoleFile message = ATOLL__CONTROL__CONSOLE_FILE__INIT;
	struct console_file *file = &device->resource->console.file;
	struct console_turn *turn = &device->console_turn;
	int *fd = &device->resource->fd;
	const char *problem;
	int result = console_file_rotate(file, fd, &problem);

	turn->asked = false;
	turn->refused_us = result < 0 ? clock_us(CLOCK_MONOTONIC) : 0;
	if (result < 0 && !turn->told)
		log_warning("%s/%s: its file %s has reached its max-size, and %s (%s): what the guest writes "
			    "is dropped until that can be done",
			    device->vm->config->name, device->id, file->path, problem, strerror(-result));
	turn->told = result < 0;
	message.refused = result < 0;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CONSOLE_FILE;
	envelope.console_file = &message;
	/* Its successor gets the file in its configuration. */
	if (child_process_send(device->child, &envelope, fd, result < 0 ? 0 : 1) < 0)
		child_process_kill(device->child);
}

void vm_console_turn_timer(void *argument)
{
	struct vm_device *device = argument;

	if (device->console_turn.asked && device->child->state != CHILD_DEAD)
		turn_take(device);
}

/* A guest that writes fast, and a process that says so without end, wait for the next file. */
bool vm_console_file_full(struct vm_device *device, const struct child_process *child)
{
	uint64_t now = clock_us(CLOCK_MONOTONIC), from;
	struct console_turn *turn = &device->console_turn;

	if (device->role != CHILD_ROLE_CONSOLE || child != device->child || turn->asked ||
	    (turn->refused_us != 0 && now - turn->refused_us < CONSOLE_REFUSED_US) ||
	    !console_file_is_full(&device->resource->console.file, device->resource->fd))
		return false;
	turn->asked = true;
	from = turn->due_us > now ? turn->due_us : now;
	turn->due_us = from + FILE_PERIOD_US;
	if (from <= now + FILE_BURST * FILE_PERIOD_US)
		turn_take(device);
	else
		loop_timer_arm(turn->timer, from - now - FILE_BURST * FILE_PERIOD_US);
	return true;
}

void vm_console_turn_forget(struct vm_device *device)
{
	struct console_turn *turn = &device->console_turn;

	turn->asked = turn->told = false;
	turn->refused_us = 0;
	loop_timer_disarm(turn->timer);
}
