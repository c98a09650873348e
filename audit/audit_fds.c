/*
 * What each descriptor is for. A link in /proc/PID/fd says of what sort it is, and no more than a number for
 * most; what it is for follows from who has the same file, or the other end of the same pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "audit/audit.h"
#include "audit/audit_proc_text.h"
#include "common/host/disk_image.h"
#include "common/ring/guest_memory.h"
#include "common/ring/state_page.h"

const char *audit_fd_kind_name(enum fd_kind kind)
{
	static const char *const names[] = {[FD_KIND_OTHER] = "other",
					    [FD_KIND_NULL] = "null",
					    [FD_KIND_LOG] = "log",
					    [FD_KIND_OUTPUT] = "output",
					    [FD_KIND_CONTROL] = "control",
					    [FD_KIND_WIRE] = "wire",
					    [FD_KIND_STREAM] = "stream",
					    [FD_KIND_LISTENER] = "listener",
					    [FD_KIND_CLIENT] = "client",
					    [FD_KIND_UNIX] = "unix-socket",
					    [FD_KIND_NETLINK] = "netlink",
					    [FD_KIND_PIPE] = "pipe",
					    [FD_KIND_EVENTFD] = "eventfd",
					    [FD_KIND_EPOLL] = "epoll",
					    [FD_KIND_SHARED_EVENTFD] = "shared-eventfd",
					    [FD_KIND_TIMER] = "timer",
					    [FD_KIND_SIGNALS] = "signals",
					    [FD_KIND_PIDFD] = "pidfd",
					    [FD_KIND_URING] = "io_uring",
					    [FD_KIND_KVM] = "kvm",
					    [FD_KIND_VM] = "kvm-vm",
					    [FD_KIND_VCPU] = "kvm-vcpu",
					    [FD_KIND_RAM] = "guest-memory",
					    [FD_KIND_MEMFD] = "memfd",
					    [FD_KIND_STATE] = "state-page",
					    [FD_KIND_FILE] = "file",
					    [FD_KIND_BOOT] = "boot",
					    [FD_KIND_FOLDER] = "folder",
					    [FD_KIND_LOCK] = "lock",
					    [FD_KIND_INPUT] = "input",
					    [FD_KIND_TAP] = "tap",
					    [FD_KIND_PTY] = "pty",
					    [FD_KIND_TERMINAL] = "terminal"};

	_Static_assert(sizeof(names) / sizeof(names[0]) == FD_KIND_COUNT, "one name each");
	return names[kind];
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* A descriptor of a process of the VM. */
struct place {
	const struct audit_process *process;
	const struct proc_fd *fd;
};

/* "socket:[123]" */
static bool target_inode(const char *target, const char *prefix, uint64_t *inode)
{
	char *end;

	if (!starts_with(target, prefix))
		return false;
	*inode = strtoull(target + strlen(prefix), &end, 10);
	return *end == ']';
}

/* The first process, in the order of the audit, that has a socket or pipe of this inode; but this one, if any. */
static struct place find_inode(const struct audit *audit, const char *prefix, uint64_t inode,
			       const struct audit_process *but)
{
	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *process = &audit->processes[i];

		for (size_t k = 0; k < process->fds.count && process != but; k++) {
			uint64_t other;

			if (target_inode(process->fds.fds[k].target, prefix, &other) && other == inode)
				return (struct place){process, &process->fds.fds[k]};
		}
	}
	return (struct place){0};
}

/* Two names of a file's in one folder: a console's file may change its name while we look (console_file.h). */
static bool same_folder(const char *a, const char *b)
{
	const char *slash = strrchr(a, '/'), *other = strrchr(b, '/');

	return a[0] == '/' && b[0] == '/' && slash - a == other - b &&
	       strncmp(a, b, (size_t)(slash - a)) == 0 && !starts_with(a, "/memfd:") &&
	       !starts_with(a, "/dev/");
}

static bool same_file(const struct proc_fd *a, const struct proc_fd *b)
{
	return a->inode == b->inode && a->mount == b->mount &&
	       (strcmp(a->target, b->target) == 0 || same_folder(a->target, b->target));
}

