/* The judge's part for descriptors, and for what is mapped of files. Only the judge includes this. */
#ifndef ATOLL_AUDIT_AUDIT_JUDGE_FDS_H
#define ATOLL_AUDIT_AUDIT_JUDGE_FDS_H

#include "audit/audit.h"
#include "audit/audit_expect.h"

void judge_fds(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule);
void judge_in_flight(struct audit_process *process);
void judge_files(const struct audit *audit, const struct audit_process *process, struct audit_check *check);
void judge_shares(const struct audit *audit, struct audit_process *process);

#endif
