/*
 * Loading a config file: from its text to what it says (config.h), checked. What is loaded is freed by config_file_clear()
 * (config_pack.h).
 */
#ifndef ATOLL_CONFIG_CONFIG_LOAD_H
#define ATOLL_CONFIG_CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "config/problem.h"

/*
 * Reads and checks a file. Problems are added to *problems; file->config may be there nonetheless, and is
 * then safe to look for more problems in. detached: without a terminal, so a console on stdio is a problem,
 * and the default one is a pty. Returns 0, or -errno when the file cannot be read (reported as a problem
 * too).
 */
int config_file_load(const char *path, bool detached, struct config_file *file, struct problems *problems);

/* The same from memory; what the fuzzer feeds. */
void config_file_parse(const uint8_t *text, size_t size, bool detached, struct config_file *file,
		       struct problems *problems);

#endif
