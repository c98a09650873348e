/*
 * What is written: the table that an audit holds a running VM against.
 */
#ifndef ATOLL_AUDIT_AUDIT_EXPECT_H
#define ATOLL_AUDIT_AUDIT_EXPECT_H

#include "audit/audit.h"

/* A kind of thread, and the filters it wears. */
struct audit_thread_rule {
	const char *name; /* "main": the first thread; "vcpu": all whose name is that and a number */
	const char *filters
		[2]; /* ours, the last installed first; NULL: no more. What its parent wore is below. */
	const char *own_fd; /* what the descriptor in slot OWN_FD is, in front of the thread's number */
	bool alike;	    /* any number of threads of just this name */
};

struct audit_fd_rule {
	enum audit_fd_kind kind;
	unsigned least, most;
};

struct audit_limit_rule {
	unsigned limit; /* RLIMIT_... */
	uint64_t most;	/* soft and hard */
};
/* Any limit, as it depends on the VM. */
#define AUDIT_LIMITED (UINT64_MAX - 1)

#define AUDIT_MANY 100000

struct audit_rule {
	const char *role;
	struct audit_thread_rule threads[4]; /* ended by a NULL name */
	uint64_t capabilities;		     /* that may be in any set */
	uint64_t bounding;		     /* and in the bounding set, of root; others cannot change it */
	unsigned
		own_namespaces; /* a bit for each enum proc_namespace that is its own; others are its parent's */
	bool jailed;		/* an empty root; a user of its own, if its parent is root */
	bool child;		/* of the supervisor; no children */
	bool restricted;	/* it wears Landlock, but has a root with files */
	const struct audit_fd_rule *fds[3];	  /* lists, each ended by most 0; NULL: no more */
	const struct audit_limit_rule *limits[2]; /* lists, each ended by PROC_LIMITS_COUNT */
};

/* "vcpu12" for "vcpu": the number behind it, or NULL. */
const char *audit_name_number(const char *name, const char *kind);

/* The rule of a thread: of the first of its process, and of others by their name; NULL: there is none. */
const struct audit_thread_rule *audit_rule_of_thread(const struct audit_rule *rule, const char *name,
						     bool first);

/* The row of a role, or NULL. */
const struct audit_rule *audit_rule_find(const char *role);
/* All filters that were compiled with this program; ended by NULL. */
const struct seccomp_filter *const *audit_filters(void);

/* The user id of a jailed child whose parent is root. */
uint32_t audit_jail_user(pid_t pid);

#endif