static bool process_has_file(const struct audit_process *process, const struct proc_fd *fd)
{
	for (size_t i = 0; i < process->fds.count; i++)
		if (same_file(&process->fds.fds[i], fd))
			return true;
	return false;
}

static const struct audit_process *find_role(const struct audit *audit, const char *role)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (strcmp(audit->processes[i].role, role) == 0)
			return &audit->processes[i];
	return NULL;
}

static bool is_role(const struct audit_process *process, const char *role)
{
	return strcmp(process->role, role) == 0;
}

static bool is_device(const struct audit_process *process)
{
	return !is_role(process, "core") && !is_role(process, "supervisor") && !is_role(process, "starter");
}

static unsigned access_mode(const struct proc_fd *fd)
{
	return fd->flags & O_ACCMODE;
}

/* --- sockets --- */

/* The inode is the last word of each line. */
static bool is_netlink(const struct audit_process *process, uint64_t inode)
{
	char *text, *cursor, *line, *word;
	bool found = false;

	if (proc_read_text(process->dir_fd, "net/netlink", &text) < 0)
		return false;
	cursor = text;
	while (!found && (line = proc_next_line(&cursor)) != NULL) {
		uint64_t number = 0;
		const char *last = NULL;

		while ((word = proc_next_word(&line)) != NULL)
			last = word;
		found = proc_parse_number(last, 10, &number) == 0 && number == inode;
	}
	free(text);
	return found;
}

/* A connected unix socket, by whose the other end is. */
static void name_connected(const struct audit *audit, const struct audit_process *process,
			   const struct unix_socket *socket, struct audit_fd *fd)
{
	const struct audit_process *peer = find_inode(audit, "socket:[", socket->peer, NULL).process;
	const char *title = peer != NULL ? peer->title : "";

	if (socket->peer == 0 || peer == NULL) {
		/* The monitor's are the only ones that the supervisor has. */
		if (!is_role(process, "supervisor") || socket->type == SOCK_SEQPACKET)
			fd->kind = FD_KIND_CLIENT;
		snprintf(fd->role, sizeof(fd->role), "%s",
			 socket->peer == 0 ? "not connected" : "with a process outside of the VM");
	} else if (socket->type == SOCK_SEQPACKET &&
		   is_role(process, "supervisor") != is_role(peer, "supervisor")) {
		fd->kind = FD_KIND_CONTROL;
		snprintf(fd->role, sizeof(fd->role), "control wire with %s", title);
	} else if (socket->type == SOCK_STREAM && ((is_role(process, "core") && is_device(peer)) ||
						   (is_role(peer, "core") && is_device(process)))) {
		fd->kind = FD_KIND_WIRE;
		snprintf(fd->role, sizeof(fd->role), "wire with %s", title);
	} else if (socket->type == SOCK_STREAM && process == peer && is_role(process, "supervisor")) {
		/* The one end it reads and writes, the other it keeps for the console's next process. */
		fd->kind = FD_KIND_STREAM;
		snprintf(fd->role, sizeof(fd->role), "console's, both ends");
	} else if (socket->type == SOCK_STREAM &&
		   ((is_role(process, "console") && is_role(peer, "supervisor")) ||
		    (is_role(process, "supervisor") && is_role(peer, "console")))) {
		fd->kind = FD_KIND_STREAM;
		snprintf(fd->role, sizeof(fd->role), "console with %s", title);
	} else {
		fd->kind = FD_KIND_OTHER;
		snprintf(fd->role, sizeof(fd->role), "unix socket with %s", title);
	}
}

static void name_socket(const struct audit *audit, const struct audit_process *process, uint64_t inode,
			struct audit_fd *fd)
{
	const struct unix_socket *socket = unix_sockets_find(&audit->sockets, inode);

	if (socket != NULL && socket->listening)
		fd->kind = FD_KIND_LISTENER;
	else if (socket != NULL)
		name_connected(audit, process, socket, fd);
	else if (is_netlink(process, inode))
		fd->kind = FD_KIND_NETLINK;
	else if (audit->sockets_error < 0 || process->sockets_error < 0)
		fd->kind = FD_KIND_UNIX;
	else
		snprintf(fd->role, sizeof(fd->role), "no unix socket");
}

/* --- others --- */

