/*
 * Starting a program of the family, with exactly the descriptors that it is to have.
 */
#ifndef ATOLL_SUPERVISOR_SPAWN_H
#define ATOLL_SUPERVISOR_SPAWN_H

#include <sys/types.h>

/*
 * Starts $ATOLL_LIBEXEC_DIR/program, else the installed one, as argv { title }. It has /dev/null on 0, our
 * stderr on 1 and 2, control_fd on 3, nothing else; ATOLL_CONTROL_FD=3 is all of its environment; no signal
 * is blocked or ignored; it is in a process group of its own, so that keys of a terminal do not reach it.
 * Returns 0 with *pid and a *pidfd, or -errno.
 */
int spawn_program(const char *program, const char *title, int control_fd, pid_t *pid, int *pidfd);

/* Where the program is looked for. */
void spawn_program_path(const char *program, char *path, size_t size);

#endif
