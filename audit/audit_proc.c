/*
 * What /proc tells of a process: its state, rights, namespaces and limits. Files, descriptors and memory are in
 * audit_proc_files.c.
 */
#include "audit/audit_proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_proc_text.h"
#include "common/base/escape.h"

/* Flags of a thread in /proc/PID/stat: Linux, include/linux/sched.h. */
#define PF_IO_WORKER   0x00000010
#define PF_USER_WORKER 0x00004000
#define PF_KTHREAD     0x00200000

_Static_assert(RLIM_NLIMITS == PROC_LIMITS_COUNT, "limits of this kernel");

/* --- text --- */

int proc_error(int error)
{
	return error == ENOENT || error == ESRCH ? -ESRCH : error == EPERM ? -EACCES : -error;
}

int proc_read_text(int dir_fd, const char *path, char **text)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), result = 0;
	size_t size = 0, room = 0;
	char *buffer = NULL;

	if (fd < 0)
		return proc_error(errno);
	for (;;) {
		ssize_t count;

		if (room - size < 4096) {
			char *larger = realloc(buffer, room + 65536);

			if (larger == NULL || room >= PROC_TEXT_MAX) {
				result = larger == NULL ? -ENOMEM : -EFBIG;
				buffer = larger != NULL ? larger : buffer;
				break;
			}
			buffer = larger;
			room += 65536;
		}
		count = read(fd, buffer + size, room - size - 1);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			result = proc_error(errno);
		if (count <= 0)
			break;
		size += (size_t)count;
	}
	close(fd);
	if (result < 0) {
		free(buffer);
		return result;
	}
	buffer[size] = '\0';
	*text = buffer;
	return 0;
}

char *proc_next_line(char **cursor)
{
	char *line = *cursor, *end;

	if (*line == '\0')
		return NULL;
	end = strchr(line, '\n');
	*cursor = end != NULL ? end + 1 : line + strlen(line);
	if (end != NULL)
		*end = '\0';
	return line;
}

char *proc_next_word(char **cursor)
{
	char *word = *cursor + strspn(*cursor, " \t"), *end;

	if (*word == '\0')
		return NULL;
	end = word + strcspn(word, " \t");
	*cursor = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return word;
}

int proc_parse_number(const char *word, int base, uint64_t *number)
{
	char *end;

	/* strtoull(3) would take blanks and signs. */
	if (word == NULL || !isxdigit((unsigned char)word[0]))
		return -EPROTO;
	errno = 0;
	*number = strtoull(word, &end, base);
	return errno != 0 || *end != '\0' ? -EPROTO : 0;
}

int proc_open(int proc_fd, pid_t pid)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%d", (int)pid);
	fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? proc_error(errno) : fd;
}

/* --- status --- */

/* What must be there in a status: a bit for each set of capabilities, and these. */
enum status_seen {
	STATUS_UID = 0x20,
	STATUS_GID = 0x40,
	STATUS_NAME = 0x80,
	STATUS_PARENT = 0x100,
	STATUS_NO_NEW_PRIVS = 0x200,
	STATUS_SECCOMP = 0x400,
	STATUS_ALL = 0x7ff,
};

static const struct {
	const char *key;
	size_t offset;
} capability_sets[] = {
	{"CapInh", offsetof(struct proc_status, inheritable)},
	{"CapPrm", offsetof(struct proc_status, permitted)},
	{"CapEff", offsetof(struct proc_status, effective)},
	{"CapBnd", offsetof(struct proc_status, bounding)},
	{"CapAmb", offsetof(struct proc_status, ambient)},
};

/* The four ids of a "Uid" or "Gid". */
static int status_take_ids(char *value, uint32_t ids[4])
{
	uint64_t number;

	for (unsigned i = 0; i < 4; i++) {
		if (proc_parse_number(proc_next_word(&value), 10, &number) < 0)
			return -EPROTO;
		ids[i] = (uint32_t)number;
	}
	return 0;
}

