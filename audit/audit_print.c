/*
 * Showing an audit. Everything that a process could choose was escaped when it was read.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "audit/audit.h"

static const char *verdict_colour(enum audit_verdict verdict)
{
	static const char *const colours[] = {"\033[32m", "\033[36m", "\033[33m", "\033[1;31m"};

	return colours[verdict];
}

/* What a person reads: short. */
static const char *verdict_word(enum audit_verdict verdict)
{
	static const char *const words[] = {"ok", "inferred", "unread", "DEVIATES"};

	return words[verdict];
}

static const char *vm_verdict(const struct audit *audit)
{
	if (audit->verdict == AUDIT_DEVIATES)
		return "deviates from what is written";
	if (audit->verdict == AUDIT_UNREAD)
		return "as written, as far as could be read";
	return "all as written";
}

static const char *thread_name(const struct audit_process *process, pid_t thread)
{
	for (size_t i = 1; i < process->thread_count; i++)
		if (process->threads[i].thread == thread)
			return process->threads[i].status.name;
	return "main";
}

/* --- the table --- */

static void print_check(const struct audit_process *process, const struct audit_check *check, bool colour)
{
	char subject[96];

	if (check->thread != 0)
		snprintf(subject, sizeof(subject), "%s %s", check->subject,
			 thread_name(process, check->thread));
	else
		snprintf(subject, sizeof(subject), "%s", check->subject);
	printf("  %s%-8s%s  %-23s  %s\n", colour ? verdict_colour(check->verdict) : "",
	       verdict_word(check->verdict), colour ? "\033[0m" : "", subject, check->text);
}

void audit_print_table(const struct audit *audit, bool colour)
{
	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *process = &audit->processes[i];

		printf("%s%s%s, process %d, %s\n", colour ? "\033[1m" : "", process->title,
		       colour ? "\033[0m" : "", (int)process->pid, process->state);
		for (size_t k = 0; k < process->check_count; k++)
			print_check(process, &process->checks[k], colour);
	}
	printf("%s%s: %s%s: %u as written, %u inferred, %u unread, %u deviating\n",
	       colour ? verdict_colour(audit->verdict) : "", audit->vm, vm_verdict(audit),
	       colour ? "\033[0m" : "", audit->counts[AUDIT_AS_WRITTEN], audit->counts[AUDIT_INFERRED],
	       audit->counts[AUDIT_UNREAD], audit->counts[AUDIT_DEVIATES]);
	if (audit->counts[AUDIT_UNREAD] > 0 && !audit->privileged)
		printf("Run it as root to read the rest.\n");
}

/* --- JSON --- */

static json_t *json_capabilities(uint64_t set)
{
	char text[24];

	snprintf(text, sizeof(text), "%016" PRIx64, set);
	return json_string(text);
}

static json_t *json_filters(const struct audit_thread *thread)
{
	json_t *list;

	if (thread->filters_error != 0)
		return json_null();
	list = json_array();
	for (unsigned i = 0; i < thread->filters.count; i++) {
		const char *name = thread->filter_names[i];

		json_array_append_new(list, json_pack("{s:s?, s:i}", "name", name, "instructions",
						      (int)thread->filters.filters[i].count));
	}
	return list;
}

static json_t *json_thread(const struct audit_process *process, size_t index)
{
	const struct audit_thread *thread = &process->threads[index];
	const struct proc_status *status = &thread->status;

	if (thread->error < 0)
		return json_pack("{s:i, s:n}", "tid", (int)thread->thread, "name");
	return json_pack(
		"{s:i, s:s, s:b, s:[I,I,I,I], s:[I,I,I,I], s:i, s:{s:o, s:o, s:o, s:o, s:o}, s:b, "
		"s:{s:i, s:o, s:o}}",
		"tid", (int)thread->thread, "name", index == 0 ? "main" : status->name, "kernel-worker",
		thread->kernel_worker, "uid", (json_int_t)status->uid[0], (json_int_t)status->uid[1],
		(json_int_t)status->uid[2], (json_int_t)status->uid[3], "gid", (json_int_t)status->gid[0],
		(json_int_t)status->gid[1], (json_int_t)status->gid[2], (json_int_t)status->gid[3], "groups",
		(int)status->groups, "capabilities", "inheritable", json_capabilities(status->inheritable),
		"permitted", json_capabilities(status->permitted), "effective",
		json_capabilities(status->effective), "bounding", json_capabilities(status->bounding),
		"ambient", json_capabilities(status->ambient), "no-new-privs", status->no_new_privs,
		"seccomp", "mode", (int)status->seccomp_mode, "count",
		status->seccomp_filters < 0 ? json_null() : json_integer(status->seccomp_filters), "filters",
		json_filters(thread));
}

