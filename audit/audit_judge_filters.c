/*
 * The filters that a thread wears, instruction by instruction, against those that were compiled in.
 *
 * From the last installed: the thread's own, its process's, then what its parent wore. A slot's constant is the
 * only thing that may be another, and it must be what the table says: a vCPU's own descriptor.
 */
#include "audit/audit_judge_filters.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit_check.h"

static bool is_slot(const struct seccomp_filter *filter, unsigned instruction)
{
	for (size_t i = 0; i < filter->slot_count; i++)
		if (filter->slots[i].instruction == instruction)
			return true;
	return false;
}

static bool filter_matches(const struct seccomp_filter *filter, const struct trace_filter *found)
{
	if (found->count != filter->count)
		return false;
	for (unsigned i = 0; i < filter->count; i++) {
		struct sock_filter wanted = filter->instructions[i];

		if (is_slot(filter, i))
			wanted.k = found->instructions[i].k;
		if (memcmp(&wanted, &found->instructions[i], sizeof(wanted)) != 0)
			return false;
	}
	return true;
}

static const struct seccomp_filter *filter_find(const struct audit *audit, const char *name)
{
	for (size_t i = 0; audit->filters[i] != NULL; i++)
		if (strcmp(audit->filters[i]->name, name) == 0)
			return audit->filters[i];
	return NULL;
}

/* Which of ours an installed one is, whatever its slots hold. */
static const char *filter_name(const struct audit *audit, const struct trace_filter *found)
{
	for (size_t i = 0; audit->filters[i] != NULL; i++)
		if (filter_matches(audit->filters[i], found))
			return audit->filters[i]->name;
	return NULL;
}

static bool filters_equal(const struct trace_filter *a, const struct trace_filter *b)
{
	return a->count == b->count &&
	       memcmp(a->instructions, b->instructions, a->count * sizeof(*a->instructions)) == 0;
}

static unsigned rule_filter_count(const struct role_thread *rule)
{
	return (rule->filters[0] != NULL) + (rule->filters[1] != NULL);
}

/* The value of each slot of one filter. */
static void judge_slots(const struct audit_process *process, const struct role_thread *rule,
			const struct audit_thread *thread, const struct seccomp_filter *filter,
			const struct trace_filter *found, struct audit_check *check)
{
	for (size_t i = 0; i < filter->slot_count; i++) {
		uint32_t value = found->instructions[filter->slots[i].instruction].k;
		const char *number = audit_name_number(thread->status.name, rule->name);
		char wanted[64];
		const struct proc_fd *fd = NULL;

		if (rule->own_fd == NULL || number == NULL || strcmp(filter->slots[i].name, "OWN_FD") != 0) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "; slot %s has no meaning here", filter->slots[i].name);
			continue;
		}
		if (!check_read(check, process->fds_error))
			return;
		for (size_t k = 0; k < process->fds.count; k++)
			if ((uint32_t)process->fds.fds[k].fd == value)
				fd = &process->fds.fds[k];
		snprintf(wanted, sizeof(wanted), "%s%s", rule->own_fd, number);
		if (fd == NULL || strcmp(fd->target, wanted) != 0) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, "; its own descriptor is %u, %s (written: %s)", value,
				  fd == NULL ? "which is not open" : fd->target, wanted);
		} else {
			check_say(check, "; its own descriptor %u is %s", value, fd->target);
		}
	}
}

/* Our own filters; returns how many of the found ones they take. */
static unsigned judge_own(const struct audit *audit, const struct audit_process *process,
			  const struct role_thread *rule, struct audit_thread *thread,
			  struct audit_check *check)
{
	unsigned count = rule_filter_count(rule);

	for (unsigned i = 0; i < count; i++) {
		const struct seccomp_filter *filter = filter_find(audit, rule->filters[i]);
		const struct trace_filter *found =
			i < thread->filters.count ? &thread->filters.filters[i] : NULL;

		check_say(check, "%s%s", i == 0 ? "" : " over ", rule->filters[i]);
		if (filter == NULL) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, " (this atoll has no such filter)");
		} else if (found == NULL) {
			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, " is missing");
		} else if (!filter_matches(filter, found)) {
			const char *name = filter_name(audit, found);

			check_worsen(check, AUDIT_DEVIATES);
			check_say(check, " is written, and there is %s of %u instructions",
				  name != NULL ? name : "another", found->count);
			thread->filter_names[i] = name;
		} else {
			check_say(check, " (%u instructions)", found->count);
			thread->filter_names[i] = filter->name;
			judge_slots(process, rule, thread, filter, found, check);
		}
	}
	return count;
}

