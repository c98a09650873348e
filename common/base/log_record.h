/*
 * A record of the log, and the line that it makes.
 */
#ifndef ATOLL_COMMON_BASE_LOG_RECORD_H
#define ATOLL_COMMON_BASE_LOG_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/escape.h"

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

/* "error", "warning", "notice", "info", "debug". */
const char *log_level_name(enum log_level level);

/* The longest line of a record in bytes. */
#define LOG_LINE_MAX (ESCAPE_BYTE_MAX * LOG_TEXT_MAX + 384)

/*
 * Writes the line that log_write_line() (log.h) writes, its newline included, without a terminator; returns its length.
 */
size_t log_format_line(const struct log_record *record, char line[LOG_LINE_MAX]);

#endif
