/*
 * Reading the text files of /proc whole and bounded; for audit_proc.c and audit_proc_files.c.
 */
#ifndef ATOLL_AUDIT_AUDIT_PROC_TEXT_H
#define ATOLL_AUDIT_AUDIT_PROC_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* More of anything than a process of ours has. */
#define PROC_TEXT_MAX  (4 * 1024 * 1024)
#define PROC_COUNT_MAX 8192

/* Reads a file below dir_fd; *text ends in NUL and is the caller's to free. 0, or -errno as audit_proc.h says. */
int proc_read_text(int dir_fd, const char *path, char **text);

/* The next line of a text, without its end, which is written over; NULL behind the last. *cursor moves on. */
char *proc_next_line(char **cursor);

/* The next word of a line, likewise. */
char *proc_next_word(char **cursor);

/* A whole word as a number. 0 or -EPROTO. */
int proc_parse_number(const char *word, int base, uint64_t *number);

/* What an errno of the system calls on /proc means: -errno, with those that say "it is gone" as -ESRCH. */
int proc_error(int error);

#endif
