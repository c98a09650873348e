/*
 * What one run of a VM consists of: for run.c, which has its order, run_check.c, which says what would be in its way,
 * run_signals.c, which hears signals and the terminal, and run_record.c. Others see run.h.
 */
#ifndef ATOLL_SUPERVISOR_RUN_PARTS_H
#define ATOLL_SUPERVISOR_RUN_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/loop.h"
#include "common/host/runtime_dir.h"
#include "config/launch.h"
#include "supervisor/host/cgroup.h"
#include "supervisor/host/file_claims.h"
#include "supervisor/host/inherited.h"
#include "supervisor/host/link_watch.h"
#include "supervisor/host/log_file.h"
#include "supervisor/host/resources.h"
#include "supervisor/monitor/monitor.h"
#include "supervisor/vm/starter.h"
#include "supervisor/vm/vm.h"

#define RUN_SIGNALS_MAX 8

struct run {
	struct launch *launch;	  /* the caller's */
	struct config_file *file; /* the launch's */
	const struct config *config;
	struct inherited inherited;
	struct runtime_dir dir;
	struct resources resources;
	struct file_claims claims;
	struct vm vm;
	struct loop *loop;
	struct monitor *monitor;
	struct link_watch *links;
	struct cgroups *cgroups;
	struct starter *starter;
	struct loop_watch *signals[RUN_SIGNALS_MAX];
	size_t signal_count;
	bool terminal; /* stdio is one */
	struct loop_watch *foreground_timer;

	pid_t waiting;	     /* the command that was typed, which waits for us; 0: none */
	int tell_fd;	     /* to the command that was typed; -1: it waits for nothing */
	struct log_file log; /* of a detached VM */
	struct loop_watch *log_timer;
	bool stop_asked;
	int exit_status;
};

#endif
