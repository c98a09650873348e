/*
 * Gathering the facts.
 *
 * Which processes there are is asked twice: before their directories in /proc are opened, and after. A child
 * whose number is in both answers lived, or was at least not reaped, when its directory was opened, so the
 * directory is its and no stranger's. When the answers differ, a process ended or was started meanwhile, and it
 * is asked again.
 *
 * Threads are listed again once all were read, until no new one is found: nothing that was started meanwhile is
 * left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit.h"
#include "common/base/escape.h"
#include "common/host/monitor_client.h"
#include "common/host/runtime_dir.h"
#include "common/roles/role.h"

#define QUERIES_MAX   8
#define THREAD_ROUNDS 8
#define PROCESSES_MAX 1024
/* What is on its way to a process that works is taken before this. */
#define FLIGHT_ROUNDS	50
#define FLIGHT_ROUND_NS 20000000

/* --- one process --- */

static bool thread_known(const struct audit_process *process, pid_t thread)
{
	for (size_t i = 0; i < process->thread_count; i++)
		if (process->threads[i].thread == thread)
			return true;
	return false;
}

static void thread_read(const struct audit_process *process, struct audit_thread *thread)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "task/%d", (int)thread->thread);
	fd = openat(process->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		thread->error = errno == ENOENT ? -ESRCH : -errno;
		return;
	}
	thread->error = proc_read_status(fd, &thread->status);
	if (thread->error == 0)
		thread->error = proc_read_is_kernel_worker(fd, &thread->kernel_worker);
	thread->namespaces_error = proc_read_namespaces(fd, &thread->namespaces);
	close(fd);
}

static void threads_read_filters(struct audit_process *process, size_t first)
{
	size_t count = process->thread_count - first;
	struct trace_thread *traces = calloc(count + 1, sizeof(*traces));
	int result = traces == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < count && result == 0; i++)
		traces[i].thread = process->threads[first + i].thread;
	if (result == 0)
		result = trace_threads(process->dir_fd, traces, count);
	for (size_t i = 0; i < count; i++) {
		struct audit_thread *thread = &process->threads[first + i];

		thread->filters_error = result < 0 ? result : traces[i].result;
		if (thread->filters_error == 0)
			thread->filters = traces[i].filters;
		/* It ended between the two. */
		if (thread->filters_error == -ESRCH)
			thread->error = -ESRCH;
	}
	free(traces);
}

/* Reads the threads that are not known yet. Returns how many, or -errno. */
static int threads_read(struct audit_process *process)
{
	struct proc_ids ids;
	size_t first = process->thread_count;
	struct audit_thread *larger;
	int result = proc_read_threads(process->dir_fd, &ids);

	if (result < 0)
		return result;
	larger = realloc(process->threads, (first + ids.count) * sizeof(*larger));
	if (larger == NULL) {
		proc_ids_free(&ids);
		return -ENOMEM;
	}
	process->threads = larger;
	for (size_t i = 0; i < ids.count; i++) {
		if (thread_known(process, ids.ids[i]))
			continue;
		process->threads[process->thread_count] = (struct audit_thread){.thread = ids.ids[i]};
		thread_read(process, &process->threads[process->thread_count++]);
	}
	proc_ids_free(&ids);
	threads_read_filters(process, first);
	return (int)(process->thread_count - first);
}

/* The main thread to the front; numbers wrap around. */
static void threads_order(struct audit_process *process)
{
	for (size_t i = 1; i < process->thread_count; i++) {
		if (process->threads[i].thread == process->pid) {
			struct audit_thread first = process->threads[0];

			process->threads[0] = process->threads[i];
			process->threads[i] = first;
		}
	}
}

/* Whether reading a directory can make us wait for nobody: these are the kernel's own. */
static bool root_is_harmless(const struct audit_process *process)
{
	const char *type = process->mounts.root_type;

	return process->mounts_error == 0 && (strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0);
}

