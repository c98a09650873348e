/*
 * The room that a process has: its root, its mappings, its limits, its cgroup.
 */
#include <errno.h>

#include "audit/audit_judge_fds.h"
#include "audit/audit_judge_parts.h"

void judge_root(const struct judged *judged)
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

void judge_memory(const struct judged *judged)
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

void judge_limits(const struct judged *judged)
{
	const struct proc_limits *limits = &judged->process->limits;
	struct audit_check *check = check_add(judged->process, "limits", 0);

	if (!check_read(check, judged->process->limits_error))
		return;
	for (size_t i = 0; i < judged->rule->limit_count; i++)
		judge_limit(limits, &judged->rule->limits[i], check);
	if (check->text[0] == '\0')
		check_say(check, "its user's");
}

/* Moving a process to another group is the operator's right; the children of one VM are not told apart. */
void judge_cgroup(const struct judged *judged)
{
	struct audit_check *check = check_add(judged->process, "cgroup", 0);

	if (check_read(check, judged->process->cgroup_error))
		check_say(check, "%s", judged->process->cgroup);
}
