/*
 * What would be in a run's way that does not stand in the config file alone.
 */
#ifndef ATOLL_SUPERVISOR_RUN_CHECK_H
#define ATOLL_SUPERVISOR_RUN_CHECK_H

#include <sys/types.h>

#include "config/launch.h"

/* `atoll check`: prints the file's problems and the host's, and starts nothing. The exit status. */
int run_check(struct launch *launch);

/* Adds what a runtime directory's error means to the operator. holder: the process that runs the VM; 0: unknown. */
void run_name_problem(const struct config_file *file, struct problems *problems, int error, pid_t holder);

/*
 * Adds that /proc is not there, if so. Asked before everything that would fail because of it: sockets, maps of ids and locks
 * are found by its paths.
 */
void run_check_proc(struct problems *problems);

#endif
