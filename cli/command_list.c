/*
 * atoll list: the running VMs and their processes, for people or as JSON.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "common/base/control_wire.h"
#include "common/base/escape.h"
#include "common/host/monitor_client.h"
#include "common/host/runtime_dir.h"

typedef Atoll__Control__MonitorReply Reply;

/* What is remarkable about a process, behind its state. */
static const char *list_remark(const Atoll__Control__ProcessState *process)
{
	if (process->violation[0] != '\0')
		return process->violation;
	/* What has been mended is in the log. */
	return strcmp(process->state, "running") != 0 ? process->trouble : "";
}

static void list_print_process(const Atoll__Control__ProcessState *process, const char *what)
{
	const char *remark = list_remark(process);

	if (process->pid != 0)
		printf("%-20s %8u  %s", what, process->pid, process->state);
	else
		printf("%-20s %8s  %s", what, "-", process->state);
	if (process->no_sandbox)
		printf("  no sandbox");
	if (process->recorded)
		printf("  recorded, not refused anything");
	if (process->restarts > 0)
		printf("  restarted %u time%s", process->restarts, process->restarts > 1 ? "s" : "");
	if (remark[0] != '\0')
		printf("  ");
	report_line(stdout, remark);
}

static void list_print_text(const Reply *reply, pid_t pid)
{
	uint64_t seconds = reply->uptime_us / 1000000;
	char uptime[32];

	if (seconds >= 86400)
		snprintf(uptime, sizeof(uptime), "%ud %uh", (unsigned)(seconds / 86400),
			 (unsigned)(seconds / 3600 % 24));
	else if (seconds >= 3600)
		snprintf(uptime, sizeof(uptime), "%uh %um", (unsigned)(seconds / 3600),
			 (unsigned)(seconds / 60 % 60));
	else
		snprintf(uptime, sizeof(uptime), "%um %us", (unsigned)(seconds / 60),
			 (unsigned)(seconds % 60));
	printf("%-20s %8d  %-9s %s\n", reply->vm, (int)pid, reply->state, uptime);
	for (size_t i = 0; i < reply->n_processes; i++) {
		const Atoll__Control__ProcessState *process = reply->processes[i];
		char what[64];

		snprintf(what, sizeof(what), "  %s %s", process->role, process->id);
		list_print_process(process, what);
	}
}

/* JSON has no bytes that are not UTF-8; a text that came from a process may. */
static json_t *list_json_text(const char *text)
{
	json_t *string = json_string(text);
	size_t length = strlen(text), size = ESCAPE_BYTE_MAX * length + 1;
	char *escaped = string == NULL ? malloc(size) : NULL;

	if (escaped == NULL)
		return string != NULL ? string : json_string("");
	escape_text(text, length, ESCAPE_TEXT, escaped, size);
	string = json_string(escaped);
	free(escaped);
	return string;
}

