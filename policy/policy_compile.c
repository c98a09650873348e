/*
 * The compiler: rules to libseccomp, libseccomp's filter to an array.
 *
 * Only EQ, NE and MASKED_EQ are used, of which libseccomp makes right filters; a condition on an argument of
 * 32 bits is a MASKED_EQ on these, for the kernel ignores the others. A slot is compiled as a constant that
 * occurs nowhere else, and found again in the instructions.
 */
#include "policy/policy_compile.h"

#include <errno.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"

enum {
	SLOTS_MAX = 16,
	SLOT_MARK = 0x51075000, /* and the slot's index; the replay would find a policy that names such a
				   number */
	LAYOUT_LIST = 1,	/* values of SCMP_FLTATR_CTL_OPTIMIZE */
	LAYOUT_TREE = 2,
};

struct compiler {
	const struct policy *policy;
	struct policy_problems *problems;
	scmp_filter_ctx context;
	const char *slots[SLOTS_MAX];
	size_t slot_count;
};

/* --- Rules --- */

static uint32_t action_of(enum policy_action action, int error)
{
	switch (action) {
	case POLICY_ALLOW:
		return SCMP_ACT_ALLOW;
	case POLICY_ERRNO:
		return SCMP_ACT_ERRNO((uint32_t)error);
	case POLICY_TRAP:
		return SCMP_ACT_TRAP;
	default:
		return SCMP_ACT_KILL_PROCESS;
	}
}

static int slot_mark(struct compiler *compiler, const char *name, uint64_t *value)
{
	size_t i = 0;

	while (i < compiler->slot_count && strcmp(compiler->slots[i], name) != 0)
		i++;
	if (i == SLOTS_MAX)
		return -E2BIG;
	if (i == compiler->slot_count)
		compiler->slots[compiler->slot_count++] = name;
	*value = SLOT_MARK + i;
	return 0;
}

static int alternative_add(struct compiler *compiler, const struct policy_rule *rule,
			   const struct policy_alternative *alternative)
{
	struct scmp_arg_cmp comparisons[POLICY_ARGUMENTS];
	unsigned count = alternative != NULL ? alternative->count : 0;

	for (unsigned i = 0; i < count; i++) {
		const struct policy_condition *condition = &alternative->conditions[i];
		uint64_t value = condition->value;
		int result;

		if (condition->slot != NULL && (result = slot_mark(compiler, condition->slot, &value)) < 0)
			return result;
		if (condition->differs)
			comparisons[i] = SCMP_CMP64(condition->argument, SCMP_CMP_NE, value);
		else if (condition->mask == UINT64_MAX)
			comparisons[i] = SCMP_CMP64(condition->argument, SCMP_CMP_EQ, value);
		else
			comparisons[i] =
				SCMP_CMP64(condition->argument, SCMP_CMP_MASKED_EQ, condition->mask, value);
	}
	return seccomp_rule_add_exact_array(compiler->context, action_of(rule->action, rule->error),
					    rule->call, count, comparisons);
}

static int rule_add(struct compiler *compiler, const struct policy_rule *rule)
{
	int result = 0;

	/* What the default does anyway needs no instruction. */
	if (rule->call < 0 || rule->action == compiler->policy->default_action)
		return 0;
	for (size_t i = 0; i < policy_case_count(rule) && result == 0; i++)
		result = alternative_add(compiler, rule, policy_case(rule, i));
	if (result < 0)
		policy_problem_add(compiler->problems, rule->file, rule->line,
				   "libseccomp refuses the rule: %s", strerror(-result));
	return result;
}

/* Calls for serving stand first, then those for starting, stopping and errors; each in the order of the text.
 */
static int priorities_set(struct compiler *compiler)
{
	const struct policy *policy = compiler->policy;
	uint8_t priority = UINT8_MAX;

	for (int phase = POLICY_SERVE; phase <= POLICY_NO_PHASE; phase++) {
		for (size_t i = 0; i < policy->rule_count; i++) {
			const struct policy_rule *rule = &policy->rules[i];
			bool first = rule->call >= 0 && (int)rule->phase == phase;
			int result;

			for (size_t j = 0; j < policy->rule_count && first; j++)
				first = policy->rules[j].call != rule->call ||
					(int)policy->rules[j].phase > phase ||
					((int)policy->rules[j].phase == phase && j >= i);
			if (!first)
				continue;
			result = seccomp_syscall_priority(compiler->context, rule->call, priority);
			if (result < 0)
				return result;
			if (priority > 0)
				priority--;
		}
	}
	return 0;
}

/* --- The filter --- */

