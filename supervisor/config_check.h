/*
 * What a config file means, and whether that can be.
 */
#ifndef ATOLL_SUPERVISOR_CONFIG_CHECK_H
#define ATOLL_SUPERVISOR_CONFIG_CHECK_H

#include "supervisor/config.h"
#include "supervisor/problem.h"

/* Everything that the schema cannot say; works out the fields that libcyaml does not fill. */
void config_check(struct config_file *file, bool detached, struct problems *problems);

#endif
