/*
 * Holds a compiled filter against the text that it was made from.
 *
 * All call numbers are tried, on x86-64, on x32 and on foreign architectures; and where rules look at
 * arguments, the arguments at their edges: each value that a rule names, its neighbours, each of its bits
 * turned, the value with the upper half set as sign extension or an attacker would. A filter answers from
 * comparisons of 32-bit halves with constants, so what differs between filter and text differs at one of
 * these.
 *
 * Slots are given values as at installation: the instructions are copied, and patched.
 */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/seccomp_filter.h"
#include "common/base/syscall_names.h"
#include "policy/bpf_interpreter.h"
#include "policy/policy.h"
#include "policy/policy_memory.h"

enum {
	NUMBERS_BEYOND = 64,  /* numbers tried beyond those with names */
	FEW_VALUES = 24,      /* of an argument, while another takes all of its values */
	DIFFERENCES_MAX = 20, /* told; one wrong instruction makes thousands */
	SLOTS_MAX = 16,
};

struct values {
	uint64_t *list;
	size_t count;
};

struct replay {
	const struct policy *policy;
	const struct seccomp_filter *filter;
	struct sock_filter *instructions; /* with the slots' values in their places */
	struct policy_slot_value slots[SLOTS_MAX];
	size_t slot_count;
	struct policy_problems *problems;
	unsigned long tried, differences;
	unsigned worst;
	struct values values[POLICY_ARGUMENTS];
};

/* --- One call --- */

static uint32_t verdict_answer(const struct policy_verdict *verdict)
{
	switch (verdict->action) {
	case POLICY_ALLOW:
		return SECCOMP_RET_ALLOW;
	case POLICY_ERRNO:
		return SECCOMP_RET_ERRNO | (uint32_t)verdict->error;
	case POLICY_TRAP:
		return SECCOMP_RET_TRAP;
	default:
		return SECCOMP_RET_KILL_PROCESS;
	}
}

static void difference_tell(struct replay *replay, const struct seccomp_data *data, uint32_t answer,
			    uint32_t expected, const struct policy_rule *rule)
{
	const char *name = data->nr >= 0 ? syscall_name((unsigned)data->nr) : NULL;

	if (replay->differences++ >= DIFFERENCES_MAX)
		return;
	policy_problem_add(
		replay->problems, rule != NULL ? rule->file : replay->policy->name,
		rule != NULL ? rule->line : 0,
		"the filter of %s answers 0x%x where the text says 0x%x: architecture 0x%x, call %u (%s), "
		"arguments 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx",
		replay->policy->name, answer, expected, data->arch, (unsigned)data->nr,
		name != NULL ? name : "no name", data->args[0], data->args[1], data->args[2], data->args[3],
		data->args[4], data->args[5]);
}

static void replay_try(struct replay *replay, uint32_t architecture, uint32_t call,
		       const uint64_t arguments[POLICY_ARGUMENTS])
{
	struct seccomp_data data = {
		.nr = (int)call, .arch = architecture, .instruction_pointer = 0x7f0000001000};
	struct policy_verdict verdict = policy_evaluate(replay->policy, architecture, call, arguments,
							replay->slots, replay->slot_count);
	uint32_t answer = 0, expected = verdict_answer(&verdict);
	unsigned steps;

	for (size_t i = 0; i < POLICY_ARGUMENTS; i++)
		data.args[i] = arguments[i];
	replay->tried++;
	if (bpf_run(replay->instructions, replay->filter->count, &data, &answer, &steps) < 0) {
		if (replay->differences++ < DIFFERENCES_MAX)
			policy_problem_add(replay->problems, replay->policy->name, 0,
					   "the filter is not one that the kernel takes: instruction %u",
					   steps - 1);
		return;
	}
	if (steps > replay->worst)
		replay->worst = steps;
	if (answer != expected)
		difference_tell(replay, &data, answer, expected, verdict.rule);
}

/* --- Arguments --- */

static void values_add(struct values *values, uint64_t value)
{
	for (size_t i = 0; i < values->count; i++)
		if (values->list[i] == value)
			return;
	values->list = policy_resize(values->list, values->count + 1, sizeof(*values->list));
	values->list[values->count++] = value;
}

/* The first values are those that satisfy conditions, the ones that matter while another argument is varied.
 */
