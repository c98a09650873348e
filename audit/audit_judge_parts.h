/*
 * Comparing one process with what is written of its role: for audit_judge*.c alone. One function a subject, and a file
 * a story; each adds one check, or one for each thread that differs from its process's first.
 */
#ifndef ATOLL_AUDIT_AUDIT_JUDGE_PARTS_H
#define ATOLL_AUDIT_AUDIT_JUDGE_PARTS_H

#include "audit/audit.h"
#include "audit/audit_check.h"
#include "audit/audit_expect.h"

struct judged {
	const struct audit *audit;
	struct audit_process *process;
	const struct audit_rule *rule;
};

/* audit_judge_rights.c: each thread's user, capabilities and privileges. */
void judge_rights(const struct judged *judged);

/* audit_judge_family.c: whose child it is, and which children and threads it has. */
void judge_family(const struct judged *judged);
void judge_thread_names(const struct judged *judged);

/* audit_judge_namespaces.c */
void judge_namespaces(const struct judged *judged);

/* audit_judge_room.c: its root, its mappings, its limits, its cgroup. */
void judge_root(const struct judged *judged);
void judge_memory(const struct judged *judged);
void judge_limits(const struct judged *judged);
void judge_cgroup(const struct judged *judged);

/* audit_judge_unseen.c: what the kernel does not tell. After the filters. */
void judge_unseen(const struct judged *judged);

#endif
