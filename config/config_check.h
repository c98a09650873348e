/*
 * What a config file means, and whether that can be.
 */
#ifndef ATOLL_CONFIG_CONFIG_CHECK_H
#define ATOLL_CONFIG_CONFIG_CHECK_H

#include "config/config.h"
#include "config/problem.h"

/*
 * Everything that the schema cannot say; works out the fields that libcyaml does not fill. Of what was checked and packed
 * (config_pack.h) it says and works out the same again.
 */
void config_check(struct config_file *file, bool detached, struct problems *problems);

#endif
