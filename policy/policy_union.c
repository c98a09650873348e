/*
 * The union of a role's threads.
 *
 * A role with several kinds of threads gets a filter for the whole process first, which must let through what
 * any of them may do; each thread then adds its own. That filter has no text: it is made here from those of
 * the threads.
 */
#include "policy/policy_union.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/policy_memory.h"
#include "policy/sha256.h"

/* The alternative without its conditions on slots, which are known to the thread alone. */
static struct policy_alternative alternative_without_slots(const struct policy_alternative *from)
{
	struct policy_alternative to = {0};

	for (unsigned i = 0; i < from->count; i++)
		if (from->conditions[i].slot == NULL)
			to.conditions[to.count++] = from->conditions[i];
	return to;
}

static void rule_copy_alternatives(struct policy_rule *to, const struct policy_rule *from)
{
	to->alternatives = NULL;
	to->alternative_count = 0;
	for (size_t i = 0; i < from->alternative_count; i++) {
		struct policy_alternative alternative = alternative_without_slots(&from->alternatives[i]);

		if (alternative.count == 0) {
			/* Without its slot it always holds: the others add nothing. */
			free(to->alternatives);
			to->alternatives = NULL;
			to->alternative_count = 0;
			return;
		}
		to->alternatives =
			policy_resize(to->alternatives, to->alternative_count + 1, sizeof(*to->alternatives));
		to->alternatives[to->alternative_count++] = alternative;
	}
}

/*
 * Whether a rule of the union decides all that the case of `rule` is about; with that rule's action, or by allowing it.
 */
static bool case_covered(const struct policy *whole, const struct policy_rule *rule,
			 const struct policy_alternative *one, bool same_action)
{
	for (size_t i = 0; i < whole->rule_count; i++) {
		const struct policy_rule *other = &whole->rules[i];
		bool fits =
			same_action ? policy_rules_same_action(other, rule) : other->action == POLICY_ALLOW;

		if (!fits || !policy_rules_same_call(other, rule))
			continue;
		for (size_t j = 0; j < policy_case_count(other); j++)
			if (policy_alternative_covers(policy_case(other, j), one))
				return true;
	}
	return false;
}

/* Whether the union says already what the rule says; !same_action: whether it allows what the rule denies. */
static bool rule_covered(const struct policy *whole, const struct policy_rule *rule, bool same_action)
{
	for (size_t i = 0; i < policy_case_count(rule); i++)
		if (!case_covered(whole, rule, policy_case(rule, i), same_action))
			return false;
	return true;
}

static const char *file_keep(struct policy *whole, const char *file)
{
	for (size_t i = 0; i < whole->file_count; i++)
		if (strcmp(whole->files[i], file) == 0)
			return whole->files[i];
	if (whole->file_count == POLICY_FILES_MAX)
		return NULL;
	return whole->files[whole->file_count++] = policy_copy_text(file, strlen(file));
}

static char *text_keep(const char *text)
{
	return text != NULL ? policy_copy_text(text, strlen(text)) : NULL;
}

/* The rule becomes the union's with its alternatives; what it says in words is a thread's, and is copied. */
static bool union_keep(struct policy *whole, struct policy_rule *rule, struct policy_problems *problems)
{
	const char *file = file_keep(whole, rule->file);

	if (file == NULL) {
		policy_problem_add(problems, rule->file, 0, "the role has more than %d files",
				   POLICY_FILES_MAX);
		return false;
	}
	rule->file = file;
	rule->text = text_keep(rule->text);
	rule->group = text_keep(rule->group);
	rule->reason = text_keep(rule->reason);
	whole->rules = policy_resize(whole->rules, whole->rule_count + 1, sizeof(*whole->rules));
	whole->rules[whole->rule_count++] = *rule;
	return true;
}

