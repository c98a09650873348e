/*
 * The config file's text as YAML, before its values are taken: which key stands on which line, and whether
 * the shape is that of the schema.
 *
 * libcyaml stops at the first fault and tells its line to a log only, so faults of shape are looked for here,
 * all of them, against the very schema that libcyaml then loads by.
 */
#ifndef ATOLL_CONFIG_CONFIG_TREE_H
#define ATOLL_CONFIG_CONFIG_TREE_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config_lines.h"
#include "config/problem.h"

struct config_tree;

/*
 * Parses the text; adds the lines of its keys to *lines, and what is wrong with its shape to *problems. *loadable:
 * libcyaml will take it, perhaps with unknown keys ignored. Returns NULL when there is no YAML mapping at all; then a
 * problem was added.
 */
struct config_tree *config_tree_new(const uint8_t *text, size_t size, const cyaml_schema_value_t *schema,
				    struct config_lines *lines, struct problems *problems, bool *loadable);
/*
 * When it is not loadable: YAML that is, with what is wrong left out or, where something is needed, with something in
 * its place, so that the rest can be looked at; NULL: there is none. The tree's.
 */
const char *config_tree_repaired(const struct config_tree *tree);
void config_tree_free(struct config_tree *tree);

#endif
