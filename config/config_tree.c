/*
 * Walks the YAML document along the libcyaml schema. The walk goes as deep as the schema does, whatever the
 * document is: aliases can make that a graph with cycles.
 */
#include "config/config_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "common/base/report.h"
#include "config/nearest.h"

#define PATH_LENGTH 256
/* Aliases can make a small file name many things; nobody writes a VM of so many. */
#define TREE_ENTRIES_MAX 4096

struct config_tree {
	struct config_lines *lines;
	yaml_document_t document; /* during the walk */
	struct problems *problems;
	bool loadable;
	bool endless; /* too many keys */
	char *repaired;
};

static void tree_add(struct config_tree *tree, const char *path, unsigned line)
{
	if (tree->lines->count == TREE_ENTRIES_MAX) {
		if (tree->loadable)
			problem_add(tree->problems, line, path,
				    "more than %d keys; this is no description of one machine",
				    TREE_ENTRIES_MAX);
		tree->loadable = false;
		tree->endless = true;
		return;
	}
	if (config_lines_add(tree->lines, path, line) < 0) {
		report_error("config: out of memory; free some, and try again");
		exit(EXIT_STATUS_FAILED);
	}
}

static unsigned node_line(const yaml_node_t *node)
{
	return (unsigned)node->start_mark.line + 1;
}

