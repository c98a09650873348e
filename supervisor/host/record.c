/* Recording: see record.h. */
#include "supervisor/host/record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/escape.h"
#include "common/base/log.h"
#include "common/base/proc.h"
#include "common/base/report.h"
#include "common/base/syscall_names.h"
#include "policy/policy.h"
#include "policy/policy_directory.h"

#define RECORD_BUCKETS 256
/* Names of ring operations among the counters: "ring-READV". */
#define RECORD_RING_PREFIX "ring-"
/* Of a text in a line; a longer one is cut. */
#define RECORD_TEXT_MAX 1024

struct record_entry {
	SLIST_ENTRY(record_entry) link;
	const struct policy *policy;
	const struct policy_rule *rule; /* NULL: none allows it */
	size_t alternative;
	uint32_t call;
	uint64_t arguments[POLICY_ARGUMENTS];
	uint64_t count;
};

struct record_ring {
	SLIST_ENTRY(record_ring) link;
	char role[16];
	char operation[32];
	uint64_t count;
};

/* One process's. */
struct record_listener {
	SLIST_ENTRY(record_listener) link;
	struct record *record;
	char role[16];
	int fd;
	struct loop_watch *watch;
};

struct record {
	struct loop *loop;
	int file_fd;
	struct policy *policies;
	size_t policy_count;
	struct seccomp_notif_sizes sizes;
	struct seccomp_notif *notice;
	struct seccomp_notif_resp *answer;
	SLIST_HEAD(, record_entry) entries[RECORD_BUCKETS];
	SLIST_HEAD(, record_ring) rings;
	SLIST_HEAD(, record_listener) listeners;
};

/* --- Whose call it is --- */

static const struct policy *record_find_policy(const struct record *record, const char *name)
{
	for (size_t i = 0; i < record->policy_count; i++)
		if (strcmp(record->policies[i].name, name) == 0)
			return &record->policies[i];
	return NULL;
}

/* The thread's kind is in its name: "vcpu3", "queue-0", "attendant"; any other name is of the main thread's kind. */
static const struct policy *record_policy_of(const struct record *record, const char *role, uint32_t tid)
{
	char comm[32], name[64];

	(void)proc_comm((pid_t)tid, comm, sizeof(comm));
	if (strncmp(comm, "vcpu", 4) == 0)
		snprintf(name, sizeof(name), "%s.vcpu", role);
	else if (strncmp(comm, "queue-", 6) == 0)
		snprintf(name, sizeof(name), "%s.queue", role);
	else if (strncmp(comm, "attendant", 9) == 0)
		snprintf(name, sizeof(name), "%s.attendant", role);
	else
		snprintf(name, sizeof(name), "%s.main", role);
	return record_find_policy(record, name);
}

/* --- Noting --- */

/* Calls that no rule allows are told apart by what a rule would look at first. */
static bool record_same(const struct record_entry *entry, const struct policy *policy,
			const struct policy_verdict *verdict, uint32_t call, const uint64_t *arguments)
{
	if (entry->policy != policy || entry->call != call || entry->rule != verdict->rule)
		return false;
	if (entry->rule != NULL)
		return entry->alternative == verdict->alternative;
	return call != SYS_ioctl || (uint32_t)entry->arguments[1] == (uint32_t)arguments[1];
}

static void record_note(struct record *record, const char *role, const struct seccomp_notif *notice)
{
	uint32_t call = (uint32_t)notice->data.nr;
	const struct policy *policy = record_policy_of(record, role, notice->pid);
	const struct policy_slot_value own_fd = {"OWN_FD", notice->data.args[0]};
	struct policy_verdict verdict;
	struct record_entry *entry;
	uint64_t arguments[POLICY_ARGUMENTS];

	if (policy == NULL)
		return;
	for (size_t i = 0; i < POLICY_ARGUMENTS; i++)
		arguments[i] = notice->data.args[i];
	/* A slot is filled as the call has it. Whether the descriptor is the thread's own, the audit looks at. */
	verdict = policy_evaluate(policy, notice->data.arch, call, arguments, &own_fd, 1);
	SLIST_FOREACH (entry, &record->entries[call % RECORD_BUCKETS], link)
		if (record_same(entry, policy, &verdict, call, arguments))
			break;
	if (entry == NULL) {
		entry = calloc(1, sizeof(*entry));
		if (entry == NULL)
			return;
		entry->policy = policy;
		entry->rule = verdict.rule;
		entry->alternative = verdict.alternative;
		entry->call = call;
		memcpy(entry->arguments, arguments, sizeof(arguments));
		SLIST_INSERT_HEAD(&record->entries[call % RECORD_BUCKETS], entry, link);
	}
	entry->count++;
}