/* A value that is one number, of those that are looked at; others are passed over. */
static int status_take_number(struct proc_status *status, const char *key, char *value, unsigned *seen)
{
	bool parent = strcmp(key, "PPid") == 0, privileges = strcmp(key, "NoNewPrivs") == 0;
	bool mode = strcmp(key, "Seccomp") == 0, filters = strcmp(key, "Seccomp_filters") == 0;
	uint64_t number;

	if (!parent && !privileges && !mode && !filters)
		return 0;
	if (proc_parse_number(proc_next_word(&value), 10, &number) < 0)
		return -EPROTO;
	if (parent)
		status->parent = (pid_t)number;
	else if (privileges)
		status->no_new_privs = number != 0;
	else if (mode)
		status->seccomp_mode = (unsigned)number;
	else
		status->seccomp_filters = (int)number;
	*seen |= parent ? STATUS_PARENT : privileges ? STATUS_NO_NEW_PRIVS : mode ? STATUS_SECCOMP : 0;
	return 0;
}

/* One line's value into the status; what is not asked for is passed over. *seen counts what must be there. */
static int status_take(struct proc_status *status, const char *key, char *value, unsigned *seen)
{
	for (size_t i = 0; i < sizeof(capability_sets) / sizeof(capability_sets[0]); i++) {
		if (strcmp(key, capability_sets[i].key) != 0)
			continue;
		*seen |= 1u << i;
		return proc_parse_number(proc_next_word(&value), 16,
					 (uint64_t *)(void *)((char *)status + capability_sets[i].offset));
	}
	if (strcmp(key, "Uid") == 0) {
		*seen |= STATUS_UID;
		return status_take_ids(value, status->uid);
	}
	if (strcmp(key, "Gid") == 0) {
		*seen |= STATUS_GID;
		return status_take_ids(value, status->gid);
	}
	if (strcmp(key, "Name") == 0) {
		escape_text(value, strlen(value), ESCAPE_NAME, status->name, sizeof(status->name));
		*seen |= STATUS_NAME;
	} else if (strcmp(key, "State") == 0) {
		status->state = value[0];
	} else if (strcmp(key, "Groups") == 0) {
		while (proc_next_word(&value) != NULL)
			status->groups++;
	}
	return status_take_number(status, key, value, seen);
}

int proc_read_status(int dir_fd, struct proc_status *status)
{
	struct proc_status read = {.seccomp_filters = -1};
	char *text, *cursor, *line;
	unsigned seen = 0;
	int result = proc_read_text(dir_fd, "status", &text);

	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (line = proc_next_line(&cursor)) != NULL) {
		char *value = strchr(line, ':');

		if (value == NULL) {
			result = -EPROTO;
			break;
		}
		*value++ = '\0';
		result = status_take(&read, line, value + strspn(value, " \t"), &seen);
	}
	free(text);
	if (result == 0 && seen != STATUS_ALL)
		result = -EPROTO;
	if (result == 0)
		*status = read;
	return result;
}

int proc_read_is_kernel_worker(int dir_fd, bool *is_worker)
{
	char *text, *cursor;
	uint64_t flags = 0;
	int result = proc_read_text(dir_fd, "stat", &text);

	if (result < 0)
		return result;
	/* The name, in parentheses, may hold anything; the flags are the seventh word behind it. */
	cursor = strrchr(text, ')');
	result = -EPROTO;
	if (cursor != NULL) {
		char *word = NULL;

		cursor++;
		for (unsigned i = 0; i < 7; i++)
			word = proc_next_word(&cursor);
		result = proc_parse_number(word, 10, &flags);
	}
	free(text);
	if (result == 0)
		*is_worker = (flags & (PF_IO_WORKER | PF_USER_WORKER | PF_KTHREAD)) != 0;
	return result;
}

/* --- lists --- */

static int ids_add(struct proc_ids *ids, pid_t id)
{
	pid_t *larger;

	if (ids->count == PROC_COUNT_MAX)
		return -EFBIG;
	larger = realloc(ids->ids, (ids->count + 1) * sizeof(*larger));
	if (larger == NULL)
		return -ENOMEM;
	ids->ids = larger;
	ids->ids[ids->count++] = id;
	return 0;
}

