/*
 * All checks of one policy, and explanations of verdicts: what `atoll policy` prints.
 */
#ifndef ATOLL_POLICY_POLICY_CHECK_H
#define ATOLL_POLICY_POLICY_CHECK_H

#include <stdio.h>

#include "policy/policy.h"

struct policy_check {
	unsigned calls;	       /* that it allows */
	unsigned instructions; /* of the filter, and what it costs */
	struct policy_cost cost;
	unsigned long tried; /* calls that the filters were run on */
	bool embedded;	     /* the filter in the programs was made from this text, and was tried too */
};

/*
 * Lints, compiles and replays the policy of that name; and if the text is that which the programs were built from, the
 * filter that is in them. `installed`: the text is meant to be that one, so another is a problem. 0, or -EINVAL when it
 * cannot be compiled; what is wrong is added to *problems.
 */
int policy_check(const char *directory, const char *name, bool installed, struct policy_check *check,
		 struct policy_problems *problems);

/*
 * Prints the verdict on a call and the rule that it comes from. `arguments` are texts: numbers, names of constants with
 * "|" between them, or $SLOT for a slot's own value. Where fewer are given than rules look at, all rules of the call
 * are shown. 0, or -EINVAL with the reason in *problems.
 */
int policy_explain(const struct policy *policy, const char *call, char *const *arguments,
		   unsigned argument_count, FILE *file, struct policy_problems *problems);

#endif
