/*
 * What a process of the VM writes to its standard output and error: a pipe of its own, made for it alone, whose
 * other end the supervisor reads. So no process has the log, or a terminal, or anything on 1 and 2 that another
 * one has; what it writes is taken as hostile, a line at a time.
 *
 * The two ends are two open file descriptions: nothing that the process can do to its own makes a read here wait.
 */
#ifndef ATOLL_SUPERVISOR_VM_CHILD_OUTPUT_H
#define ATOLL_SUPERVISOR_VM_CHILD_OUTPUT_H

#include <stddef.h>

/* The longest line in bytes, before it is escaped; what is longer becomes several. */
#define CHILD_OUTPUT_LINE_MAX 240

struct child_output {
	int fd; /* the supervisor's end, which does not block; -1: none */
	size_t used;
	char line[CHILD_OUTPUT_LINE_MAX];
};

/* One line, escaped, without its end; valid during the call only. */
typedef void (*child_output_fn)(void *argument, const char *text);

/* Makes the pipe; *child_fd, the other end, is the caller's to close. 0 or -errno. */
int child_output_open(struct child_output *output, int *child_fd);

/*
 * Reads once, and gives out the lines that are whole. Returns 1 if more may wait, 0 at the end of the pipe (what
 * is left of a line is given out), -EAGAIN when it is empty, or -errno.
 */
int child_output_read(struct child_output *output, child_output_fn line, void *argument);

/* Gives out what is left of a line, and closes. */
void child_output_close(struct child_output *output, child_output_fn line, void *argument);

#endif
