/*
 * The users that root has to give away: one of its own for each process in a jail.
 *
 * Errors are -errno. One thread.
 */
#ifndef ATOLL_COMMON_JAIL_JAIL_USER_H
#define ATOLL_COMMON_JAIL_JAIL_USER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where there are that many ids: this and the pid. Supervisor/audit_expect.c holds processes against it. */
#define JAIL_USER_BASE 0x70000000u

struct jail_users {
	bool by_pid;	       /* JAIL_USER_BASE | pid */
	uint32_t first, count; /* else one of these; count is 0 in a user namespace that has root alone */
};

/* What this process's user namespace has; needs /proc. */
void jail_users_read(struct jail_users *users);

/* An id for the process, user and group in one. -ENOENT: root is all that there is; -EUSERS: all are in use. */
int jail_user_choose(const struct jail_users *users, pid_t pid, uint32_t *id);

/* Once the process's map is written: 0, or -EBUSY if another process has or was given the same id. */
int jail_user_verify(const struct jail_users *users, pid_t pid, uint32_t id);

#endif
