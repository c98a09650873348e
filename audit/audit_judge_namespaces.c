/*
 * The namespaces of a process and of its threads, and who else is in them.
 */
#include <errno.h>

#include "audit/audit_judge_parts.h"

static bool namespace_is_own(const struct judged *judged, enum proc_namespace namespace)
{
	const struct audit *audit = judged->audit;
	uint64_t own = judged->process->namespaces.inode[namespace];

	for (size_t i = 0; i < audit->process_count; i++)
		if (&audit->processes[i] != judged->process && audit->processes[i].namespaces_error == 0 &&
		    audit->processes[i].namespaces.inode[namespace] == own)
			return false;
	return true;
}

static void say_namespace(struct audit_check *check, const char **separator, unsigned namespace,
			  const char *first)
{
	check_say(check, "%s%s", *separator == NULL ? first : *separator,
		  proc_namespace_name((enum proc_namespace) namespace));
	*separator = " ";
}

/* A thread can leave some of them by itself. */
static void judge_thread_namespaces(const struct judged *judged, struct audit_check *check)
{
	const struct audit_process *process = judged->process;

	for (size_t i = 1; i < process->thread_count; i++) {
		const struct audit_thread *thread = &process->threads[i];

		if (thread->error < 0 || thread->namespaces_error == -ESRCH)
			continue;
		if (!check_read(check, thread->namespaces_error))
			return;
		for (unsigned k = 0; k < PROC_NAMESPACE_COUNT; k++) {
			if (thread->namespaces.inode[k] == process->namespaces.inode[k])
				continue;
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "; thread %s is in another %s (written: its process's)",
				  thread->status.name, proc_namespace_name((enum proc_namespace)k));
		}
	}
}

/* Own namespaces are nobody's else, be it a process of the VM's or not. */
static void judge_outsiders(const struct judged *judged, struct audit_check *check)
{
	const struct audit *audit = judged->audit;
	bool any = false;

	if (!check_read(check, audit->outsiders_error))
		return;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		if (judged->process->outsider[i] == 0 || (judged->rule->own_namespaces & 1u << i) == 0)
			continue;
		any = true;
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; process %d outside of the VM is in its %s (written: nobody)",
			  (int)judged->process->outsider[i], proc_namespace_name((enum proc_namespace)i));
	}
	if (!any)
		check_say(check, "; in them is none of %u processes outside",
			  audit->outsiders - audit->outsiders_unread);
	if (audit->outsiders_unread > 0) {
		check_worsen(check, AUDIT_UNREAD);
		check_say(check, ", %u more unread: needs root", audit->outsiders_unread);
	}
}

/* Which of the child's namespaces are not as written: shared with its parent, or with another process of the VM. */
static void judge_own_namespaces(const struct judged *judged, const struct proc_namespaces *parents,
				 struct audit_check *check)
{
	const struct audit_process *process = judged->process;
	const char *separator = NULL;

	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		bool differs = process->namespaces.inode[i] != parents->inode[i];
		bool wanted = (judged->rule->own_namespaces & 1u << i) != 0;

		if (wanted ? differs && namespace_is_own(judged, (enum proc_namespace)i) : !differs)
			continue;
		check_worsen(check, AUDIT_DEVIATES);
		say_namespace(check, &separator, i, "; not as written: ");
		if (wanted && differs)
			check_say(check, " (another process has it too)");
	}
}

static void judge_id_maps(const struct judged *judged, struct audit_check *check)
{
	const struct audit_process *process = judged->process;
	const struct proc_id_map *users = &process->uid_map, *groups = &process->gid_map;

	if (!check_read(check, process->uid_map_error) || !check_read(check, process->gid_map_error))
		return;
	check_say(check, "; maps %u user%s", users->length, users->length == 1 ? "" : "s");
	if (users->ranges != 1 || users->length != 1 || groups->ranges != 1 || groups->length != 1) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: one user and one group)");
	}
}

/* A child's are held against its parent's, the supervisor's against the auditor's. */
void judge_namespaces(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	const struct audit_process *supervisor = &judged->audit->processes[0];
	bool child = judged->rule->child;
	const struct proc_namespaces *others = child ? &supervisor->namespaces : &judged->audit->own;
	int others_error = child ? supervisor->namespaces_error : judged->audit->own_error;
	struct audit_check *check = check_add(judged->process, "namespaces", 0);
	const char *separator = NULL;

	if (!check_read(check, process->namespaces_error) || !check_read(check, others_error))
		return;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++)
		if (process->namespaces.inode[i] != others->inode[i])
			say_namespace(check, &separator, i, "own: ");
	if (separator == NULL)
		check_say(check, child ? "all its parent's" : "the auditor's");
	if (child)
		judge_own_namespaces(judged, others, check);
	judge_thread_namespaces(judged, check);
	if (judged->rule->jailed) {
		judge_outsiders(judged, check);
		judge_id_maps(judged, check);
	}
}
