/*
 * The log: structured, one line a record, process and device named in each.
 *
 * A record goes to the sink. By itself that is stderr, one line:
 *     2026-11-21T05:40:00.123456Z warning atoll-blk: web/root: text
 * A supervised child replaces the sink (child.h) and the record travels to the supervisor, which prints the
 * same line and keeps the last one of each child, so that a process that died has last words.
 *
 * Any thread may log. Text comes from a printf format; it is escaped (escape.h), so that bytes of a guest can
 * neither forge a line nor drive a terminal.
 */
#ifndef ATOLL_COMMON_LOG_H
#define ATOLL_COMMON_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE, /* the default threshold */
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* The longest text of a record in bytes, its terminator included; longer ones are cut with "...". */
#define LOG_TEXT_MAX 1024

struct log_record {
	enum log_level level;
	uint64_t time_us;    /* microseconds since the epoch, CLOCK_REALTIME */
	const char *program; /* "atoll-blk" */
	const char *object;  /* "web/root", "web", or "" */
	const char *text;    /* valid during the call only */
};

typedef void (*log_sink_fn)(const struct log_record *record, void *argument);

/* Names this process in its records. Both strings are copied. Call before a second thread exists. */
void log_identify(const char *program, const char *object);

/* Records above this level are dropped before they are formatted. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Replaces the sink; NULL brings stderr back. Call before a second thread exists. */
void log_set_sink(log_sink_fn sink, void *argument);

/* Writes one record to a descriptor as the line shown above, in one write(2). */
void log_write_line(int fd, const struct log_record *record);

/* "error", "warning", "notice", "info", "debug". */
const char *log_level_name(enum log_level level);

void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_message(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
