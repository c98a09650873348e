/*
 * Differences. Rules are compared by what they say, not by how: alternatives may be spread over lines in any way.
 */
#include "policy/policy_diff.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

/* --- Policies --- */

/* Whether the policy has an alternative that says the same. */
static bool policy_has(const struct policy *policy, const struct policy_rule *rule, size_t alternative)
{
	const struct policy_alternative *one = policy_case(rule, alternative);

	for (size_t i = 0; policy != NULL && i < policy->rule_count; i++) {
		const struct policy_rule *other = &policy->rules[i];

		if (other->call != rule->call || other->action != rule->action ||
		    other->error != rule->error || (rule->call < 0 && other->opcode != rule->opcode))
			continue;
		for (size_t j = 0; j < policy_case_count(other); j++)
			if (policy_alternative_covers(policy_case(other, j), one) &&
			    policy_alternative_covers(one, policy_case(other, j)))
				return true;
	}
	return false;
}

static void condition_print(const struct policy_rule *rule, const struct policy_condition *condition,
			    FILE *file)
{
	uint64_t all = policy_argument_kind(rule->call, condition->argument) == POLICY_ARGUMENT_WORD
			       ? UINT32_MAX
			       : UINT64_MAX;

	if (condition->slot != NULL)
		fprintf(file, "arg%u == $%s", condition->argument, condition->slot);
	else if (condition->differs || condition->mask == all)
		fprintf(file, "arg%u %s 0x%" PRIx64, condition->argument,
			condition->differs ? "!=" : "==", condition->value);
	else if (condition->value == 0)
		fprintf(file, "arg%u in 0x%" PRIx64, condition->argument, ~condition->mask & all);
	else
		fprintf(file, "arg%u & 0x%" PRIx64, condition->argument, condition->mask);
}

static void line_print(const struct policy *policy, const struct policy_rule *rule, size_t alternative,
		       char sign, FILE *file)
{
	const struct policy_alternative *conditions = policy_case(rule, alternative);
	char buffer[64];

	fprintf(file, "%c %s: ", sign, policy->name);
	/* A rule of one alternative is best known by its own words. */
	if (conditions == NULL || rule->alternative_count == 1) {
		fputs(rule->text, file);
	} else {
		fprintf(file, "%s: ", syscall_name((unsigned)rule->call));
		if (rule->action != POLICY_ALLOW)
			fprintf(file, "%s if ",
				policy_action_text(rule->action, rule->error, buffer, sizeof(buffer)));
		for (unsigned i = 0; i < conditions->count; i++) {
			fputs(i > 0 ? " && " : "", file);
			condition_print(rule, &conditions->conditions[i], file);
		}
	}
	fprintf(file, " (%s:%u)\n", rule->file, rule->line);
}

static unsigned side_print(const struct policy *policy, const struct policy *other, char sign, FILE *file)
{
	unsigned lines = 0;

	for (size_t i = 0; policy != NULL && i < policy->rule_count; i++) {
		for (size_t j = 0; j < policy_case_count(&policy->rules[i]); j++) {
			if (policy_has(other, &policy->rules[i], j))
				continue;
			line_print(policy, &policy->rules[i], j, sign, file);
			lines++;
		}
	}
	return lines;
}

unsigned policy_diff(const struct policy *old, const struct policy *new, FILE *file)
{
	unsigned lines = 0;

	if (old != NULL && new != NULL && old->default_action != new->default_action) {
		fprintf(file, "- %s: @default %s\n", old->name,
			policy_action_text(old->default_action, 0, NULL, 0));
		fprintf(file, "+ %s: @default %s\n", new->name,
			policy_action_text(new->default_action, 0, NULL, 0));
		lines += 2;
	}
	lines += side_print(old, new, '-', file);
	lines += side_print(new, old, '+', file);
	return lines;
}

/* --- Records --- */

struct usage {
	bool **used; /* of each rule, each alternative */
	const struct policy *policy;
};