/* How many descriptors of the pipe a process has, with this access or with any (-1). */
static unsigned pipe_ends(const struct audit_process *process, uint64_t inode, int access)
{
	unsigned count = 0;

	for (size_t i = 0; i < process->fds.count; i++) {
		uint64_t number;

		count += target_inode(process->fds.fds[i].target, "pipe:[", &number) && number == inode &&
			 (access < 0 || (unsigned)access == access_mode(&process->fds.fds[i]));
	}
	return count;
}

/* Whether a pipe is a child's output: nobody has it but the child, to write, and the supervisor, to read. */
static bool is_output(const struct audit *audit, const struct audit_process *child, uint64_t inode)
{
	const struct audit_process *supervisor = find_role(audit, "supervisor");

	if (supervisor == NULL || supervisor == child || pipe_ends(supervisor, inode, O_RDONLY) != 1 ||
	    pipe_ends(supervisor, inode, -1) != 1 ||
	    pipe_ends(child, inode, O_WRONLY) != pipe_ends(child, inode, -1))
		return false;
	for (size_t i = 0; i < audit->process_count; i++) {
		const struct audit_process *other = &audit->processes[i];

		if (other != supervisor && other != child && pipe_ends(other, inode, -1) > 0)
			return false;
	}
	return true;
}

static void name_pipe(const struct audit *audit, const struct audit_process *process, uint64_t inode,
		      struct audit_fd *fd)
{
	const struct audit_process *other = find_inode(audit, "pipe:[", inode, process).process;

	if (other == NULL && pipe_ends(process, inode, -1) == 2) {
		fd->kind = FD_KIND_PIPE;
	} else if (other != NULL && is_role(process, "supervisor") && is_output(audit, other, inode)) {
		fd->kind = FD_KIND_OUTPUT;
		snprintf(fd->role, sizeof(fd->role), "output of %s", other->title);
	} else if (other == NULL && is_role(process, "supervisor") &&
		   pipe_ends(process, inode, O_RDONLY) == 1) {
		/* The process that wrote to it has closed its end. The judge counts such pipes. */
		fd->kind = FD_KIND_OUTPUT;
		snprintf(fd->role, sizeof(fd->role), "output of nobody");
	} else {
		snprintf(fd->role, sizeof(fd->role), "pipe with %s",
			 other != NULL ? other->title : "a process outside");
	}
}

/* Who else has the same eventfd. A device may share with the core alone, the core with devices. */
static void name_eventfd(const struct audit *audit, const struct audit_process *process,
			 const struct proc_fd *own, struct audit_fd *fd)
{
	bool right = true;
	size_t used = 0;

	fd->kind = FD_KIND_EVENTFD;
	for (size_t i = 0; i < audit->process_count && own->eventfd >= 0; i++) {
		const struct audit_process *other = &audit->processes[i];

		for (size_t k = 0; k < other->fds.count && other != process; k++) {
			if (other->fds.fds[k].eventfd != own->eventfd)
				continue;
			fd->kind = FD_KIND_SHARED_EVENTFD;
			right = right && ((is_role(process, "core") && is_device(other)) ||
					  (is_role(other, "core") && is_device(process)));
			if (used < sizeof(fd->role))
				used += (size_t)snprintf(fd->role + used, sizeof(fd->role) - used, "%s%s",
							 used == 0 ? "shared with " : ", ", other->title);
			break;
		}
	}
	if (!right)
		fd->kind = FD_KIND_OTHER;
}

static void name_memfd(const struct audit *audit, const struct audit_process *process,
		       const struct proc_fd *own, struct audit_fd *fd)
{
	const struct audit_process *core = find_role(audit, "core");

	fd->seals_error = proc_read_seals(process->dir_fd, own->fd, &fd->seals);
	if (is_role(process, "supervisor") && starts_with(own->target, "/memfd:" STATE_PAGE_NAME " ")) {
		fd->kind = FD_KIND_STATE;
		return;
	}
	if (core == NULL || !process_has_file(core, own)) {
		snprintf(fd->role, sizeof(fd->role), "not the core's");
		return;
	}
	fd->kind = starts_with(own->target, "/memfd:" GUEST_MEMORY_NAME " ") ? FD_KIND_RAM : FD_KIND_MEMFD;
}

