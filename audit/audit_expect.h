/*
 * What is written: the table that an audit holds a running VM against.
 */
#ifndef ATOLL_AUDIT_AUDIT_EXPECT_H
#define ATOLL_AUDIT_AUDIT_EXPECT_H

#include "audit/audit.h"
#include "common/roles/role.h"

struct audit_limit_rule {
	unsigned limit; /* RLIMIT_... */
	uint64_t most;	/* soft and hard */
};
/* Any limit, as it depends on the VM. */
#define AUDIT_LIMITED (UINT64_MAX - 1)

#define AUDIT_LIMITS_MAX 8

struct audit_rule {
	const char *role;
	const struct role_thread *threads; /* ended by a NULL name */
	uint64_t capabilities;		   /* that may be in any set */
	uint64_t bounding;		   /* and in the bounding set, of root; others cannot change it */
	bool child;			   /* of the supervisor; no children */
	bool jailed;			   /* and an empty root; a user of its own, if its parent is root */
	unsigned own_namespaces;	   /* a bit for each enum proc_namespace; others are its parent's */
	bool restricted;		   /* it wears Landlock, but has a root with files */
	const struct role_fd *fds[3];	   /* lists, each ended by most 0; NULL: no more */
	struct audit_limit_rule limits[AUDIT_LIMITS_MAX];
	size_t limit_count;
};

/* "vcpu12" for "vcpu": the number behind it, or NULL. */
const char *audit_name_number(const char *name, const char *kind);

/* The rule of a thread: of the first of its process, and of others by their name; NULL: there is none. */
const struct role_thread *audit_rule_of_thread(const struct audit_rule *rule, const char *name, bool first);

/* The row of a role, or NULL. */
const struct audit_rule *audit_rule_find(const char *role);
/* All filters that were compiled with this program; ended by NULL. */
const struct seccomp_filter *const *audit_filters(void);

/* The user id of a jailed child whose parent is root. */
uint32_t audit_jail_user(pid_t pid);

#endif
