/*
 * Comparing what was gathered with what is written. One function a subject; each adds one check, or one for each
 * thread that differs from its process's first.
 *
 * What could not be read is never as written: a check says AS_WRITTEN only of what it has seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/audit_check.h"
#include "audit/audit_expect.h"
#include "audit/audit_judge_fds.h"
#include "audit/audit_judge_filters.h"

/* Younger than the headers of some hosts: Linux 6.3. */
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

/* --- each thread's rights --- */

struct judged {
	const struct audit *audit;
	struct audit_process *process;
	const struct audit_rule *rule;
};

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

static void judge_user(const struct judged *judged, const struct audit_thread *thread,
		       struct audit_check *check)
{
	const struct proc_status *status = &thread->status;
	const struct audit_thread *supervisor = judged->audit->processes[0].threads;
	uint32_t user, group;
	enum user_rule rule;
	bool same = true, groups;

	check_say(check, "uid %u, gid %u, %u more groups", status->uid[1], status->gid[1], status->groups);
	if (!judged->rule->child)
		return;
	if (supervisor == NULL || !check_read(check, supervisor->error))
		return;
	user = supervisor->status.uid[1];
	group = supervisor->status.gid[1];
	if (user == 0 && !check_read(check, judged->audit->processes[0].uid_map_error))
		return;
	rule = judged->rule->jailed ? user_rule_of(judged) : USER_SUPERVISORS;
	if (rule == USER_BY_PID)
		user = group = audit_jail_user(judged->process->pid);
	/* The first thread's, which the others must have, too. */
	if (rule == USER_OF_ITS_OWN)
		user = group = judged->process->threads[0].status.uid[1];
	for (unsigned i = 0; i < 4; i++)
		same = same && status->uid[i] == user && status->gid[i] == group;
	/* An ordinary user's groups cannot be taken off. */
	groups = judged->rule->jailed && supervisor->status.uid[1] == 0;
	if (groups)
		same = same && status->groups == 0;
	if (!same) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; written: uid and gid %u in all four places%s", user,
			  groups ? ", no more groups" : "");
	}
	if (rule == USER_OF_ITS_OWN && (user == 0 || user_is_shared(judged, user))) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; written: a user that no other process is");
	}
}

/* supervisor_seal_starter(): in a rootless container it gives its children root itself, which is all that there is. */
static uint64_t capabilities_of(const struct judged *judged)
{
	const struct audit_process *process = judged->process;

	if (judged->rule->capabilities != 0 && process->uid_map_error == 0 && process->uid_map.length == 1 &&
	    process->uid_map.more == 0)
		return UINT64_C(1) << CAP_SETFCAP;
	return judged->rule->capabilities;
}

static void judge_capabilities(const struct judged *judged, const struct audit_thread *thread,
			       struct audit_check *check)
{
	const struct proc_status *status = &thread->status;
	uint64_t may = capabilities_of(judged);
	bool may_not_drop = !judged->rule->jailed && status->uid[1] != 0;
	const struct {
		const char *name;
		uint64_t has, may;
	} sets[] = {{"effective", status->effective, may},
		    {"permitted", status->permitted, may},
		    {"inheritable", status->inheritable, 0},
		    {"ambient", status->ambient, 0},
		    {"bounding", status->bounding,
		     may_not_drop		   ? UINT64_MAX
		     : judged->rule->bounding != 0 ? may
						   : 0}};
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

/* --- the process --- */

static void judge_thread_names(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	struct audit_check *check = check_add(judged->process, "threads", 0);
	unsigned workers = 0;
	const struct role_thread *rule;

	if (process->threads_error == -EAGAIN) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "they come and go faster than they can be read; ");
	} else {
		check_read(check, process->threads_error);
	}
	for (size_t i = 0; i < process->thread_count; i++) {
		const struct audit_thread *thread = &process->threads[i];

		if (thread->error < 0)
			continue;
		if (thread->kernel_worker) {
			workers++;
			continue;
		}
		check_say(check, "%s%s", i == 0 ? "" : ", ", i == 0 ? "main" : thread->status.name);
		rule = audit_rule_of_thread(judged->rule, thread->status.name, i == 0);
		for (size_t k = 1; k < i && (rule == NULL || !rule->alike); k++) {
			const struct audit_thread *other = &process->threads[k];

			if (other->error == 0 && !other->kernel_worker &&
			    strcmp(other->status.name, thread->status.name) == 0) {
				check_worsen(check, AUDIT_DEVIATES);
				check_say(check, " (written: each name once)");
				break;
			}
		}
	}
	if (workers > 0)
		check_say(check, "; %u of the kernel's own", workers);
}

