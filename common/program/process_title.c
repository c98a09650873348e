/*
 * The title is written over argv and the environment, which the kernel lays out one behind the other. Its end
 * is found by the kernel at the first NUL, if the last byte of argv is not one: the mark of a title that was
 * set, see get_mm_cmdline() in Linux fs/proc/base.c.
 */
#include "common/program/process_title.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *title_start;
static size_t title_argv_size, title_size;

void process_title_init(int argc, char **argv)
{
	size_t count = 0;
	char **copy, *end;

	if (argc == 0)
		return;
	while (environ[count] != NULL)
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	if (copy == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		copy[i] = strdup(environ[i]);
		if (copy[i] == NULL)
			return;
	}
	end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
	title_start = argv[0];
	title_argv_size = (size_t)(end - title_start);
	for (size_t i = 0; i < count && environ[i] == end; i++)
		end += strlen(environ[i]) + 1;
	title_size = (size_t)(end - title_start);
	environ = copy;
}

void process_title_set(const char *title)
{
	size_t length = strlen(title);

	if (title_start == NULL || title_size < 2)
		return;
	if (length > title_size - 1)
		length = title_size - 1;
	memset(title_start, 0, title_size);
	memcpy(title_start, title, length);
	if (length < title_argv_size)
		title_start[title_argv_size - 1] = '.';
	/* A title of just that length would end in the mark. */
	if (length + 1 == title_argv_size)
		title_start[length - 1] = '\0';
}