static void values_gather(struct replay *replay, int call)
{
	for (int edges = 0; edges < 2; edges++) {
		for (size_t i = 0; i < replay->policy->rule_count; i++) {
			const struct policy_rule *rule = &replay->policy->rules[i];

			if (rule->call != call)
				continue;
			for (size_t j = 0; j < rule->alternative_count; j++) {
				for (unsigned k = 0; k < rule->alternatives[j].count; k++) {
					const struct policy_condition *condition =
						&rule->alternatives[j].conditions[k];
					struct values *values = &replay->values[condition->argument];
					uint64_t value = condition->value;

					if (condition->slot != NULL)
						for (size_t s = 0; s < replay->slot_count; s++)
							if (strcmp(replay->slots[s].name, condition->slot) ==
							    0)
								value = replay->slots[s].value;
					values_add(values, value);
					if (edges == 0)
						continue;
					values_add(values, value | ~condition->mask);
					values_add(values, value + 1);
					values_add(values, value - 1);
					values_add(values, ~value);
					values_add(values, condition->mask);
					values_add(values, (uint64_t)(int64_t)(int32_t)(uint32_t)value);
					values_add(values, value | 0xffffffff00000000);
					values_add(values, value << 32);
					values_add(values, value << 32 | value >> 32);
					for (unsigned bit = 0; bit < 64; bit++)
						values_add(values, value ^ UINT64_C(1) << bit);
				}
			}
		}
	}
	for (unsigned i = 0; i < POLICY_ARGUMENTS; i++) {
		values_add(&replay->values[i], 0);
		values_add(&replay->values[i], UINT64_MAX);
		values_add(&replay->values[i], 0x5a5a5a5aa5a5a5a5);
	}
}

/* All values of one argument, with a few of each other. */
static void values_combine(struct replay *replay, uint32_t call, unsigned varied, unsigned argument,
			   uint64_t arguments[POLICY_ARGUMENTS])
{
	const struct values *values = &replay->values[argument];
	size_t count;

	if (argument == POLICY_ARGUMENTS) {
		replay_try(replay, AUDIT_ARCH_X86_64, call, arguments);
		return;
	}
	/* An argument that no rule looks at has three values: one is enough while others are varied. */
	count = argument == varied ? values->count : values->count <= 3 ? 1 : values->count;
	if (argument != varied && count > FEW_VALUES)
		count = FEW_VALUES;
	for (size_t i = 0; i < count; i++) {
		arguments[argument] = values->list[i];
		values_combine(replay, call, varied, argument + 1, arguments);
	}
}

static void replay_arguments(struct replay *replay, uint32_t call)
{
	uint64_t arguments[POLICY_ARGUMENTS];

	values_gather(replay, (int)call);
	for (unsigned i = 0; i < POLICY_ARGUMENTS; i++)
		values_combine(replay, call, i, 0, arguments);
	for (unsigned i = 0; i < POLICY_ARGUMENTS; i++) {
		free(replay->values[i].list);
		replay->values[i] = (struct values){0};
	}
}

/* --- The whole --- */

static void replay_numbers(struct replay *replay)
{
	static const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64,	  AUDIT_ARCH_ARM, 0,
					   UINT32_MAX,	    AUDIT_ARCH_X86_64 ^ 1};
	static const uint32_t odd[] = {0x3fffffff, 0x40000000, 0x7fffffff, 0x80000000,
				       0xfffffffe, UINT32_MAX, 65536};
	static const uint64_t none[POLICY_ARGUMENTS];
	unsigned limit = syscall_limit() + NUMBERS_BEYOND;

	for (uint32_t call = 0; call < limit; call++) {
		bool ruled = false;

		for (size_t i = 0; i < replay->policy->rule_count; i++)
			ruled |= replay->policy->rules[i].call == (int)call;
		if (ruled)
			replay_arguments(replay, call);
		else
			replay_try(replay, AUDIT_ARCH_X86_64, call, none);
		replay_try(replay, AUDIT_ARCH_X86_64, call | 0x40000000, none);
		for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
			replay_try(replay, foreign[i], call, none);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		replay_try(replay, AUDIT_ARCH_X86_64, odd[i], none);
}

