/*
 * What is read of other processes in /proc by more than one place: entries that are processes, and their names. Any
 * thread.
 *
 * The audit reads far more, and believes none of it: audit/audit_proc.h.
 */
#ifndef ATOLL_COMMON_BASE_PROC_H
#define ATOLL_COMMON_BASE_PROC_H

#include <stddef.h>
#include <sys/types.h>

/* The process or thread of an entry of /proc or of a task directory; 0: it is none. */
pid_t proc_entry_id(const char *name);

/*
 * What the thread (or a process's main thread) calls itself, unescaped, cut to what fits; "" with an error. 0 or
 * -errno. Source: proc(5), /proc/PID/comm.
 */
int proc_comm(pid_t thread, char *name, size_t size);

#endif
