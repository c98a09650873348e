/*
 * One VM's life: its processes are started, configured, watched and ended together.
 *
 *   STARTING  every process has been started and configured; each prepares and says that it is ready
 *   RUNNING   all are ready; the core has the order to start
 *   HELD      the guest panicked with on-panic: hold; processes stay until stop or kill
 *   STOPPING  every process has the order to shut down; what does not end in time is killed
 *
 * From STOPPING, once all are reaped and the console's last bytes are out, the run is over or, after a reset,
 * the next one starts, with processes that are all new and the same host resources. A guest that resets again and
 * again soon after it has started is given pauses in between, as a device's process is (restart.h).
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_H
#define ATOLL_SUPERVISOR_VM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/vm/vm_parts.h"

/* Makes one; all that it is given outlives it. 0 or -ENOMEM. */
int vm_init(struct vm *vm, struct loop *loop, const struct config *config, struct resources *resources,
	    const struct vm_ops *ops, void *owner);
/* Starts it. What goes wrong is reported, and leads to ops->ended. */
void vm_launch(struct vm *vm);
void vm_release(struct vm *vm);

/* Ends it without asking the guest, and hastens an end that is under way. exit_status: what `run` ends with. */
void vm_kill(struct vm *vm, int exit_status, const char *why);
/* Presses the power button; after timeout_us (0: never) kills it. */
void vm_power_button(struct vm *vm, uint64_t timeout_us);
/* Starts it anew, whatever on-reset says. 0, or -EBUSY while it ends. */
int vm_reset(struct vm *vm);
/*
 * Stops the guest's processors, or lets them go on. Returns a ticket: when vm_ops.answered comes with it, that is
 * done. 0 with *why when it cannot be.
 */
uint64_t vm_pause(struct vm *vm, bool paused, const char **why);
/* The terminal on stdio has another size. */
void vm_console_resize(struct vm *vm, unsigned columns, unsigned rows);
/* A tap went up or down. */
void vm_link_changed(struct vm *vm, unsigned interface_index, bool up);
/* Asks every process that owes no answer for its counters; returns how many will answer, with *serial. */
unsigned vm_request_statistics(struct vm *vm, uint64_t *serial);
/* The relay has written everything of the run's console. */
void vm_console_drained(struct vm *vm);

const char *vm_state_name(const struct vm *vm);

/* Microseconds since the VM was started. */
uint64_t vm_uptime(const struct vm *vm);

#endif
