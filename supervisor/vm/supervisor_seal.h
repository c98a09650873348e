/*
 * The supervisor's own seal.
 */
#ifndef ATOLL_SUPERVISOR_VM_SUPERVISOR_SEAL_H
#define ATOLL_SUPERVISOR_VM_SUPERVISOR_SEAL_H

/*
 * Gives up what a supervisor that has opened its resources needs no more: privileges that a program could gain,
 * all capabilities but those that give a child a user of its own, and the system calls of supervisor.main.policy.
 * All processes that it starts inherit that. Call it once, while there is one thread. 0 or -errno (reported).
 */
int supervisor_seal(void);

#endif
