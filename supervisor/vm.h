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
#ifndef ATOLL_SUPERVISOR_VM_H
#define ATOLL_SUPERVISOR_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "supervisor/child_process.h"
#include "supervisor/config.h"
#include "supervisor/relay.h"
#include "supervisor/resources.h"
#include "supervisor/vm_device.h"

enum vm_state {
	VM_STARTING,
	VM_RUNNING,
	VM_HELD,
	VM_STOPPING,
};

/* Of commands that wait, and of those that did not. */
#define VM_PAUSES_MAX 32

struct vm;
struct cgroups;
struct record;
struct starter;
struct starter_table;

struct vm_ops {
	/* All are ready and the vCPUs were started, for the first time. */
	void (*running)(void *owner);
	/* Nothing of it is left; exit_status is what `run` ends with. */
	void (*ended)(void *owner, int exit_status);
	/* A process told its counters. */
	void (*statistics)(void *owner, uint64_t serial);
	/* What vm_restart_device() or vm_pause() gave this ticket for is done; error: "", or one line. */
	void (*answered)(void *owner, uint64_t ticket, const char *error);
};

struct vm {
	struct loop *loop;
	const struct config *config;
	struct resources *resources;
	struct relay *relay; /* NULL: no console on stdio */
	const struct vm_ops *ops;
	void *owner;

	enum vm_state state;
	uint64_t started_us;	    /* CLOCK_BOOTTIME, which nobody can set */
	uint64_t ran_us;	    /* when the vCPUs of this run were started; 0: not yet */
	uint64_t relaunch_us;	    /* when the next run may start */
	uint64_t reset_pause_us;    /* before the next one that the guest asks for */
	uint64_t stop_us;	    /* when stop_timer fires, in STOPPING */
	bool draining;		    /* STOPPING waits for nothing but the relay */
	bool hurried;		    /* by vm_kill() */
	struct child_list children; /* the core is the first */
	struct vm_device *devices;
	unsigned device_count;
	const struct child_process_ops *child_ops;
	uint64_t serial; /* of the last message that is answered, or ticket */
	/* Orders to pause or to go on that the core has not answered: their tickets. 0: none. */
	uint64_t pause_tickets[VM_PAUSES_MAX];
	bool paused;
	uint64_t beat_us; /* of the last heartbeats */
	struct loop_watch *beat_timer;
	/* The console's end of the stream to the relay: bytes on their way to a process that dies are its
	 * successor's. -1: none. */
	int console_fd;
	unsigned columns, rows; /* of the terminal on stdio */
	/* Processes without their sandbox: ids, "core", or NULL for all. The owner's. */
	const char *const *no_sandbox;
	size_t no_sandbox_count;
	const struct cgroups *cgroups; /* NULL: there are no limits. The owner's. */
	struct starter *starter;       /* of all its processes. The owner's. */
	struct record *record;	       /* NULL: nothing is recorded. The owner's. */

	int exit_status;
	char why[256]; /* it ends, in a line; "": nothing was said */
	bool relaunch, was_running, over;
	bool host_lacks; /* a process could not be started, for something that the host lacks */
	/* Something went wrong: the likeliest cause so far, while others may still show. */
	char *cause;
	unsigned cause_weight;
	struct loop_watch *cause_timer;
	struct loop_watch *ready_timer; /* a process that never gets ready */
	struct loop_watch *stop_timer;	/* one that never ends; then a stdout that nobody reads */
	struct loop_watch *power_timer; /* a guest that does not heed its power button */
};

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

/* CLOCK_MONOTONIC, in microseconds. */
uint64_t vm_now(void);

/* --- vm_configure.c --- */

/* All that may be started for it, now or later. 0 or -ENOMEM. */
int vm_starter_table(const struct vm *vm, struct starter_table *table);

/* Starts every process and sends each its configuration and descriptors. 0, or -errno after having reported
 * why. */
int vm_start_processes(struct vm *vm);

/* Starts a process in the place of the device's dead one, and tells it and the core of each other. 0, or -errno
 * after having reported why; device->child is the new one if it could be started. */
int vm_start_device(struct vm *vm, struct vm_device *device);
/* The same with an undertaker, in the place of a dead one if there is one; device->undertaker is the new one if it could
 * be started, else NULL. */
int vm_start_undertaker(struct vm *vm, struct vm_device *device);

#endif
