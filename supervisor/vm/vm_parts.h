/*
 * What a VM consists of: for vm.c, which leads its life, vm_device.c, which leads that of a device, and vm_configure.c, which starts
 * processes. Others see vm.h.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_PARTS_H
#define ATOLL_SUPERVISOR_VM_VM_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "config/config.h"
#include "supervisor/host/relay.h"
#include "supervisor/host/resources.h"
#include "supervisor/vm/child_process.h"
#include "supervisor/vm/heartbeat.h"
#include "supervisor/vm/restart.h"

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

/* Of one device; vm_device.h tells what they mean. */
enum vm_device_state {
	DEVICE_STARTING,
	DEVICE_RUNNING,
	DEVICE_DRAINING,
	DEVICE_WAITING,
	DEVICE_SUCCEEDING,
	DEVICE_HELD,
	DEVICE_FAILED,
};

struct vm_device {
	struct vm *vm;
	enum child_role role;
	unsigned index; /* of its kind in the config */
	const char *id;
	uint16_t virtio_id; /* 0: a 16550A */
	unsigned queues;

	enum vm_device_state state;
	struct child_process *child;	  /* the last one; dead in WAITING, HELD and FAILED */
	struct child_process *undertaker; /* of FAILED, and of DRAINING from there; may be dead; NULL: none */
	struct restart undertaker_restart; /* its own: a device's is spent */
	uint64_t wire;			   /* serial of the AttachDevice that brought the core its end */
	bool wire_ended;		   /* so the core said */
	bool core_serves;
	struct restart restart;
	enum config_on_violation on_violation;
	struct heartbeat heartbeat;
	/* What DRAINING, WAITING or SUCCEEDING waits for is not for ever; nor is an end after the wire's. */
	struct loop_watch *timer;
	uint64_t serving_us; /* since when it served */
	uint64_t ended_us;   /* when the process before ended, or was ordered to */
	unsigned restarts;
	uint64_t ticket;	    /* of the commands that wait for the successor; 0: none */
	char trouble[LOG_TEXT_MAX]; /* the reason for the last restart, or failure */

	/* A console's file (console_file.h) has reached its bound, and another is asked for. */
	bool file_asked;
	bool file_told;		  /* that there was none */
	uint64_t file_due_us;	  /* what was given so far is given by then */
	uint64_t file_refused_us; /* when there was none; 0: it was not so */
	struct loop_watch *file_timer;
};

/* What its devices ask of the VM. */
struct vm_device_ops {
	/* vm_pause(). */
	uint64_t (*pause)(struct vm *vm, bool paused, const char **why);
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
	const struct vm_device_ops *device_ops;
	uint64_t serial; /* of the last message that is answered, or ticket */
	/* Orders to pause or to go on that the core has not answered: their tickets. 0: none. */
	uint64_t pause_tickets[VM_PAUSES_MAX];
	bool paused;
	uint64_t beat_us; /* of the last heartbeats */
	struct loop_watch *beat_timer;
	/* The console's end of the stream to the relay: bytes on their way to a process that dies are its
	 * successor's. -1: none. */
	int console_fd;
	int memory_fd;		/* the guest's memory (vm_memory.h) of this run; -1: none */
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

#endif
