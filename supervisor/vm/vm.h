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

#include "supervisor/vm/vm_end.h"
#include "supervisor/vm/vm_orders.h"
#include "supervisor/vm/vm_parts.h"
#include "supervisor/vm/vm_query.h"

/* Makes one; all that it is given outlives it. 0 or -ENOMEM. */
int vm_init(struct vm *vm, struct loop *loop, const struct config *config, struct resources *resources,
	    const struct vm_ops *ops, void *owner);
/* Starts it. What goes wrong is reported, and leads to ops->ended. */
void vm_launch(struct vm *vm);
void vm_release(struct vm *vm);

#endif
