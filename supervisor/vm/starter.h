/*
 * The starter: the one process of a VM that can make others.
 *
 * Who gives a child a user of its own needs capabilities for that, and who wears Landlock can make no child whose root
 * is empty, for mount(2) is refused in all namespaces below. So that the supervisor, which listens to what a guest may have
 * taken over, needs neither the ones nor the lack of the other, it forks a starter before it hears anything from anybody.
 * The starter keeps those capabilities, has one wire, to the supervisor, and reads nothing else. What it makes are the
 * supervisor's children, and not its own (CLONE_PARENT): pidfds, waitid(2), signals at the parent's end are as if that
 * had forked.
 *
 * It starts what is in a table that it was given when it was forked, programs of the family for this VM's devices, and
 * nothing else; whether one gets a sandbox stands there, too, and is not the supervisor's to say any more. Requests and
 * answers have one size; a request of another size, for what is not in the table, or with other descriptors than belong to
 * it, is refused. It ends with its wire, and with the supervisor.
 *
 * The supervisor waits for an answer for a bounded time. A starter that has ended, or does not answer, is not replaced, since
 * nobody is left who could: the log says so once; the VM goes on, and a device whose process ends then is failed.
 *
 * One thread.
 */
#ifndef ATOLL_SUPERVISOR_VM_STARTER_H
#define ATOLL_SUPERVISOR_VM_STARTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/loop.h"
#include "common/roles/role.h"
#include "supervisor/vm/spawn.h"

/* --- What may be started --- */

struct starter_entry {
	enum child_role role;
	char id[32]; /* of its device, "" for the core */
	char title[192];
	bool sandbox;
	bool limited; /* it has a cgroup */
};

struct starter_table {
	struct starter_entry *entries;
	size_t count;
};

/* 0 or -ENOMEM. vm: the VM's name. */
int starter_table_add(struct starter_table *table, enum child_role role, const char *vm, const char *id,
		      bool sandbox, bool limited);
void starter_table_clear(struct starter_table *table);

/* --- The wire --- */

#define STARTER_STEP_MAX   96
#define STARTER_REMEDY_MAX 384
/* Control wire, output, cgroup. */
#define STARTER_FDS_MAX 3

enum starter_request_kind {
	/* Start entry `index`; descriptors: the control wire, the output, and for one that is limited its cgroup. The
	 * answer brings a pidfd. */
	STARTER_START = 1,
	/* Whether process `pid` is stopped: error is 1 then, else 0. */
	STARTER_LOOK = 2,
};

struct starter_request {
	uint32_t kind;
	uint32_t index;
	uint64_t memory, file; /* struct spawn_limits */
	int32_t pid;
	uint32_t zero;
};

struct starter_reply {
	int32_t error; /* -errno, or what the kind of request says */
	int32_t pid;
	uint32_t host; /* struct spawn_problem */
	uint32_t lost_count;
	int32_t lost[JAIL_FORK_TRIES]; /* the supervisor's to reap */
	char step[STARTER_STEP_MAX], remedy[STARTER_REMEDY_MAX];
};

/*
 * What the starter does with one request. fds stay the caller's. *pidfd: for the reply, or -1. Does not fail: a request
 * that is none is answered with -EPROTO, and why.
 */
void starter_answer(const struct starter_table *table, const void *request, size_t size, const int *fds,
		    size_t fd_count, struct starter_reply *reply, int *pidfd);

/* --- The supervisor's side --- */

struct starter;

/*
 * Forks it, while there is one thread, and waits until it has sealed itself: seal() is called in it and returns 0 or
 * -errno (reported). title: for ps(1). The table is copied. 0 or -errno; not NULL then.
 */
int starter_fork(const struct starter_table *table, const char *title, int (*seal)(void),
		 struct starter **starter);
/* Tells of its end. 0 or -ENOMEM. */
int starter_watch(struct starter *starter, struct loop *loop);
/* Lets it end, and reaps it. NULL: nothing. */
void starter_free(struct starter *starter);

/* 0: it has ended. */
pid_t starter_pid(const struct starter *starter);

/*
 * Starts the program of a role for the device (id), as spawn_program() does. The descriptors stay the caller's. 0, or -errno
 * with *problem, whose texts are good until the next call; -EPIPE when there is no starter any more.
 */
int starter_start(struct starter *starter, enum child_role role, const char *id,
		  const struct spawn_limits *limits, int control_fd, int output_fd, pid_t *pid, int *pidfd,
		  struct spawn_problem *problem);

/* process_is_stopped() of heartbeat.h, which needs a look into /proc. False without a starter. */
bool starter_process_is_stopped(struct starter *starter, pid_t pid);

#endif
