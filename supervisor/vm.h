/*
 * One VM's life: its processes are started, configured, watched and ended together.
 *
 *   STARTING  every process has been started and configured; each prepares and says that it is ready
 *   RUNNING   all are ready; the core has the order to start
 *   HELD      the guest panicked with on-panic: hold; processes stay until stop or kill
 *   STOPPING  every process has the order to shut down; what does not end in time is killed
 *
 * From STOPPING, once all are reaped and the console's last bytes are out, the run is over or, after a reset,
 * the next one starts, with processes that are all new and the same host resources.
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

enum vm_state {
	VM_STARTING,
	VM_RUNNING,
	VM_HELD,
	VM_STOPPING,
};

struct vm;
struct record;

struct vm_ops {
	/* All are ready and the vCPUs were started, for the first time. */
	void (*running)(void *owner);
	/* Nothing of it is left; exit_status is what `run` ends with. */
	void (*ended)(void *owner, int exit_status);
	/* A process told its counters. */
	void (*statistics)(void *owner, uint64_t serial);
};

struct vm {
	struct loop *loop;
	const struct config *config;
	struct resources *resources;
	struct relay *relay; /* NULL: no console on stdio */
	const struct vm_ops *ops;
	void *owner;

	enum vm_state state;
	uint64_t started_us; /* CLOCK_REALTIME */
	struct child_list children;
	unsigned columns, rows; /* of the terminal on stdio */
	/* Processes without their sandbox: ids, "core", or NULL for all. The owner's. */
	const char *const *no_sandbox;
	size_t no_sandbox_count;
	struct record *record; /* NULL: nothing is recorded. The owner's. */

	int exit_status;
	bool relaunch, was_running, over;
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

/* Ends it without asking the guest. exit_status: what `run` ends with. */
void vm_kill(struct vm *vm, int exit_status, const char *why);
/* Presses the power button; after timeout_us (0: never) kills it. */
void vm_power_button(struct vm *vm, uint64_t timeout_us);
/* Starts it anew, whatever on-reset says. 0, or -EBUSY while it ends. */
int vm_reset(struct vm *vm);
/* The terminal on stdio has another size. */
void vm_console_resize(struct vm *vm, unsigned columns, unsigned rows);
/* A tap went up or down. */
void vm_link_changed(struct vm *vm, unsigned interface_index, bool up);
/* Asks every process for its counters; returns how many will answer. */
unsigned vm_request_statistics(struct vm *vm, uint64_t serial);
/* The relay has written everything of the run's console. */
void vm_console_drained(struct vm *vm);

const char *vm_state_name(enum vm_state state);

/* --- vm_configure.c --- */

/* Starts every process and sends each its configuration and descriptors. 0, or -errno after having reported
 * why. */
int vm_start_processes(struct vm *vm, const struct child_process_ops *ops);

#endif
