/*
 * A line of a policy that is a rule: what is called, what becomes of it, and why.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"
#include "policy/policy_parser.h"

enum {
	RULES_MAX = 512,
};

/* "return ENOSYS", "kill" or "trap": takes it from *text. false: it is neither. */
static bool denial_take(struct parser *parser, struct policy_rule *rule, char **text, bool *good)
{
	size_t length = strcspn(*text, " \t");
	const char *word;

	*good = true;
	if (length == 4 && (strncmp(*text, "kill", 4) == 0 || strncmp(*text, "trap", 4) == 0)) {
		rule->action = **text == 'k' ? POLICY_KILL : POLICY_TRAP;
		policy_word_take(text);
		return true;
	}
	if (length != 6 || strncmp(*text, "return", 6) != 0)
		return false;
	policy_word_take(text);
	word = policy_word_take(text);
	rule->action = POLICY_ERRNO;
	rule->error = policy_error_number(word);
	*good = rule->error >= 0;
	if (!*good)
		FAIL(parser, "\"%s\" is not the name of an error; write return ENOSYS, for instance", word);
	return true;
}

/* "return ENOSYS", "return ENOTTY if ...", "kill", "trap" with or without "if", "1", "allow", or conditions. */
static bool action_parse(struct parser *parser, struct policy_rule *rule, char *text)
{
	const char *word;
	bool good;

	rule->action = POLICY_ALLOW;
	if (strcmp(text, "1") == 0 || strcmp(text, "allow") == 0)
		return true;
	if (!denial_take(parser, rule, &text, &good))
		return policy_conditions_parse(parser, rule, text);
	if (!good)
		return false;
	word = policy_word_take(&text);
	if (*word == '\0')
		return true;
	if (strcmp(word, "if") != 0) {
		FAIL(parser, "\"%s\" stands where \"if\" and conditions, or nothing, were expected", word);
		return false;
	}
	return policy_conditions_parse(parser, rule, text);
}

static bool uring_parse(struct parser *parser, struct policy_rule *rule, const char *text)
{
	int opcode = policy_ring_opcode(text);

	if (opcode < 0) {
		FAIL(parser, "\"%s\" is not an operation of io_uring; write one, without IORING_OP_", text);
		return false;
	}
	rule->call = -1;
	rule->opcode = (uint8_t)opcode;
	rule->action = POLICY_ALLOW;
	return true;
}

/* " serve: why" behind the "#" of a rule. */
static void reason_parse(struct policy_rule *rule, char *comment)
{
	static const char *const phases[] = {[POLICY_SERVE] = "serve",
					     [POLICY_START] = "start",
					     [POLICY_STOP] = "stop",
					     [POLICY_ERROR] = "error"};
	char *colon = comment != NULL ? strchr(comment, ':') : NULL;
	char *phase, *reason;

	rule->phase = POLICY_NO_PHASE;
	if (colon == NULL)
		return;
	*colon = '\0';
	phase = policy_text_trim(comment);
	reason = policy_text_trim(colon + 1);
	for (size_t i = 0; i < POLICY_NO_PHASE; i++)
		if (strcmp(phases[i], phase) == 0)
			rule->phase = (enum policy_phase)i;
	if (rule->phase != POLICY_NO_PHASE && *reason != '\0')
		rule->reason = policy_copy_text(reason, strlen(reason));
}

/* "or " in front of a rule of a group. */
static bool spelling_take(char **text)
{
	if (strncmp(*text, "or ", 3) != 0)
		return false;
	*text = policy_space_skip(*text + 3);
	return true;
}

/* The rule as written; where a group is named, that does not stand there. */
static char *rule_text(const char *text, const char *group)
{
	char *copy;

	if (group == NULL)
		return policy_copy_text(text, strlen(text));
	copy = policy_resize(NULL, strlen(text) + strlen(group) + sizeof(" (@)"), 1);
	stpcpy(stpcpy(stpcpy(stpcpy(copy, text), " (@"), group), ")");
	return copy;
}

void policy_rule_clear(struct policy_rule *rule)
{
	free(rule->group);
	for (size_t i = 0; i < rule->alternative_count; i++)
		policy_alternative_clear(&rule->alternatives[i]);
	free(rule->alternatives);
	free(rule->text);
	free(rule->reason);
}

/* What is called, and what becomes of that. */
static bool body_parse(struct parser *parser, struct policy_rule *rule, const char *name, char *body)
{
	if (strcmp(name, "uring") == 0)
		return uring_parse(parser, rule, body);
	rule->call = syscall_number(name);
	if (rule->call < 0) {
		FAIL(parser,
		     "\"%s\" is not a system call of x86-64 that %s has, with whose headers this was built; "
		     "correct the name, or build it where the headers are those of a kernel that has it",
		     name, syscall_headers());
		return false;
	}
	if (*body == '\0') {
		FAIL(parser, "nothing stands behind \"%s:\"; write 1, or conditions", name);
		return false;
	}
	return action_parse(parser, rule, body);
}

void policy_rule_parse(struct parser *parser, char *text, char *comment)
{
	struct policy *policy = parser->policy;
	struct policy_rule rule = {.file = parser->file, .line = parser->line};
	char *colon = strchr(text, ':');

	if (colon == NULL) {
		FAIL(parser, "\"%s\" is neither a directive nor a rule; write CALL: 1, or CALL: CONDITIONS",
		     text);
		return;
	}
	if (policy->rule_count == RULES_MAX) {
		FAIL(parser, "more than %d rules", RULES_MAX);
		return;
	}
	if (parser->group != NULL) {
		rule.group = policy_copy_text(parser->group, strlen(parser->group));
		rule.spelling = spelling_take(&text);
	}
	rule.text = rule_text(text, rule.group);
	*colon = '\0';
	if (!body_parse(parser, &rule, policy_text_trim(text), policy_text_trim(colon + 1))) {
		policy_rule_clear(&rule);
		return;
	}
	reason_parse(&rule, comment);
	policy->rules = policy_resize(policy->rules, policy->rule_count + 1, sizeof(*policy->rules));
	policy->rules[policy->rule_count++] = rule;
}
