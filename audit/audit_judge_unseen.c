/*
 * What the kernel does not tell of another process, and what is concluded of it.
 */
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "audit/audit_judge_parts.h"

/* Younger than the headers of some hosts: Linux 6.3. */
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

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

/*
 * Files in /proc of a process that is not dumpable are root's: the host's, or its user namespace's. 1: they are, 0:
 * they are its user's, which is another; -1: that does not tell.
 */
static int dumps_seen(const struct audit_process *process)
{
	const struct audit_thread *main_thread = process->threads;
	uint32_t user, root_of_map;

	if (process->owner_error != 0 || main_thread == NULL || main_thread->error != 0 ||
	    process->uid_map_error != 0)
		return -1;
	user = main_thread->status.uid[1];
	root_of_map = process->uid_map.inside == 0 ? process->uid_map.outside : UINT32_MAX;
	if (process->owner != user)
		return 1;
	return user != root_of_map && user != 0 ? 0 : -1;
}

static void judge_dumps(const struct judged *judged, enum audit_verdict filters)
{
	int seen = dumps_seen(judged->process);
	struct audit_check *check;

	if (seen < 0) {
		judge_step(judged, "dumps", "not dumpable", true, filters);
		return;
	}
	check = check_add(judged->process, "dumps", 0);
	if (seen == 0)
		check_worsen(check, AUDIT_DEVIATES);
	check_say(check, seen > 0 ? "not dumpable" : "dumpable (written: not)");
}

static bool kernel_has_landlock(int *version)
{
	*version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return *version > 0;
}

void judge_unseen(const struct judged *judged)
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
