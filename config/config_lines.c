/* Which key of a config file stands on which line; see config_lines.h. */
#include "config/config_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int config_lines_add(struct config_lines *lines, const char *key, unsigned line)
{
	struct config_line *list = realloc(lines->list, (lines->count + 1) * sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	lines->list = list;
	list[lines->count].key = strdup(key);
	if (list[lines->count].key == NULL)
		return -ENOMEM;
	list[lines->count++].line = line;
	return 0;
}

static const struct config_line *lines_look(const struct config_lines *lines, const char *key, size_t length)
{
	for (size_t i = 0; i < lines->count; i++) {
		if (strlen(lines->list[i].key) == length && memcmp(lines->list[i].key, key, length) == 0)
			return &lines->list[i];
	}
	return NULL;
}

bool config_lines_have(const struct config_lines *lines, const char *key)
{
	return lines_look(lines, key, strlen(key)) != NULL;
}

unsigned config_lines_find(const struct config_lines *lines, const char *key)
{
	size_t length = strlen(key);

	while (length > 0) {
		const struct config_line *found = lines_look(lines, key, length);

		if (found != NULL)
			return found->line;
		/* Up: to before the last '.' or '['. */
		while (length > 0 && key[length - 1] != '.' && key[length - 1] != '[')
			length--;
		if (length > 0)
			length--;
	}
	return 1;
}

void config_lines_clear(struct config_lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->list[i].key);
	free(lines->list);
	*lines = (struct config_lines){0};
}
