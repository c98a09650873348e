/*
 * Comparing what was gathered with what is written: every subject of every process, and the verdict on the whole.
 *
 * What could not be read is never as written: a check says AS_WRITTEN only of what it has seen.
 */
#include <errno.h>
#include <string.h>

#include "audit/audit_judge_fds.h"
#include "audit/audit_judge_filters.h"
#include "audit/audit_judge_parts.h"

/* What is so without any looking. */
static void judge_told(struct audit_process *process, const char *subject, const char *text)
{
	struct audit_check *check = check_add(process, subject, 0);

	check_worsen(check, AUDIT_DEVIATES);
	check_say(check, "%s", text);
}

static void judge_process(const struct audit *audit, struct audit_process *process)
{
	struct judged judged = {audit, process, audit_rule_find(process->role)};

	if (process->error < 0) {
		check_read(check_add(process, "process", 0), process->error);
		return;
	}
	if (process->no_sandbox)
		judge_told(process, "sandbox", "off: it was started with --no-sandbox");
	if (process->recorded)
		judge_told(process, "sandbox", "its calls are recorded, and none is refused");
	if (judged.rule == NULL) {
		judge_told(process, "process", "no such role is written");
		return;
	}
	judge_family(&judged);
	judge_thread_names(&judged);
	for (size_t i = 0; i < process->thread_count; i++)
		judge_filters(audit, process, judged.rule, i);
	judge_rights(&judged);
	judge_namespaces(&judged);
	judge_root(&judged);
	judge_fds(audit, process, judged.rule);
	judge_in_flight(process);
	if (judged.rule->child)
		judge_shares(audit, process);
	judge_memory(&judged);
	judge_limits(&judged);
	judge_unseen(&judged);
	judge_cgroup(&judged);
}

void audit_judge(struct audit *audit)
{
	audit->verdict = AUDIT_AS_WRITTEN;
	memset(audit->counts, 0, sizeof(audit->counts));
	for (size_t i = 0; i < audit->process_count; i++) {
		struct audit_process *process = &audit->processes[i];

		judge_process(audit, process);
		/* A check had no room: nothing is as written then. */
		if (process->error == -ENOMEM)
			audit->counts[AUDIT_DEVIATES]++;
		for (size_t k = 0; k < process->check_count; k++)
			audit->counts[process->checks[k].verdict]++;
	}
	for (unsigned i = 0; i <= AUDIT_DEVIATES; i++)
		if (audit->counts[i] > 0)
			audit->verdict = (enum audit_verdict)i;
	if (audit->verdict == AUDIT_INFERRED)
		audit->verdict = AUDIT_AS_WRITTEN;
}