static bool starter_is_there(const struct audit *audit)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (strcmp(audit->processes[i].role, "starter") == 0)
			return true;
	return false;
}

static void judge_family(const struct judged *judged)
{
	const struct audit *audit = judged->audit;
	const struct audit_process *process = judged->process;
	struct audit_check *check = check_add(judged->process, "family", 0);
	unsigned strangers = 0;

	if (judged->rule->child && process->thread_count > 0 &&
	    check_read(check, process->threads[0].error)) {
		check_say(check, "child of process %d, ", (int)process->threads[0].status.parent);
		if (process->threads[0].status.parent != audit->processes[0].pid) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "written: of the supervisor; ");
		}
	}
	if (!check_read(check, process->children_error))
		return;
	for (size_t i = 0; i < process->children.count; i++) {
		bool known = false;

		for (size_t k = 1; k < audit->process_count && !judged->rule->child; k++)
			known = known || audit->processes[k].pid == process->children.ids[i];
		if (!known && strangers++ == 0)
			check_say(check, "process %d is a child that is not written; ",
				  (int)process->children.ids[i]);
	}
	check_say(check, process->children.count == 1 ? "%zu child" : "%zu children",
		  process->children.count);
	if (strangers > 0)
		check_worsen(check, AUDIT_DEVIATES);
	if (!judged->rule->child && !starter_is_there(audit)) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check,
			  "; its starter has ended (written: there), and no process can be started any more");
	}
}

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

static void judge_namespaces(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	const struct audit_process *supervisor = &judged->audit->processes[0];
	const struct proc_id_map *map = &process->uid_map;
	const struct proc_namespaces *others =
		judged->rule->child ? &supervisor->namespaces : &judged->audit->own;
	int others_error = judged->rule->child ? supervisor->namespaces_error : judged->audit->own_error;
	struct audit_check *check = check_add(judged->process, "namespaces", 0);
	const char *separator = NULL;

	if (!check_read(check, process->namespaces_error) || !check_read(check, others_error))
		return;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		bool differs = process->namespaces.inode[i] != others->inode[i];

		if (differs)
			say_namespace(check, &separator, i, "own: ");
	}
	if (separator == NULL)
		check_say(check, judged->rule->child ? "all its parent's" : "the auditor's");
	separator = NULL;
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT && judged->rule->child; i++) {
		bool differs = process->namespaces.inode[i] != others->inode[i];
		bool wanted = (judged->rule->own_namespaces & 1u << i) != 0;

		if (wanted ? differs && namespace_is_own(judged, (enum proc_namespace)i) : !differs)
			continue;
		check_worsen(check, AUDIT_DEVIATES);
		say_namespace(check, &separator, i, "; not as written: ");
		if (wanted && differs)
			check_say(check, " (another process has it too)");
	}
	judge_thread_namespaces(judged, check);
	if (!judged->rule->jailed)
		return;
	judge_outsiders(judged, check);
	if (!check_read(check, process->uid_map_error) || !check_read(check, process->gid_map_error))
		return;
	check_say(check, "; maps %u user%s", map->length, map->length == 1 ? "" : "s");
	if (map->ranges != 1 || map->length != 1 || process->gid_map.ranges != 1 ||
	    process->gid_map.length != 1) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: one user and one group)");
	}
}

