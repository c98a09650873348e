/*
 * Signals to ourselves. raise(3) needs tgkill(2), with which user 0 could signal every process of root's; a sealed
 * supervisor has a pidfd of its own instead.
 *
 * One thread.
 */
#ifndef ATOLL_SUPERVISOR_HOST_OWN_PROCESS_H
#define ATOLL_SUPERVISOR_HOST_OWN_PROCESS_H

/* Before the seal. 0 or -errno. */
int own_process_open(void);

/* Sends the signal to this process; until own_process_open(), by raise(3). Safe in a signal handler. */
void own_process_signal(int number);

#endif
