/*
 * Text of anybody's choice (a guest's, a process's, a file's name) for people to read: as one line, and without
 * anything that drives a terminal.
 *
 * Written as \xNN a byte are the control characters C0, DEL and C1 (U+0080 to U+009F, of which U+009B begins a
 * terminal's orders), what reorders or breaks lines (U+2028 to U+202E, U+2066 to U+2069), and every byte that is
 * not part of well-formed UTF-8. Pure; any thread.
 *
 * Source: ECMA-48 5.4; Unicode 15, table 3-7 and annex 9.
 */
#ifndef ATOLL_COMMON_BASE_ESCAPE_H
#define ATOLL_COMMON_BASE_ESCAPE_H

#include <stddef.h>

enum escape_as {
	/* Other characters stay as they are. */
	ESCAPE_TEXT,
	/* A name that is to be told apart from any other: everything but printable ASCII is escaped, and "\". */
	ESCAPE_NAME,
};

/* Of the longest piece of the output that one byte becomes. */
#define ESCAPE_BYTE_MAX 4

/*
 * Writes the escaped text, its terminator included, into out[size]; what does not fit is cut at the end of a
 * character and ends in "..." (if size is at least 4). Returns the length written.
 */
size_t escape_text(const char *text, size_t length, enum escape_as as, char *out, size_t size);

#endif
