/*
 * Which rules were needed: policies held against records of a test suite.
 */
#ifndef ATOLL_POLICY_POLICY_COVER_H
#define ATOLL_POLICY_POLICY_COVER_H

#include <stdio.h>

#include "policy/policy.h"
#include "policy/policy_record.h"

struct policy_coverage {
	unsigned needed; /* alternatives of rules that a recorded call needed */
	unsigned errors; /* that none needed, and that say they are for an error's path, with a reason */
	unsigned unneeded;
	unsigned refused; /* recorded calls that no rule allows */
};

/*
 * Prints a line for each alternative of each rule, with who needed it: the threads, and the first test that did. A rule
 * of an included file counts once: it is needed if any policy that includes it needed it; but for one that includes
 * another policy, of which the rules of its own alone can be needed.
 */
void policy_cover(const struct policy *policies, size_t count, const struct policy_records *records,
		  struct policy_coverage *coverage, FILE *file);

#endif