static void list_limit(json_t *object, const char *key, uint64_t value)
{
	if (value != 0)
		json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* null: no cgroup; only what is limited is in there. */
static json_t *list_limits_json(const Atoll__Control__Limits *limits)
{
	json_t *object;

	if (limits == NULL)
		return json_null();
	object = json_object();
	list_limit(object, "memory", limits->memory);
	list_limit(object, "cpu", limits->cpu);
	list_limit(object, "pids", limits->pids);
	list_limit(object, "read-bps", limits->read_bps);
	list_limit(object, "write-bps", limits->write_bps);
	list_limit(object, "read-iops", limits->read_iops);
	list_limit(object, "write-iops", limits->write_iops);
	return object;
}

static json_t *list_process_json(const Atoll__Control__ProcessState *process)
{
	json_t *counters = json_object();

	for (size_t i = 0; i < process->n_counters; i++)
		json_object_set_new(counters, process->counters[i]->name,
				    json_integer((json_int_t)process->counters[i]->value));
	return json_pack("{s:s, s:s, s:i, s:s, s:b, s:b, s:o, s:I, s:o, s:o, s:o}", "role", process->role,
			 "id", process->id, "pid", (int)process->pid, "state", process->state, "sandbox",
			 !process->no_sandbox, "recorded", process->recorded, "violation",
			 list_json_text(process->violation), "restarts", (json_int_t)process->restarts,
			 "trouble", list_json_text(process->trouble), "limits",
			 list_limits_json(process->limits), "counters", counters);
}

static json_t *list_vm_json(const Reply *reply, pid_t pid)
{
	json_t *processes = json_array();

	for (size_t i = 0; i < reply->n_processes; i++)
		json_array_append_new(processes, list_process_json(reply->processes[i]));
	return json_pack("{s:s, s:i, s:i, s:s, s:I, s:o, s:o}", "name", reply->vm, "pid", (int)pid, "starter",
			 (int)reply->starter, "state", reply->state, "uptime",
			 (json_int_t)(reply->uptime_us / 1000000), "limits", list_limits_json(reply->limits),
			 "processes", processes);
}

/* One VM; a supervisor that ends or does not answer is left out, with a word about the latter. */
static void list_vm(const char *name, json_t *json, bool *any)
{
	struct control_message message;
	pid_t pid;
	int fd = monitor_client_connect(name, &pid), result;

	if (fd < 0) {
		if (fd != -ENOENT && fd != -ECONNREFUSED && fd != -ENOTDIR)
			report_error("%s: %s; see that the runtime directory is yours", name,
				     runtime_strerror(fd));
		return;
	}
	result = monitor_client_query(fd, MONITOR_CLIENT_TIMEOUT_MS, &message);
	close(fd);
	if (result < 0) {
		if (result != -EPIPE)
			report_error("%s: process %d does not answer: %s; end it with kill(1)", name,
				     (int)pid, strerror(-result));
		return;
	}
	if (json != NULL) {
		json_array_append_new(json, list_vm_json(message.envelope->monitor_reply, pid));
	} else {
		if (!*any)
			printf("%-20s %8s  %-9s %s\n", "NAME", "PID", "STATE", "UPTIME");
		list_print_text(message.envelope->monitor_reply, pid);
	}
	*any = true;
	control_message_clear(&message);
}

static int list_all(json_t *json)
{
	struct dirent **entries;
	char path[PATH_MAX] = "";
	bool any = false;
	int count = 0, base_fd, result = runtime_base_path(path, sizeof(path));

	if (result < 0) {
		report_error("list: no runtime directory: XDG_RUNTIME_DIR is not set; set it, or "
			     "ATOLL_RUNTIME_DIR");
		return EXIT_STATUS_HOST;
	}
	result = runtime_base_open(&base_fd, 0);
	if (result == 0) {
		count = scandirat(base_fd, ".", &entries, NULL, alphasort);
		result = count < 0 ? -errno : 0;
		close(base_fd);
	}
	if (result == -ENOENT)
		return EXIT_STATUS_OK;
	if (result < 0) {
		report_error("list: %s: %s; see that the runtime directory is yours", path,
			     runtime_strerror(result));
		return EXIT_STATUS_HOST;
	}
	for (int i = 0; i < count; i++) {
		list_vm(entries[i]->d_name, json, &any);
		free(entries[i]);
	}
	free(entries);
	return EXIT_STATUS_OK;
}

int command_list(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	json_t *json = NULL;
	int status;

	while (command_option(argc, argv, options, &status) != -1)
		if (json == NULL)
			json = json_array();
	if (status >= 0 || !command_operands(argc, argv, 0)) {
		json_decref(json);
		return status >= 0 ? status : EXIT_STATUS_USAGE;
	}
	status = list_all(json);
	if (json != NULL) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	}
	return fflush(stdout) == 0 ? status : EXIT_STATUS_FAILED;
}