void audit_gather_process(struct audit_process *process, int proc_fd)
{
	int count = 1;

	process->dir_fd = proc_open(proc_fd, process->pid);
	if (process->dir_fd < 0) {
		process->error = process->dir_fd;
		return;
	}
	for (unsigned round = 0; count > 0 && round < THREAD_ROUNDS; round++)
		count = threads_read(process);
	process->threads_error = count < 0 ? count : count > 0 ? -EAGAIN : 0;
	threads_order(process);
	process->namespaces_error = proc_read_namespaces(process->dir_fd, &process->namespaces);
	process->mounts_error = proc_read_mounts(process->dir_fd, &process->mounts);
	process->root_error = process->mounts_error < 0	  ? process->mounts_error
			      : root_is_harmless(process) ? proc_read_root(process->dir_fd, &process->root)
							  : -ENODATA;
	process->fds_error = proc_read_fds(process->dir_fd, &process->fds);
	process->maps_error = proc_read_maps(process->dir_fd, &process->maps);
	process->limits_error = proc_read_limits(process->dir_fd, &process->limits);
	process->uid_map_error = proc_read_id_map(process->dir_fd, false, &process->uid_map);
	process->gid_map_error = proc_read_id_map(process->dir_fd, true, &process->gid_map);
	process->children_error = proc_read_children(process->dir_fd, &process->children);
	process->cgroup_error = proc_read_cgroup(process->dir_fd, process->cgroup, sizeof(process->cgroup));
	process->owner_error = proc_read_owner(process->dir_fd, &process->owner);
	/* It has no memory once it is dead, and no threads once it is reaped. */
	if (process->threads_error == -ESRCH || process->limits_error == -ESRCH ||
	    (process->thread_count > 0 && process->threads[0].error == 0 &&
	     (process->threads[0].status.state == 'Z' || process->threads[0].status.state == 'X')))
		process->error = -ESRCH;
}

static void process_clear(struct audit_process *process)
{
	for (size_t i = 0; i < process->thread_count; i++)
		trace_filters_free(&process->threads[i].filters);
	free(process->threads);
	proc_fds_free(&process->fds);
	proc_maps_free(&process->maps);
	proc_ids_free(&process->children);
	free(process->fd_roles);
	free(process->checks);
	if (process->dir_fd >= 0)
		close(process->dir_fd);
}

/* --- all of them --- */

static void processes_clear(struct audit *audit)
{
	for (size_t i = 0; i < audit->process_count; i++)
		process_clear(&audit->processes[i]);
	free(audit->processes);
	audit->processes = NULL;
	audit->process_count = 0;
	unix_sockets_free(&audit->sockets);
}

void audit_clear(struct audit *audit)
{
	processes_clear(audit);
	free(audit->shares);
	audit->shares = NULL;
	audit->share_count = 0;
}

static void process_name(struct audit_process *process, const char *role, const char *id, const char *state,
			 pid_t pid)
{
	escape_text(role, strlen(role), ESCAPE_NAME, process->role, sizeof(process->role));
	escape_text(id, strlen(id), ESCAPE_NAME, process->id, sizeof(process->id));
	escape_text(state, strlen(state), ESCAPE_NAME, process->state, sizeof(process->state));
	snprintf(process->title, sizeof(process->title), "%s%s%s", process->role, id[0] != '\0' ? " " : "",
		 process->id);
	process->pid = pid;
	process->dir_fd = -1;
}

/* A dead one does nothing, and its number may be another's; a device that has failed has none. */
static bool process_lives(const Atoll__Control__ProcessState *state)
{
	return strcmp(state->state, "dead") != 0 && state->pid != 0 && state->pid <= INT_MAX;
}

/* Whether processes of the role have something that the supervisor has too. */
static bool serves_something(const char *name)
{
	const struct role *role = role_named(name);

	for (size_t i = 0; role != NULL && i < ROLE_FDS_MAX; i++) {
		enum fd_kind kind = role->fds[i].kind;

		if (role->fds[i].most > 0 && (kind == FD_KIND_FILE || kind == FD_KIND_TAP ||
					      kind == FD_KIND_PTY || kind == FD_KIND_LISTENER))
			return true;
	}
	return false;
}

