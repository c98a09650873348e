/*
 * What the text of a policy says about a call, without any filter: the yardstick that compiled filters are
 * held against. It knows nothing of how they are made.
 */
#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"
#include "policy/policy_names.h"

/* arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT. All ones is no call at all, and not of x32 either.
 */
#define X32_BIT 0x40000000u
#define NO_CALL UINT32_MAX

static bool slot_value(const struct policy_slot_value *slots, size_t count, const char *name, uint64_t *value)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(slots[i].name, name) != 0)
			continue;
		*value = slots[i].value;
		return true;
	}
	return false;
}

static bool condition_holds(const struct policy_condition *condition,
			    const uint64_t arguments[POLICY_ARGUMENTS], const struct policy_slot_value *slots,
			    size_t slot_count)
{
	uint64_t value = condition->value;

	if (condition->slot != NULL && !slot_value(slots, slot_count, condition->slot, &value))
		return false;
	return ((arguments[condition->argument] & condition->mask) == (value & condition->mask)) !=
	       condition->differs;
}

static bool alternative_holds(const struct policy_alternative *alternative,
			      const uint64_t arguments[POLICY_ARGUMENTS],
			      const struct policy_slot_value *slots, size_t slot_count)
{
	for (unsigned i = 0; i < alternative->count; i++)
		if (!condition_holds(&alternative->conditions[i], arguments, slots, slot_count))
			return false;
	return true;
}

struct policy_verdict policy_evaluate(const struct policy *policy, uint32_t architecture, uint32_t call,
				      const uint64_t arguments[POLICY_ARGUMENTS],
				      const struct policy_slot_value *slots, size_t slot_count)
{
	if (architecture != AUDIT_ARCH_X86_64 || (call >= X32_BIT && call != NO_CALL))
		return (struct policy_verdict){.action = POLICY_KILL, .architecture = true};
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (rule->call < 0 || (uint32_t)rule->call != call)
			continue;
		for (size_t j = 0; j < policy_case_count(rule); j++)
			if (rule->alternative_count == 0 ||
			    alternative_holds(&rule->alternatives[j], arguments, slots, slot_count))
				return (struct policy_verdict){.action = rule->action,
							       .error = rule->error,
							       .rule = rule,
							       .alternative = j};
	}
	return (struct policy_verdict){.action = policy->default_action};
}

unsigned policy_allowed_calls(const struct policy *policy)
{
	unsigned count = 0;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		bool seen = rule->call < 0 || rule->action != POLICY_ALLOW || rule->spelling;

		for (size_t j = 0; j < i && !seen; j++)
			seen = policy->rules[j].call == rule->call &&
			       policy->rules[j].action == POLICY_ALLOW && !policy->rules[j].spelling;
		count += !seen;
	}
	return count;
}

static const struct policy_condition *condition_of(const struct policy_alternative *alternative,
						   unsigned argument)
{
	for (unsigned i = 0; alternative != NULL && i < alternative->count; i++)
		if (alternative->conditions[i].argument == argument)
			return &alternative->conditions[i];
	return NULL;
}

/* Whether no argument satisfies both. A slot may have any value, so says nothing. */
static bool conditions_exclude(const struct policy_condition *a, const struct policy_condition *b)
{
	if (a == NULL || b == NULL || a->slot != NULL || b->slot != NULL)
		return false;
	if (a->differs && b->differs)
		return false;
	if (a->differs || b->differs) {
		const struct policy_condition *equal = a->differs ? b : a, *other = a->differs ? a : b;

		return equal->mask == UINT64_MAX && equal->value == other->value;
	}
	return ((a->value ^ b->value) & a->mask & b->mask) != 0;
}

bool policy_alternatives_overlap(const struct policy_alternative *a, const struct policy_alternative *b)
{
	for (unsigned i = 0; i < POLICY_ARGUMENTS; i++)
		if (conditions_exclude(condition_of(a, i), condition_of(b, i)))
			return false;
	return true;
}

bool policy_rules_contradict(const struct policy_rule *a, const struct policy_rule *b)
{
	if (a->call < 0 || a->call != b->call || policy_rules_same_action(a, b))
		return false;
	for (size_t i = 0; i < policy_case_count(a); i++)
		for (size_t j = 0; j < policy_case_count(b); j++)
			if (policy_alternatives_overlap(policy_case(a, i), policy_case(b, j)))
				return true;
	return false;
}

/* Whether all arguments that satisfy `inner` satisfy `outer`. */
static bool condition_covers(const struct policy_condition *outer, const struct policy_condition *inner)
{
	if (outer == NULL)
		return true;
	if (inner == NULL)
		return false;
	if (outer->slot != NULL || inner->slot != NULL)
		return outer->slot != NULL && inner->slot != NULL && strcmp(outer->slot, inner->slot) == 0;
	if (outer->differs)
		return inner->differs ? inner->value == outer->value
				      : ((inner->value ^ outer->value) & inner->mask) != 0;
	return !inner->differs && (outer->mask & ~inner->mask) == 0 &&
	       ((outer->value ^ inner->value) & outer->mask) == 0;
}

bool policy_alternative_covers(const struct policy_alternative *outer, const struct policy_alternative *inner)
{
	for (unsigned i = 0; i < POLICY_ARGUMENTS; i++)
		if (!condition_covers(condition_of(outer, i), condition_of(inner, i)))
			return false;
	return true;
}

const char *policy_action_text(enum policy_action action, int error, char *buffer, size_t size)
{
	const char *name;

	switch (action) {
	case POLICY_ALLOW:
		return "allow";
	case POLICY_TRAP:
		return "trap";
	case POLICY_KILL:
		return "kill";
	case POLICY_ERRNO:
		break;
	}
	name = policy_error_name(error);
	snprintf(buffer, size, "return %s", name != NULL ? name : "an error");
	return buffer;
}

const char *policy_phase_name(enum policy_phase phase)
{
	static const char *const names[] = {[POLICY_SERVE] = "serve",
					    [POLICY_START] = "start",
					    [POLICY_STOP] = "stop",
					    [POLICY_ERROR] = "error",
					    [POLICY_NO_PHASE] = "none"};

	return names[phase];
}
