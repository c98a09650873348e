/*
 * All checks of one policy.
 */
#include "policy/policy_check.h"

#include <errno.h>
#include <string.h>

#include "policy/filters.h"
#include "policy/policy_compile.h"

int policy_check(const char *directory, const char *name, bool installed, struct policy_check *check,
		 struct policy_problems *problems)
{
	const struct seccomp_filter *embedded = seccomp_filter_find(name);
	size_t length = strlen(name), suffix = strlen(".process");
	bool whole = length > suffix && strcmp(name + length - suffix, ".process") == 0;
	struct policy_compiled compiled;
	struct policy policy;
	int result;

	*check = (struct policy_check){0};
	result = policy_load_any(&policy, directory, name, problems);
	if (result < 0)
		return result;
	/* What the threads of a role may do overlaps, as it should. */
	if (!whole)
		policy_lint(&policy, problems);
	result = policy_compile(&compiled, &policy, problems);
	if (result == 0) {
		check->calls = compiled.filter.rules;
		check->instructions = compiled.filter.count;
		check->cost = compiled.cost;
		check->tried = policy_replay(&policy, &compiled.filter, problems);
		policy_compiled_clear(&compiled);
	}
	check->embedded = embedded != NULL && strcmp(embedded->hash, policy.hash) == 0;
	if (check->embedded)
		check->tried += policy_replay(&policy, embedded, problems);
	else if (installed)
		policy_problem_add(problems, policy.files[0], 0,
				   "the programs were built from another text of %s; install the texts that "
				   "belong to them",
				   name);
	policy_clear(&policy);
	return result < 0 ? -EINVAL : 0;
}
