/*
 * The log. A record is formatted on the caller's stack and handed to the sink at once: no buffer, no lock, no
 * allocation, so a record written just before a crash is out. Lines of two threads do not mix because each is
 * a single write(2).
 */
#include "common/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

static char log_program[32] = "atoll";
static char log_object[192];
static enum log_level log_threshold = LOG_LEVEL_NOTICE;
static log_sink_fn log_sink;
static void *log_sink_argument;
static bool log_sites_bound;

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

void log_write_line(int fd, const struct log_record *record)
{
	char line[LOG_LINE_MAX];
	size_t used = log_format_line(record, line);
	ssize_t ignored;

	do
		ignored = write(fd, line, used);
	while (ignored < 0 && errno == EINTR);
}

/* held: how many of its kind were left out before it. */
static void log_format(enum log_level level, uint32_t held, const char *format, va_list arguments)
{
	char text[LOG_TEXT_MAX], tail[64] = "";
	struct log_record record = {
		.level = level, .program = log_program, .object = log_object, .text = text};
	int length, room;

	if (held > 0)
		snprintf(tail, sizeof(tail), " (%" PRIu32 " more like it were left out)", held);
	room = (int)(sizeof(text) - strlen(tail));
	length = vsnprintf(text, (size_t)room, format, arguments);
	if (length >= room) {
		memcpy(text + room - 4, "...", 4);
		length = room - 1;
	}
	if (length >= 0)
		memcpy(text + length, tail, strlen(tail) + 1);
	record.time_us = clock_us(CLOCK_REALTIME);
	if (log_sink != NULL)
		log_sink(&record, log_sink_argument);
	else
		log_write_line(STDERR_FILENO, &record);
}

void log_message(enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	va_list arguments;

	if (level > log_threshold)
		return;
	va_start(arguments, format);
	log_format(level, 0, format, arguments);
	va_end(arguments);
	errno = saved_errno;
}

/* --- the bound --- */

void log_bound_sites(void)
{
	log_sites_bound = true;
}

void log_message_at(struct log_site *site, const char *subject, enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	uint32_t held = 0;
	va_list arguments;

	if (level > log_threshold)
		return;
	if (log_sites_bound && !log_site_take(site, subject, level, format, clock_ns(CLOCK_MONOTONIC), &held))
		return;
	va_start(arguments, format);
	log_format(level, held, format, arguments);
	va_end(arguments);
	errno = saved_errno;
}

/* The values of those records are gone; their form says which they were. */
static void log_tell_held(const struct log_site *site, uint32_t held, void *argument)
{
	(void)argument;
	log_message((enum log_level)site->level, "%" PRIu32 " more records like \"%s\" were left out", held,
		    site->format);
}

void log_flush_held(bool all)
{
	if (log_sites_bound)
		log_site_flush(clock_ns(CLOCK_MONOTONIC), all, log_tell_held, NULL);
}
