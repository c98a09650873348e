/*
 * The file of a console with `output: file`, and its bound.
 *
 * At its bound the file, PATH, becomes PATH.1, and an empty one takes its name. There are these two files and no third:
 * by the next time, the one that is PATH.1 has been emptied and is PATH again. A process that has been taken over, and
 * lets go of no descriptor, so has two files to write to, each within its limit of RLIMIT_FSIZE, however often it says
 * that one is full.
 *
 * Names are changed for each other by one call, so that there is a file of each name at any time, and none is ever
 * replaced or removed. What is emptied was opened and looked at before: PATH.1 of an earlier run, or made here. It is
 * left alone, and there is no other file then, if it is no regular file, has another name too, is not of this user or
 * of PATH's, is locked as an image, or, later in the run, is not the one that was put there.
 */
#ifndef ATOLL_SUPERVISOR_HOST_CONSOLE_FILE_H
#define ATOLL_SUPERVISOR_HOST_CONSOLE_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define CONSOLE_FILE_BEFORE ".1"

struct console_file {
	uint64_t max;	     /* bytes; 0: no bound, as for all that is no regular file */
	int folder_fd;	     /* O_PATH */
	int spare_fd;	     /* the other file; -1: not yet */
	char path[PATH_MAX]; /* absolute, without links */
};

/*
 * NULL if what is at PATH.1, if anything, may be emptied one day; else why not, as text "PROBLEM; REMEDY". fd: PATH, or
 * -1 if it is not there.
 */
const char *console_file_check(const char *path, int fd);

/* Looks where the open file fd, which is at the path, really is. 0 or -errno. Close it in any case. */
int console_file_open(struct console_file *file, const char *path, int fd, uint64_t max);
void console_file_close(struct console_file *file);

/* Whether fd, the file in use, has reached the bound. */
bool console_file_is_full(const struct console_file *file, int fd);
/* Puts an empty file in the place of *fd, which goes to PATH.1. 0, or -errno with *problem, and *fd goes on. */
int console_file_rotate(struct console_file *file, int *fd, const char **problem);

#endif
