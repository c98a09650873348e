/* What a config file says, and where it says it; see config.h. */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned config_file_line(const struct config_file *file, const char *format, ...)
{
	char path[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	return config_lines_find(&file->lines, path);
}

char *config_file_path(const struct config_file *file, const char *path)
{
	const char *slash = file->path != NULL ? strrchr(file->path, '/') : NULL;
	char *result;

	if (path[0] == '/' || slash == NULL)
		return strdup(path);
	return asprintf(&result, "%.*s/%s", (int)(slash - file->path), file->path, path) < 0 ? NULL : result;
}
