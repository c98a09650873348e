/*
 * The file that is a VM's memory: made here for each run and mapped by the core, which hands it on to the devices.
 *
 * The supervisor keeps it as long as the run lasts, so that the memory outlives the process that runs the guest; it never
 * maps it, and reads no byte of it. Each run has a new file: that of the one before, and what its guest left in it, is
 * given up when the last process of that run is reaped. Pages are charged to the cgroup of whoever touches them first, which
 * is never the supervisor.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_MEMORY_H
#define ATOLL_SUPERVISOR_VM_VM_MEMORY_H

#include <stdint.h>

#include "config/config.h"

/* Bytes of the file: the guest's memory, and what may be added to it later. */
uint64_t vm_memory_size(const struct config *config);

/* Gives up *fd, unless that is -1, and makes a new one. 0, or -errno after having reported why: *fd is -1 then. */
int vm_memory_renew(const struct config *config, int *fd);

/* Gives up *fd, unless that is -1. */
void vm_memory_close(int *fd);

#endif
