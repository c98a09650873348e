/*
 * Explains what a policy says about a call.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_check.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"

enum {
	SLOTS_MAX = POLICY_ARGUMENTS,
	SLOT_VALUE = 0x5107, /* stands for whatever a slot has */
};

struct question {
	const struct policy *policy;
	int call;
	uint64_t arguments[POLICY_ARGUMENTS];
	unsigned given;
	struct policy_slot_value slots[SLOTS_MAX];
	size_t slot_count;
};

/* One term of an argument: a number or a constant. */
static bool term_parse(const char *text, uint64_t *value)
{
	char *end;

	if (policy_constant(text, value) == 0)
		return true;
	if (*text == '-' || (*text >= '0' && *text <= '9')) {
		errno = 0;
		*value = *text == '-' ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
		return errno == 0 && *end == '\0' && end != text;
	}
	return false;
}

static int argument_parse(struct question *question, const char *text, struct policy_problems *problems)
{
	uint64_t *value = &question->arguments[question->given];
	char *copy = policy_copy_text(text, strlen(text)), *rest = copy, *term;
	int result = 0;

	*value = 0;
	if (*text == '$') {
		*value = SLOT_VALUE + question->given;
		question->slots[question->slot_count++] =
			(struct policy_slot_value){.name = text + 1, .value = *value};
	} else {
		while (result == 0 && (term = strsep(&rest, "|")) != NULL) {
			uint64_t bits;

			if (term_parse(term, &bits)) {
				*value |= bits;
				continue;
			}
			policy_problem_add(
				problems, text, 0,
				"\"%s\" is neither a number nor a known constant; see atoll-policy(5)", term);
			result = -EINVAL;
		}
	}
	question->given++;
	free(copy);
	return result;
}

/* How many arguments the rules of the call look at. */
static unsigned arguments_needed(const struct question *question)
{
	unsigned needed = 0;

	for (size_t i = 0; i < question->policy->rule_count; i++) {
		const struct policy_rule *rule = &question->policy->rules[i];

		for (size_t j = 0; rule->call == question->call && j < rule->alternative_count; j++)
			for (unsigned k = 0; k < rule->alternatives[j].count; k++)
				if (rule->alternatives[j].conditions[k].argument >= needed)
					needed = rule->alternatives[j].conditions[k].argument + 1u;
	}
	return needed;
}

static void rule_print(const struct policy_rule *rule, FILE *file)
{
	fprintf(file, "  %s:%u: %s\n", rule->file, rule->line, rule->text);
	if (rule->phase != POLICY_NO_PHASE)
		fprintf(file, "    %s: %s\n", policy_phase_name(rule->phase),
			rule->reason != NULL ? rule->reason : "");
}

static void verdict_print(const struct question *question, FILE *file)
{
	struct policy_verdict verdict =
		policy_evaluate(question->policy, AUDIT_ARCH_X86_64, (uint32_t)question->call,
				question->arguments, question->slots, question->slot_count);
	const char *name = syscall_name((unsigned)question->call);
	char buffer[64];

	fprintf(file, "%s: %s", question->policy->name, name != NULL ? name : "a call without a name");
	for (unsigned i = 0; i < question->given; i++)
		fprintf(file, "%s0x%" PRIx64, i > 0 ? ", " : "(", question->arguments[i]);
	fprintf(file, "%s: %s\n", question->given > 0 ? ")" : "",
		policy_action_text(verdict.action, verdict.error, buffer, sizeof(buffer)));
	if (verdict.rule != NULL) {
		rule_print(verdict.rule, file);
		return;
	}
	fprintf(file, "  %s: no rule applies; this is the default\n", question->policy->files[0]);
	for (size_t i = 0; i < question->policy->rule_count; i++)
		if (question->policy->rules[i].call == question->call)
			rule_print(&question->policy->rules[i], file);
}

static void rules_print(const struct question *question, FILE *file)
{
	char buffer[64];

	fprintf(file, "%s: %s: it depends on the arguments; else %s\n", question->policy->name,
		syscall_name((unsigned)question->call),
		policy_action_text(question->policy->default_action, 0, buffer, sizeof(buffer)));
	for (size_t i = 0; i < question->policy->rule_count; i++)
		if (question->policy->rules[i].call == question->call)
			rule_print(&question->policy->rules[i], file);
}

static int ring_explain(const struct policy *policy, char *const *arguments, unsigned count, FILE *file,
			struct policy_problems *problems)
{
	int opcode = count == 1 ? policy_ring_opcode(arguments[0]) : -ENOENT;

	if (opcode < 0) {
		policy_problem_add(problems, "uring", 0,
				   "one operation must be named behind it, without IORING_OP_");
		return -EINVAL;
	}
	for (size_t i = 0; i < policy->rule_count; i++) {
		if (policy->rules[i].call >= 0 || policy->rules[i].opcode != opcode)
			continue;
		fprintf(file, "%s: uring %s: allow\n", policy->name, arguments[0]);
		rule_print(&policy->rules[i], file);
		return 0;
	}
	fprintf(file,
		"%s: uring %s: return EACCES\n  %s: a ring may do what uring lines name, and nothing else\n",
		policy->name, arguments[0], policy->files[0]);
	return 0;
}

int policy_explain(const struct policy *policy, const char *call, char *const *arguments,
		   unsigned argument_count, FILE *file, struct policy_problems *problems)
{
	struct question question = {.policy = policy};
	char *end;

	if (strcmp(call, "uring") == 0)
		return ring_explain(policy, arguments, argument_count, file, problems);
	question.call = syscall_number(call);
	if (question.call < 0) {
		long number;

		errno = 0;
		number = strtol(call, &end, 0);
		if (*call < '0' || *call > '9' || errno != 0 || *end != '\0' || number > INT32_MAX) {
			policy_problem_add(problems, call, 0, "not a system call of x86-64");
			return -EINVAL;
		}
		question.call = (int)number;
	}
	if (argument_count > POLICY_ARGUMENTS) {
		policy_problem_add(problems, call, 0, "a system call has at most six arguments");
		return -EINVAL;
	}
	for (unsigned i = 0; i < argument_count; i++)
		if (argument_parse(&question, arguments[i], problems) < 0)
			return -EINVAL;
	if (question.given < arguments_needed(&question))
		rules_print(&question, file);
	else
		verdict_print(&question, file);
	return 0;
}
