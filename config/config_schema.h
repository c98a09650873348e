/*
 * The schema of the config file, for libcyaml and for config_tree.c.
 */
#ifndef ATOLL_CONFIG_CONFIG_SCHEMA_H
#define ATOLL_CONFIG_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

/* From one thread at a time. */
const cyaml_schema_value_t *config_schema(void);

#endif
