/*
 * From a policy to a filter, by libseccomp; at build time, and for `atoll policy` when it is given texts.
 */
#ifndef ATOLL_POLICY_POLICY_COMPILE_H
#define ATOLL_POLICY_POLICY_COMPILE_H

#include <stdio.h>

#include "common/base/seccomp_filter.h"
#include "policy/policy.h"

struct policy_compiled {
	struct seccomp_filter filter; /* points into the rest */
	struct policy_cost cost;
	bool tree; /* laid out as a binary tree; else a list, the calls for serving first */
	struct sock_filter *instructions;
	struct seccomp_filter_slot *slots;
	uint8_t *ring_opcodes;
};

/*
 * Compiles both as a list and as a tree, and keeps what costs calls for serving least. The policy must
 * outlive the result. 0, or -errno with the reason in *problems.
 */
int policy_compile(struct policy_compiled *compiled, const struct policy *policy,
		   struct policy_problems *problems);
void policy_compiled_clear(struct policy_compiled *compiled);

/* The filter as C: the definition of an object `filter_NAME`, dots being underscores. 0 or -errno. */
int policy_write_c(const struct policy_compiled *compiled, FILE *file);

/* What there is to know of the filter, as JSON. 0 or -errno. */
int policy_write_manifest(const struct policy_compiled *compiled, const struct policy *policy, FILE *file);

/* The instructions for a person to read, one a line. */
void policy_write_listing(const struct policy_compiled *compiled, FILE *file);

#endif
