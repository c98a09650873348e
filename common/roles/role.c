/* The roles of processes; see role.h. */
#include "common/roles/role.h"

static const struct {
	const char *name;
	const char *program;
} roles[] = {
	[CHILD_ROLE_CORE] = {"core", "atoll-core"},
	[CHILD_ROLE_BLK] = {"blk", "atoll-blk"},
	[CHILD_ROLE_NET] = {"net", "atoll-net"},
	[CHILD_ROLE_CONSOLE] = {"console", "atoll-console"},
	[CHILD_ROLE_UNDERTAKER] = {"undertaker", "atoll-undertaker"},
};

const char *child_role_name(enum child_role role)
{
	return roles[role].name;
}

const char *child_role_program(enum child_role role)
{
	return roles[role].program;
}