/* Makes the list of processes from an answer. */
static int processes_list(struct audit *audit, const Atoll__Control__MonitorReply *reply, pid_t supervisor)
{
	size_t count = reply->n_processes;

	if (count > PROCESSES_MAX)
		return -EPROTO;
	audit->without = 0;
	audit->processes = calloc(count + 2, sizeof(*audit->processes));
	if (audit->processes == NULL)
		return -ENOMEM;
	process_name(&audit->processes[audit->process_count++], "supervisor", "", reply->state, supervisor);
	for (size_t i = 0; i < count; i++) {
		const Atoll__Control__ProcessState *state = reply->processes[i];

		audit->without += serves_something(state->role) &&
				  (!process_lives(state) || strcmp(state->state, "running") != 0);
		if (!process_lives(state))
			continue;
		audit->processes[audit->process_count].read_only = state->read_only;
		audit->processes[audit->process_count].no_sandbox = state->no_sandbox;
		audit->processes[audit->process_count].recorded = state->recorded;
		process_name(&audit->processes[audit->process_count++], state->role, state->id, state->state,
			     (pid_t)state->pid);
	}
	if (reply->starter != 0 && reply->starter <= INT_MAX)
		process_name(&audit->processes[audit->process_count++], "starter", "", "running",
			     (pid_t)reply->starter);
	escape_text(reply->vm, strlen(reply->vm), ESCAPE_NAME, audit->vm, sizeof(audit->vm));
	escape_text(reply->state, strlen(reply->state), ESCAPE_NAME, audit->state, sizeof(audit->state));
	return 0;
}

/* Whether an answer names just the processes of the list. */
static bool processes_same(const struct audit *audit, const Atoll__Control__MonitorReply *reply)
{
	size_t alive = 0;

	for (size_t i = 0; i < reply->n_processes; i++) {
		bool known = false;

		if (!process_lives(reply->processes[i]))
			continue;
		alive++;
		for (size_t k = 1; k < audit->process_count; k++)
			known = known || (uint32_t)audit->processes[k].pid == reply->processes[i]->pid;
		if (!known)
			return false;
	}
	return alive + 1 + (reply->starter != 0) == audit->process_count;
}

static int supervisor_ask(int socket_fd, struct control_message *message)
{
	int result = monitor_client_query(socket_fd, MONITOR_CLIENT_TIMEOUT_MS, message);

	if (result == 0 && message->envelope->monitor_reply->error[0] != '\0') {
		control_message_clear(message);
		return -EPROTO;
	}
	return result;
}

static int processes_gather(struct audit *audit, int socket_fd, pid_t supervisor, int proc_fd, bool *settled)
{
	struct control_message message;
	int result = supervisor_ask(socket_fd, &message);

	if (result < 0)
		return result;
	result = processes_list(audit, message.envelope->monitor_reply, supervisor);
	control_message_clear(&message);
	if (result < 0)
		return result;
	for (size_t i = 0; i < audit->process_count; i++)
		audit_gather_process(&audit->processes[i], proc_fd);
	result = supervisor_ask(socket_fd, &message);
	if (result < 0)
		return result;
	*settled = processes_same(audit, message.envelope->monitor_reply);
	control_message_clear(&message);
	return 0;
}

/* The unix sockets of the host, and of each network namespace that is a process's own. */
static void sockets_gather(struct audit *audit)
{
	uint64_t own = audit->own.inode[PROC_NAMESPACE_NETWORK];

	audit->sockets_error = unix_sockets_read(&audit->sockets);
	for (size_t i = 0; i < audit->process_count; i++) {
		struct audit_process *process = &audit->processes[i];
		uint64_t its = process->namespaces.inode[PROC_NAMESPACE_NETWORK];

		process->sockets_error = process->namespaces_error;
		if (process->namespaces_error == 0 && (its != own || audit->own_error < 0))
			process->sockets_error = unix_sockets_read_of(process->dir_fd, &audit->sockets);
	}
	unix_sockets_sort(&audit->sockets);
}