void proc_ids_free(struct proc_ids *ids)
{
	free(ids->ids);
	*ids = (struct proc_ids){0};
}

static int ids_compare(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

int proc_read_threads(int dir_fd, struct proc_ids *threads)
{
	int fd = openat(dir_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct proc_ids read = {0};
	struct dirent *entry;

	if (directory == NULL) {
		result = proc_error(errno);
		if (fd >= 0)
			close(fd);
		return result;
	}
	while (result == 0 && (errno = 0, entry = readdir(directory)) != NULL) {
		uint64_t id;

		if (proc_parse_number(entry->d_name, 10, &id) == 0)
			result = ids_add(&read, (pid_t)id);
	}
	if (result == 0 && errno != 0)
		result = proc_error(errno);
	closedir(directory);
	/* The kernel lists none of a process that is gone. */
	if (result == 0 && read.count == 0)
		result = -ESRCH;
	if (result < 0) {
		proc_ids_free(&read);
		return result;
	}
	qsort(read.ids, read.count, sizeof(*read.ids), ids_compare);
	*threads = read;
	return 0;
}

static int children_of_thread(int dir_fd, pid_t thread, struct proc_ids *children)
{
	char path[48], *text, *cursor, *word;
	uint64_t id;
	int result;

	snprintf(path, sizeof(path), "task/%d/children", (int)thread);
	result = proc_read_text(dir_fd, path, &text);
	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (word = proc_next_word(&cursor)) != NULL)
		result = proc_parse_number(word, 10, &id) < 0 ? -EPROTO : ids_add(children, (pid_t)id);
	free(text);
	return result;
}

int proc_read_children(int dir_fd, struct proc_ids *children)
{
	struct proc_ids threads = {0}, read = {0};
	int result = proc_read_threads(dir_fd, &threads);

	for (size_t i = 0; i < threads.count && result == 0; i++) {
		result = children_of_thread(dir_fd, threads.ids[i], &read);
		/* This thread has ended; its children are another's by now. */
		if (result == -ESRCH && i > 0)
			result = 0;
	}
	proc_ids_free(&threads);
	if (result < 0)
		proc_ids_free(&read);
	else
		*children = read;
	return result;
}

/* --- namespaces --- */

const char *proc_namespace_name(enum proc_namespace namespace)
{
	static const char *const names[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"};

	_Static_assert(sizeof(names) / sizeof(names[0]) == PROC_NAMESPACE_COUNT, "one name each");
	return names[namespace];
}

int proc_read_namespaces(int dir_fd, struct proc_namespaces *namespaces)
{
	struct proc_namespaces read = {0};

	for (unsigned i = 0; i < PROC_NAMESPACE_COUNT; i++) {
		const char *name = proc_namespace_name((enum proc_namespace)i);
		char path[32], target[64], expected[32], *number;
		ssize_t length;

		snprintf(path, sizeof(path), "ns/%s", name);
		length = readlinkat(dir_fd, path, target, sizeof(target) - 1);
		/* A dead process has none of them; on a kernel without one kind of namespace, that one is missing. */
		if (length < 0 && errno == ENOENT && i > PROC_NAMESPACE_USER)
			continue;
		if (length < 0)
			return proc_error(errno);
		target[length] = '\0';
		snprintf(expected, sizeof(expected), "%s:[", name);
		if (strncmp(target, expected, strlen(expected)) != 0 || target[length - 1] != ']')
			return -EPROTO;
		target[length - 1] = '\0';
		number = target + strlen(expected);
		if (proc_parse_number(number, 10, &read.inode[i]) < 0)
			return -EPROTO;
	}
	*namespaces = read;
	return 0;
}

/* --- limits, groups, owner --- */

static const struct {
	const char *title, *name;
	unsigned limit;
} limit_rows[] = {
	{"Max cpu time", "cpu", RLIMIT_CPU},
	{"Max file size", "fsize", RLIMIT_FSIZE},
	{"Max data size", "data", RLIMIT_DATA},
	{"Max stack size", "stack", RLIMIT_STACK},
	{"Max core file size", "core", RLIMIT_CORE},
	{"Max resident set", "rss", RLIMIT_RSS},
	{"Max processes", "nproc", RLIMIT_NPROC},
	{"Max open files", "nofile", RLIMIT_NOFILE},
	{"Max locked memory", "memlock", RLIMIT_MEMLOCK},
	{"Max address space", "as", RLIMIT_AS},
	{"Max file locks", "locks", RLIMIT_LOCKS},
	{"Max pending signals", "sigpending", RLIMIT_SIGPENDING},
	{"Max msgqueue size", "msgqueue", RLIMIT_MSGQUEUE},
	{"Max nice priority", "nice", RLIMIT_NICE},
	{"Max realtime priority", "rtprio", RLIMIT_RTPRIO},
	{"Max realtime timeout", "rttime", RLIMIT_RTTIME},
};

_Static_assert(sizeof(limit_rows) / sizeof(limit_rows[0]) == PROC_LIMITS_COUNT, "one row each");

const char *proc_limit_name(unsigned limit)
{
	for (size_t i = 0; i < PROC_LIMITS_COUNT; i++)
		if (limit_rows[i].limit == limit)
			return limit_rows[i].name;
	return "unknown";
}

static int limit_value(const char *word, uint64_t *value)
{
	if (word != NULL && strcmp(word, "unlimited") == 0) {
		*value = UINT64_MAX;
		return 0;
	}
	return proc_parse_number(word, 10, value);
}

int proc_read_limits(int dir_fd, struct proc_limits *limits)
{
	struct proc_limits read = {0};
	char *text, *cursor, *line;
	unsigned seen = 0;
	int result = proc_read_text(dir_fd, "limits", &text);

	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (line = proc_next_line(&cursor)) != NULL) {
		for (size_t i = 0; i < PROC_LIMITS_COUNT; i++) {
			size_t length = strlen(limit_rows[i].title);

			if (strncmp(line, limit_rows[i].title, length) != 0 || line[length] != ' ')
				continue;
			line += length;
			result = limit_value(proc_next_word(&line), &read.soft[limit_rows[i].limit]);
			if (result == 0)
				result = limit_value(proc_next_word(&line), &read.hard[limit_rows[i].limit]);
			seen |= 1u << i;
			break;
		}
	}
	free(text);
	if (result == 0 && seen != (1u << PROC_LIMITS_COUNT) - 1)
		result = -EPROTO;
	if (result == 0)
		*limits = read;
	return result;
}

int proc_read_cgroup(int dir_fd, char *out, size_t size)
{
	char *text, *cursor, *line, *best = NULL;
	int result = proc_read_text(dir_fd, "cgroup", &text);

	if (result < 0)
		return result;
	cursor = text;
	while ((line = proc_next_line(&cursor)) != NULL)
		if (best == NULL || strncmp(line, "0::", 3) == 0)
			best = line;
	if (best != NULL)
		escape_text(best, strlen(best), ESCAPE_NAME, out, size);
	free(text);
	return best == NULL ? -EPROTO : 0;
}

int proc_read_id_map(int dir_fd, bool group, struct proc_id_map *map)
{
	struct proc_id_map read = {0}, range = {0};
	char *text, *cursor, *line;
	int result = proc_read_text(dir_fd, group ? "gid_map" : "uid_map", &text);

	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (line = proc_next_line(&cursor)) != NULL) {
		uint32_t *fields[] = {&range.inside, &range.outside, &range.length};

		for (unsigned i = 0; i < 3 && result == 0; i++) {
			uint64_t number = 0;

			result = proc_parse_number(proc_next_word(&line), 10, &number);
			*fields[i] = (uint32_t)number;
		}
		if (read.ranges == 0)
			read = range;
		else
			read.more += range.length;
		read.ranges++;
	}
	free(text);
	if (result == 0)
		*map = read;
	return result;
}

int proc_read_owner(int dir_fd, uint32_t *uid)
{
	struct stat status;

	if (fstatat(dir_fd, "status", &status, 0) < 0)
		return proc_error(errno);
	*uid = status.st_uid;
	return 0;
}
