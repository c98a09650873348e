/*
 * atoll-policyc: the compiler of policies, at build time.
 *
 *   atoll-policyc POLICY-DIR OUTPUT-DIR NAME...
 *
 * Makes OUTPUT-DIR/NAME.c and NAME.json of each policy, after its text was checked and the filter held
 * against it: a build whose filters do not do what the text says fails. Prints what the filters cost.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/policy_compile.h"

static int output_write(const struct policy_compiled *compiled, const struct policy *policy,
			const char *directory, bool manifest)
{
	char *path;
	FILE *file;
	int result;

	if (asprintf(&path, "%s/%s.%s", directory, policy->name, manifest ? "json" : "c") < 0)
		return -ENOMEM;
	file = fopen(path, "we");
	result = file == NULL ? -errno
		 : manifest   ? policy_write_manifest(compiled, policy, file)
			      : policy_write_c(compiled, file);
	if (file != NULL && fclose(file) != 0 && result == 0)
		result = -errno;
	if (result < 0)
		fprintf(stderr, "atoll-policyc: %s: %s\n", path, strerror(-result));
	free(path);
	return result;
}

static int policy_make(const char *directory, const char *output, const char *name)
{
	struct policy_problems problems = {0};
	struct policy_compiled compiled;
	struct policy policy;
	int result;

	result = policy_load_any(&policy, directory, name, &problems);
	if (result == 0) {
		/* The union of linted texts may well have rules that cover each other. */
		if (strstr(name, ".process") == NULL)
			policy_lint(&policy, &problems);
		result = policy_compile(&compiled, &policy, &problems);
		if (result == 0) {
			policy_replay(&policy, &compiled.filter, &problems);
			if (problems.count == 0)
				result = output_write(&compiled, &policy, output, false);
			if (problems.count == 0 && result == 0)
				result = output_write(&compiled, &policy, output, true);
			if (problems.count == 0 && result == 0)
				printf("  FILTER   %-20s %2u calls, %3u instructions (%s), worst %2u, mean "
				       "%4.1f, "
				       "serving %4.1f\n",
				       name, compiled.filter.rules, compiled.filter.count,
				       compiled.tree ? "tree" : "list", compiled.cost.worst,
				       compiled.cost.mean, compiled.cost.serve_mean);
			policy_compiled_clear(&compiled);
		}
		policy_clear(&policy);
	}
	for (size_t i = 0; i < problems.count; i++)
		fprintf(stderr, "%s:%u: %s\n", problems.list[i].file, problems.list[i].line,
			problems.list[i].text);
	if (problems.count > 0)
		result = -EINVAL;
	policy_problems_clear(&problems);
	return result;
}

int main(int argc, char **argv)
{
	int result = 0;

	if (argc < 4) {
		fputs("Usage: atoll-policyc POLICY-DIR OUTPUT-DIR NAME...\n", stderr);
		return 2;
	}
	for (int i = 3; i < argc; i++)
		if (policy_make(argv[1], argv[2], argv[i]) < 0)
			result = 1;
	return result;
}
