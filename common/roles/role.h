/*
 * The roles that processes of a VM have.
 */
#ifndef ATOLL_COMMON_ROLES_ROLE_H
#define ATOLL_COMMON_ROLES_ROLE_H

enum child_role {
	CHILD_ROLE_CORE,
	CHILD_ROLE_BLK,
	CHILD_ROLE_NET,
	CHILD_ROLE_CONSOLE,
	CHILD_ROLE_UNDERTAKER,
};

/* "blk": as `atoll list` and the audit name it, and the policies of its threads begin. */
const char *child_role_name(enum child_role role);
/* "atoll-blk" */
const char *child_role_program(enum child_role role);

#endif
