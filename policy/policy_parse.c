/*
 * The parser of policies. The language is described in atoll-policy(5).
 *
 * A line is a directive, a rule or a comment. Lines are independent of each other, so a wrong one is told and
 * the next is read; one run names all problems. Included files are read in the place of their @include: one
 * level deep, or two where the first is a policy that another one adds to; a group's rules in the place that names it. What remains for the end is what no line shows alone:
 * rules that contradict each other.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/syscall_names.h"
#include "policy/policy.h"
#include "policy/policy_memory.h"
#include "policy/policy_names.h"
#include "policy/sha256.h"

enum {
	RULES_MAX = 512,
	ALTERNATIVES_MAX = 64,
	DEPTH_MAX = 2,
};

struct parser {
	struct policy *policy;
	const struct policy_source *source;
	struct policy_problems *problems;
	struct sha256 sha;
	const char *file;
	unsigned line;
	unsigned
		depth; /* 0: the policy itself, 1: an included file, 2: one that an included policy includes */
	bool leaf;     /* the file that is read is no policy, but rules for policies */
	const char *group; /* of the rules that are read; NULL: of none */
	char *groups;	   /* the text of GROUPS_FILE; NULL: not read yet */
	char *groups_file;
	bool default_given;
	bool failed;
};

/* Where all groups are defined. */
#define GROUPS_FILE "groups.policy"

#define FAIL(parser, ...)         \
	((parser)->failed = true, \
	 policy_problem_add((parser)->problems, (parser)->file, (parser)->line, __VA_ARGS__))

/* --- Words --- */

static char *space_skip(char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* Cuts blanks at both ends, in place. */
static char *text_trim(char *text)
{
	size_t length;

	text = space_skip(text);
	length = strlen(text);
	while (length > 0 &&
	       (text[length - 1] == ' ' || text[length - 1] == '\t' || text[length - 1] == '\r'))
		text[--length] = '\0';
	return text;
}

/* Takes the next word, ended by a blank, from *text; "" at the end. */
static char *word_take(char **text)
{
	char *word = space_skip(*text), *end = word + strcspn(word, " \t");

	*text = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return word;
}

/* Cuts *text at the separator and returns the part in front of it; NULL when all is taken. */
static char *part_take(char **text, const char *separator)
{
	char *part = *text, *end;

	if (part == NULL)
		return NULL;
	end = strstr(part, separator);
	*text = end != NULL ? end + strlen(separator) : NULL;
	if (end != NULL)
		*end = '\0';
	return text_trim(part);
}

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
	while ((term = part_take(&text, "|")) != NULL) {
		bool complement = *term == '~';
		uint64_t bits;

		if (complement)
			term++;
		if (!number_parse(term, &bits) && policy_constant(term, &bits) < 0) {
			FAIL(parser,
			     "\"%s\" is not a known constant; see policy/constants.list for those that "
			     "are",
			     term);
			return false;
		}
		*value |= complement ? ~bits : bits;
	}
	return true;
}

/* --- Conditions --- */

static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">", "&", "in"};

/* Finds the operator behind "argN", and cuts the text there. */
static const char *operator_take(char *text, char **value)
{
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		size_t length = strlen(operators[i]);

		if (strncmp(text, operators[i], length) != 0)
			continue;
		if (isalpha((unsigned char)operators[i][0]) && text[length] != ' ' && text[length] != '\t' &&
		    text[length] != '~')
			continue;
		*value = space_skip(text + length);
		return operators[i];
	}
	return NULL;
}

/* Sets the condition's mask and value. `wide`: the kernel looks at 64 bits. */
static bool condition_set(struct parser *parser, struct policy_condition *condition, const char *operator,
			  uint64_t value, bool wide)
{
	uint64_t all = wide ? UINT64_MAX : UINT32_MAX, upper = value >> 32;

	if (!wide && strcmp(operator, "in") != 0) {
		if (upper != 0 && !(upper == UINT32_MAX && (value & 0x80000000) != 0)) {
			FAIL(parser, "the value has more than 32 bits, which the kernel ignores in arg%u",
			     condition->argument);
			return false;
		}
		value &= all;
	}
	if (strcmp(operator, "==") == 0) {
		condition->mask = all;
		condition->value = value;
	} else if (strcmp(operator, "!=") == 0) {
		if (!wide) {
			FAIL(parser,
			     "arg%u has 32 bits, and \"!=\" could be passed by with others; list the values "
			     "with "
			     "\"==\", or bits with \"in\"",
			     condition->argument);
			return false;
		}
		condition->mask = all;
		condition->value = value;
		condition->differs = true;
	} else if (strcmp(operator, "in") == 0) {
		condition->mask = ~value & all;
		condition->value = 0;
		if (condition->mask == 0) {
			FAIL(parser, "every value is in this set; leave the condition out");
			return false;
		}
	} else { /* & */
		if (value == 0 || (value & (value - 1)) != 0) {
			FAIL(parser, "\"&\" tests one bit; write an alternative for each, or \"in\" for "
				     "\"only these\"");
			return false;
		}
		condition->mask = value;
		condition->value = value;
	}
	return true;
}

