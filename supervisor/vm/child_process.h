/*
 * One process of the VM, as the supervisor sees it: its life, its control wire, what it writes to its standard
 * output and error, its last words.
 *
 * The process may be in the guest's hands, so nothing that it sends is trusted: a message that it may not
 * send, or not now, gets it killed; records beyond a rate are dropped and counted; nothing sent to it ever
 * waits.
 */
#ifndef ATOLL_SUPERVISOR_VM_CHILD_PROCESS_H
#define ATOLL_SUPERVISOR_VM_CHILD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/roles/role.h"
#include "supervisor/vm/child_output.h"
#include "supervisor/vm/spawn.h"

struct starter;

enum child_state {
	CHILD_STARTING,
	CHILD_RUNNING,	/* said that it is ready */
	CHILD_STOPPING, /* was ordered to shut down */
	CHILD_DEAD,
};

struct child_process;

struct child_process_ops {
	void (*ready)(void *owner, struct child_process *child);
	/* From the core only, once. */
	void (*guest_event)(void *owner, struct child_process *child,
			    const Atoll__Control__GuestEvent *event);
	/* It answered the request with this serial; child->counters are new. */
	void (*statistics)(void *owner, struct child_process *child, uint64_t serial);
	/* It records what it calls; the listener is the owner's. NULL: nobody wants to know. */
	void (*recording)(void *owner, struct child_process *child, int listener_fd);
	/* From the core only, about one device's wire. False if that cannot be: then the core is killed. */
	bool (*device_state)(void *owner, struct child_process *child, uint64_t serial,
			     const Atoll__Control__DeviceState *state);
	/* False if nothing was asked: then it is killed. */
	bool (*heartbeat_reply)(void *owner, struct child_process *child, uint64_t serial,
				const Atoll__Control__HeartbeatReply *reply);
	/* Its file has reached its bound. False if that cannot be, or not now: then it is killed. */
	bool (*console_full)(void *owner, struct child_process *child);
	/* It is reaped; everything that it had sent was taken. */
	void (*died)(void *owner, struct child_process *child);
};

#define COUNTER_NAME_SIZE 48

struct child_counter {
	char name[COUNTER_NAME_SIZE];
	uint64_t value;
};

struct child_process {
	TAILQ_ENTRY(child_process) link;
	struct loop *loop;
	const struct child_process_ops *ops;
	void *owner;

	enum child_role role;
	char id[32];	  /* of its device, "" for the core */
	char object[128]; /* "web/root" */
	enum child_state state;
	pid_t pid;
	int pidfd, control_fd;
	int wait_code, wait_status; /* of waitid(2), once dead */
	const char *broken;	    /* why it was killed by us, or NULL */
	char broken_text[256];
	bool told_event;
	bool no_sandbox;
	bool killed; /* by us */

	char last_text[LOG_TEXT_MAX]; /* of its last log record */
	/* The system call that its filter did not allow, as it told: "main called openat(...), ...". */
	char violation[512];
	/* What that means when it came before "ready": policy and C library do not fit. */
	char misfit[256];
	bool was_ready;
	uint64_t statistics_serial; /* of the request that it has not answered; 0: none */
	/* The bucket that its records draw from. */
	unsigned log_tokens;
	uint64_t log_refilled_us;
	unsigned log_dropped;

	struct child_counter *counters; /* as last told */
	size_t counter_count;

	struct child_output output;

	struct loop_watch *control_watch, *pid_watch, *output_watch;
	struct loop_watch *output_timer; /* output held back */
	struct loop_watch *timer; /* a control wire held back, or one that closed before its process ended */
};

TAILQ_HEAD(child_list, child_process);

/*
 * Has the starter start the program of a role, under the limits if it has a sandbox. control_fd, the supervisor's end, is non-blocking and the child's from here
 * on. Returns 0, or -errno with *problem.
 */
int child_process_start(struct loop *loop, struct starter *starter, enum child_role role, const char *vm,
			const char *id, bool no_sandbox, const struct spawn_limits *limits,
			const struct child_process_ops *ops, void *owner, struct child_process **child,
			struct spawn_problem *problem);
/* Frees a dead one; or kills it. */
void child_process_free(struct child_process *child);

/* Sends; a failure is logged. 0 or -errno. */
int child_process_send(struct child_process *child, Atoll__Control__Envelope *envelope, const int *fds,
		       size_t fd_count);
/* Orders it to shut down, or kills it if the order cannot be given. */
void child_process_shut_down(struct child_process *child);
void child_process_kill(struct child_process *child);
/* Kills it for what it did; why is what will be told of its end, if nothing ended it before. */
void child_process_break(struct child_process *child, const char *why);

/* "starting" */
const char *child_state_name(enum child_state state);
/* The signal that ended it, also in a pid namespace of its own; 0: none did. */
int child_process_signal(const struct child_process *child);
/* A filter ended it, as far as can be known from outside. */
bool child_process_violated(const struct child_process *child);
/* Such an end before it was ready: its policy and its C library do not fit, and a successor would fare no better. */
bool child_process_misfits(const struct child_process *child);
/*
 * Asks for its counters; ops->statistics comes with the serial, which is not 0. 0, -EBUSY while it owes an earlier
 * answer, or another -errno.
 */
int child_process_ask_statistics(struct child_process *child, uint64_t serial);
/* It is dead, though perhaps not reaped yet. */
bool child_process_has_ended(const struct child_process *child);
/* How it ended: "ended with status 1", "was killed by signal 9 (Killed)", into text. */
void child_process_describe_end(const struct child_process *child, char *text, size_t size);
/* And why: what its filter did not allow, or its last words. As an operator reads it behind the program's name. */
void child_process_tell_end(const struct child_process *child, char *text, size_t size);

#endif