static void record_listener_free(struct record_listener *listener)
{
	SLIST_REMOVE(&listener->record->listeners, listener, record_listener, link);
	loop_unwatch(listener->watch);
	close(listener->fd);
	free(listener);
}

static void record_readable(int fd, unsigned events, void *argument)
{
	struct record_listener *listener = argument;
	struct record *record = listener->record;
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	(void)events;
	/*
	 * When the last thread has ended the listener hangs up, and kernels before 6.6 let who asks it then wait for
	 * ever.
	 */
	if (poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLIN) == 0) {
		record_listener_free(listener);
		return;
	}
	memset(record->notice, 0, record->sizes.seccomp_notif);
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, record->notice) < 0) {
		/* ENOENT: the thread ended, or was interrupted. Without any thread left the listener hangs up. */
		if (errno != ENOENT && errno != EINTR)
			record_listener_free(listener);
		return;
	}
	record_note(record, listener->role, record->notice);
	memset(record->answer, 0, record->sizes.seccomp_notif_resp);
	record->answer->id = record->notice->id;
	record->answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, record->answer);
}

int record_follow(struct record *record, const char *role, int listener_fd)
{
	struct record_listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL) {
		close(listener_fd);
		return -ENOMEM;
	}
	listener->record = record;
	listener->fd = listener_fd;
	snprintf(listener->role, sizeof(listener->role), "%s", role);
	SLIST_INSERT_HEAD(&record->listeners, listener, link);
	listener->watch = loop_watch_fd(record->loop, listener_fd, LOOP_READ, record_readable, listener);
	if (listener->watch == NULL) {
		record_listener_free(listener);
		return -ENOMEM;
	}
	return 0;
}

void record_counter(struct record *record, const char *role, const char *name, uint64_t value)
{
	const char *operation = name + strlen(RECORD_RING_PREFIX);
	struct record_ring *ring;

	if (strncmp(name, RECORD_RING_PREFIX, strlen(RECORD_RING_PREFIX)) != 0 || value == 0)
		return;
	SLIST_FOREACH (ring, &record->rings, link)
		if (strcmp(ring->role, role) == 0 && strcmp(ring->operation, operation) == 0)
			break;
	if (ring == NULL) {
		ring = calloc(1, sizeof(*ring));
		if (ring == NULL)
			return;
		snprintf(ring->role, sizeof(ring->role), "%s", role);
		snprintf(ring->operation, sizeof(ring->operation), "%s", operation);
		SLIST_INSERT_HEAD(&record->rings, ring, link);
	}
	ring->count += value;
}

/* --- Beginning and end --- */

static int record_load_policies(struct record *record)
{
	const char *directory = policy_directory();
	struct policy_problems problems = {0};
	char **names;
	int count = policy_list(directory, &names), result = 0;

	if (count < 0) {
		report_error("%s: cannot read the policies: %s; set ATOLL_POLICY_DIR", directory,
			     strerror(-count));
		return count;
	}
	record->policies = calloc((size_t)count + 1, sizeof(*record->policies));
	if (record->policies == NULL)
		result = -ENOMEM;
	for (int i = 0; result == 0 && i < count; i++) {
		if (strstr(names[i], ".process") != NULL)
			continue;
		result = policy_load(&record->policies[record->policy_count], directory, names[i], &problems);
		if (result == 0)
			record->policy_count++;
	}
	if (problems.count > 0)
		report_error("%s:%u: %s; mend the policy, or set ATOLL_POLICY_DIR", problems.list[0].file,
			     problems.list[0].line, problems.list[0].text);
	policy_problems_clear(&problems);
	policy_list_free(names, count);
	return result;
}

int record_open(struct loop *loop, const char *path, struct record **made)
{
	struct record *record = calloc(1, sizeof(*record));
	int result;

	if (record == NULL)
		return -ENOMEM;
	record->loop = loop;
	record->file_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	result = record->file_fd < 0 ? -errno : 0;
	if (result < 0)
		report_error("%s: cannot open it: %s; choose another file for the record", path,
			     strerror(-result));
	if (result == 0)
		result = record_load_policies(record);
	if (result == 0 && syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &record->sizes) < 0) {
		result = -errno;
		report_error(
			"this kernel cannot tell system calls to another process: %s; use Linux 5.5 or newer",
			strerror(errno));
	}
	if (result == 0) {
		/* The kernel's structures may be larger than those that we were compiled with. */
		if (record->sizes.seccomp_notif < sizeof(*record->notice))
			record->sizes.seccomp_notif = sizeof(*record->notice);
		if (record->sizes.seccomp_notif_resp < sizeof(*record->answer))
			record->sizes.seccomp_notif_resp = sizeof(*record->answer);
		record->notice = malloc(record->sizes.seccomp_notif);
		record->answer = malloc(record->sizes.seccomp_notif_resp);
		if (record->notice == NULL || record->answer == NULL)
			result = -ENOMEM;
	}
	if (result < 0) {
		record_close(record);
		return result;
	}
	*made = record;
	return 0;
}

