/*
 * A record as a line, for who writes it somewhere else than log.c does.
 */
#ifndef ATOLL_COMMON_LOG_LINE_H
#define ATOLL_COMMON_LOG_LINE_H

#include "common/escape.h"
#include "common/log.h"

/* The longest line of a record in bytes. */
#define LOG_LINE_MAX (ESCAPE_BYTE_MAX * LOG_TEXT_MAX + 384)

/* Writes the line that log_write_line() writes, its newline included, without a terminator; returns its length. */
size_t log_format_line(const struct log_record *record, char line[LOG_LINE_MAX]);

#endif