static json_t *json_namespaces(const struct audit_process *process)
{
	json_t *object;

	if (process->namespaces_error < 0)
		return json_null();
	object = json_object();
	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++)
		json_object_set_new(object, proc_namespace_name((enum proc_namespace)i),
				    json_integer((json_int_t)process->namespaces.inode[i]));
	return object;
}

static json_t *json_root(const struct audit_process *process)
{
	json_t *object;

	if (process->mounts_error < 0)
		return json_null();
	object = json_pack("{s:s, s:b, s:i}", "type", process->mounts.root_type, "read-only",
			   process->mounts.root_readonly, "mounts", (int)process->mounts.count);
	json_object_set_new(object, "entries",
			    process->root_error < 0 ? json_null() : json_integer(process->root.entries));
	return object;
}

static json_t *json_fd(const struct proc_fd *fd, const struct audit_fd *role)
{
	json_t *object =
		json_pack("{s:i, s:s, s:s, s:s, s:i}", "fd", fd->fd, "kind", audit_fd_kind_name(role->kind),
			  "target", fd->target, "role", role->role, "flags", (int)fd->flags);

	if (fd->interface[0] != '\0')
		json_object_set_new(object, "interface", json_string(fd->interface));
	if (role->seals_error == 0)
		json_object_set_new(object, "seals", json_integer(role->seals));
	return object;
}

static json_t *json_fds(const struct audit_process *process)
{
	json_t *list;

	if (process->fds_error < 0 || process->fd_roles == NULL)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < process->fds.count; i++)
		json_array_append_new(list, json_fd(&process->fds.fds[i], &process->fd_roles[i]));
	return list;
}

static json_t *json_limit(uint64_t value)
{
	return value == UINT64_MAX ? json_string("unlimited") : json_integer((json_int_t)value);
}

static json_t *json_limits(const struct audit_process *process)
{
	json_t *object;

	if (process->limits_error < 0)
		return json_null();
	object = json_object();
	for (unsigned i = 0; i < PROC_LIMITS_COUNT; i++)
		json_object_set_new(object, proc_limit_name(i),
				    json_pack("[o, o]", json_limit(process->limits.soft[i]),
					      json_limit(process->limits.hard[i])));
	return object;
}

static json_t *json_memory(const struct audit_process *process)
{
	if (process->maps_error < 0)
		return json_null();
	return json_pack("{s:i, s:i, s:i}", "mappings", (int)process->maps.count, "writable-executable",
			 (int)process->maps.writable_executable, "anonymous-executable",
			 (int)process->maps.anonymous_executable);
}

static json_t *json_checks(const struct audit_process *process)
{
	json_t *list = json_array();

	for (size_t i = 0; i < process->check_count; i++) {
		const struct audit_check *check = &process->checks[i];
		json_t *object = json_pack("{s:s, s:s, s:s}", "subject", check->subject, "verdict",
					   audit_verdict_name(check->verdict), "text", check->text);

		if (check->thread != 0)
			json_object_set_new(object, "thread",
					    json_string(thread_name(process, check->thread)));
		json_array_append_new(list, object);
	}
	return list;
}

static enum audit_verdict process_verdict(const struct audit_process *process)
{
	enum audit_verdict verdict = process->error == -ENOMEM ? AUDIT_DEVIATES : AUDIT_AS_WRITTEN;

	for (size_t i = 0; i < process->check_count; i++)
		if (process->checks[i].verdict > verdict)
			verdict = process->checks[i].verdict;
	return verdict == AUDIT_INFERRED ? AUDIT_AS_WRITTEN : verdict;
}

static json_t *json_process(const struct audit_process *process)
{
	json_t *threads = json_array();

	for (size_t i = 0; i < process->thread_count; i++)
		json_array_append_new(threads, json_thread(process, i));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "role",
			 process->role, "id", process->id, "pid", (int)process->pid, "state", process->state,
			 "verdict", audit_verdict_name(process_verdict(process)), "threads", threads,
			 "namespaces", json_namespaces(process), "root", json_root(process), "descriptors",
			 json_fds(process), "memory", json_memory(process), "limits", json_limits(process),
			 "cgroup", process->cgroup_error < 0 ? json_null() : json_string(process->cgroup),
			 "checks", json_checks(process));
}

int audit_print_json(const struct audit *audit)
{
	json_t *processes = json_array(), *vm;

	for (size_t i = 0; i < audit->process_count; i++)
		json_array_append_new(processes, json_process(&audit->processes[i]));
	vm = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:o}", "name", audit->vm, "state", audit->state,
		       "verdict", audit_verdict_name(audit->verdict), "as-written",
		       (int)audit->counts[AUDIT_AS_WRITTEN], "inferred", (int)audit->counts[AUDIT_INFERRED],
		       "unread", (int)audit->counts[AUDIT_UNREAD], "deviating",
		       (int)audit->counts[AUDIT_DEVIATES], "processes", processes);
	if (vm == NULL)
		return -ENOMEM;
	json_dumpf(vm, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(vm);
	return 0;
}
