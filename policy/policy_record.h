/*
 * Records of what processes called: a file of JSON objects, one a line.
 *
 *   {"role": "blk.queue", "call": "pwritev2", "args": [5, 140234, 1, 4096, 0, 0], "test": "writes", "count": 12}
 *
 * role, call and args are needed; args may be fewer than six, the others are then 0, and a number too large for JSON
 * may be a string ("0xffffffffffffffff"). Call "uring" has the operation's name as its first argument.
 */
#ifndef ATOLL_POLICY_POLICY_RECORD_H
#define ATOLL_POLICY_POLICY_RECORD_H

#include <stdio.h>

#include "policy/policy.h"

struct policy_record {
	char *role; /* "blk.queue" */
	int call;   /* -1: an operation of io_uring */
	uint8_t opcode;
	uint64_t arguments[POLICY_ARGUMENTS];
	char *test; /* "" if it is not said */
	uint64_t count;
	unsigned line;
};

struct policy_records {
	struct policy_record *list;
	size_t count;
};

/*
 * Reads all; what is wrong is added to *problems, up to the point where nobody would read on. 0, or -EINVAL with an
 * empty list. To be cleared.
 */
int policy_records_read_file(struct policy_records *records, FILE *file, const char *name,
			     struct policy_problems *problems);
int policy_records_read(struct policy_records *records, const char *path, struct policy_problems *problems);
void policy_records_clear(struct policy_records *records);

/*
 * The rule of the policy that lets the recorded call through, and which of its alternatives. Slots have the value that
 * was recorded. The verdict's rule is NULL where the default decides.
 */
struct policy_verdict policy_record_judge(const struct policy *policy, const struct policy_record *record);

#endif