static const char *node_text(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

/* For a remedy: "id, path, readonly". */
static void fields_list(const cyaml_schema_field_t *fields, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (; fields->key != NULL && used < size; fields++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", fields->key);
}

static void strings_list(const cyaml_schema_value_t *schema, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < schema->enumeration.count && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i == 0				      ? ""
					 : i + 1 == schema->enumeration.count ? " or "
									      : ", ",
					 schema->enumeration.strings[i].str);
}

static void tree_fault(struct config_tree *tree)
{
	tree->loadable = false;
}

/* What is wrong with a text, whatever value it is to be; NULL: nothing. */
static const char *text_problem(const char *text, size_t length)
{
	if (memchr(text, '\n', length) != NULL)
		return "has a line break; write the value on one line, or fold it with >-";
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return "has a control character; write the value on one line, without escapes";
	return NULL;
}

static bool text_is_number(const char *text, size_t length)
{
	char *end;

	errno = 0;
	return length > 0 && strspn(text, "0123456789") == length && (text[0] != '0' || length == 1) &&
	       strtoull(text, &end, 10) <= UINT32_MAX && errno == 0;
}

/* libcyaml takes any word that it does not know for true. */
static bool text_is_truth(const char *text)
{
	static const char *const words[] = {"true", "false", "yes", "no"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

static bool text_is_choice(const char *text, const cyaml_schema_value_t *schema)
{
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		if (strcmp(text, schema->enumeration.strings[i].str) == 0)
			return true;
	return false;
}

static void tree_tell_choices(struct config_tree *tree, const char *text, const cyaml_schema_value_t *schema,
			      const char *path, unsigned line)
{
	struct nearest nearest = nearest_begin(text);
	char list[PATH_LENGTH], hint[64];

	strings_list(schema, list, sizeof(list));
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		nearest_try(&nearest, schema->enumeration.strings[i].str);
	problem_add_shape(tree->problems, line, path, "\"%.64s\" is not a choice here; %swrite %s", text,
			  nearest_hint(&nearest, hint, sizeof(hint)), list);
}

/* Whether the text is what its schema wants; tells it if it is not. */
static bool tree_check_scalar(struct config_tree *tree, const char *text, size_t length,
			      const cyaml_schema_value_t *schema, const char *path, unsigned line)
{
	const char *problem = text_problem(text, length);

	if (problem != NULL) {
		problem_add_shape(tree->problems, line, path, "%s", problem);
		return false;
	}
	switch (schema->type) {
	case CYAML_UINT:
		if (text_is_number(text, length))
			return true;
		problem_add_shape(tree->problems, line, path,
				  "\"%.64s\" is not a whole number; write one, as in 2", text);
		return false;
	case CYAML_BOOL:
		if (text_is_truth(text))
			return true;
		problem_add_shape(tree->problems, line, path,
				  "\"%.64s\" is neither true nor false; write one of them", text);
		return false;
	case CYAML_ENUM:
		if (text_is_choice(text, schema))
			return true;
		tree_tell_choices(tree, text, schema, path, line);
		return false;
	default:
		if (length > 0)
			return true;
		problem_add_shape(tree->problems, line, path,
				  "has no value; write one, or leave the key out");
		return false;
	}
}

static void tree_walk_scalar(struct config_tree *tree, const yaml_node_t *node,
			     const cyaml_schema_value_t *schema, const char *path, unsigned line)
{
	const char *text = node_text(node);
	size_t length = node->data.scalar.length;

	/* What a block (> or |) ends with; config_check() takes it off. */
	if (strcmp(path, "boot.cmdline") == 0 && node->data.scalar.style != YAML_DOUBLE_QUOTED_SCALAR_STYLE)
		while (length > 0 && text[length - 1] == '\n')
			length--;
	if (!tree_check_scalar(tree, text, length, schema, path, line))
		tree_fault(tree);
}

static void tree_walk(struct config_tree *tree, const yaml_node_t *node, const cyaml_schema_value_t *schema,
		      const char *path, unsigned line);

/* The key's field in the schema, or NULL after having said what is wrong with it. */
static const cyaml_schema_field_t *tree_key(struct config_tree *tree, const yaml_node_t *key,
					    const cyaml_schema_value_t *schema, const char *path,
					    char *key_path)
{
	const cyaml_schema_field_t *field = schema->mapping.fields;
	char list[PATH_LENGTH], hint[64];
	struct nearest nearest;

	/* "\0" can stand in a quoted key. */
	if (key->type != YAML_SCALAR_NODE || key->data.scalar.length == 0 ||
	    strlen(node_text(key)) != key->data.scalar.length) {
		problem_add_shape(tree->problems, node_line(key), path[0] != '\0' ? path : "yaml",
				  "a key must be a word; look for a stray ?, :, [ or {");
		tree_fault(tree);
		return NULL;
	}
	snprintf(key_path, PATH_LENGTH, "%s%s%.64s", path, path[0] != '\0' ? "." : "", node_text(key));
	while (field->key != NULL && strcmp(field->key, node_text(key)) != 0)
		field++;
	if (field->key == NULL) {
		fields_list(schema->mapping.fields, list, sizeof(list));
		nearest = nearest_begin(node_text(key));
		for (field = schema->mapping.fields; field->key != NULL; field++)
			nearest_try(&nearest, field->key);
		problem_add(tree->problems, node_line(key), key_path, "unknown key; %sknown here: %s",
			    nearest_hint(&nearest, hint, sizeof(hint)), list);
		return NULL;
	}
	if (config_lines_have(tree->lines, key_path)) {
		problem_add_shape(tree->problems, node_line(key), key_path,
				  "the key is there twice, first on line %u; keep one of them",
				  config_lines_find(tree->lines, key_path));
		tree_fault(tree);
		return NULL;
	}
	return field;
}

static void tree_walk_mapping(struct config_tree *tree, const yaml_node_t *node,
			      const cyaml_schema_value_t *schema, const char *path, unsigned line)
{
	char key_path[PATH_LENGTH];

	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = yaml_document_get_node(&tree->document, pair->key);
		const yaml_node_t *value = yaml_document_get_node(&tree->document, pair->value);
		const cyaml_schema_field_t *field = tree_key(tree, key, schema, path, key_path);

		if (field == NULL)
			continue;
		tree_add(tree, key_path, node_line(key));
		tree_walk(tree, value, &field->value, key_path, node_line(key));
	}
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key != NULL; field++) {
		snprintf(key_path, sizeof(key_path), "%s%s%s", path, path[0] != '\0' ? "." : "", field->key);
		if ((field->value.flags & CYAML_FLAG_OPTIONAL) || config_lines_have(tree->lines, key_path))
			continue;
		problem_add_shape(tree->problems, line, key_path, "the key is missing; add it");
		tree_fault(tree);
	}
}

static void tree_walk_sequence(struct config_tree *tree, const yaml_node_t *node,
			       const cyaml_schema_value_t *schema, const char *path)
{
	char item_path[PATH_LENGTH];
	size_t count = 0;

	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
	     item++, count++) {
		const yaml_node_t *value = yaml_document_get_node(&tree->document, *item);

		if (!tree->loadable && tree->lines->count == TREE_ENTRIES_MAX)
			return;
		snprintf(item_path, sizeof(item_path), "%s[%zu]", path, count);
		tree_add(tree, item_path, node_line(value));
		tree_walk(tree, value, schema->sequence.entry, item_path, node_line(value));
	}
}

