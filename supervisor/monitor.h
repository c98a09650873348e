/*
 * The monitor: what a running supervisor answers to `atoll list`, stop, kill and reset, on NAME/control.
 *
 * One MonitorRequest at a time and connection, one MonitorReply for it; the end of the connection is the VM's
 * end.
 */
#ifndef ATOLL_SUPERVISOR_MONITOR_H
#define ATOLL_SUPERVISOR_MONITOR_H

#include <stdint.h>

#include "common/loop.h"
#include "supervisor/runtime_dir.h"
#include "supervisor/vm.h"

struct monitor;

/* Listens. 0 or -errno. */
int monitor_new(struct loop *loop, const struct runtime_dir *dir, struct vm *vm, struct monitor **monitor);
/* A process told its counters, in answer to the request with this serial. */
void monitor_statistics(struct monitor *monitor, uint64_t serial);
void monitor_free(struct monitor *monitor);

#endif
