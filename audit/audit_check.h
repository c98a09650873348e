/*
 * A check of the audit: what the parts of the judge write. Only they include this.
 */
#ifndef ATOLL_AUDIT_AUDIT_CHECK_H
#define ATOLL_AUDIT_AUDIT_CHECK_H

#include "audit/audit.h"

/* A new check, as written until something worse is found. Valid until the next one is added. */
struct audit_check *check_add(struct audit_process *process, const char *subject, pid_t thread);
/* Appends to its text. */
void check_say(struct audit_check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_worsen(struct audit_check *check, enum audit_verdict verdict);
/* Whether something was read; says why not, and worsens. */
bool check_read(struct audit_check *check, int error);

#endif
