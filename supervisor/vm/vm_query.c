/* What can be asked of a VM; see vm_query.h. */
#include "supervisor/vm/vm_query.h"

#include <time.h>

#include "common/base/clock.h"
#include "supervisor/vm/vm_parts.h"

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