static bool slot_name_valid(const char *name)
{
	return *name != '\0' && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

/* "arg1 == KVM_RUN" */
static bool condition_parse(struct parser *parser, int call, struct policy_alternative *alternative,
			    char *text)
{
	struct policy_condition condition = {0};
	enum policy_argument_kind kind;
	const char *operator;
	char *value_text;
	uint64_t value;

	if (strncmp(text, "arg", 3) != 0 || text[3] < '0' || text[3] > '5') {
		FAIL(parser, "\"%s\" is not a condition; write argN OPERATOR VALUE, N from 0 to 5", text);
		return false;
	}
	condition.argument = (uint8_t)(text[3] - '0');
	operator= operator_take(space_skip(text + 4), &value_text);
	if (operator== NULL || * value_text == '\0') {
		FAIL(parser,
		     "\"%s\" is not a condition; the operators are ==, !=, in and &, with a value behind",
		     text);
		return false;
	}
	if (*operator== '<' || * operator== '>') {
		FAIL(parser, "ordered comparisons are not supported, for libseccomp makes filters of them "
			     "that let too much "
			     "through; list the values with \"==\", or bits with \"in\"");
		return false;
	}
	for (unsigned i = 0; i < alternative->count; i++) {
		if (alternative->conditions[i].argument != condition.argument)
			continue;
		FAIL(parser, "arg%u has two conditions in one alternative; make them one",
		     condition.argument);
		return false;
	}
	kind = policy_argument_kind(call, condition.argument);
	if (kind == POLICY_ARGUMENT_UNKNOWN) {
		FAIL(parser, "the arguments of %s are not described yet; add them to policy/policy_calls.c",
		     syscall_name((unsigned)call));
		return false;
	}
	if (kind == POLICY_ARGUMENT_NONE) {
		FAIL(parser, "%s has no arg%u", syscall_name((unsigned)call), condition.argument);
		return false;
	}
	if (*value_text == '$') {
		if (strcmp(operator, "==") != 0 || kind != POLICY_ARGUMENT_WORD ||
		    !slot_name_valid(value_text + 1)) {
			FAIL(parser,
			     "\"%s\" is a slot: $NAME in capitals, behind \"==\", for an argument of 32 bits",
			     value_text);
			return false;
		}
		condition.mask = UINT32_MAX;
		condition.slot = policy_copy_text(value_text + 1, strlen(value_text + 1));
	} else if (!value_parse(parser, value_text, &value) ||
		   !condition_set(parser, &condition, operator, value, kind != POLICY_ARGUMENT_WORD)) {
		return false;
	}
	alternative->conditions[alternative->count++] = condition;
	return true;
}

static void alternative_clear(struct policy_alternative *alternative)
{
	for (unsigned i = 0; i < alternative->count; i++)
		free(alternative->conditions[i].slot);
	alternative->count = 0;
}

/* "arg0 == A && arg1 == B || arg0 == C" */
static bool filter_parse(struct parser *parser, struct policy_rule *rule, char *text)
{
	char *part, *condition;

	while ((part = part_take(&text, "||")) != NULL) {
		struct policy_alternative alternative = {0};

		if (rule->alternative_count == ALTERNATIVES_MAX) {
			FAIL(parser, "more than %d alternatives in a line; write several rules",
			     ALTERNATIVES_MAX);
			return false;
		}
		while ((condition = part_take(&part, "&&")) != NULL) {
			if (condition_parse(parser, rule->call, &alternative, condition))
				continue;
			alternative_clear(&alternative);
			return false;
		}
		rule->alternatives = policy_resize(rule->alternatives, rule->alternative_count + 1,
						   sizeof(*rule->alternatives));
		rule->alternatives[rule->alternative_count++] = alternative;
	}
	return true;
}

/* --- Rules --- */

/* "return ENOSYS", "return ENOTTY if ...", "kill", "trap" with or without "if", "1", "allow", or conditions.
 */
static bool action_parse(struct parser *parser, struct policy_rule *rule, char *text)
{
	char *rest = text, *word;
	size_t length = strcspn(text, " \t");

	if (strcmp(text, "1") == 0 || strcmp(text, "allow") == 0) {
		rule->action = POLICY_ALLOW;
		return true;
	}
	if (length == 6 && strncmp(text, "return", 6) == 0) {
		word_take(&rest);
		word = word_take(&rest);
		rule->action = POLICY_ERRNO;
		rule->error = policy_error_number(word);
		if (rule->error < 0) {
			FAIL(parser, "\"%s\" is not the name of an error; write return ENOSYS, for instance",
			     word);
			return false;
		}
	} else if (length == 4 && (strncmp(text, "kill", 4) == 0 || strncmp(text, "trap", 4) == 0)) {
		rule->action = *text == 'k' ? POLICY_KILL : POLICY_TRAP;
		word_take(&rest);
	} else {
		rule->action = POLICY_ALLOW;
		return filter_parse(parser, rule, text);
	}
	word = word_take(&rest);
	if (*word == '\0')
		return true;
	if (strcmp(word, "if") != 0) {
		FAIL(parser, "\"%s\" stands where \"if\" and conditions, or nothing, were expected", word);
		return false;
	}
	return filter_parse(parser, rule, rest);
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
	phase = text_trim(comment);
	reason = text_trim(colon + 1);
	for (size_t i = 0; i < POLICY_NO_PHASE; i++)
		if (strcmp(phases[i], phase) == 0)
			rule->phase = (enum policy_phase)i;
	if (rule->phase != POLICY_NO_PHASE && *reason != '\0')
		rule->reason = policy_copy_text(reason, strlen(reason));
}

static void rule_clear(struct policy_rule *rule)
{
	free(rule->group);
	for (size_t i = 0; i < rule->alternative_count; i++)
		alternative_clear(&rule->alternatives[i]);
	free(rule->alternatives);
	free(rule->text);
	free(rule->reason);
}

/* "or " in front of a rule of a group. */
static bool spelling_take(char **text)
{
	if (strncmp(*text, "or ", 3) != 0)
		return false;
	*text = space_skip(*text + 3);
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

static void rule_parse(struct parser *parser, char *text, char *comment)
{
	struct policy *policy = parser->policy;
	struct policy_rule rule = {.file = parser->file, .line = parser->line};
	char *colon = strchr(text, ':'), *name, *body;
	bool good;

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
	name = text_trim(text);
	body = text_trim(colon + 1);
	if (strcmp(name, "uring") == 0) {
		good = uring_parse(parser, &rule, body);
	} else if ((rule.call = syscall_number(name)) < 0) {
		FAIL(parser,
		     "\"%s\" is not a system call of x86-64 that %s has, with whose headers this was built; "
		     "correct "
		     "the name, or build it where the headers are those of a kernel that has it",
		     name, syscall_headers());
		good = false;
	} else if (*body == '\0') {
		FAIL(parser, "nothing stands behind \"%s:\"; write 1, or conditions", name);
		good = false;
	} else {
		good = action_parse(parser, &rule, body);
	}
	if (!good) {
		rule_clear(&rule);
		return;
	}
	reason_parse(&rule, comment);
	policy->rules = policy_resize(policy->rules, policy->rule_count + 1, sizeof(*policy->rules));
	policy->rules[policy->rule_count++] = rule;
}

/* --- Directives and files --- */

static void file_parse(struct parser *parser, const char *name);

static bool file_name_valid(const char *name)
{
	return *name != '\0' && *name != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name);
}

bool policy_is_its_file(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot = strchr(slash != NULL ? slash : path, '.');

	return dot != NULL && strchr(dot + 1, '.') != NULL;
}

static void include_parse(struct parser *parser, const char *name)
{
	const char *file = parser->file;
	unsigned line = parser->line;
	bool leaf = parser->leaf;

	if (!file_name_valid(name)) {
		FAIL(parser,
		     "\"%s\" is not a file in the policy's folder; write @include common.policy, for "
		     "instance",
		     name);
		return;
	}
	if (parser->leaf) {
		FAIL(parser, "a file that is included may not include another, unless it is a policy");
		return;
	}
	parser->depth++;
	parser->leaf = !policy_is_its_file(name);
	if (parser->depth == DEPTH_MAX && !parser->leaf)
		FAIL(parser, "a policy that is included may not include another policy");
	else
		file_parse(parser, name);
	parser->leaf = leaf;
	parser->depth--;
	parser->file = file;
	parser->line = line;
}

static void default_parse(struct parser *parser, const char *action)
{
	if (parser->depth > 0) {
		FAIL(parser, "a file that is included may not set the default");
	} else if (parser->default_given) {
		FAIL(parser, "the default is set twice");
	} else if (strcmp(action, "trap") == 0 || strcmp(action, "allow") == 0 ||
		   strcmp(action, "kill") == 0) {
		parser->policy->default_action = *action == 't'	  ? POLICY_TRAP
						 : *action == 'a' ? POLICY_ALLOW
								  : POLICY_KILL;
		parser->default_given = true;
	} else {
		FAIL(parser, "\"%s\" is not a default; it is trap, kill or allow", action);
	}
}

/* Cuts the comment off, NULL if there is none, and blanks at both ends of the rest. */
static bool line_split(struct parser *parser, char **text, char **comment)
{
	*comment = strchr(*text, '#');
	if (*comment != NULL)
		*(*comment)++ = '\0';
	*text = text_trim(*text);
	for (const char *c = *text; *c != '\0'; c++) {
		if ((*c >= ' ' && *c <= '~') || *c == '\t')
			continue;
		FAIL(parser, "the byte 0x%02x does not belong here; outside of comments there is ASCII only",
		     (unsigned)(unsigned char)*c);
		return false;
	}
	return true;
}

static void line_hash(struct parser *parser, const char *text);

/* Reads GROUPS_FILE, once. */
static bool groups_read(struct parser *parser)
{
	size_t size;
	int result;

	if (parser->groups != NULL)
		return true;
	result = parser->source->read(parser->source, GROUPS_FILE, &parser->groups_file, &parser->groups,
				      &size);
	if (result < 0)
		FAIL(parser, "%s, where groups are defined: %s; see that the file is there and may be read",
		     GROUPS_FILE, strerror(-result));
	else if (size > POLICY_TEXT_MAX || strlen(parser->groups) != size)
		FAIL(parser, "%s: more than %d bytes, or a NUL byte among them", GROUPS_FILE,
		     POLICY_TEXT_MAX);
	else
		return true;
	return false;
}

/* A line of a group: behind the rule stands who makes the call, `comment` is that of the place that names the group. */
static void group_line_parse(struct parser *parser, char *text, const char *who, const char *comment)
{
	char *reason;

	if (who == NULL || who[strspn(who, " \t\r")] == '\0') {
		FAIL(parser, "say behind it which C libraries make this call");
		return;
	}
	reason = comment != NULL ? policy_copy_text(comment, strlen(comment)) : NULL;
	rule_parse(parser, text, reason);
	free(reason);
}

/* Reads the lines from the group's "@group" to the next one. */
static void group_lines_parse(struct parser *parser, const char *name, const char *comment)
{
	char *copy = policy_copy_text(parser->groups, strlen(parser->groups)), *rest = copy, *text, *who;
	bool inside = false;

	while ((text = strsep(&rest, "\n")) != NULL) {
		bool heading = strncmp(text, "@group ", 7) == 0;

		parser->line++;
		if (inside && !heading && *space_skip(text) != '\0')
			line_hash(parser, text);
		if ((!inside && !heading) || !line_split(parser, &text, &who))
			continue;
		if (heading)
			inside = strcmp(space_skip(text + 6), name) == 0;
		else if (*text != '\0')
			group_line_parse(parser, text, who, comment);
	}
	free(copy);
}

/*
 * The rules of a group. What is wrong with them is told with their own place; what they say counts as said in the place
 * that names the group.
 */
static void group_parse(struct parser *parser, const char *name, const char *comment)
{
	const char *file = parser->file;
	unsigned line = parser->line;
	size_t first = parser->policy->rule_count, problems = parser->problems->count;

	if (!groups_read(parser))
		return;
	parser->group = name;
	parser->file = parser->groups_file;
	parser->line = 0;
	group_lines_parse(parser, name, comment);
	parser->group = NULL;
	parser->file = file;
	parser->line = line;
	if (parser->policy->rule_count == first && parser->problems->count == problems)
		FAIL(parser,
		     "\"@%s\" is neither a directive nor a group of %s; there are @include and @default",
		     name, GROUPS_FILE);
	for (size_t i = first; i < parser->policy->rule_count; i++) {
		parser->policy->rules[i].file = file;
		parser->policy->rules[i].line = line;
	}
}

static void directive_parse(struct parser *parser, char *text, const char *comment)
{
	char *rest = text, *word = word_take(&rest), *operand = word_take(&rest);

	if (*operand == '\0' && strcmp(word, "@include") != 0 && strcmp(word, "@default") != 0)
		group_parse(parser, word + 1, comment);
	else if (*word_take(&rest) != '\0')
		FAIL(parser, "%s takes one word", word);
	else if (strcmp(word, "@include") == 0)
		include_parse(parser, operand);
	else if (strcmp(word, "@default") == 0)
		default_parse(parser, operand);
	else
		FAIL(parser,
		     "\"%s\" is not a directive with a word behind it; there are @include and @default",
		     word);
}

static void line_parse(struct parser *parser, char *text)
{
	char *comment;

	if (!line_split(parser, &text, &comment))
		return;
	if (*text == '@')
		directive_parse(parser, text, comment);
	else if (*text != '\0')
		rule_parse(parser, text, comment);
}

/* Everything but @include lines counts for the hash; in their place the included text does. */
static void line_hash(struct parser *parser, const char *text)
{
	if (strncmp(text + strspn(text, " \t"), "@include", 8) == 0)
		return;
	sha256_add(&parser->sha, text, strlen(text));
	sha256_add(&parser->sha, "\n", 1);
}

static void file_parse(struct parser *parser, const char *name)
{
	struct policy *policy = parser->policy;
	char *file = NULL, *text = NULL, *line;
	size_t size;
	int result;

	if (policy->file_count == POLICY_FILES_MAX) {
		FAIL(parser, "more than %d files", POLICY_FILES_MAX);
		return;
	}
	result = parser->source->read(parser->source, name, &file, &text, &size);
	if (result < 0) {
		FAIL(parser, "%s: %s; see that the file is there and may be read", name, strerror(-result));
		return;
	}
	policy->files[policy->file_count++] = file;
	parser->file = file;
	parser->line = 0;
	if (size > POLICY_TEXT_MAX) {
		FAIL(parser, "the file has %zu bytes; %d are the most", size, POLICY_TEXT_MAX);
	} else if (strlen(text) != size) {
		FAIL(parser, "the file has a NUL byte; it is not a text");
	} else {
		for (char *rest = text; rest != NULL && *rest != '\0';) {
			line = strsep(&rest, "\n");
			parser->line++;
			line_hash(parser, line);
			line_parse(parser, line);
		}
	}
	free(text);
}

/* --- The whole --- */

/* Rules of one call with different actions must not meet. */
static void rules_contradict(struct parser *parser, const struct policy_rule *a, const struct policy_rule *b)
{
	if (a->call < 0 || a->call != b->call || (a->action == b->action && a->error == b->error))
		return;
	for (size_t i = 0; i == 0 || i < a->alternative_count; i++) {
		for (size_t j = 0; j == 0 || j < b->alternative_count; j++) {
			const struct policy_alternative *one =
				a->alternative_count > 0 ? &a->alternatives[i] : NULL;
			const struct policy_alternative *other =
				b->alternative_count > 0 ? &b->alternatives[j] : NULL;

			if (!policy_alternatives_overlap(one, other))
				continue;
			parser->file = b->file;
			parser->line = b->line;
			FAIL(parser, "contradicts %s:%u: some arguments would have two actions", a->file,
			     a->line);
			return;
		}
	}
}

int policy_parse(struct policy *policy, const char *name, const struct policy_source *source,
		 struct policy_problems *problems)
{
	struct parser parser = {.policy = policy, .source = source, .problems = problems};
	char *file;

	*policy = (struct policy){.default_action = POLICY_TRAP};
	policy->name = policy_copy_text(name, strlen(name));
	file = policy_resize(NULL, strlen(name) + sizeof(".policy"), 1);
	stpcpy(stpcpy(file, name), ".policy");
	parser.file = file;
	sha256_init(&parser.sha);
	file_parse(&parser, file);
	sha256_finish(&parser.sha, policy->hash);
	for (size_t i = 0; i < policy->rule_count; i++)
		for (size_t j = i + 1; j < policy->rule_count; j++)
			rules_contradict(&parser, &policy->rules[i], &policy->rules[j]);
	free(file);
	free(parser.groups);
	free(parser.groups_file);
	if (!parser.failed)
		return 0;
	policy_clear(policy);
	return -EINVAL;
}

void policy_clear(struct policy *policy)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		rule_clear(&policy->rules[i]);
	for (size_t i = 0; i < policy->file_count; i++)
		free(policy->files[i]);
	free(policy->rules);
	free(policy->name);
	*policy = (struct policy){0};
}
