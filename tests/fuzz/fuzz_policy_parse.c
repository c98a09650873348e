/*
 * The parser of policies, with a text and a text that it includes or has its groups from, split at the first line
 * "---"; and what works on a parsed policy: the linter, the evaluator at the first rules' calls, comparison with
 * itself.
 */
#include <errno.h>
#include <linux/audit.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/policy_diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct texts {
	struct policy_source source;
	const uint8_t *parts[2];
	size_t sizes[2];
};

static int texts_read(const struct policy_source *source, const char *name, char **file, char **text,
		      size_t *size)
{
	const struct texts *texts = (const struct texts *)source;
	size_t part = strcmp(name, "common.policy") == 0 || strcmp(name, "groups.policy") == 0;

	if (texts->parts[part] == NULL)
		return -ENOENT;
	*size = texts->sizes[part];
	*text = malloc(*size + 1);
	*file = strdup(name);
	if (*text == NULL || *file == NULL)
		abort();
	memcpy(*text, texts->parts[part], *size);
	(*text)[*size] = '\0';
	return 0;
}

static void policy_use(const struct policy *policy)
{
	const struct policy_slot_value slot = {"OWN_FD", 7};
	struct policy_problems problems = {0};
	FILE *null = fopen("/dev/null", "w");

	policy_lint(policy, &problems);
	policy_problems_clear(&problems);
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		for (size_t j = 0; rule->call >= 0 && (j == 0 || j < rule->alternative_count); j++) {
			uint64_t arguments[POLICY_ARGUMENTS] = {0};
			bool skip = false;
			struct policy_verdict verdict;

			for (unsigned k = 0; rule->alternative_count > 0 && k < rule->alternatives[j].count;
			     k++) {
				const struct policy_condition *condition =
					&rule->alternatives[j].conditions[k];

				skip |= condition->slot != NULL && strcmp(condition->slot, slot.name) != 0;
				arguments[condition->argument] = condition->slot != NULL ? slot.value
								 : condition->differs	 ? ~condition->value
											 : condition->value;
			}
			verdict = policy_evaluate(policy, AUDIT_ARCH_X86_64, (uint32_t)rule->call, arguments,
						  &slot, 1);
			/* What satisfies an alternative gets its rule's action. */
			if (!skip && (verdict.action != rule->action || verdict.error != rule->error))
				abort();
		}
	}
	if (null == NULL || policy_diff(policy, policy, null) != 0)
		abort();
	fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct texts texts = {.source = {.read = texts_read}, .parts = {data}, .sizes = {size}};
	const uint8_t *split = memmem(data, size, "\n---\n", 5);
	struct policy_problems problems = {0};
	struct policy policy;
	int result;

	if (split != NULL) {
		texts.sizes[0] = (size_t)(split - data);
		texts.parts[1] = split + 5;
		texts.sizes[1] = size - texts.sizes[0] - 5;
	}
	result = policy_parse(&policy, "fuzz.main", &texts.source, &problems);
	/* A refusal has a reason, and only a refusal. */
	if ((result < 0) != (problems.count > 0))
		abort();
	if (result == 0) {
		policy_use(&policy);
		policy_clear(&policy);
	}
	policy_problems_clear(&problems);
	return 0;
}