static void tree_walk(struct config_tree *tree, const yaml_node_t *node, const cyaml_schema_value_t *schema,
		      const char *path, unsigned line)
{
	static const char *const kinds[] = {[YAML_NO_NODE] = "nothing",
					    [YAML_SCALAR_NODE] = "a single value",
					    [YAML_SEQUENCE_NODE] = "a list",
					    [YAML_MAPPING_NODE] = "a block of keys"};
	yaml_node_type_t wanted = schema->type == CYAML_MAPPING	   ? YAML_MAPPING_NODE
				  : schema->type == CYAML_SEQUENCE ? YAML_SEQUENCE_NODE
								   : YAML_SCALAR_NODE;

	if (node->type != wanted) {
		problem_add_shape(
			tree->problems, line, path, "is %s, not %s; %s", kinds[node->type], kinds[wanted],
			wanted == YAML_MAPPING_NODE    ? "write \"KEY: VALUE\" lines, indented below it"
			: wanted == YAML_SEQUENCE_NODE ? "write items that start with \"- \" below it"
						       : "write one value behind the colon");
		tree_fault(tree);
	} else if (wanted == YAML_MAPPING_NODE) {
		tree_walk_mapping(tree, node, schema, path, line);
	} else if (wanted == YAML_SEQUENCE_NODE) {
		tree_walk_sequence(tree, node, schema, path);
	} else {
		tree_walk_scalar(tree, node, schema, path, line);
	}
}

/* The second document of a file would be ignored silently. */
static void tree_check_end(yaml_parser_t *parser, struct config_tree *tree)
{
	yaml_document_t next;
	yaml_node_t *root;

	if (!yaml_parser_load(parser, &next)) {
		problem_add_shape(tree->problems, (unsigned)parser->problem_mark.line + 1, "yaml",
				  "%s; the file goes wrong here or just above",
				  parser->problem != NULL ? parser->problem : "not YAML");
		tree_fault(tree);
		return;
	}
	root = yaml_document_get_root_node(&next);
	if (root != NULL) {
		problem_add_shape(tree->problems, node_line(root), "yaml",
				  "a second document; write one VM a file, without --- between");
		tree_fault(tree);
	}
	yaml_document_delete(&next);
}

/* --- the same with what is wrong left out --- */

/* Aliases can make a small file a large one. */
#define REPAIRED_MAX (2 << 20)

struct repair {
	struct config_tree *tree;
	FILE *out;
	unsigned placeholders;
};

/* A value that stands where one is needed. */
static void repair_write_placeholder(struct repair *repair, const cyaml_schema_value_t *schema)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		fputc('{', repair->out);
		for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key != NULL;
		     field++) {
			if (field->value.flags & CYAML_FLAG_OPTIONAL)
				continue;
			fprintf(repair->out, "\"%s\": ", field->key);
			repair_write_placeholder(repair, &field->value);
			fputc(',', repair->out);
		}
		fputc('}', repair->out);
		break;
	case CYAML_SEQUENCE:
		fputs("[]", repair->out);
		break;
	case CYAML_ENUM:
		/* The last is the one that has the least to do with others: an output of null. */
		fprintf(repair->out, "\"%s\"",
			schema->enumeration.strings[schema->enumeration.count - 1].str);
		break;
	case CYAML_UINT:
		fputs("1", repair->out);
		break;
	case CYAML_BOOL:
		fputs("false", repair->out);
		break;
	default:
		/* An id among others: each is another. */
		fprintf(repair->out, "placeholder-%u", ++repair->placeholders);
	}
}

static void repair_write(struct repair *repair, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			 const char *path);

static const yaml_node_t *repair_find(const struct repair *repair, const yaml_node_t *node, const char *name)
{
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
	     pair++) {
		const yaml_node_t *key = yaml_document_get_node(&repair->tree->document, pair->key);

		if (key->type == YAML_SCALAR_NODE && strcmp(node_text(key), name) == 0)
			return yaml_document_get_node(&repair->tree->document, pair->value);
	}
	return NULL;
}

static void repair_write_mapping(struct repair *repair, const yaml_node_t *node,
				 const cyaml_schema_value_t *schema, const char *path)
{
	char key_path[PATH_LENGTH];

	fputc('{', repair->out);
	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key != NULL; field++) {
		const yaml_node_t *value = repair_find(repair, node, field->key);
		bool optional = field->value.flags & CYAML_FLAG_OPTIONAL, wrong;

		snprintf(key_path, sizeof(key_path), "%s%s%s", path, path[0] != '\0' ? "." : "", field->key);
		wrong = value == NULL || problems_have_shape(repair->tree->problems, key_path);
		if (wrong && optional && (value == NULL || field->value.type != CYAML_ENUM))
			continue;
		fprintf(repair->out, "\"%s\": ", field->key);
		if (wrong)
			repair_write_placeholder(repair, &field->value);
		else
			repair_write(repair, value, &field->value, key_path);
		fputc(',', repair->out);
	}
	fputc('}', repair->out);
}

