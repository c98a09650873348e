/*
 * The conditions of a rule.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"
#include "policy/policy_parser.h"

enum {
	ALTERNATIVES_MAX = 64,
};

/* --- Values --- */

static bool number_parse(const char *text, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno == 0 && *end == '\0';
}

/* NAME, ~NAME, several with "|" between them, or a number. */
static bool value_parse(struct parser *parser, char *text, uint64_t *value)
{
	char *term;

	*value = 0;
	while ((term = policy_part_take(&text, "|")) != NULL) {
		bool complement = *term == '~';
		uint64_t bits;

		if (complement)
			term++;
		if (!number_parse(term, &bits) && policy_constant(term, &bits) < 0) {
			FAIL(parser,
			     "\"%s\" is not a known constant; see policy/constants.list for those that are",
			     term);
			return false;
		}
		*value |= complement ? ~bits : bits;
	}
	return true;
}

static bool slot_name_valid(const char *name)
{
	return *name != '\0' && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

/* --- One condition --- */

static const char *const comparisons[] = {"==", "!=", "<=", ">=", "<", ">", "&", "in"};

/* Finds the operator behind "argN", and cuts the text there. */
static const char *comparison_take(char *text, char **value)
{
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
		size_t length = strlen(comparisons[i]);

		if (strncmp(text, comparisons[i], length) != 0)
			continue;
		if (isalpha((unsigned char)comparisons[i][0]) && text[length] != ' ' &&
		    text[length] != '\t' && text[length] != '~')
			continue;
		*value = policy_space_skip(text + length);
		return comparisons[i];
	}
	return NULL;
}

/* A value of 32 bits, or one that is negative as a C int. The kernel ignores the rest of a register. */
static bool value_fits(struct parser *parser, const struct policy_condition *condition, uint64_t value)
{
	uint64_t upper = value >> 32;

	if (upper == 0 || (upper == UINT32_MAX && (value & 0x80000000) != 0))
		return true;
	FAIL(parser, "the value has more than 32 bits, which the kernel ignores in arg%u",
	     condition->argument);
	return false;
}

static bool condition_equals(struct policy_condition *condition, uint64_t value, uint64_t all)
{
	condition->mask = all;
	condition->value = value & all;
	return true;
}

static bool condition_differs(struct parser *parser, struct policy_condition *condition, uint64_t value,
			      bool wide)
{
	if (!wide) {
		FAIL(parser,
		     "arg%u has 32 bits, and \"!=\" could be passed by with others; list the values with "
		     "\"==\", or bits with \"in\"",
		     condition->argument);
		return false;
	}
	condition->differs = true;
	return condition_equals(condition, value, UINT64_MAX);
}

/* "in": no other bits than these. */
static bool condition_in(struct parser *parser, struct policy_condition *condition, uint64_t value,
			 uint64_t all)
{
	condition->mask = ~value & all;
	condition->value = 0;
	if (condition->mask != 0)
		return true;
	FAIL(parser, "every value is in this set; leave the condition out");
	return false;
}

/* "&": this bit. */
static bool condition_has_bit(struct parser *parser, struct policy_condition *condition, uint64_t value)
{
	if (value == 0 || (value & (value - 1)) != 0) {
		FAIL(parser, "\"&\" tests one bit; write an alternative for each, or \"in\" for "
			     "\"only these\"");
		return false;
	}
	condition->mask = value;
	condition->value = value;
	return true;
}

/* Sets the condition's mask and value. `wide`: the kernel looks at 64 bits. */
static bool condition_set(struct parser *parser, struct policy_condition *condition, const char *comparison,
			  uint64_t value, bool wide)
{
	uint64_t all = wide ? UINT64_MAX : UINT32_MAX;

	if (strcmp(comparison, "in") == 0)
		return condition_in(parser, condition, value, all);
	if (!wide && !value_fits(parser, condition, value))
		return false;
	if (strcmp(comparison, "==") == 0)
		return condition_equals(condition, value, all);
	if (strcmp(comparison, "!=") == 0)
		return condition_differs(parser, condition, value, wide);
	return condition_has_bit(parser, condition, value & all);
}

