/*
 * What the parts of the judge share. Only they include this.
 */
#ifndef ATOLL_SUPERVISOR_AUDIT_JUDGE_H
#define ATOLL_SUPERVISOR_AUDIT_JUDGE_H

#include "supervisor/audit.h"
#include "supervisor/audit_expect.h"

/* A new check, as written until something worse is found. Valid until the next one is added. */
struct audit_check *check_add(struct audit_process *process, const char *subject, pid_t thread);
/* Appends to its text. */
void check_say(struct audit_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_worsen(struct audit_check *check, enum audit_verdict verdict);
/* Whether something was read; says why not, and worsens. */
bool check_read(struct audit_check *check, int error);

/* audit_judge_filters.c: the filters of one thread. */
void judge_filters(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule,
		   size_t index);
/* audit_judge_fds.c */
void judge_fds(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule);
void judge_in_flight(struct audit_process *process);
void judge_files(const struct audit *audit, const struct audit_process *process, struct audit_check *check);
void judge_shares(const struct audit *audit, struct audit_process *process);

#endif
