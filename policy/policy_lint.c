/*
 * The linter: what parses and compiles, and still should not be in a policy.
 *
 * What libseccomp would make wrong filters of (ordered comparisons), and rules that contradict each other,
 * the parser refuses already.
 */
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy.h"
#include "policy/policy_names.h"

/* In front of the reason of a rule that allows something dangerous: the author knows. */
#define DANGEROUS "dangerous: "

#define TELL(rule, ...) policy_problem_add(problems, (rule)->file, (rule)->line, __VA_ARGS__)

static const char *rule_call(const struct policy_rule *rule)
{
	return rule->call >= 0 ? syscall_name((unsigned)rule->call) : "uring";
}

static void lint_reason(const struct policy_rule *rule, struct policy_problems *problems)
{
	if (rule->phase == POLICY_NO_PHASE)
		TELL(rule,
		     "%s: no phase; write \"# PHASE: reason\" behind the rule, PHASE being start, serve, "
		     "stop or error",
		     rule_call(rule));
	else if (rule->reason == NULL)
		TELL(rule, "%s: no reason; write behind \"%s:\" why the rule is there", rule_call(rule),
		     policy_phase_name(rule->phase));
}

static void lint_pointers(const struct policy_rule *rule, struct policy_problems *problems)
{
	for (size_t i = 0; i < rule->alternative_count; i++) {
		for (unsigned j = 0; j < rule->alternatives[i].count; j++) {
			unsigned argument = rule->alternatives[i].conditions[j].argument;

			if (policy_argument_kind(rule->call, argument) == POLICY_ARGUMENT_POINTER)
				TELL(rule,
				     "%s: arg%u is a pointer, whose number says nothing of what it points "
				     "to; leave "
				     "the condition out",
				     rule_call(rule), argument);
		}
	}
}

static void lint_danger(const struct policy_rule *rule, struct policy_problems *problems)
{
	bool whole = rule->alternative_count == 0 && rule->call >= 0 &&
		     policy_call_needs_conditions(rule_call(rule));

	if (rule->call < 0 || rule->action != POLICY_ALLOW ||
	    (!whole && !policy_call_is_dangerous(rule_call(rule))))
		return;
	if (rule->reason != NULL && strncmp(rule->reason, DANGEROUS, strlen(DANGEROUS)) == 0)
		return;
	TELL(rule,
	     "%s is dangerous%s; leave it out, or begin the reason with \"" DANGEROUS
	     "\" and say why it must be",
	     rule_call(rule), whole ? " without conditions" : "");
}

/* The other rule, or an earlier alternative of the same, that makes this alternative needless. */
static const struct policy_rule *covering_rule(const struct policy *policy, size_t at, size_t alternative)
{
	const struct policy_rule *rule = &policy->rules[at];
	const struct policy_alternative *inner = policy_case(rule, alternative);

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *other = &policy->rules[i];

		if (other->call != rule->call || other->action != rule->action ||
		    other->error != rule->error || (rule->call < 0 && other->opcode != rule->opcode))
			continue;
		for (size_t j = 0; j < policy_case_count(other); j++) {
			const struct policy_alternative *outer = policy_case(other, j);
			bool before = i < at || (i == at && j < alternative);

			if ((i == at && j == alternative) || !policy_alternative_covers(outer, inner))
				continue;
			/* Where two rules say the same, the later one is needless. */
			if (before || !policy_alternative_covers(inner, outer))
				return other;
		}
	}
	return NULL;
}

static void lint_shadow(const struct policy *policy, size_t at, struct policy_problems *problems)
{
	const struct policy_rule *rule = &policy->rules[at], *other;

	for (size_t i = 0; i < policy_case_count(rule); i++) {
		other = covering_rule(policy, at, i);
		if (other == NULL)
			continue;
		if (other == rule)
			TELL(rule, "%s: alternative %zu is covered by another of this rule; leave it out",
			     rule_call(rule), i + 1);
		else if (rule->alternative_count > 1)
			TELL(rule, "%s: alternative %zu is covered by %s:%u; leave it out", rule_call(rule),
			     i + 1, other->file, other->line);
		else
			TELL(rule, "%s: covered by %s:%u; leave it out", rule_call(rule), other->file,
			     other->line);
	}
}

static void lint_default(const struct policy *policy, const struct policy_rule *rule,
			 struct policy_problems *problems)
{
	if (rule->call >= 0 && rule->action == policy->default_action &&
	    !(rule->action == POLICY_ALLOW && policy_call_is_dangerous(rule_call(rule))))
		TELL(rule, "%s: this is the default; leave it out", rule_call(rule));
}

/* Where the default allows, each dangerous call must be spoken of. */
static void lint_silence(const struct policy *policy, struct policy_problems *problems)
{
	if (policy->default_action != POLICY_ALLOW)
		return;
	for (size_t i = 0; policy_dangerous_calls[i] != NULL; i++) {
		int call = syscall_number(policy_dangerous_calls[i]);
		bool named = call < 0;

		for (size_t j = 0; j < policy->rule_count && !named; j++)
			named = policy->rules[j].call == call;
		if (!named)
			policy_problem_add(
				problems, policy->files[0], 0,
				"%s is dangerous and allowed by default; deny it, or allow it with a reason",
				policy_dangerous_calls[i]);
	}
}

void policy_lint(const struct policy *policy, struct policy_problems *problems)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		lint_reason(rule, problems);
		lint_pointers(rule, problems);
		lint_danger(rule, problems);
		lint_default(policy, rule, problems);
		lint_shadow(policy, i, problems);
	}
	lint_silence(policy, problems);
}