/* Adds the rules of a thread that the union does not cover yet: those that allow, or the others. */
static bool union_add(struct policy *whole, const struct policy *thread, bool allowing,
		      struct policy_problems *problems)
{
	for (size_t i = 0; i < thread->rule_count; i++) {
		struct policy_rule rule = thread->rules[i];
		bool covered;

		if ((rule.action == POLICY_ALLOW) != allowing)
			continue;
		rule_copy_alternatives(&rule, &thread->rules[i]);
		covered =
			rule_covered(whole, &rule, true) || (!allowing && rule_covered(whole, &rule, false));
		if (!covered && union_keep(whole, &rule, problems))
			continue;
		free(rule.alternatives);
		if (!covered)
			return false;
	}
	return true;
}

/* A thread's rule that denies must not take away what another thread may do. */
static bool union_check(const struct policy *whole, struct policy_problems *problems)
{
	bool good = true;

	for (size_t i = 0; i < whole->rule_count; i++) {
		for (size_t j = i + 1; j < whole->rule_count; j++) {
			const struct policy_rule *a = &whole->rules[i], *b = &whole->rules[j];

			if (!policy_rules_contradict(a, b))
				continue;
			policy_problem_add(
				problems, b->file, b->line,
				"what one thread of the role may do (%s:%u) would be denied to it in %s",
				a->file, a->line, whole->name);
			good = false;
		}
	}
	return good;
}

/* What the threads may do between the filter of the process and their own, if there is such a text. */
#define STACKING "process"

static bool union_has_stacking(const char *directory)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" STACKING ".policy", directory);
	return access(path, F_OK) == 0;
}

/* The policies of which a union is made. */
struct threads {
	struct policy list[POLICY_FILES_MAX];
	size_t count;
	struct sha256 sha; /* over their hashes */
};

static bool threads_add(struct threads *threads, const char *directory, const char *name,
			struct policy_problems *problems)
{
	struct policy *thread = &threads->list[threads->count];

	if (policy_load(thread, directory, name, problems) < 0)
		return false;
	sha256_add(&threads->sha, thread->hash, strlen(thread->hash));
	threads->count++;
	return true;
}

/* Loads the policies of a role's threads; whole: the name that stands for all of them. */
static bool threads_load(struct threads *threads, const char *directory, const char *whole,
			 struct policy_problems *problems)
{
	size_t role = strlen(whole) - strlen(POLICY_PROCESS) + 1; /* with its dot */
	char **names;
	int count = policy_list(directory, &names);
	bool good = true;

	for (int i = 0; i < count && good; i++) {
		if (strncmp(names[i], whole, role) != 0 || strcmp(names[i], whole) == 0)
			continue;
		if (threads->count == POLICY_FILES_MAX) {
			policy_problem_add(problems, directory, 0, "%s: more than %d threads", whole,
					   POLICY_FILES_MAX);
			good = false;
		} else {
			good = threads_add(threads, directory, names[i], problems);
			sha256_add(&threads->sha, "\n", 1);
		}
	}
	if (count >= 0)
		policy_list_free(names, count);
	if (good && threads->count == 0) {
		policy_problem_add(problems, directory, 0, "%s: there is no policy of this role", whole);
		good = false;
	}
	if (good && threads->count < POLICY_FILES_MAX && union_has_stacking(directory))
		good = threads_add(threads, directory, STACKING, problems);
	return good;
}

/* Those that allow come before those that deny, which may be needless then. */
static bool union_make(struct policy *whole, const struct threads *threads, struct policy_problems *problems)
{
	for (int allowing = 1; allowing >= 0; allowing--)
		for (size_t i = 0; i < threads->count; i++)
			if (!union_add(whole, &threads->list[i], allowing, problems))
				return false;
	return union_check(whole, problems);
}

int policy_union(struct policy *whole, const char *directory, const char *name,
		 struct policy_problems *problems)
{
	struct threads threads = {.count = 0};
	bool good;

	*whole = (struct policy){.name = policy_copy_text(name, strlen(name)), .default_action = POLICY_TRAP};
	sha256_init(&threads.sha);
	good = threads_load(&threads, directory, name, problems);
	sha256_finish(&threads.sha, whole->hash);
	good = good && union_make(whole, &threads, problems);
	for (size_t i = 0; i < threads.count; i++)
		policy_clear(&threads.list[i]);
	if (good)
		return 0;
	policy_clear(whole);
	return -EINVAL;
}