/* Whether each socket that a process has is one that the kernel tells of; what has come or gone in between is not. */
static bool sockets_are_known(const struct audit *audit)
{
	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *process = &audit->processes[i];

		for (size_t k = 0; k < process->fds.count; k++)
			if (process->fd_roles[k].kind == FD_KIND_OTHER &&
			    strncmp(process->fds.fds[k].target, "socket:", 7) == 0)
				return false;
	}
	return true;
}

static uint64_t inode_at(int directory_fd, const char *path, int *error)
{
	struct stat status;

	if (*error == 0 && fstatat(directory_fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
		*error = -errno;
	return *error == 0 ? status.st_ino : 0;
}

/* What the supervisor has open of the runtime directory, as we see it. */
static void folder_gather(struct audit *audit, const char *vm)
{
	char path[PATH_MAX];
	int base_fd;

	audit->folder_error = runtime_base_open(&base_fd, 0);
	if (audit->folder_error < 0)
		return;
	snprintf(path, sizeof(path), "%s/pid", vm);
	audit->base_inode = inode_at(base_fd, ".", &audit->folder_error);
	audit->folder_inode = inode_at(base_fd, vm, &audit->folder_error);
	audit->lock_inode = inode_at(base_fd, path, &audit->folder_error);
	close(base_fd);
}

/* Asks again of each socket that has descriptors in flight to it. Returns whether there is one. */
static bool flight_look(struct audit *audit)
{
	bool any = false;

	for (size_t i = 0; i < audit->process_count; i++) {
		struct audit_process *process = &audit->processes[i];

		for (size_t k = 0; k < process->fds.count; k++) {
			struct proc_fd *fd = &process->fds.fds[k], now;

			if (fd->in_flight <= 0)
				continue;
			/* Closed meanwhile, and another file, is without them. */
			if (proc_read_fd(process->dir_fd, fd->fd, &now) < 0 || now.inode != fd->inode ||
			    strcmp(now.target, fd->target) != 0)
				now.in_flight = 0;
			fd->in_flight = now.in_flight;
			any = any || fd->in_flight > 0;
		}
	}
	return any;
}

static void flight_settle(struct audit *audit)
{
	for (unsigned i = 0; i < FLIGHT_ROUNDS && flight_look(audit); i++)
		nanosleep(&(struct timespec){.tv_nsec = FLIGHT_ROUND_NS}, NULL);
}

int audit_gather(struct audit *audit, const char *vm, int socket_fd, pid_t supervisor)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC), self_fd, result = 0;
	bool settled = false;

	*audit = (struct audit){.privileged = geteuid() == 0};
	if (proc_fd < 0)
		return -errno;
	self_fd = proc_open(proc_fd, getpid());
	audit->own_error = self_fd < 0 ? self_fd : proc_read_namespaces(self_fd, &audit->own);
	if (self_fd >= 0)
		close(self_fd);
	folder_gather(audit, vm);
	/* Each look is as near to one moment as can be. A socket that is strange in the last of them is strange. */
	for (unsigned i = 0; i < QUERIES_MAX && result == 0 && (!settled || !sockets_are_known(audit)); i++) {
		processes_clear(audit);
		result = processes_gather(audit, socket_fd, supervisor, proc_fd, &settled);
		if (result < 0 || !settled)
			continue;
		sockets_gather(audit);
		result = audit_name_fds(audit);
	}
	if (result == 0 && !settled)
		result = -EAGAIN;
	if (result == 0) {
		flight_settle(audit);
		audit_gather_outside(audit, proc_fd);
		audit_gather_shares(audit);
	}
	close(proc_fd);
	if (result < 0)
		audit_clear(audit);
	return result;
}
