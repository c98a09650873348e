/*
 * The user of a jailed process whose parent is root: an id that nobody else has.
 *
 * On a host, 0x70000000 and the pid: the upper half of the ids that no account and no container range has. A
 * container's user namespace mostly has 65,536 ids, which are fewer than there are pids. There it is one from the upper
 * half of what the namespace has, and whether another process is that user already, or is about to be, is looked up in
 * /proc: before its map is written, and after it, so that of two supervisors that choose the same at least one sees the
 * other.
 *
 * Source: user_namespaces(7), "Defining user and group ID mappings".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/line_file.h"
#include "common/base/proc.h"
#include "common/jail/jail_user.h"

#define EXTENTS_MAX 340 /* of a map: the kernel's limit */
#define LOOK_AT	    256 /* that many ids from the first choice on, for one that is free */
/* The kernel's PID_MAX_LIMIT. */
#define PIDS_MAX (4u << 20)
/* "nobody", and what (uint16_t)-1 is. */
#define NOBODY_FIRST 65534u
#define NOBODY_LAST  65535u

struct extent {
	uint64_t first, end;
};

static size_t extents_read(const char *path, struct extent *extents)
{
	FILE *file = fopen(path, "re");
	unsigned inside, outside, length;
	size_t count = 0;

	if (file == NULL)
		return 0;
	while (count < EXTENTS_MAX && fscanf(file, "%u %u %u", &inside, &outside, &length) == 3)
		extents[count++] = (struct extent){inside, (uint64_t)inside + length};
	fclose(file);
	return count;
}

/* The longest run of numbers that are a user and a group, without root's. */
static struct extent extents_common(const struct extent *users, size_t user_count,
				    const struct extent *groups, size_t group_count)
{
	struct extent longest = {0, 0};

	for (size_t i = 0; i < user_count; i++)
		for (size_t k = 0; k < group_count; k++) {
			struct extent both = {
				.first = users[i].first > groups[k].first ? users[i].first : groups[k].first,
				.end = users[i].end < groups[k].end ? users[i].end : groups[k].end,
			};

			if (both.first == 0)
				both.first = 1;
			if (both.end > both.first && both.end - both.first > longest.end - longest.first)
				longest = both;
		}
	return longest;
}

void jail_users_read(struct jail_users *users)
{
	static struct extent user_extents[EXTENTS_MAX], group_extents[EXTENTS_MAX];
	size_t user_count = extents_read("/proc/self/uid_map", user_extents);
	size_t group_count = extents_read("/proc/self/gid_map", group_extents);
	struct extent ids = extents_common(user_extents, user_count, group_extents, group_count);

	*users = (struct jail_users){0};
	users->by_pid = ids.first <= JAIL_USER_BASE && ids.end > JAIL_USER_BASE + PIDS_MAX;
	ids.first += (ids.end - ids.first) / 2;
	if (ids.end > NOBODY_FIRST && ids.end <= NOBODY_LAST + 1)
		ids.end = ids.first < NOBODY_FIRST ? NOBODY_FIRST : ids.first;
	users->first = (uint32_t)ids.first;
	users->count = (uint32_t)(ids.end - ids.first);
}

/* --- Who is which user --- */

/* A map of one user, which is what a jailed process has: its id as seen from here, else UINT32_MAX. */
static uint32_t mapped_user(int proc_fd, const char *pid)
{
	char path[32], text[64];
	unsigned inside, outside, length;

	snprintf(path, sizeof(path), "%.12s/uid_map", pid);
	if (line_file_read(proc_fd, path, text, sizeof(text)) < 0)
		return UINT32_MAX;
	if (sscanf(text, "%u %u %u", &inside, &outside, &length) != 3 || length != 1)
		return UINT32_MAX;
	return outside;
}

static void mark(bool *used, const struct jail_users *users, uint32_t start, uint32_t id)
{
	uint32_t offset;

	if (id < users->first || id - users->first >= users->count)
		return;
	offset = (id - users->first + users->count - start) % users->count;
	if (offset < LOOK_AT)
		used[offset] = true;
}

/* Of the ids from users->first + start on, which are taken by a process other than this one. 0 or -errno. */
static int find_used(const struct jail_users *users, uint32_t start, pid_t except, bool *used)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (proc == NULL)
		return -errno;
	while ((entry = readdir(proc)) != NULL) {
		struct stat status;

		pid_t process = proc_entry_id(entry->d_name);

		if (process == 0 || process == except)
			continue;
		if (fstatat(dirfd(proc), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
			mark(used, users, start, status.st_uid);
		mark(used, users, start, mapped_user(dirfd(proc), entry->d_name));
	}
	closedir(proc);
	return 0;
}

int jail_user_choose(const struct jail_users *users, pid_t pid, uint32_t *id)
{
	bool used[LOOK_AT] = {false};
	uint32_t start;
	int result;

	if (users->by_pid) {
		*id = JAIL_USER_BASE | (uint32_t)pid;
		return 0;
	}
	if (users->count == 0)
		return -ENOENT;
	start = (uint32_t)pid % users->count;
	result = find_used(users, start, pid, used);
	for (uint32_t i = 0; result == 0 && i < LOOK_AT && i < users->count; i++)
		if (!used[i]) {
			*id = users->first + (start + i) % users->count;
			return 0;
		}
	return result < 0 ? result : -EUSERS;
}

int jail_user_verify(const struct jail_users *users, pid_t pid, uint32_t id)
{
	bool used[LOOK_AT] = {false};
	int result;

	if (users->by_pid)
		return 0;
	result = find_used(users, id - users->first, pid, used);
	return result < 0 ? result : used[0] ? -EBUSY : 0;
}
