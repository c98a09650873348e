/*
 * Who outside of the VM is in a namespace that only one of its processes should be in: all threads of the host are
 * looked at, as far as this /proc shows them and we may ask.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/audit_proc_text.h"

/* Another audit is in one for a moment, to ask for its sockets. */
#define ROUNDS	 25
#define ROUND_NS 20000000

static bool is_of_vm(const struct audit *audit, pid_t pid)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (audit->processes[i].pid == pid)
			return true;
	return false;
}

static void outsider_compare(struct audit *audit, pid_t pid, const struct proc_namespaces *its)
{
	const struct proc_namespaces *parent = &audit->processes[0].namespaces;

	for (size_t i = 1; i < audit->process_count; i++) {
		struct audit_process *process = &audit->processes[i];

		for (unsigned kind = 0; kind < PROC_NAMESPACE_COUNT && process->namespaces_error == 0;
		     kind++) {
			uint64_t own = process->namespaces.inode[kind];

			/* Its parent's are everybody's; that is another deviation. */
			if (own == 0 || own == parent->inode[kind] || own != its->inode[kind])
				continue;
			process->outsider[kind] = pid;
			audit->outsiders_found = true;
		}
	}
}

/* Its threads may be in different ones. */
static void outsider_look(struct audit *audit, int proc_fd, pid_t pid)
{
	struct proc_namespaces namespaces;
	int dir_fd = proc_open(proc_fd, pid), result = dir_fd < 0 ? dir_fd : 0;
	struct proc_ids threads = {0};
	char path[32];

	if (result == 0)
		result = proc_read_threads(dir_fd, &threads);
	for (size_t i = 0; i < threads.count && result == 0; i++) {
		int thread_fd;

		snprintf(path, sizeof(path), "task/%d", (int)threads.ids[i]);
		thread_fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (thread_fd < 0)
			continue; /* it ended */
		result = proc_read_namespaces(thread_fd, &namespaces);
		close(thread_fd);
		if (result == 0)
			outsider_compare(audit, pid, &namespaces);
		else if (result == -ESRCH)
			result = 0;
	}
	proc_ids_free(&threads);
	if (dir_fd >= 0)
		close(dir_fd);
	if (result == -ESRCH)
		return;
	audit->outsiders++;
	audit->outsiders_unread += result < 0;
}

static int outsiders_look(struct audit *audit, int proc_fd)
{
	int list_fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct dirent *entry;

	if (list == NULL) {
		result = -errno;
		if (list_fd >= 0)
			close(list_fd);
		return result;
	}
	audit->outsiders = audit->outsiders_unread = 0;
	audit->outsiders_found = false;
	for (size_t i = 0; i < audit->process_count; i++)
		memset(audit->processes[i].outsider, 0, sizeof(audit->processes[i].outsider));
	while ((errno = 0, entry = readdir(list)) != NULL) {
		uint64_t pid;

		if (proc_parse_number(entry->d_name, 10, &pid) == 0 && !is_of_vm(audit, (pid_t)pid))
			outsider_look(audit, proc_fd, (pid_t)pid);
	}
	if (errno != 0)
		result = -errno;
	closedir(list);
	return result;
}

void audit_gather_outside(struct audit *audit, int proc_fd)
{
	audit->outsiders_error = outsiders_look(audit, proc_fd);
	for (unsigned i = 0; i < ROUNDS && audit->outsiders_error == 0 && audit->outsiders_found; i++) {
		nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
		audit->outsiders_error = outsiders_look(audit, proc_fd);
	}
}
