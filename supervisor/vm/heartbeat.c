/*
 * Whether a device's process hangs.
 */
#include "supervisor/vm/heartbeat.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool heartbeat_due(const struct heartbeat *heartbeat)
{
	return !heartbeat->asked;
}

void heartbeat_asked(struct heartbeat *heartbeat, uint64_t serial, uint64_t now_us)
{
	heartbeat->serial = serial;
	heartbeat->asked = true;
	heartbeat->asked_us = now_us;
}

bool heartbeat_answered(struct heartbeat *heartbeat, uint64_t serial,
			const Atoll__Control__HeartbeatReply *reply, uint64_t now_us)
{
	bool busy = (reply->accepted != reply->completed || reply->kicked) && !reply->host_io;

	if (!heartbeat->asked || serial != heartbeat->serial)
		return false;
	heartbeat->asked = false;
	if (!busy || !heartbeat->busy || reply->accepted != heartbeat->accepted ||
	    reply->completed != heartbeat->completed)
		heartbeat->progress_us = now_us;
	heartbeat->busy = busy;
	heartbeat->accepted = reply->accepted;
	heartbeat->completed = reply->completed;
	return true;
}

const char *heartbeat_hangs(const struct heartbeat *heartbeat, uint64_t timeout_us, uint64_t now_us)
{
	if (heartbeat->asked && now_us - heartbeat->asked_us >= timeout_us)
		return "it hangs: it does not answer";
	if (heartbeat->busy && now_us - heartbeat->progress_us >= timeout_us)
		return "it hangs: the guest's requests are open, and none moves";
	return NULL;
}

void heartbeat_excuse(struct heartbeat *heartbeat, uint64_t now_us)
{
	heartbeat->asked_us = heartbeat->progress_us = now_us;
}

/* The state in a stat file, behind the name in parentheses, which may hold anything. */
static char thread_state(int task_fd, const char *thread)
{
	char path[300], text[512];
	const char *end;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/stat", thread);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '?';
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return '?';
	text[size] = '\0';
	end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

bool process_is_stopped(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	bool stopped = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (tasks == NULL)
		return false;
	while (!stopped && (entry = readdir(tasks)) != NULL) {
		char state = entry->d_name[0] == '.' ? '?' : thread_state(dirfd(tasks), entry->d_name);

		stopped = state == 'T' || state == 't';
	}
	closedir(tasks);
	return stopped;
}
