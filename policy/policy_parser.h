/*
 * The parser of policies from within, for policy_parse*.c alone. The language is described in atoll-policy(5).
 *
 * policy_parse.c reads files, line by line, and their directives; policy_parse_rule.c a line that is a rule;
 * policy_parse_conditions.c what stands in a rule; policy_parse_words.c cuts texts.
 *
 * Texts are cut in place. A function that fails has told the problem.
 */
#ifndef ATOLL_POLICY_POLICY_PARSER_H
#define ATOLL_POLICY_POLICY_PARSER_H

#include <stdbool.h>

#include "policy/policy.h"
#include "policy/sha256.h"

struct parser {
	struct policy *policy;
	const struct policy_source *source;
	struct policy_problems *problems;
	struct sha256 sha;
	const char *file;
	unsigned line;
	/* 0: the policy itself, 1: an included file, 2: one that an included policy includes */
	unsigned depth;
	bool leaf;	   /* the file that is read is no policy, but rules for policies */
	const char *group; /* of the rules that are read; NULL: of none */
	char *groups;	   /* the text of GROUPS_FILE; NULL: not read yet */
	char *groups_file; /* and its name */
	bool default_given;
	bool failed;
};

#define FAIL(parser, ...)         \
	((parser)->failed = true, \
	 policy_problem_add((parser)->problems, (parser)->file, (parser)->line, __VA_ARGS__))

/* --- policy_parse_words.c --- */

/* Where the first character stands that is no blank. */
char *policy_space_skip(char *text);
/* Cuts blanks at both ends. */
char *policy_text_trim(char *text);
/* Takes the next word, ended by a blank, from *text; "" at the end. */
char *policy_word_take(char **text);
/* Cuts *text at the separator and returns the part in front of it, trimmed; NULL when all is taken. */
char *policy_part_take(char **text, const char *separator);

/* --- policy_parse_conditions.c --- */

/* Gives the rule its alternatives: "arg0 == A && arg1 == B || arg0 == C". */
bool policy_conditions_parse(struct parser *parser, struct policy_rule *rule, char *text);
void policy_alternative_clear(struct policy_alternative *alternative);

/* --- policy_parse_rule.c --- */

/* Adds the rule of a line to the policy; comment: what stands behind its "#", or NULL. */
void policy_rule_parse(struct parser *parser, char *text, char *comment);
void policy_rule_clear(struct policy_rule *rule);

#endif
