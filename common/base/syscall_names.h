/*
 * System calls of x86-64 by name and by number, without a library.
 *
 * The table is made at build time from the kernel's own header. Safe in a signal handler.
 */
#ifndef ATOLL_COMMON_BASE_SYSCALL_NAMES_H
#define ATOLL_COMMON_BASE_SYSCALL_NAMES_H

/* The name of a call, or NULL for a number that the table does not know. */
const char *syscall_name(unsigned number);

/* The number of a call, or -ENOENT. */
int syscall_number(const char *name);

/* "Linux 6.1": the kernel whose headers the table was made from. */
const char *syscall_headers(void);

/* One more than the highest number that the table knows. */
unsigned syscall_limit(void);

#endif
