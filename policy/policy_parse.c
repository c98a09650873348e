/*
 * The parser of policies. The language is described in atoll-policy(5).
 *
 * A line is a directive, a rule or a comment. Lines are independent of each other, so a wrong one is told and
 * the next is read; one run names all problems. Included files are read in the place of their @include: one
 * level deep, or two where the first is a policy that another one adds to; a group's rules in the place that names it.
 * What remains for the end is what no line shows alone: rules that contradict each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy_memory.h"
#include "policy/policy_parser.h"

enum {
	DEPTH_MAX = 2,
};

/* Where all groups are defined. */
#define GROUPS_FILE "groups.policy"

static void file_parse(struct parser *parser, const char *name);

/* --- Directives --- */

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

/* --- Lines --- */

/* Cuts the comment off, NULL if there is none, and blanks at both ends of the rest. */
static bool line_split(struct parser *parser, char **text, char **comment)
{
	*comment = strchr(*text, '#');
	if (*comment != NULL)
		*(*comment)++ = '\0';
	*text = policy_text_trim(*text);
	for (const char *c = *text; *c != '\0'; c++) {
		if ((*c >= ' ' && *c <= '~') || *c == '\t')
			continue;
		FAIL(parser, "the byte 0x%02x does not belong here; outside of comments there is ASCII only",
		     (unsigned)(unsigned char)*c);
		return false;
	}
	return true;
}

/* Everything but @include lines counts for the hash; in their place the included text does. */
static void line_hash(struct parser *parser, const char *text)
{
	if (strncmp(text + strspn(text, " \t"), "@include", 8) == 0)
		return;
	sha256_add(&parser->sha, text, strlen(text));
	sha256_add(&parser->sha, "\n", 1);
}

/* --- Groups --- */

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
	policy_rule_parse(parser, text, reason);
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
		if (inside && !heading && *policy_space_skip(text) != '\0')
			line_hash(parser, text);
		if ((!inside && !heading) || !line_split(parser, &text, &who))
			continue;
		if (heading)
			inside = strcmp(policy_space_skip(text + 6), name) == 0;
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

/* --- Files --- */

static void directive_parse(struct parser *parser, char *text, const char *comment)
{
	char *rest = text, *word = policy_word_take(&rest), *operand = policy_word_take(&rest);

	if (*operand == '\0' && strcmp(word, "@include") != 0 && strcmp(word, "@default") != 0)
		group_parse(parser, word + 1, comment);
	else if (*policy_word_take(&rest) != '\0')
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
		policy_rule_parse(parser, text, comment);
}

static void text_parse(struct parser *parser, char *text)
{
	char *line;

	while (text != NULL && *text != '\0') {
		line = strsep(&text, "\n");
		parser->line++;
		line_hash(parser, line);
		line_parse(parser, line);
	}
}

static void file_parse(struct parser *parser, const char *name)
{
	struct policy *policy = parser->policy;
	char *file = NULL, *text = NULL;
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
	if (size > POLICY_TEXT_MAX)
		FAIL(parser, "the file has %zu bytes; %d are the most", size, POLICY_TEXT_MAX);
	else if (strlen(text) != size)
		FAIL(parser, "the file has a NUL byte; it is not a text");
	else
		text_parse(parser, text);
	free(text);
}

/* --- The whole --- */

/* Rules of one call with different actions must not meet. */
static void rules_check(struct parser *parser)
{
	const struct policy *policy = parser->policy;

	for (size_t i = 0; i < policy->rule_count; i++) {
		for (size_t j = i + 1; j < policy->rule_count; j++) {
			const struct policy_rule *a = &policy->rules[i], *b = &policy->rules[j];

			if (!policy_rules_contradict(a, b))
				continue;
			parser->file = b->file;
			parser->line = b->line;
			FAIL(parser, "contradicts %s:%u: some arguments would have two actions", a->file,
			     a->line);
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
	rules_check(&parser);
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
		policy_rule_clear(&policy->rules[i]);
	for (size_t i = 0; i < policy->file_count; i++)
		free(policy->files[i]);
	free(policy->rules);
	free(policy->name);
	*policy = (struct policy){0};
}