static void judge_root(const struct judged *judged)
{
	const struct audit_process *process = judged->process;
	const struct proc_mounts *mounts = &process->mounts;
	struct audit_check *check = check_add(judged->process, "root", 0);

	if (!check_read(check, process->mounts_error))
		return;
	if (!judged->rule->jailed) {
		check_say(check, "its host's: %u mounts", mounts->count);
		return;
	}
	check_say(check, "%s, %s, %u mount%s",
		  mounts->root_type[0] != '\0' ? mounts->root_type : "no file system",
		  mounts->root_readonly ? "read-only" : "writable", mounts->count,
		  mounts->count == 1 ? "" : "s");
	if (mounts->count != 1 || !mounts->root_readonly) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: one, empty and read-only)");
		return;
	}
	if (process->root_error == -ENODATA) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: an empty tmpfs)");
		return;
	}
	if (!check_read(check, process->root_error))
		return;
	if (process->root.entries == 0)
		check_say(check, ", empty");
	else
		check_say(check, ", holds \"%s\"%s (written: nothing)", process->root.first,
			  process->root.entries > 1 ? " and more" : "");
	if (!process->root.is_working_directory)
		check_say(check, ", but its working directory is elsewhere");
	if (process->root.entries > 0 || !process->root.is_working_directory)
		check_worsen(check, AUDIT_DEVIATES);
}

static void judge_memory(const struct judged *judged)
{
	const struct proc_maps *maps = &judged->process->maps;
	struct audit_check *check = check_add(judged->process, "memory", 0);

	if (!check_read(check, judged->process->maps_error))
		return;
	if (maps->count == 0) {
		check_read(check, -ESRCH);
		return;
	}
	check_say(check, "%u mappings; %u writable and executable, %u executable and of no file", maps->count,
		  maps->writable_executable, maps->anonymous_executable);
	if (maps->writable_executable > 0 || maps->anonymous_executable > 0) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: none): %s", maps->first);
	}
	judge_files(judged->audit, judged->process, check);
}

static void judge_limit(const struct proc_limits *limits, const struct audit_limit_rule *rule,
			struct audit_check *check)
{
	uint64_t soft = limits->soft[rule->limit], hard = limits->hard[rule->limit];

	check_say(check, "%s%s ", check->text[0] != '\0' ? ", " : "", proc_limit_name(rule->limit));
	if (soft == UINT64_MAX || hard == UINT64_MAX)
		check_say(check, "unlimited");
	else
		check_say(check, "%llu", (unsigned long long)(soft > hard ? soft : hard));
	if (soft > rule->most || hard > rule->most) {
		check_worsen(check, AUDIT_DEVIATES);
		if (rule->most == AUDIT_LIMITED)
			check_say(check, " (written: limited)");
		else
			check_say(check, " (written: at most %llu)", (unsigned long long)rule->most);
	}
}

static void judge_limits(const struct judged *judged)
{
	const struct proc_limits *limits = &judged->process->limits;
	struct audit_check *check = check_add(judged->process, "limits", 0);

	if (!check_read(check, judged->process->limits_error))
		return;
	for (const struct audit_limit_rule *rule = judged->rule->limits;
	     rule != NULL && rule->limit < PROC_LIMITS_COUNT; rule++)
		judge_limit(limits, rule, check);
	for (const struct audit_limit_rule *rule = judged->rule->own_limits;
	     judged->rule->limits != NULL && rule->limit < PROC_LIMITS_COUNT; rule++)
		judge_limit(limits, rule, check);
	if (check->text[0] == '\0')
		check_say(check, "its user's");
}

/* Moving a process to another group is the operator's right; the children of one VM are not told apart. */
static void judge_cgroup(const struct judged *judged)
{
	struct audit_check *check = check_add(judged->process, "cgroup", 0);

	if (check_read(check, judged->process->cgroup_error))
		check_say(check, "%s", judged->process->cgroup);
}