/* "argN", and the comparison behind it; *value: what stands behind that. NULL, and a problem: it is no condition. */
static const char *condition_begin(struct parser *parser, struct policy_condition *condition, char *text,
				   char **value)
{
	const char *comparison;

	if (strncmp(text, "arg", 3) != 0 || text[3] < '0' || text[3] > '5') {
		FAIL(parser, "\"%s\" is not a condition; write argN OPERATOR VALUE, N from 0 to 5", text);
		return NULL;
	}
	condition->argument = (uint8_t)(text[3] - '0');
	comparison = comparison_take(policy_space_skip(text + 4), value);
	if (comparison == NULL || **value == '\0') {
		FAIL(parser,
		     "\"%s\" is not a condition; the operators are ==, !=, in and &, with a value behind",
		     text);
		return NULL;
	}
	if (*comparison == '<' || *comparison == '>') {
		FAIL(parser, "ordered comparisons are not supported, for libseccomp makes filters of them "
			     "that let too much through; list the values with \"==\", or bits with \"in\"");
		return NULL;
	}
	return comparison;
}

/* Whether the argument may have a condition here, and how wide it is. */
static bool argument_known(struct parser *parser, int call, const struct policy_alternative *alternative,
			   unsigned argument, enum policy_argument_kind *kind)
{
	for (unsigned i = 0; i < alternative->count; i++) {
		if (alternative->conditions[i].argument != argument)
			continue;
		FAIL(parser, "arg%u has two conditions in one alternative; make them one", argument);
		return false;
	}
	*kind = policy_argument_kind(call, argument);
	if (*kind == POLICY_ARGUMENT_UNKNOWN)
		FAIL(parser, "the arguments of %s are not described yet; add them to policy/policy_calls.c",
		     syscall_name((unsigned)call));
	else if (*kind == POLICY_ARGUMENT_NONE)
		FAIL(parser, "%s has no arg%u", syscall_name((unsigned)call), argument);
	else
		return true;
	return false;
}

/* "$NAME" in place of a value. */
static bool slot_parse(struct parser *parser, struct policy_condition *condition, const char *comparison,
		       const char *text, bool wide)
{
	if (strcmp(comparison, "==") != 0 || wide || !slot_name_valid(text + 1)) {
		FAIL(parser, "\"%s\" is a slot: $NAME in capitals, behind \"==\", for an argument of 32 bits",
		     text);
		return false;
	}
	condition->mask = UINT32_MAX;
	condition->slot = policy_copy_text(text + 1, strlen(text + 1));
	return true;
}

/* "arg1 == KVM_RUN" */
static bool condition_parse(struct parser *parser, int call, struct policy_alternative *alternative,
			    char *text)
{
	struct policy_condition condition = {0};
	enum policy_argument_kind kind;
	const char *comparison;
	char *value_text;
	uint64_t value;
	bool wide, good;

	comparison = condition_begin(parser, &condition, text, &value_text);
	if (comparison == NULL || !argument_known(parser, call, alternative, condition.argument, &kind))
		return false;
	wide = kind != POLICY_ARGUMENT_WORD;
	if (*value_text == '$')
		good = slot_parse(parser, &condition, comparison, value_text, wide);
	else
		good = value_parse(parser, value_text, &value) &&
		       condition_set(parser, &condition, comparison, value, wide);
	if (good)
		alternative->conditions[alternative->count++] = condition;
	return good;
}

/* --- All of a rule --- */

void policy_alternative_clear(struct policy_alternative *alternative)
{
	for (unsigned i = 0; i < alternative->count; i++)
		free(alternative->conditions[i].slot);
	alternative->count = 0;
}

bool policy_conditions_parse(struct parser *parser, struct policy_rule *rule, char *text)
{
	char *part, *condition;

	while ((part = policy_part_take(&text, "||")) != NULL) {
		struct policy_alternative alternative = {0};

		if (rule->alternative_count == ALTERNATIVES_MAX) {
			FAIL(parser, "more than %d alternatives in a line; write several rules",
			     ALTERNATIVES_MAX);
			return false;
		}
		while ((condition = policy_part_take(&part, "&&")) != NULL) {
			if (condition_parse(parser, rule->call, &alternative, condition))
				continue;
			policy_alternative_clear(&alternative);
			return false;
		}
		rule->alternatives = policy_resize(rule->alternatives, rule->alternative_count + 1,
						   sizeof(*rule->alternatives));
		rule->alternatives[rule->alternative_count++] = alternative;
	}
	return true;
}
