/*
 * A supervisor in the background: the command that was typed waits until the VM runs, or has failed to.
 */
#ifndef ATOLL_SUPERVISOR_HOST_DETACH_H
#define ATOLL_SUPERVISOR_HOST_DETACH_H

/*
 * Forks; call before anything is opened. In the parent it does not return: it waits for the child's word and
 * ends with that, passing signals on. In the child it returns 0, in a session of its own, with *tell_fd for
 * detach_tell(); or -errno.
 */
int detach_fork(int *tell_fd);

/* Standard input from /dev/null, and standard output too. */
int detach_stdio(void);

/* Ends the parent's wait with this status. */
void detach_tell(int tell_fd, int exit_status);

#endif
