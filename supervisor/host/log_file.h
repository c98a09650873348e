/*
 * The log file of a detached VM.
 *
 * One that the operator names (--log-file) is his: it is appended to, and opened again at SIGHUP, when he has moved it
 * away. Without a name there is one a VM's name in the log directory, which outlives the VM, so that there is something
 * to read when it has ended; it is bounded: at LOG_FILE_MAX bytes it becomes NAME.log.1, in place of the one before.
 * NAME/log in the runtime directory is a link to either.
 */
#ifndef ATOLL_SUPERVISOR_HOST_LOG_FILE_H
#define ATOLL_SUPERVISOR_HOST_LOG_FILE_H

#include <limits.h>
#include <stdbool.h>

#include "common/host/runtime_dir.h"

#define LOG_FILE_MAX (1 << 20)

struct log_file {
	char path[PATH_MAX]; /* absolute */
	bool named;	     /* by the operator: not bounded */
	int fd;		     /* until it is the standard error; -1: it is, or was not opened */
};

/* Says where it will be, and makes nothing. option: what --log-file names, or NULL. 0, or -errno: there is no place. */
int log_file_choose(struct log_file *log, const char *option, const char *vm);
/*
 * Opens it, and links NAME/log to it. Without a place to keep one it is NAME/log itself, and a warning says so. 0 or
 * -errno.
 */
int log_file_open(struct log_file *log, const struct runtime_dir *dir);
/* Makes it the standard error. */
void log_file_take(struct log_file *log);
/* Opens it anew by its name and makes that the standard error. If it cannot be, says so in the one that there is. */
void log_file_reopen(struct log_file *log);
/* Puts a new one in the place of one that has become too long. */
void log_file_bound(struct log_file *log);

#endif
