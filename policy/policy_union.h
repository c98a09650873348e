/*
 * The policy of a role's whole process: the union of those of its threads.
 */
#ifndef ATOLL_POLICY_POLICY_UNION_H
#define ATOLL_POLICY_POLICY_UNION_H

#include "policy/policy.h"

/* What the names of unions end in. */
#define POLICY_PROCESS ".process"

/* As policy_load_any(), for a name that ends in POLICY_PROCESS. */
int policy_union(struct policy *whole, const char *directory, const char *name,
		 struct policy_problems *problems);

#endif