/* A text as JSON has it: of one line and well-formed, whatever is in it. */
static void record_put_text(FILE *line, const char *text)
{
	char escaped[RECORD_TEXT_MAX];

	escape_text(text, strlen(text), ESCAPE_TEXT, escaped, sizeof(escaped));
	fputc('"', line);
	for (const char *c = escaped; *c != '\0'; c++)
		fprintf(line, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
	fputc('"', line);
}

/* One line a write: several VMs may append to one file. The stream, which is in *text, is closed. */
static int record_write(const struct record *record, FILE *line, char **text)
{
	const char *test = getenv("ATOLL_POLICY_TEST");
	int result = 0;

	if (test != NULL) {
		fputs(",\"test\":", line);
		record_put_text(line, test);
	}
	fputs("}\n", line);
	if (fclose(line) != 0)
		result = -ENOMEM;
	else if (dprintf(record->file_fd, "%s", *text) < 0)
		result = -errno;
	free(*text);
	return result;
}

static int record_write_entry(const struct record *record, const struct record_entry *entry)
{
	const char *name = syscall_name(entry->call);
	char *text = NULL;
	size_t size;
	FILE *line = open_memstream(&text, &size);

	if (line == NULL)
		return -ENOMEM;
	fputs("{\"role\":", line);
	record_put_text(line, entry->policy->name);
	if (name != NULL)
		fprintf(line, ",\"call\":\"%s\",\"args\":[", name);
	else
		fprintf(line, ",\"call\":%u,\"args\":[", entry->call);
	/* Readers of JSON have signed numbers. */
	for (size_t i = 0; i < POLICY_ARGUMENTS; i++)
		fprintf(line, "%s%" PRId64, i > 0 ? "," : "", (int64_t)entry->arguments[i]);
	fputc(']', line);
	if (entry->rule != NULL) {
		char rule[128];

		snprintf(rule, sizeof(rule), "%s:%u", entry->rule->file, entry->rule->line);
		fputs(",\"rule\":", line);
		record_put_text(line, rule);
	}
	fprintf(line, ",\"count\":%" PRIu64, entry->count);
	return record_write(record, line, &text);
}

static int record_write_ring(const struct record *record, const struct record_ring *ring)
{
	char *text = NULL, role[32];
	size_t size;
	FILE *line = open_memstream(&text, &size);

	if (line == NULL)
		return -ENOMEM;
	snprintf(role, sizeof(role), "%s.queue", ring->role);
	fputs("{\"role\":", line);
	record_put_text(line, role);
	fputs(",\"call\":\"uring\",\"args\":[", line);
	record_put_text(line, ring->operation);
	fprintf(line, "],\"count\":%" PRIu64, ring->count);
	return record_write(record, line, &text);
}

static int record_write_all(struct record *record)
{
	const struct record_entry *entry;
	const struct record_ring *ring;
	int result = 0;

	for (size_t i = 0; i < RECORD_BUCKETS; i++)
		SLIST_FOREACH (entry, &record->entries[i], link)
			if (result == 0)
				result = record_write_entry(record, entry);
	SLIST_FOREACH (ring, &record->rings, link)
		if (result == 0)
			result = record_write_ring(record, ring);
	if (result < 0)
		report_error("the record could not be written: %s; see the disk", strerror(-result));
	return result;
}

int record_close(struct record *record)
{
	struct record_entry *entry;
	struct record_ring *ring;
	int result;

	if (record == NULL)
		return 0;
	while (!SLIST_EMPTY(&record->listeners))
		record_listener_free(SLIST_FIRST(&record->listeners));
	result = record->file_fd >= 0 ? record_write_all(record) : 0;
	for (size_t i = 0; i < RECORD_BUCKETS; i++) {
		while ((entry = SLIST_FIRST(&record->entries[i])) != NULL) {
			SLIST_REMOVE_HEAD(&record->entries[i], link);
			free(entry);
		}
	}
	while ((ring = SLIST_FIRST(&record->rings)) != NULL) {
		SLIST_REMOVE_HEAD(&record->rings, link);
		free(ring);
	}
	for (size_t i = 0; i < record->policy_count; i++)
		policy_clear(&record->policies[i]);
	free(record->policies);
	free(record->notice);
	free(record->answer);
	if (record->file_fd >= 0)
		close(record->file_fd);
	free(record);
	return result;
}