static void usage_init(struct usage *usage, const struct policy *policy)
{
	usage->policy = policy;
	usage->used = policy_resize(NULL, policy->rule_count, sizeof(*usage->used));
	for (size_t i = 0; i < policy->rule_count; i++) {
		size_t count =
			policy->rules[i].alternative_count > 0 ? policy->rules[i].alternative_count : 1;

		usage->used[i] = policy_resize(NULL, count, sizeof(bool));
		memset(usage->used[i], 0, count * sizeof(bool));
	}
}

static void usage_clear(struct usage *usage)
{
	for (size_t i = 0; i < usage->policy->rule_count; i++)
		free(usage->used[i]);
	free(usage->used);
}

static void record_print(const struct policy_record *record, FILE *file)
{
	fprintf(file, "+ %s: ", record->role);
	if (record->call < 0) {
		fprintf(file, "uring: %s", policy_ring_opcode_name(record->opcode));
	} else {
		fprintf(file, "%s(", syscall_name((unsigned)record->call));
		for (unsigned i = 0; i < POLICY_ARGUMENTS; i++) {
			if (policy_argument_kind(record->call, i) == POLICY_ARGUMENT_NONE)
				break;
			fprintf(file, "%s0x%" PRIx64, i > 0 ? ", " : "", record->arguments[i]);
		}
		fputc(')', file);
	}
	fprintf(file, " is not allowed, and was recorded %" PRIu64 " time%s", record->count,
		record->count == 1 ? "" : "s");
	if (*record->test != '\0')
		fprintf(file, " in \"%s\"", record->test);
	fputc('\n', file);
}

/* Whether a rule of the same group was used: one C library makes this call, another that one. */
static bool group_used(const struct usage *usage, const struct policy_rule *rule)
{
	for (size_t i = 0; rule->group != NULL && i < usage->policy->rule_count; i++) {
		const struct policy_rule *other = &usage->policy->rules[i];

		if (other->group == NULL || other->line != rule->line || strcmp(other->file, rule->file) != 0)
			continue;
		for (size_t j = 0; j < policy_case_count(other); j++)
			if (usage->used[i][j])
				return true;
	}
	return false;
}

static unsigned unused_print(const struct usage *usage, FILE *file)
{
	const struct policy *policy = usage->policy;
	unsigned lines = 0;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (rule->action != POLICY_ALLOW || rule->phase == POLICY_ERROR ||
		    policy->default_action == POLICY_ALLOW)
			continue;
		for (size_t j = 0; j < policy_case_count(rule); j++) {
			if (usage->used[i][j] || group_used(usage, rule))
				continue;
			line_print(policy, rule, j, '-', file);
			lines++;
		}
	}
	return lines;
}

unsigned policy_diff_records(const struct policy *policies, size_t count,
			     const struct policy_records *records, FILE *file)
{
	struct usage *usages = policy_resize(NULL, count, sizeof(*usages));
	unsigned lines = 0;

	for (size_t i = 0; i < count; i++)
		usage_init(&usages[i], &policies[i]);
	for (size_t i = 0; i < records->count; i++) {
		const struct policy_record *record = &records->list[i];
		struct policy_verdict verdict;
		size_t at = 0;

		while (at < count && strcmp(policies[at].name, record->role) != 0)
			at++;
		if (at == count) {
			record_print(record, file);
			lines++;
			continue;
		}
		verdict = policy_record_judge(&policies[at], record);
		if (verdict.rule != NULL)
			usages[at].used[verdict.rule - policies[at].rules][verdict.alternative] = true;
		/* A rule that returns an error is an answer, too; only the unforeseen is not. */
		if (verdict.action == POLICY_ALLOW ||
		    (verdict.action == POLICY_ERRNO && verdict.rule != NULL))
			continue;
		record_print(record, file);
		lines++;
	}
	for (size_t i = 0; i < count; i++) {
		lines += unused_print(&usages[i], file);
		usage_clear(&usages[i]);
	}
	free(usages);
	return lines;
}
