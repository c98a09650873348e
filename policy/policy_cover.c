/*
 * Coverage. An alternative is known by where it stands: its file, line and number on the line. So what an included file
 * says is one thing, whichever policies include it; and so is a group where it is named, whichever of its calls a C
 * library makes.
 *
 * A policy that adds to another one is worn in its place, by a program that was started by hand: what that calls says
 * nothing of what the other policy needs, so of its records those alone count that a rule of its own let through.
 */
#include "policy/policy_cover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

enum { COVER_ROLES_MAX = 32 };

/* An alternative of a rule, and who needed it. */
struct cover_item {
	const struct policy_rule *rule;
	size_t alternative;
	const char *roles[COVER_ROLES_MAX];
	size_t role_count;
	const char *test;
	uint64_t count;
};

struct cover {
	struct cover_item *items;
	size_t count;
};

/* A group is one alternative. */
static size_t cover_alternative(const struct policy_rule *rule, size_t alternative)
{
	return rule->group != NULL ? 0 : alternative;
}

static struct cover_item *cover_find(const struct cover *cover, const struct policy_rule *rule,
				     size_t alternative)
{
	for (size_t i = 0; i < cover->count; i++) {
		const struct policy_rule *other = cover->items[i].rule;

		if (other->line == rule->line &&
		    cover->items[i].alternative == cover_alternative(rule, alternative) &&
		    strcmp(other->file, rule->file) == 0)
			return &cover->items[i];
	}
	return NULL;
}

static void cover_add_policy(struct cover *cover, const struct policy *policy)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		for (size_t j = 0; j < policy_case_count(rule); j++) {
			if (cover_find(cover, rule, j) != NULL)
				continue;
			cover->items = policy_resize(cover->items, cover->count + 1, sizeof(*cover->items));
			cover->items[cover->count++] = (struct cover_item){.rule = rule, .alternative = j};
		}
	}
}

static void cover_note(struct cover_item *item, const struct policy_record *record)
{
	size_t i = 0;

	item->count += record->count;
	if (item->test == NULL)
		item->test = record->test;
	while (i < item->role_count && strcmp(item->roles[i], record->role) != 0)
		i++;
	if (i == item->role_count && i < COVER_ROLES_MAX)
		item->roles[item->role_count++] = record->role;
}

/* Whether a file of the policy is another policy's own. */
static bool cover_adds(const struct policy *policies, size_t count, const struct policy *policy)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 1; k < policy->file_count; k++)
			if (policies[i].file_count > 0 && policy_is_its_file(policy->files[k]) &&
			    strcmp(policies[i].files[0], policy->files[k]) == 0)
				return true;
	return false;
}

/* Whether a rule of the record's policy let it through. */
static bool cover_take(struct cover *cover, const struct policy *policies, size_t count,
		       const struct policy_record *record)
{
	for (size_t i = 0; i < count; i++) {
		struct policy_verdict verdict;
		struct cover_item *item;

		if (strcmp(policies[i].name, record->role) != 0)
			continue;
		verdict = policy_record_judge(&policies[i], record);
		item = verdict.rule != NULL ? cover_find(cover, verdict.rule, verdict.alternative) : NULL;
		if (item != NULL && (strcmp(verdict.rule->file, policies[i].files[0]) == 0 ||
				     !cover_adds(policies, count, &policies[i])))
			cover_note(item, record);
		return item != NULL;
	}
	return false;
}

static void refused_print(const struct policy_record *record, FILE *file)
{
	if (record->call < 0)
		fprintf(file, "refused: %s: uring %s", record->role, policy_ring_opcode_name(record->opcode));
	else
		fprintf(file, "refused: %s: %s(0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", record->role,
			syscall_name((uint32_t)record->call), record->arguments[0], record->arguments[1],
			record->arguments[2]);
	fprintf(file, "%s%s\n", record->test[0] != '\0' ? ", in " : "", record->test);
}

static void item_print(const struct cover_item *item, struct policy_coverage *coverage, FILE *file)
{
	const struct policy_rule *rule = item->rule;

	if (rule->group != NULL)
		fprintf(file, "%s:%u: @%s", rule->file, rule->line, rule->group);
	else
		fprintf(file, "%s:%u: %s", rule->file, rule->line, rule->text);
	if (rule->alternative_count > 1 && rule->group == NULL)
		fprintf(file, " [%zu of %zu]", item->alternative + 1, rule->alternative_count);
	if (item->count > 0) {
		coverage->needed++;
		fprintf(file, ": needed by");
		for (size_t i = 0; i < item->role_count; i++)
			fprintf(file, "%s %s", i > 0 ? "," : "", item->roles[i]);
		fprintf(file, "%s%s\n", item->test[0] != '\0' ? ", first in " : "", item->test);
	} else if (rule->phase == POLICY_START && rule->reason != NULL) {
		/* The call is made between the installing of two filters, and a recording process has only one. */
		coverage->errors++;
		fprintf(file, ": needed by the seal\n");
	} else if (rule->phase == POLICY_ERROR && rule->reason != NULL) {
		coverage->errors++;
		fprintf(file, ": no test; error: %s\n", rule->reason);
	} else {
		coverage->unneeded++;
		fprintf(file, ": NOT NEEDED by any test\n");
	}
}

void policy_cover(const struct policy *policies, size_t count, const struct policy_records *records,
		  struct policy_coverage *coverage, FILE *file)
{
	struct cover cover = {0};

	*coverage = (struct policy_coverage){0};
	for (size_t i = 0; i < count; i++)
		cover_add_policy(&cover, &policies[i]);
	for (size_t i = 0; i < records->count; i++) {
		if (cover_take(&cover, policies, count, &records->list[i]))
			continue;
		coverage->refused++;
		refused_print(&records->list[i], file);
	}
	for (size_t i = 0; i < cover.count; i++)
		item_print(&cover.items[i], coverage, file);
	free(cover.items);
}
