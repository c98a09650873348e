/*
 * Which key of a config file stands on which line: "disks[0].path" on 12.
 */
#ifndef ATOLL_CONFIG_CONFIG_LINES_H
#define ATOLL_CONFIG_CONFIG_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct config_line {
	char *key;
	unsigned line; /* counted from 1 */
};

struct config_lines {
	struct config_line *list;
	size_t count;
};

/* Adds a key, which is copied. 0 or -ENOMEM. */
int config_lines_add(struct config_lines *lines, const char *key, unsigned line);
/* The line of the key, or of the nearest parent that the file has; 1 if it has none. */
unsigned config_lines_find(const struct config_lines *lines, const char *key);
/* Whether the file has this very key. */
bool config_lines_have(const struct config_lines *lines, const char *key);
void config_lines_clear(struct config_lines *lines);

#endif
