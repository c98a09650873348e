/*
 * Descriptors that somebody left open in us: a lock, a pipe of a shell, a file. A supervisor lives long, and what it
 * has open is told one by one (atoll audit), so it lets go of them.
 */
#ifndef ATOLL_SUPERVISOR_HOST_INHERITED_H
#define ATOLL_SUPERVISOR_HOST_INHERITED_H

#include <stddef.h>

struct inherited {
	int *fds;
	size_t count;
};

/* Notes those above the standard error that are open now; none where /proc is missing. */
void inherited_note(struct inherited *inherited);
/* Closes them: once nothing is named by "/dev/fd/63" any more. */
void inherited_close(struct inherited *inherited);

#endif
