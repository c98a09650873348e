/*
 * What the operator is told when a command fails: one line on stderr, "atoll: WHAT: WHY; REMEDY".
 *
 * The log (common/base/log.h) tells what a running VM does, with times; a report is the answer to a command.
 */
#ifndef ATOLL_COMMON_BASE_REPORT_H
#define ATOLL_COMMON_BASE_REPORT_H

#include <stddef.h>
#include <stdio.h>

/* Exit statuses of `atoll`; docs/man/atoll.1 is their documentation. */
enum exit_status {
	EXIT_STATUS_OK = 0,
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_USAGE = 2, /* bad usage or bad config */
	EXIT_STATUS_HOST = 3,  /* the host lacks something: KVM, a right */
	EXIT_STATUS_PANIC = 4, /* the guest panicked */
};

/* Prints "atoll: " and the text as one line; escaped as escape.h says. */
void report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Where lines for standard error go from now on, whole ones; NULL brings back standard error itself. Main thread.
 */
void report_set_output(void (*write)(const char *lines, size_t size));

/* Writes text to a stream as one line, escaped, in one write if the stream is buffered. */
void report_line(FILE *stream, const char *text);

#endif