static void repair_write_sequence(struct repair *repair, const yaml_node_t *node,
				  const cyaml_schema_value_t *schema, const char *path)
{
	char item_path[PATH_LENGTH];
	size_t count = 0;

	fputc('[', repair->out);
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
	     item++, count++) {
		snprintf(item_path, sizeof(item_path), "%s[%zu]", path, count);
		repair_write(repair, yaml_document_get_node(&repair->tree->document, *item),
			     schema->sequence.entry, item_path);
		fputc(',', repair->out);
	}
	fputc(']', repair->out);
}

static void repair_write(struct repair *repair, const yaml_node_t *node, const cyaml_schema_value_t *schema,
			 const char *path)
{
	yaml_node_type_t wanted = schema->type == CYAML_MAPPING	   ? YAML_MAPPING_NODE
				  : schema->type == CYAML_SEQUENCE ? YAML_SEQUENCE_NODE
								   : YAML_SCALAR_NODE;

	if (ftell(repair->out) > REPAIRED_MAX)
		return;
	if (node->type != wanted || problems_have_shape(repair->tree->problems, path)) {
		repair_write_placeholder(repair, schema);
	} else if (wanted == YAML_MAPPING_NODE) {
		repair_write_mapping(repair, node, schema, path);
	} else if (wanted == YAML_SEQUENCE_NODE) {
		repair_write_sequence(repair, node, schema, path);
	} else {
		fputc('"', repair->out);
		for (const char *c = node_text(node); *c != '\0'; c++) {
			if (*c == '"' || *c == '\\')
				fputc('\\', repair->out);
			if (*c != '\n')
				fputc(*c, repair->out);
		}
		fputc('"', repair->out);
	}
}

/* So that values are looked at too when the shape of some is wrong. */
static void tree_repair(struct config_tree *tree, const yaml_node_t *root, const cyaml_schema_value_t *schema)
{
	struct repair repair = {.tree = tree};
	size_t size;

	repair.out = open_memstream(&tree->repaired, &size);
	if (repair.out == NULL)
		return;
	repair_write(&repair, root, schema, "");
	if (fclose(repair.out) != 0 || size > REPAIRED_MAX) {
		free(tree->repaired);
		tree->repaired = NULL;
	}
}

const char *config_tree_repaired(const struct config_tree *tree)
{
	return tree->repaired;
}

struct config_tree *config_tree_new(const uint8_t *text, size_t size, const cyaml_schema_value_t *schema,
				    struct config_lines *lines, struct problems *problems, bool *loadable)
{
	struct config_tree *tree = calloc(1, sizeof(*tree));
	yaml_parser_t parser;
	yaml_node_t *root;

	*loadable = false;
	if (tree == NULL || !yaml_parser_initialize(&parser)) {
		problem_add(problems, 1, "yaml", "out of memory; free some, and try again");
		free(tree);
		return NULL;
	}
	yaml_parser_set_input_string(&parser, text, size);
	tree->lines = lines;
	tree->problems = problems;
	tree->loadable = true;
	if (!yaml_parser_load(&parser, &tree->document)) {
		problem_add(problems, (unsigned)parser.problem_mark.line + 1, "yaml",
			    "%s; the file goes wrong here or just above",
			    parser.problem != NULL ? parser.problem : "not YAML");
		yaml_parser_delete(&parser);
		free(tree);
		return NULL;
	}
	root = yaml_document_get_root_node(&tree->document);
	if (root == NULL || root->type != YAML_MAPPING_NODE) {
		problem_add(problems, root != NULL ? node_line(root) : 1, "yaml",
			    "the file has no keys; see atoll.yaml(5) for what it must have");
		tree_fault(tree);
	} else {
		tree_walk(tree, root, schema, "", node_line(root));
		tree_check_end(&parser, tree);
		if (!tree->loadable && !tree->endless)
			tree_repair(tree, root, schema);
	}
	yaml_document_delete(&tree->document);
	yaml_parser_delete(&parser);
	*loadable = tree->loadable;
	return tree;
}

void config_tree_free(struct config_tree *tree)
{
	if (tree == NULL)
		return;
	free(tree->repaired);
	free(tree);
}
