/* A record of the log, and the line that it makes; see log_record.h. */
#include "common/base/log_record.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *log_level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	return level <= LOG_LEVEL_DEBUG ? names[level] : "unknown";
}

size_t log_format_line(const struct log_record *record, char line[LOG_LINE_MAX])
{
	time_t seconds = (time_t)(record->time_us / 1000000);
	struct tm utc;
	size_t used;

	if (gmtime_r(&seconds, &utc) == NULL)
		memset(&utc, 0, sizeof(utc));
	used = strftime(line, LOG_LINE_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, LOG_LINE_MAX - used,
				 ".%06uZ %s %s: ", (unsigned)(record->time_us % 1000000),
				 log_level_name(record->level), record->program);
	if (record->object[0] != '\0')
		used += (size_t)snprintf(line + used, LOG_LINE_MAX - used, "%s: ", record->object);
	used += escape_text(record->text, strlen(record->text), ESCAPE_TEXT, line + used,
			    LOG_LINE_MAX - used - 1);
	line[used++] = '\n';
	return used;
}
