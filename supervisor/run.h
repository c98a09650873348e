/*
 * One run of a VM, from the config to the end of the last process.
 */
#ifndef ATOLL_SUPERVISOR_RUN_H
#define ATOLL_SUPERVISOR_RUN_H

#include "config/launch.h"

/* `atoll run`: reports what is in its way, else ends with the VM. The launch stays the caller's. The exit status. */
int run_to_end(struct launch *launch);

#endif
