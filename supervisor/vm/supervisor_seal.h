/*
 * The seals of the supervisor and of its starter.
 */
#ifndef ATOLL_SUPERVISOR_VM_SUPERVISOR_SEAL_H
#define ATOLL_SUPERVISOR_VM_SUPERVISOR_SEAL_H

#include "supervisor/host/reach.h"

/*
 * Gives up what the starter does not need: privileges that a program could gain, all capabilities but those that give a
 * child a user of its own, and the system calls of supervisor.main.policy. All processes that it starts inherit that.
 * Call it once, while there is one thread. 0 or -errno (reported).
 */
int supervisor_seal_starter(void);

/*
 * Gives up what a supervisor that has opened its resources and forked its starter needs no more: the same, and all
 * capabilities, the system calls of supervisor-sealed.main.policy, and by Landlock, where there is any, all that is not in
 * `reach`. Call it once, while there is one thread. 0 or -errno (reported).
 */
int supervisor_seal(const struct reach *reach);

#endif