static bool replay_begin(struct replay *replay, uint64_t slot_base)
{
	const struct seccomp_filter *filter = replay->filter;

	replay->instructions = policy_resize(NULL, filter->count, sizeof(*replay->instructions));
	memcpy(replay->instructions, filter->instructions, filter->count * sizeof(*replay->instructions));
	replay->slot_count = 0;
	for (size_t i = 0; i < filter->slot_count; i++) {
		size_t at = 0;

		while (at < replay->slot_count && strcmp(replay->slots[at].name, filter->slots[i].name) != 0)
			at++;
		if (at == SLOTS_MAX || filter->slots[i].instruction >= filter->count) {
			policy_problem_add(replay->problems, replay->policy->name, 0,
					   "the filter has bad slots");
			free(replay->instructions);
			return false;
		}
		if (at == replay->slot_count)
			replay->slots[replay->slot_count++] = (struct policy_slot_value){
				.name = filter->slots[i].name, .value = slot_base + at};
		replay->instructions[filter->slots[i].instruction].k = (uint32_t)replay->slots[at].value;
	}
	return true;
}

static unsigned long replay_all(const struct policy *policy, const struct seccomp_filter *filter,
				struct policy_problems *problems, unsigned *worst)
{
	/* A usual descriptor, and one that looks like other constants of the filter. */
	static const uint64_t slot_bases[] = {11, 0};
	struct replay replay = {.policy = policy, .filter = filter, .problems = problems};

	for (size_t i = 0; i < (filter->slot_count > 0 ? 2 : 1); i++) {
		if (!replay_begin(&replay, slot_bases[i]))
			break;
		replay_numbers(&replay);
		free(replay.instructions);
	}
	*worst = replay.worst;
	return replay.tried;
}

unsigned long policy_replay(const struct policy *policy, const struct seccomp_filter *filter,
			    struct policy_problems *problems)
{
	unsigned worst;

	return replay_all(policy, filter, problems, &worst);
}

/* --- Cost --- */

/* Arguments that satisfy an alternative. */
static void alternative_satisfy(const struct replay *replay, const struct policy_alternative *alternative,
				uint64_t arguments[POLICY_ARGUMENTS])
{
	memset(arguments, 0, POLICY_ARGUMENTS * sizeof(arguments[0]));
	for (unsigned i = 0; alternative != NULL && i < alternative->count; i++) {
		const struct policy_condition *condition = &alternative->conditions[i];
		uint64_t value = condition->differs ? condition->value + 1 : condition->value;

		for (size_t s = 0; condition->slot != NULL && s < replay->slot_count; s++)
			if (strcmp(replay->slots[s].name, condition->slot) == 0)
				value = replay->slots[s].value;
		arguments[condition->argument] = value;
	}
}

void policy_measure(const struct policy *policy, const struct seccomp_filter *filter,
		    struct policy_cost *cost)
{
	struct policy_problems problems = {0};
	struct replay replay = {.policy = policy, .filter = filter, .problems = &problems};
	unsigned count = 0, serve_count = 0;

	*cost = (struct policy_cost){0};
	replay_all(policy, filter, &problems, &cost->worst);
	if (!replay_begin(&replay, 11)) {
		policy_problems_clear(&problems);
		return;
	}
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (rule->call < 0 || rule->action != POLICY_ALLOW)
			continue;
		for (size_t j = 0; j < policy_case_count(rule); j++) {
			struct seccomp_data data = {.nr = rule->call, .arch = AUDIT_ARCH_X86_64};
			uint64_t arguments[POLICY_ARGUMENTS];
			uint32_t answer;
			unsigned steps;

			alternative_satisfy(&replay, policy_case(rule, j), arguments);
			for (size_t k = 0; k < POLICY_ARGUMENTS; k++)
				data.args[k] = arguments[k];
			if (bpf_run(replay.instructions, filter->count, &data, &answer, &steps) < 0)
				continue;
			cost->mean += steps;
			count++;
			if (rule->phase != POLICY_SERVE)
				continue;
			cost->serve_mean += steps;
			serve_count++;
			if (steps > cost->serve_worst)
				cost->serve_worst = steps;
		}
	}
	if (count > 0)
		cost->mean /= count;
	if (serve_count > 0)
		cost->serve_mean /= serve_count;
	free(replay.instructions);
	policy_problems_clear(&problems);
}