/*
 * The supervisor's filters that a process wears below its own: in a jail all but the last, which the supervisor
 * installed for itself when it had forked its starter; the starter those that it had before both sealed themselves.
 */
static unsigned parent_own(const struct audit_rule *rule)
{
	return rule->jailed ? 1 : 2;
}

/* What is below our own: for a child, what the supervisor wears; for that, whatever it was started with. */
static void judge_inherited(const struct audit *audit, const struct audit_process *process,
			    const struct audit_rule *rule, struct audit_thread *thread, unsigned own,
			    struct audit_check *check)
{
	const struct audit_thread *parent = audit->processes[0].threads;
	unsigned inherited = thread->filters.count > own ? thread->filters.count - own : 0;
	unsigned skip = parent_own(rule), parents;
	bool same;

	if (process == &audit->processes[0]) {
		if (inherited > 0)
			check_say(check, "; %u more, of who started it", inherited);
		return;
	}
	if (parent == NULL ||
	    !check_read(check, parent->filters_error == -ENODATA && parent->status.seccomp_mode == 0
				       ? 0
				       : parent->filters_error))
		return;
	parents = parent->filters.count > skip ? parent->filters.count - skip : 0;
	same = inherited == parents;
	for (unsigned i = 0; same && i < inherited; i++) {
		same = filters_equal(&thread->filters.filters[own + i], &parent->filters.filters[skip + i]);
		if (same)
			thread->filter_names[own + i] = parent->filter_names[skip + i];
	}
	if (!same) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "; below are %u that are not the supervisor's %u", inherited, parents);
	} else if (inherited > 0) {
		check_say(check, " over the supervisor's");
	}
}

/* Without the filters themselves: their number, which everybody may know. */
static void judge_count(const struct audit *audit, const struct audit_process *process,
			const struct audit_rule *process_rule, const struct role_thread *rule,
			const struct audit_thread *thread, struct audit_check *check)
{
	const struct audit_thread *parent = audit->processes[0].threads;
	int wanted = (int)rule_filter_count(rule);
	bool is_parent = process == &audit->processes[0];

	if (!is_parent && (parent == NULL || parent->error < 0 || parent->status.seccomp_filters < 0))
		return;
	if (!is_parent)
		wanted += parent->status.seccomp_filters - (int)parent_own(process_rule);
	if (thread->status.seccomp_filters < 0)
		return;
	check_say(check, "; %d installed", thread->status.seccomp_filters);
	if (is_parent ? thread->status.seccomp_filters < wanted : thread->status.seccomp_filters != wanted) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, " (written: %d)", wanted);
	}
}

void judge_filters(const struct audit *audit, struct audit_process *process, const struct audit_rule *rule,
		   size_t index)
{
	struct audit_thread *thread = &process->threads[index];
	const struct role_thread *thread_rule;
	struct audit_check *check;

	if (thread->error == -ESRCH && index > 0)
		return;
	check = check_add(process, "filters", thread->thread);
	if (!check_read(check, thread->error))
		return;
	if (thread->kernel_worker) {
		check_say(check, "runs the kernel's code and none of the process's");
		return;
	}
	thread_rule = audit_rule_of_thread(rule, thread->status.name, index == 0);
	if (thread_rule == NULL) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "no thread of this name is written");
		return;
	}
	if (thread->status.seccomp_mode != 2) {
		check_worsen(check, AUDIT_DEVIATES);
		check_say(check, "none (written: %s%s%s)", thread_rule->filters[0],
			  thread_rule->filters[1] != NULL ? " over " : "",
			  thread_rule->filters[1] != NULL ? thread_rule->filters[1] : "");
		return;
	}
	if (!check_read(check, thread->filters_error)) {
		judge_count(audit, process, rule, thread_rule, thread, check);
		return;
	}
	judge_inherited(audit, process, rule, thread, judge_own(audit, process, thread_rule, thread, check),
			check);
}
