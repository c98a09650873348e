/*
 * The roles that processes of a VM have: one table, a row a role, of what a device is and what its process may do. From it the core,
 * the supervisor, the config, the audit and the tests take what they need; whoever adds a device adds its row, and what the row
 * cannot say is in the device's own folder.
 */
#ifndef ATOLL_COMMON_ROLES_ROLE_H
#define ATOLL_COMMON_ROLES_ROLE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/roles/device_type.h"
#include "common/roles/fd_kind.h"

/* A place in the table. */
enum child_role {
	CHILD_ROLE_CORE,
	CHILD_ROLE_BLK,
	CHILD_ROLE_NET,
	CHILD_ROLE_CONSOLE,
	CHILD_ROLE_UNDERTAKER,
	/* From here on: devices that need nothing of the host's, and have nothing to be chosen but whether they are there. */
	CHILD_ROLE_SIMPLE,
};
/* Of these there is room for so many. */
#define CHILD_ROLE_SIMPLES_MAX 8
#define CHILD_ROLES_MAX	       (CHILD_ROLE_SIMPLE + CHILD_ROLE_SIMPLES_MAX)

/* A kind of thread, and the filters it wears. */
struct role_thread {
	const char *name; /* "main": the first thread; "vcpu": all whose name is that and a number */
	const char *filters
		[2]; /* ours, the last installed first; NULL: no more. What its parent wore is below. */
	const char *own_fd; /* what the descriptor in slot OWN_FD is, in front of the thread's number */
	bool alike;	    /* any number of threads of just this name */
};

/* Of one kind it has at least and at most so many. most 0: the end of a list. */
struct role_fd {
	enum fd_kind kind;
	unsigned least, most;
};
#define ROLE_FD_MANY 100000

#define ROLE_THREADS_MAX 4
#define ROLE_FDS_MAX	 8

struct role {
	const char *name;    /* "blk": as `atoll list` and the audit name it, and its policies' names begin */
	const char *program; /* "atoll-blk"; its manual page is atoll-blk(8) */
	const char *config_list; /* "disks": the key below which its devices stand; NULL: they have none */
	struct device_type type; /* as a virtio device; virtio_id 0: it is none, or each time another */
	bool has_state;	      /* its processes leave a state page to each other (common/ring/state_page.h) */
	bool has_tasks;	      /* it starts threads; for others the kernel starts none */
	unsigned descriptors; /* that it can have open, at most (RLIMIT_NOFILE) */
	struct role_thread threads[ROLE_THREADS_MAX]; /* ended by a NULL name */
	/* What it holds beside what every child has, and every device. */
	struct role_fd fds[ROLE_FDS_MAX];
};

/* The row. */
const struct role *role_of(enum child_role role);
/* The row of a name, or NULL. */
const struct role *role_named(const char *name);
/* How many roles there are. */
unsigned role_count(void);
/* The place in the table of a row. */
enum child_role role_place(const struct role *role);

/* "blk" */
const char *child_role_name(enum child_role role);
/* "atoll-blk" */
const char *child_role_program(enum child_role role);

#endif
