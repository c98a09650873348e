/*
 * Recording instead of refusing: in the place of a process's filters stands one that tells each of its system calls to
 * whoever holds the listener, who lets it go on. For `atoll policy record`, and for the tests that need to know which
 * rules are needed; no protection at all.
 *
 * Source: Linux, Documentation/userspace-api/seccomp_filter.rst, "Userspace Notification".
 */
#ifndef ATOLL_COMMON_JAIL_JAIL_RECORD_H
#define ATOLL_COMMON_JAIL_JAIL_RECORD_H

#include <stdbool.h>

/* In a child's environment: it records. The supervisor sets it; nobody else could make use of the listener. */
#define JAIL_RECORD_ENV "ATOLL_RECORD"

/* Whether this process was started to record: by a supervisor, which is at the other end of its control wire. */
bool jail_records(void);

/*
 * Puts the telling filter into every thread and sends the listener to the supervisor (Recording). Messages on
 * control_fd are not told: the way to the supervisor must not wait for the supervisor. 0 or -errno.
 */
int jail_record_process(int control_fd);

#endif
