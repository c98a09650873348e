/* The judge's part for seccomp filters. Only the judge includes this. */
#ifndef ATOLL_AUDIT_AUDIT_JUDGE_FILTERS_H
#define ATOLL_AUDIT_AUDIT_JUDGE_FILTERS_H

#include "audit/audit.h"
#include "audit/audit_expect.h"

/* The filters of one thread. */
void judge_filters(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule,
		   size_t index);

#endif