/* A device's process that has the same file. */
static const struct audit_process *find_server(const struct audit *audit, const struct proc_fd *own)
{
	for (size_t i = 0; i < audit->process_count; i++)
		if (is_device(&audit->processes[i]) && process_has_file(&audit->processes[i], own))
			return &audit->processes[i];
	return NULL;
}

/* Whether a console's file is in that folder, where the supervisor is to exchange its parts (console_file.h). */
static bool is_of_console_file(const struct audit_process *supervisor, const struct proc_fd *folder)
{
	size_t length = strcmp(folder->target, "/") == 0 ? 0 : strlen(folder->target);

	if ((folder->flags & O_PATH) == 0)
		return false;
	for (size_t i = 0; i < supervisor->fds.count; i++) {
		const struct proc_fd *fd = &supervisor->fds.fds[i];
		const char *slash = strrchr(fd->target, '/');

		if (access_mode(fd) == O_WRONLY && slash == fd->target + length &&
		    strncmp(fd->target, folder->target, length) == 0)
			return true;
	}
	return false;
}

static bool is_folder(const struct audit *audit, const struct audit_process *supervisor,
		      const struct proc_fd *own)
{
	return own->inode == audit->base_inode || own->inode == audit->folder_inode ||
	       starts_with(own->target, "/sys/fs/cgroup") || is_of_console_file(supervisor, own);
}

/*
 * By their names. One is looked at after the other, and they may exchange their names in between: then two files seem to have
 * one name.
 */
static bool is_former_part(const struct proc_fd *part, const struct proc_fd *fd)
{
	size_t length = strlen(fd->target);

	if (access_mode(part) != O_WRONLY || access_mode(fd) != O_WRONLY || same_file(part, fd))
		return false;
	return strncmp(part->target, fd->target, length) == 0 &&
	       (strcmp(part->target + length, ".1") == 0 || part->target[length] == '\0');
}

/* The console's file of which this is the former part, PATH.1; NULL: of none. */
static const struct proc_fd *former_part_of(const struct audit_process *supervisor, const struct proc_fd *own)
{
	for (size_t i = 0; i < supervisor->fds.count; i++)
		if (is_former_part(own, &supervisor->fds.fds[i]))
			return &supervisor->fds.fds[i];
	return NULL;
}

/* Whether a console writes to the other part of this file: it has not been given this one yet. */
static bool is_next_part(const struct audit *audit, const struct audit_process *supervisor,
			 const struct proc_fd *own)
{
	for (size_t i = 0; i < supervisor->fds.count; i++)
		if (is_former_part(&supervisor->fds.fds[i], own) &&
		    find_server(audit, &supervisor->fds.fds[i]) != NULL)
			return true;
	return false;
}

/* Something that a device could serve, and that no process has. */
static bool is_unserved(const struct audit *audit, const struct audit_process *supervisor,
			const struct proc_fd *fd)
{
	return fd->target[0] == '/' && fd->fd > 2 && access_mode(fd) != O_RDONLY &&
	       fd->inode != audit->lock_inode && strcmp(fd->target, "/dev/kvm") != 0 &&
	       strcmp(fd->target, "/dev/null") != 0 && !starts_with(fd->target, "/memfd:") &&
	       find_server(audit, fd) == NULL && former_part_of(supervisor, fd) == NULL;
}

/* Taps are all one file, and so are pseudo-terminals. */
static bool same_image(const struct proc_fd *a, const struct proc_fd *b)
{
	return same_file(a, b) && a->interface[0] == '\0' && strstr(a->target, "/ptmx") == NULL;
}

/* How many descriptors before this one in the list are of the same image. */
static unsigned alike_before(const struct audit *audit, const struct audit_process *supervisor,
			     const struct proc_fd *own)
{
	unsigned alike = 0;

	for (const struct proc_fd *fd = supervisor->fds.fds; fd < own; fd++)
		alike += is_unserved(audit, supervisor, fd) && same_image(fd, own);
	return alike;
}

/*
 * Whether this is among the first, as many as there are devices without what they serve, that no process has. An image
 * is there with its witnesses.
 */
