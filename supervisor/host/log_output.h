/*
 * Where the supervisor's own lines go, records and reports: standard error, without ever waiting for it.
 *
 * What is behind standard error may be a terminal that was stopped (Ctrl-s), or a pipe whose reader has stopped;
 * then lines wait here, up to LOG_OUTPUT_ROOM bytes, and what comes on top is dropped and counted. Its open file
 * description is shared with the shell and others, so its O_NONBLOCK is left alone: a second one is opened.
 *
 * One for the process, since standard error is. The main thread's.
 */
#ifndef ATOLL_SUPERVISOR_HOST_LOG_OUTPUT_H
#define ATOLL_SUPERVISOR_HOST_LOG_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/log.h"
#include "common/base/loop.h"

#define LOG_OUTPUT_ROOM 65536

/* From now on lines go out as the loop finds room; also after standard error has become another. 0 or -errno. */
int log_output_start(struct loop *loop);
/* Writes what waits, for up to a second, and lets go. From then on lines are written at once, as before the start. */
void log_output_stop(void);

/*
 * Makes fd the standard error, which stays the caller's, and goes on there; what waits goes where it was to go, as at
 * the end.
 */
void log_output_become(int fd);

bool log_output_started(void);
/* Writes whole lines, or keeps them, or drops them. */
void log_output_write(const char *lines, size_t size);
/* Prints a record; a sink of log_set_sink(). */
void log_output_record(const struct log_record *record, void *argument);

#endif