static int instructions_take(struct compiler *compiler, struct policy_compiled *compiled)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), result;
	off_t size;

	if (fd < 0)
		return -errno;
	result = seccomp_export_bpf(compiler->context, fd);
	if (result < 0)
		goto out;
	size = lseek(fd, 0, SEEK_END);
	result = -E2BIG;
	if (size <= 0 || (size_t)size / sizeof(struct sock_filter) > BPF_MAXINSNS)
		goto out;
	compiled->instructions = policy_resize(NULL, (size_t)size, 1);
	result = pread(fd, compiled->instructions, (size_t)size, 0) == size ? 0 : -EIO;
	compiled->filter.count = (uint16_t)((size_t)size / sizeof(struct sock_filter));
	compiled->filter.instructions = compiled->instructions;
out:
	close(fd);
	return result;
}

static int slots_find(struct compiler *compiler, struct policy_compiled *compiled)
{
	struct seccomp_filter *filter = &compiled->filter;
	size_t found[SLOTS_MAX] = {0};

	for (uint16_t i = 0; i < filter->count; i++) {
		uint32_t slot = compiled->instructions[i].k - SLOT_MARK;

		if (slot >= compiler->slot_count || BPF_CLASS(compiled->instructions[i].code) != BPF_JMP)
			continue;
		compiled->slots =
			policy_resize(compiled->slots, filter->slot_count + 1, sizeof(*compiled->slots));
		compiled->slots[filter->slot_count++] =
			(struct seccomp_filter_slot){.name = compiler->slots[slot], .instruction = i};
		compiled->instructions[i].k = 0;
		found[slot]++;
	}
	filter->slots = compiled->slots;
	for (size_t i = 0; i < compiler->slot_count; i++)
		if (found[i] == 0)
			return -ENOENT;
	return 0;
}

static void ring_gather(const struct policy *policy, struct policy_compiled *compiled)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		if (policy->rules[i].call >= 0)
			continue;
		compiled->ring_opcodes =
			policy_resize(compiled->ring_opcodes, compiled->filter.ring_opcode_count + 1, 1);
		compiled->ring_opcodes[compiled->filter.ring_opcode_count++] = policy->rules[i].opcode;
	}
	compiled->filter.ring_opcodes = compiled->ring_opcodes;
}

static int layout_compile(struct policy_compiled *compiled, const struct policy *policy, unsigned layout,
			  struct policy_problems *problems)
{
	struct compiler compiler = {.policy = policy, .problems = problems};
	int result;

	*compiled = (struct policy_compiled){.tree = layout == LAYOUT_TREE,
					     .filter = {.name = policy->name,
							.hash = policy->hash,
							.rules = policy_allowed_calls(policy)}};
	/* Level 4 has all actions that are used here; the kernel that builds need not have them. */
	seccomp_api_set(4);
	compiler.context = seccomp_init(action_of(policy->default_action, 0));
	if (compiler.context == NULL)
		return -ENOMEM;
	result = seccomp_attr_set(compiler.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (result == 0)
		result = seccomp_attr_set(compiler.context, SCMP_FLTATR_CTL_OPTIMIZE, layout);
	for (size_t i = 0; i < policy->rule_count && result == 0; i++)
		result = rule_add(&compiler, &policy->rules[i]);
	if (result == 0)
		result = priorities_set(&compiler);
	if (result == 0)
		result = instructions_take(&compiler, compiled);
	if (result == 0)
		result = slots_find(&compiler, compiled);
	seccomp_release(compiler.context);
	if (result < 0) {
		policy_compiled_clear(compiled);
		return result;
	}
	ring_gather(policy, compiled);
	policy_measure(policy, &compiled->filter, &compiled->cost);
	return 0;
}

int policy_compile(struct policy_compiled *compiled, const struct policy *policy,
		   struct policy_problems *problems)
{
	struct policy_compiled tree;
	int result = layout_compile(compiled, policy, LAYOUT_LIST, problems);

	if (result == 0 && layout_compile(&tree, policy, LAYOUT_TREE, problems) == 0) {
		const struct policy_cost *a = &compiled->cost, *b = &tree.cost;
		bool better = b->serve_mean < a->serve_mean ||
			      (b->serve_mean <= a->serve_mean && b->mean < a->mean);

		if (better) {
			policy_compiled_clear(compiled);
			*compiled = tree;
		} else {
			policy_compiled_clear(&tree);
		}
	}
	if (result < 0 && problems->count == 0)
		policy_problem_add(problems, policy->name, 0, "libseccomp makes no filter of this: %s",
				   strerror(-result));
	return result;
}

void policy_compiled_clear(struct policy_compiled *compiled)
{
	free(compiled->instructions);
	free(compiled->slots);
	free(compiled->ring_opcodes);
	*compiled = (struct policy_compiled){0};
}