static bool is_kept(const struct audit *audit, const struct audit_process *supervisor,
		    const struct proc_fd *own)
{
	unsigned before = 0;

	for (const struct proc_fd *fd = supervisor->fds.fds; fd < own; fd++)
		before += is_unserved(audit, supervisor, fd) && !same_image(fd, own) &&
			  alike_before(audit, supervisor, fd) == 0;
	return before < audit->without && alike_before(audit, supervisor, own) <= DISK_WITNESSES;
}

/*
 * A file of the supervisor's. Each is for something: there is none that it has only because it was handed to it, or
 * that it opened when nobody was looking.
 */
static void name_supervisor_file(const struct audit *audit, const struct audit_process *supervisor,
				 const struct proc_fd *own, enum fd_kind kind, struct audit_fd *fd)
{
	const struct audit_process *server = find_server(audit, own);
	const struct proc_fd *whole = former_part_of(supervisor, own);

	if (kind == FD_KIND_KVM) {
		fd->kind = kind;
	} else if ((own->flags & O_DIRECTORY) != 0) {
		if (is_folder(audit, supervisor, own))
			fd->kind = FD_KIND_FOLDER;
		else
			snprintf(fd->role, sizeof(fd->role), "a folder that is not the VM's");
	} else if (server != NULL) {
		fd->kind = kind;
		snprintf(fd->role, sizeof(fd->role), "of %s", server->title);
	} else if (kind == FD_KIND_FILE && own->inode == audit->lock_inode) {
		fd->kind = FD_KIND_LOCK;
	} else if (kind == FD_KIND_FILE && access_mode(own) == O_RDONLY) {
		fd->kind = FD_KIND_BOOT;
	} else if (whole != NULL &&
		   (find_server(audit, whole) != NULL || is_kept(audit, supervisor, whole))) {
		fd->kind = kind;
		snprintf(fd->role, sizeof(fd->role), "what a console wrote before");
	} else if (is_next_part(audit, supervisor, own)) {
		fd->kind = kind;
		snprintf(fd->role, sizeof(fd->role), "what a console will write");
	} else if (is_kept(audit, supervisor, own)) {
		fd->kind = kind;
		snprintf(fd->role, sizeof(fd->role), "kept for a device");
	} else {
		snprintf(fd->role, sizeof(fd->role), "no device's%s%s", own->interface[0] != '\0' ? ": " : "",
			 own->interface);
	}
}

/* A disk's process has one image; its witnesses are the same one. */
static bool is_second_image(const struct audit_process *process, const struct proc_fd *own)
{
	if (!is_role(process, "blk"))
		return false;
	for (size_t i = 0; &process->fds.fds[i] < own; i++)
		if (process->fd_roles[i].kind == FD_KIND_FILE && !same_file(&process->fds.fds[i], own))
			return true;
	return false;
}

/* Something that the supervisor opens and hands out. */
static void name_resource(const struct audit *audit, const struct audit_process *process,
			  const struct proc_fd *own, enum fd_kind kind, struct audit_fd *fd)
{
	const struct audit_process *supervisor = find_role(audit, "supervisor");

	if (process == supervisor) {
		name_supervisor_file(audit, supervisor, own, kind, fd);
		return;
	}
	snprintf(fd->role, sizeof(fd->role), "%s", own->interface);
	if (supervisor == NULL || !process_has_file(supervisor, own))
		snprintf(fd->role, sizeof(fd->role), "not the supervisor's%s%s",
			 own->interface[0] != '\0' ? ": " : "", own->interface);
	else if (kind == FD_KIND_FILE && is_second_image(process, own))
		snprintf(fd->role, sizeof(fd->role), "a second image");
	else
		fd->kind = kind;
}

/*
 * Descriptors 1 and 2. The supervisor's are its own affair, or those of who started it; a child's are the pipe that
 * the supervisor reads, whatever else has been put there by whom.
 */
static bool is_log(const struct audit *audit, const struct audit_process *process, const struct proc_fd *own)
{
	uint64_t inode;

	if (own->fd != 1 && own->fd != 2)
		return false;
	if (is_role(process, "supervisor"))
		return true;
	return target_inode(own->target, "pipe:[", &inode) && is_output(audit, process, inode);
}

