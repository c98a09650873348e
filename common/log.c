/*
 * The log. A record is formatted on the caller's stack and handed to the sink at once: no buffer, no lock, no
 * allocation, so a record written just before a crash is out. Lines of two threads do not mix because each is
 * a single write(2).
 */
#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log_line.h"

static char log_program[32] = "atoll";
static char log_object[192];
static enum log_level log_threshold = LOG_LEVEL_NOTICE;
static log_sink_fn log_sink;
static void *log_sink_argument;

void log_identify(const char *program, const char *object)
{
	snprintf(log_program, sizeof(log_program), "%s", program);
	snprintf(log_object, sizeof(log_object), "%s", object);
}

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_get_level(void)
{
	return log_threshold;
}

void log_set_sink(log_sink_fn sink, void *argument)
{
	log_sink = sink;
	log_sink_argument = argument;
}

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

void log_write_line(int fd, const struct log_record *record)
{
	char line[LOG_LINE_MAX];
	size_t used = log_format_line(record, line);
	ssize_t ignored;

	do
		ignored = write(fd, line, used);
	while (ignored < 0 && errno == EINTR);
}

void log_message(enum log_level level, const char *format, ...)
{
	char text[LOG_TEXT_MAX];
	struct log_record record = {
		.level = level, .program = log_program, .object = log_object, .text = text};
	struct timespec now;
	int saved_errno = errno;
	va_list arguments;
	int length;

	if (level > log_threshold)
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length >= (int)sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	clock_gettime(CLOCK_REALTIME, &now);
	record.time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	if (log_sink != NULL)
		log_sink(&record, log_sink_argument);
	else
		log_write_line(STDERR_FILENO, &record);
	errno = saved_errno;
}
