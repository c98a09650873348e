/*
 * From the command to atoll-supervisor, which holds the VM.
 */
#ifndef ATOLL_CLI_SUPERVISOR_START_H
#define ATOLL_CLI_SUPERVISOR_START_H

#include "config/launch.h"

/*
 * Becomes the supervisor: this process goes on as that, with its pid, terminal and environment. Returns only when it cannot:
 * why, as "WHAT: WHY; REMEDY", good until the next call. The launch stays the caller's.
 */
const char *supervisor_become(const struct launch *launch);

/*
 * The same in a process of its own, for which it waits, and which it ends with this one. Its exit status, or another after
 * having reported why.
 */
int supervisor_run(struct launch *launch);

#endif