/* What a link in /proc/PID/fd says by itself. */
static const struct {
	const char *target;
	enum fd_kind kind;
	bool whole; /* nothing behind it */
} named_by_target[] = {
	{"anon_inode:[eventpoll]", FD_KIND_EPOLL, true},
	{"anon_inode:[timerfd]", FD_KIND_TIMER, true},
	{"anon_inode:[signalfd]", FD_KIND_SIGNALS, true},
	{"anon_inode:[pidfd]", FD_KIND_PIDFD, true},
	{"pidfd:[", FD_KIND_PIDFD, false}, /* Linux 6.9 */
	{"anon_inode:[io_uring]", FD_KIND_URING, true},
	{"anon_inode:kvm-vm", FD_KIND_VM, true},
	{"anon_inode:kvm-vcpu:", FD_KIND_VCPU, false},
	{"/dev/null", FD_KIND_NULL, true},
};

static bool name_by_target(const struct proc_fd *own, struct audit_fd *fd)
{
	for (size_t i = 0; i < sizeof(named_by_target) / sizeof(named_by_target[0]); i++) {
		if (named_by_target[i].whole ? strcmp(own->target, named_by_target[i].target) == 0
					     : starts_with(own->target, named_by_target[i].target)) {
			fd->kind = named_by_target[i].kind;
			return true;
		}
	}
	return false;
}

/* A child has nothing of /dev/null but what is read as its standard input. */
static bool is_odd_null(const struct audit_process *process, const struct proc_fd *own)
{
	return strcmp(own->target, "/dev/null") == 0 && !is_role(process, "supervisor") &&
	       !is_role(process, "starter") && (own->fd != 0 || access_mode(own) != O_RDONLY);
}

static void name_fd(const struct audit *audit, const struct audit_process *process, const struct proc_fd *own,
		    struct audit_fd *fd)
{
	uint64_t inode;

	*fd = (struct audit_fd){.seals_error = -ENODATA};
	if (is_log(audit, process, own)) {
		fd->kind = FD_KIND_LOG;
		return;
	}
	if (is_odd_null(process, own)) {
		snprintf(fd->role, sizeof(fd->role), "not to read from as 0");
		return;
	}
	if (name_by_target(own, fd))
		return;
	if (own->fd == 0 && is_role(process, "supervisor") && strchr("ps", own->target[0]) != NULL)
		fd->kind = FD_KIND_INPUT;
	else if (target_inode(own->target, "socket:[", &inode))
		name_socket(audit, process, inode, fd);
	else if (target_inode(own->target, "pipe:[", &inode))
		name_pipe(audit, process, inode, fd);
	else if (strcmp(own->target, "anon_inode:[eventfd]") == 0)
		name_eventfd(audit, process, own, fd);
	else if (starts_with(own->target, "/memfd:"))
		name_memfd(audit, process, own, fd);
	else if (strcmp(own->target, "/dev/kvm") == 0)
		name_resource(audit, process, own, FD_KIND_KVM, fd);
	else if (strcmp(own->target, "/dev/net/tun") == 0)
		name_resource(audit, process, own, FD_KIND_TAP, fd);
	else if (strcmp(own->target, "/dev/ptmx") == 0 || strcmp(own->target, "/dev/pts/ptmx") == 0)
		name_resource(audit, process, own, FD_KIND_PTY, fd);
	else if (starts_with(own->target, "/dev/pts/") || starts_with(own->target, "/dev/tty"))
		fd->kind = FD_KIND_TERMINAL;
	else if (own->fd == 0 && is_role(process, "supervisor"))
		fd->kind = FD_KIND_INPUT;
	else if (own->target[0] == '/')
		name_resource(audit, process, own, FD_KIND_FILE, fd);
}

int audit_name_fds(struct audit *audit)
{
	for (size_t i = 0; i < audit->process_count; i++) {
		struct audit_process *process = &audit->processes[i];

		process->fd_roles = calloc(process->fds.count + 1, sizeof(*process->fd_roles));
		if (process->fd_roles == NULL)
			return -ENOMEM;
		for (size_t k = 0; k < process->fds.count; k++)
			name_fd(audit, process, &process->fds.fds[k], &process->fd_roles[k]);
	}
	return 0;
}
