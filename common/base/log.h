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
#ifndef ATOLL_COMMON_BASE_LOG_H
#define ATOLL_COMMON_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/log_limit.h"
#include "common/base/log_record.h"

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

void log_message(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A record under the bound of its site (log_limit.h), if log_bound_sites() was called. subject: the device that it
 * is about, in a process that speaks of several, or NULL.
 */
void log_message_at(struct log_site *site, const char *subject, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Bounds the records of this process. Call before a second thread exists. */
void log_bound_sites(void);

/* Tells of what the bound held back and no later record told: now and then, and all of it at the end. */
void log_flush_held(bool all);

#define LOG_AT(subject, level, ...)                                          \
	do {                                                                 \
		static struct log_site log_site_here;                        \
		log_message_at(&log_site_here, subject, level, __VA_ARGS__); \
	} while (0)

#define log_error(...)	 LOG_AT(NULL, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(NULL, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 LOG_AT(NULL, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 LOG_AT(NULL, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 LOG_AT(NULL, LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The same about one of several devices: it has a second of its own. */
#define log_error_of(subject, ...)   LOG_AT(subject, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning_of(subject, ...) LOG_AT(subject, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_debug_of(subject, ...)   LOG_AT(subject, LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