/* --- what the kernel does not tell --- */

/*
 * The jail's steps are taken in one order, a step that fails ends the process, and the filters are the last: a
 * process that wears its filters has taken all of them.
 */
static void judge_step(const struct judged *judged, const char *subject, const char *what, bool in_kernel,
		       enum audit_verdict filters)
{
	struct audit_check *check = check_add(judged->process, subject, 0);

	if (!in_kernel) {
		check_say(check, "this kernel has none");
	} else if (filters == AUDIT_AS_WRITTEN) {
		check_worsen(check, AUDIT_INFERRED);
		check_say(check,
			  "%s: the kernel does not tell; it wears its filters, which come after this step",
			  what);
	} else {
		check_worsen(check, AUDIT_UNREAD);
		check_say(check, "the kernel does not tell, and its filters are %s",
			  filters == AUDIT_UNREAD ? "unread" : "not as written");
	}
}

static void judge_dumps(const struct judged *judged, enum audit_verdict filters)
{
	const struct audit_process *process = judged->process;
	const struct audit_thread *main_thread = process->threads;
	uint32_t user, root_of_map;

	if (process->owner_error == 0 && main_thread != NULL && main_thread->error == 0 &&
	    process->uid_map_error == 0) {
		user = main_thread->status.uid[1];
		root_of_map = process->uid_map.inside == 0 ? process->uid_map.outside : UINT32_MAX;
		/* Files in /proc of one that is not are root's: the host's, or its user namespace's. */
		if (process->owner != user) {
			check_say(check_add(judged->process, "dumps", 0), "not dumpable");
			return;
		}
		if (user != root_of_map && user != 0) {
			struct audit_check *check = check_add(judged->process, "dumps", 0);

			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "dumpable (written: not)");
			return;
		}
	}
	judge_step(judged, "dumps", "not dumpable", true, filters);
}

static bool kernel_has_landlock(int *version)
{
	*version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return *version > 0;
}

static void judge_unseen(const struct judged *judged)
{
	enum audit_verdict filters = AUDIT_AS_WRITTEN;
	bool jailed = judged->rule->jailed;
	char landlock[64];
	int version;
	bool has_landlock = kernel_has_landlock(&version);

	for (size_t i = 0; i < judged->process->check_count; i++)
		if (strcmp(judged->process->checks[i].subject, "filters") == 0 &&
		    judged->process->checks[i].verdict > filters)
			filters = judged->process->checks[i].verdict;
	snprintf(landlock, sizeof(landlock), "everything denied%s (ABI %d)",
		 jailed ? "" : " but what its work takes", version);
	if (jailed || judged->rule->restricted)
		judge_step(judged, "Landlock", landlock, has_landlock, filters);
	if (jailed)
		judge_step(judged, "MDWE", "memory cannot become executable",
			   prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0, filters);
	if (judged->rule->child)
		judge_dumps(judged, filters);
}

/* --- all --- */

static void judge_process(const struct audit *audit, struct audit_process *process)
{
	struct judged judged = {audit, process, audit_rule_find(process->role)};

	if (process->error < 0) {
		check_read(check_add(process, "process", 0), process->error);
		return;
	}
	if (process->no_sandbox) {
		struct audit_check *check = check_add(process, "sandbox", 0);

		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "off: it was started with --no-sandbox");
	}
	if (process->recorded) {
		struct audit_check *check = check_add(process, "sandbox", 0);

		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "its calls are recorded, and none is refused");
	}
	if (judged.rule == NULL) {
		struct audit_check *check = check_add(process, "process", 0);

		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "no such role is written");
		return;
	}
	judge_family(&judged);
	judge_thread_names(&judged);
	for (size_t i = 0; i < process->thread_count; i++)
		judge_filters(audit, process, judged.rule, i);
	judge_threads(&judged, "capabilities", judge_capabilities);
	judge_threads(&judged, "privileges", judge_privileges);
	judge_threads(&judged, "user", judge_user);
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
