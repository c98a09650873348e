/*
 * The small files by which the kernel tells and is told, below /proc, /sys and in cgroups: of one line, or of which the
 * first line counts.
 *
 * Names are relative to dir_fd, as for openat(2). Errors are -errno. Any thread.
 */
#ifndef ATOLL_COMMON_BASE_LINE_FILE_H
#define ATOLL_COMMON_BASE_LINE_FILE_H

#include <stddef.h>

/* Writes the text, in one write(2), as these files want it. 0 or -errno. */
int line_file_write(int dir_fd, const char *name, const char *text);

/* The first line as a string, without its end, cut to what fits; "" with an error. 0 or -errno. */
int line_file_read(int dir_fd, const char *name, char *text, size_t size);

#endif
