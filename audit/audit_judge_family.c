/*
 * Whose child a process is, and which children and threads it has.
 */
#include <errno.h>
#include <string.h>

#include "audit/audit_judge_parts.h"

static bool starter_is_there(const struct audit *audit)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (strcmp(audit->processes[i].role, "starter") == 0)
			return true;
	return false;
}

static bool process_is_known(const struct judged *judged, int pid)
{
	const struct audit *audit = judged->audit;

	/* What belongs to the VM is the supervisor's child; nobody else has one. */
	for (size_t i = 1; i < audit->process_count && !judged->rule->child; i++)
		if (audit->processes[i].pid == pid)
			return true;
	return false;
}

static void judge_parent(const struct judged *judged, struct audit_check *check)
{
	const struct audit_process *process = judged->process;

	if (process->thread_count == 0 || !check_read(check, process->threads[0].error))
		return;
	check_say(check, "child of process %d, ", (int)process->threads[0].status.parent);
	if (process->threads[0].status.parent != judged->audit->processes[0].pid) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "written: of the supervisor; ");
	}
}

void judge_family(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	struct audit_check *check = check_add(judged->process, "family", 0);
	unsigned strangers = 0;

	if (judged->rule->child)
		judge_parent(judged, check);
	if (!check_read(check, process->children_error))
		return;
	for (size_t i = 0; i < process->children.count; i++)
		if (!process_is_known(judged, process->children.ids[i]) && strangers++ == 0)
			check_say(check, "process %d is a child that is not written; ",
				  (int)process->children.ids[i]);
	check_say(check, process->children.count == 1 ? "%zu child" : "%zu children",
		  process->children.count);
	if (strangers > 0)
		check_worsen(check, AUDIT_DEVIATES);
	if (!judged->rule->child && !starter_is_there(judged->audit)) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check,
			  "; its starter has ended (written: there), and no process can be started any more");
	}
}

/* Whether a thread before this one, of the process's own, has its name. */
static bool name_is_taken(const struct audit_process *process, size_t at)
{
	for (size_t i = 1; i < at; i++) {
		const struct audit_thread *other = &process->threads[i];

		if (other->error == 0 && !other->kernel_worker &&
		    strcmp(other->status.name, process->threads[at].status.name) == 0)
			return true;
	}
	return false;
}

static void judge_thread_name(const struct judged *judged, size_t at, struct audit_check *check)
{
	const struct audit_thread *thread = &judged->process->threads[at];
	const struct role_thread *rule = audit_rule_of_thread(judged->rule, thread->status.name, at == 0);

	check_say(check, "%s%s", at == 0 ? "" : ", ", at == 0 ? "main" : thread->status.name);
	if ((rule == NULL || !rule->alike) && name_is_taken(judged->process, at)) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: each name once)");
	}
}

void judge_thread_names(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	struct audit_check *check = check_add(judged->process, "threads", 0);
	unsigned workers = 0;

	if (process->threads_error == -EAGAIN) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "they come and go faster than they can be read; ");
	} else {
		check_read(check, process->threads_error);
	}
	for (size_t i = 0; i < process->thread_count; i++) {
		if (process->threads[i].error < 0)
			continue;
		if (process->threads[i].kernel_worker)
			workers++;
		else
			judge_thread_name(judged, i, check);
	}
	if (workers > 0)
		check_say(check, "; %u of the kernel's own", workers);
}
