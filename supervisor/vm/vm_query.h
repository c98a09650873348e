/*
 * What can be asked of a VM.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_QUERY_H
#define ATOLL_SUPERVISOR_VM_VM_QUERY_H

#include <stdint.h>

struct vm;

/* "running" */
const char *vm_state_name(const struct vm *vm);
/* Microseconds since the VM was started. */
uint64_t vm_uptime(const struct vm *vm);
/* Asks every process that owes no answer for its counters; returns how many will answer, with *serial. */
unsigned vm_request_statistics(struct vm *vm, uint64_t *serial);

#endif
