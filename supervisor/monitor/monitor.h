/*
 * The monitor: what a running supervisor answers to `atoll list`, stop, kill, restart and others, on NAME/control.
 *
 * One MonitorRequest at a time and connection, one MonitorReply for it; the end of the connection is the VM's
 * end.
 */
#ifndef ATOLL_SUPERVISOR_MONITOR_MONITOR_H
#define ATOLL_SUPERVISOR_MONITOR_MONITOR_H

#include <stdint.h>

#include "common/base/loop.h"
#include "common/host/runtime_dir.h"
#include "supervisor/vm/vm.h"

struct monitor;

/* Listens. 0 or -errno. */
int monitor_new(struct loop *loop, const struct runtime_dir *dir, struct vm *vm, struct monitor **monitor);
/* A process told its counters, in answer to the request with this serial. */
void monitor_statistics(struct monitor *monitor, uint64_t serial);
/* What a command waits for, by the ticket of vm_ops.answered. */
void monitor_answered(struct monitor *monitor, uint64_t ticket, const char *error);
void monitor_free(struct monitor *monitor);

#endif
