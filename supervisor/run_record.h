/*
 * A run that is recorded: $ATOLL_POLICY_RECORD names the file (host/record.h), trusted as the operator's other words are.
 */
#ifndef ATOLL_SUPERVISOR_RUN_RECORD_H
#define ATOLL_SUPERVISOR_RUN_RECORD_H

#include "supervisor/host/reach.h"
#include "supervisor/run_parts.h"

/* The file is one of the VM's, if there is one. */
void run_claim_record(struct run *run);
/* Opens it, if there is one, and says loudly that nothing is refused. 0 or -errno. */
int run_prepare_record(struct run *run);
/* What recording takes of the host when the supervisor has sealed itself: the names of threads. */
void run_reach_record(const struct run *run, struct reach *reach);

#endif
