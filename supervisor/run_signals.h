/*
 * Signals to a run, and its terminal, which is ours in the foreground only: there it is raw and read.
 */
#ifndef ATOLL_SUPERVISOR_RUN_SIGNALS_H
#define ATOLL_SUPERVISOR_RUN_SIGNALS_H

#include "supervisor/run_parts.h"

/* Hears them from now on; those of a terminal if run->terminal. 0 or -errno. */
int run_watch_signals(struct run *run);

/* Looks whether we are in the terminal's foreground, now and, if not, again by run->foreground_timer. argument: the run. */
void run_take_terminal(void *argument);

#endif
