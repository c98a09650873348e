/*
 * Each thread's user, capabilities and privileges.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "audit/audit_judge_parts.h"

/* What root of the supervisor's user namespace has to give: an id that the pid tells, in a container any, or none. */
enum user_rule {
	USER_SUPERVISORS,
	USER_BY_PID,
	USER_OF_ITS_OWN,
};

static enum user_rule user_rule_of(const struct judged *judged)
{
	const struct audit_process *supervisor = &judged->audit->processes[0];
	const struct proc_id_map *map = &supervisor->uid_map;
	uint32_t id = audit_jail_user(judged->process->pid);

	if (supervisor->threads[0].status.uid[1] != 0)
		return USER_SUPERVISORS;
	if (id >= map->inside && id - map->inside < map->length)
		return USER_BY_PID;
	return map->length + map->more > 1 ? USER_OF_ITS_OWN : USER_SUPERVISORS;
}

/* Whether another process of the VM has it too. */
static bool user_is_shared(const struct judged *judged, uint32_t user)
{
	const struct audit *audit = judged->audit;

	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *other = &audit->processes[i];

		for (size_t k = 0; other != judged->process && k < other->thread_count; k++)
			for (unsigned m = 0; m < 4 && other->threads[k].error == 0; m++)
				if (other->threads[k].status.uid[m] == user ||
				    other->threads[k].status.gid[m] == user)
					return true;
	}
	return false;
}

/* The user and group that the thread is to have: the supervisor's, or one of the process's own. */
static uint32_t user_written(const struct judged *judged, enum user_rule rule, uint32_t supervisors)
{
	if (rule == USER_BY_PID)
		return audit_jail_user(judged->process->pid);
	/* The first thread's, which the others must have, too. */
	if (rule == USER_OF_ITS_OWN)
		return judged->process->threads[0].status.uid[1];
	return supervisors;
}

static bool user_is(const struct proc_status *status, uint32_t user, uint32_t group)
{
	for (unsigned i = 0; i < 4; i++)
		if (status->uid[i] != user || status->gid[i] != group)
			return false;
	return true;
}

static void judge_user(const struct judged *judged, const struct audit_thread *thread,
		       struct audit_check *check)
{
	const struct proc_status *status = &thread->status;
	const struct audit_thread *supervisor = judged->audit->processes[0].threads;
	enum user_rule rule = USER_SUPERVISORS;
	bool is_root, no_groups;
	uint32_t user, group;

	check_say(check, "uid %u, gid %u, %u more groups", status->uid[1], status->gid[1], status->groups);
	if (!judged->rule->child || supervisor == NULL || !check_read(check, supervisor->error))
		return;
	is_root = supervisor->status.uid[1] == 0;
	if (is_root && !check_read(check, judged->audit->processes[0].uid_map_error))
		return;
	if (judged->rule->jailed)
		rule = user_rule_of(judged);
	user = user_written(judged, rule, supervisor->status.uid[1]);
	group = rule == USER_SUPERVISORS ? supervisor->status.gid[1] : user;
	/* An ordinary user's groups cannot be taken off. */
	no_groups = judged->rule->jailed && is_root;
	if (!user_is(status, user, group) || (no_groups && status->groups != 0)) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; written: uid and gid %u in all four places%s", user,
			  no_groups ? ", no more groups" : "");
	}
	if (rule == USER_OF_ITS_OWN && (user == 0 || user_is_shared(judged, user))) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; written: a user that no other process is");
	}
}

/*
 * In a rootless container with one id the starter gives its children root itself, which is all that there is, and keeps
 * less for it (supervisor_seal_starter()).
 */
static uint64_t capabilities_of(const struct judged *judged)
{
	const struct audit_process *process = judged->process;

	if (judged->rule->capabilities != 0 && process->uid_map_error == 0 && process->uid_map.length == 1 &&
	    process->uid_map.more == 0)
		return UINT64_C(1) << CAP_SETFCAP;
	return judged->rule->capabilities;
}

/* One of the five sets of capabilities. */
struct capability_set {
	const char *name;
	uint64_t has, may;
};

/* The bounding set's: a process of an ordinary user's cannot drop from it. */
static uint64_t bounding_of(const struct judged *judged, const struct proc_status *status)
{
	if (!judged->rule->jailed && status->uid[1] != 0)
		return UINT64_MAX;
	return judged->rule->bounding != 0 ? capabilities_of(judged) : 0;
}

static void judge_capabilities(const struct judged *judged, const struct audit_thread *thread,
			       struct audit_check *check)
{
	const struct proc_status *status = &thread->status;
	uint64_t may = capabilities_of(judged);
	const struct capability_set sets[] = {
		{"effective", status->effective, may},
		{"permitted", status->permitted, may},
		{"inheritable", status->inheritable, 0},
		{"ambient", status->ambient, 0},
		{"bounding", status->bounding, bounding_of(judged, status)},
	};
	bool any = false;

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (sets[i].has == 0)
			continue;
		check_say(check, "%s%s %llx", any ? ", " : "", sets[i].name, (unsigned long long)sets[i].has);
		any = true;
		if ((sets[i].has & ~sets[i].may) == 0)
			continue;
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: %s%llx)", sets[i].may != 0 ? "at most " : "",
			  (unsigned long long)sets[i].may);
	}
	if (!any)
		check_say(check, "none, in all five sets");
}

static void judge_privileges(const struct judged *judged, const struct audit_thread *thread,
			     struct audit_check *check)
{
	(void)judged;
	if (thread->status.no_new_privs) {
		check_say(check, "no_new_privs is set");
		return;
	}
	check_worsen(check, AUDIT_DEVIATES);
	check_say(check, "no_new_privs is not set");
}

/* One check for the first thread, and one for each whose answer is another. */
static void judge_threads(const struct judged *judged, const char *subject,
			  void (*judge)(const struct judged *, const struct audit_thread *,
					struct audit_check *))
{
	struct audit_process *process = judged->process;
	char first[AUDIT_TEXT_MAX] = "";

	for (size_t i = 0; i < process->thread_count; i++) {
		const struct audit_thread *thread = &process->threads[i];
		struct audit_check *check;

		if (thread->error == -ESRCH && i > 0)
			continue;
		check = check_add(process, subject, i == 0 ? 0 : thread->thread);
		if (check_read(check, thread->error))
			judge(judged, thread, check);
		if (i == 0)
			memcpy(first, check->text, sizeof(first));
		else if (strcmp(first, check->text) == 0 && process->check_count > 0)
			process->check_count--;
	}
}

void judge_rights(const struct judged *judged)
{
	judge_threads(judged, "capabilities", judge_capabilities);
	judge_threads(judged, "privileges", judge_privileges);
	judge_threads(judged, "user", judge_user);
}
