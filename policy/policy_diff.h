/*
 * Differences between policies, and between a policy and what was recorded.
 */
#ifndef ATOLL_POLICY_POLICY_DIFF_H
#define ATOLL_POLICY_POLICY_DIFF_H

#include <stdio.h>

#include "policy/policy.h"
#include "policy/policy_record.h"

/*
 * Prints what `new` permits, denies or answers otherwise than `old`: a line for each alternative of a rule, "-" where
 * only the old has it, "+" where only the new. Reasons, phases and order are no difference. Either may be NULL: there
 * is no such policy. Returns the number of lines.
 */
unsigned policy_diff(const struct policy *old, const struct policy *new, FILE *file);

/*
 * Prints the recorded calls that the policies do not allow ("+"), and the rules that allow something and that no record
 * of that role needed ("-"), but for those of error paths. Returns the number of lines.
 */
unsigned policy_diff_records(const struct policy *policies, size_t count,
			     const struct policy_records *records, FILE *file);

#endif
