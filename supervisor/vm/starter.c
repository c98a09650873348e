/*
 * The starter, and the supervisor's end of its wire.
 *
 * Source: clone(2), CLONE_PARENT; landlock(7), "Filesystem topology modification".
 */
#include "supervisor/vm/starter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fd_passing.h"
#include "common/base/fd_wait.h"
#include "common/base/log.h"
#include "common/program/process_title.h"
#include "supervisor/vm/heartbeat.h"

#define STARTER_WIRE_FD 3
/* To make a process takes milliseconds. */
#define ANSWER_MS 10000
/* From the end of its wire to its own. */
#define END_MS 2000
/* What was killed is dead soon. */
#define LOST_MS 1000
#define STARTER_LOST                                                                                      \
	"no other can be started any more: the VM goes on, a device whose process ends is failed, and a " \
	"reset "                                                                                          \
	"ends the VM; start it anew"

struct starter {
	struct starter_table table;
	pid_t pid;
	int pidfd, wire_fd; /* -1: it has ended */
	struct loop_watch *watch;
	struct starter_reply reply; /* the last, whose texts callers have */
};

/* --- The table --- */

int starter_table_add(struct starter_table *table, enum child_role role, const char *vm, const char *id,
		      bool sandbox, bool limited)
{
	struct starter_entry *entry,
		*larger = reallocarray(table->entries, table->count + 1, sizeof(*larger));

	if (larger == NULL)
		return -ENOMEM;
	table->entries = larger;
	entry = &larger[table->count++];
	*entry = (struct starter_entry){.role = role, .sandbox = sandbox, .limited = limited};
	snprintf(entry->id, sizeof(entry->id), "%s", id);
	snprintf(entry->title, sizeof(entry->title), "%s: %.120s%s%s", child_role_program(role), vm,
		 id[0] != '\0' ? "/" : "", entry->id);
	return 0;
}

void starter_table_clear(struct starter_table *table)
{
	free(table->entries);
	*table = (struct starter_table){0};
}

static int table_copy(struct starter_table *copy, const struct starter_table *table)
{
	copy->entries = calloc(table->count + 1, sizeof(*copy->entries));
	if (copy->entries == NULL)
		return -ENOMEM;
	copy->count = table->count;
	if (table->count > 0)
		memcpy(copy->entries, table->entries, table->count * sizeof(*copy->entries));
	return 0;
}

static bool table_find(const struct starter_table *table, enum child_role role, const char *id,
		       uint32_t *index)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].role == role && strcmp(table->entries[i].id, id) == 0) {
			*index = (uint32_t)i;
			return true;
		}
	return false;
}

/* --- The starter's side: requests --- */

static bool is_control_wire(int fd)
{
	int domain, type;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

static bool is_output(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

static bool is_cgroup(int fd)
{
	struct stat status;
	struct statfs system;

	return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) && fstatfs(fd, &system) == 0 &&
	       system.f_type == CGROUP2_SUPER_MAGIC;
}

/* Why a request is none, or NULL. */
static const char *request_problem(const struct starter_table *table, const struct starter_request *request,
				   size_t size, const int *fds, size_t fd_count)
{
	const struct starter_entry *entry;

	if (size != sizeof(*request))
		return "refuses a request: it has another size";
	if (request->zero != 0 || (request->kind != STARTER_START && request->kind != STARTER_LOOK))
		return "refuses a request: it is of no kind that there is";
	if (request->kind == STARTER_LOOK)
		return fd_count != 0	   ? "refuses a request: descriptors came that do not belong to it"
		       : request->pid <= 0 ? "refuses a request: there is no such process"
					   : NULL;
	if (request->index >= table->count)
		return "refuses a request: no such program is in its table";
	entry = &table->entries[request->index];
	if (fd_count != (entry->limited ? 3 : 2))
		return "refuses a request: it came with another number of descriptors";
	if (!is_control_wire(fds[0]))
		return "refuses a request: the first descriptor is no control wire";
	if (!is_output(fds[1]))
		return "refuses a request: the second descriptor is no pipe to write to";
	if (entry->limited && !is_cgroup(fds[2]))
		return "refuses a request: the third descriptor is no cgroup";
	return NULL;
}

static void reply_set_problem(struct starter_reply *reply, int error, const struct spawn_problem *problem)
{
	reply->error = error;
	reply->host = problem->host;
	snprintf(reply->step, sizeof(reply->step), "%s", problem->step);
	snprintf(reply->remedy, sizeof(reply->remedy), "%s", problem->remedy);
}

static void answer_start(const struct starter_entry *entry, const struct starter_request *request,
			 const int *fds, struct starter_reply *reply, int *pidfd)
{
	const struct spawn_request spawn = {
		.program = child_role_program(entry->role),
		.title = entry->title,
		.sandbox = entry->sandbox,
		.limits = {request->memory, request->file, entry->limited ? fds[2] : -1},
		.control_fd = fds[0],
		.output_fd = fds[1],
	};
	struct spawn_problem problem;
	struct spawned spawned;
	int result;

	/* The maps of a process that is not dumpable are root's to write; a child is what we are when it is made. */
	prctl(PR_SET_DUMPABLE, geteuid() != 0, 0, 0, 0);
	result = spawn_program(&spawn, &spawned, &problem);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (result < 0)
		reply_set_problem(reply, result, &problem);
	reply->pid = (int32_t)spawned.pid;
	reply->lost_count = spawned.lost_count;
	for (unsigned i = 0; i < spawned.lost_count; i++)
		reply->lost[i] = (int32_t)spawned.lost[i];
	*pidfd = result < 0 ? -1 : spawned.pidfd;
}

void starter_answer(const struct starter_table *table, const void *request, size_t size, const int *fds,
		    size_t fd_count, struct starter_reply *reply, int *pidfd)
{
	const struct starter_request *sound = request;
	const char *problem = request_problem(table, sound, size, fds, fd_count);

	*reply = (struct starter_reply){0};
	*pidfd = -1;
	if (problem != NULL)
		reply_set_problem(reply, -EPROTO,
				  &(struct spawn_problem){problem, "this is a fault of Atoll", false});
	else if (sound->kind == STARTER_START)
		answer_start(&table->entries[sound->index], sound, fds, reply, pidfd);
	else
		reply->error = process_is_stopped(sound->pid) ? 1 : 0;
}

static void reply_send(int wire_fd, const struct starter_reply *reply, int pidfd)
{
	struct iovec part = {(void *)reply, sizeof(*reply)};

	fd_send(wire_fd, &part, 1, &pidfd, pidfd >= 0 ? 1 : 0, 0);
	if (pidfd >= 0)
		close(pidfd);
}

/* Until the end of its wire. */
static _Noreturn void starter_serve(const struct starter_table *table, int wire_fd)
{
	/* Room for one byte more, so that a longer request is seen to be one. */
	_Alignas(struct starter_request) unsigned char request[sizeof(struct starter_request) + 1];
	struct starter_reply reply;

	for (;;) {
		struct iovec part = {request, sizeof(request)};
		int fds[STARTER_FDS_MAX + 1], pidfd;
		size_t fd_count = STARTER_FDS_MAX + 1;
		ssize_t size = fd_receive(wire_fd, &part, 1, fds, &fd_count, 0);

		/* A packet without a byte is an end, too. */
		if (size == 0)
			_exit(0);
		if (size < 0 && size != -EPROTO && size != -EMSGSIZE)
			_exit(1);
		starter_answer(table, request, size < 0 ? 0 : (size_t)size, fds, fd_count, &reply, &pidfd);
		fds_close(fds, fd_count);
		reply_send(wire_fd, &reply, pidfd);
	}
}

/* --- The starter's side: its beginning --- */

/* Nothing of the supervisor's stays open; 0 to 2 are no terminal's. */
static int arrange_descriptors(int wire_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0)
		return -errno;
	/* 0 to 2 are always open in us, so neither is one of them. */
	if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
	    dup2(null_fd, STDERR_FILENO) < 0 ||
	    (wire_fd != STARTER_WIRE_FD && dup2(wire_fd, STARTER_WIRE_FD) < 0))
		return -errno;
	return close_range(STARTER_WIRE_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

/* It ends with its parent, whatever becomes of the wire. */
static int follow_parent(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -EPIPE;
}

static _Noreturn void starter_begin(const struct starter_table *table, const char *title, int wire_fd,
				    pid_t parent, int (*seal)(void))
{
	struct starter_reply reply = {0};
	int result;

	/* All signals are blocked, and stay so: they are for the supervisor, and SIGKILL is not. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	/* Out of the reach of a terminal's keys. */
	setpgid(0, 0);
	process_title_set(title);
	prctl(PR_SET_NAME, "atoll-starter");
	result = seal();
	if (result == 0)
		result = arrange_descriptors(wire_fd);
	/* Behind the last change of its credentials, which would undo both. */
	if (result == 0)
		result = follow_parent(parent);
	if (result == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		result = -errno;
	reply.error = result;
	reply_send(result == 0 ? STARTER_WIRE_FD : wire_fd, &reply, -1);
	if (result < 0)
		_exit(1);
	starter_serve(table, STARTER_WIRE_FD);
}

/* --- The supervisor's side --- */

/* Whether a descriptor becomes readable, or hangs up, within the time. */
static bool await(int fd, int timeout_ms)
{
	return fd_wait_until(fd, POLLIN, clock_ms(CLOCK_MONOTONIC) + timeout_ms) == 0;
}

/* How it ended, if it has. It is ended if it has not. */
static void starter_reap(struct starter *starter, int timeout_ms, siginfo_t *info)
{
	if (!await(starter->pidfd, timeout_ms))
		pidfd_send_signal(starter->pidfd, SIGKILL, NULL, 0);
	*info = (siginfo_t){0};
	/* One that cannot be ended by SIGKILL is not waited for. */
	if (await(starter->pidfd, END_MS))
		waitid(P_PIDFD, (id_t)starter->pidfd, info, WEXITED | WNOHANG);
}

static void starter_close(struct starter *starter)
{
	loop_unwatch(starter->watch);
	starter->watch = NULL;
	fds_close(&starter->pidfd, 1);
	fds_close(&starter->wire_fd, 1);
	starter->pid = 0;
}

/* It is of no use any more; why: "did not answer", or NULL if it ended by itself. Told once. */
static void starter_lose(struct starter *starter, const char *why)
{
	siginfo_t info;

	if (starter->pidfd < 0)
		return;
	/* Its wire may end a moment before itself. */
	starter_reap(starter, why == NULL ? END_MS : 0, &info);
	if (why != NULL)
		log_error("the process that starts the others %s and was killed; " STARTER_LOST, why);
	else if (info.si_code == CLD_EXITED)
		log_error("the process that starts the others ended with status %d; " STARTER_LOST,
			  info.si_status);
	else
		log_error("the process that starts the others was killed by signal %d (%s); " STARTER_LOST,
			  info.si_status, strsignal(info.si_status));
	starter_close(starter);
}

static void starter_ended(int fd, unsigned events, void *argument)
{
	(void)fd;
	(void)events;
	starter_lose(argument, NULL);
}

static int reply_receive(struct starter *starter, int *pidfd)
{
	struct starter_reply *reply = &starter->reply;
	struct iovec part = {reply, sizeof(*reply)};
	size_t fd_count = 1;
	ssize_t size;

	if (!await(starter->wire_fd, ANSWER_MS))
		return -ETIMEDOUT;
	*pidfd = -1;
	size = fd_receive(starter->wire_fd, &part, 1, pidfd, &fd_count, MSG_DONTWAIT);
	if (size != sizeof(*reply) || reply->lost_count > JAIL_FORK_TRIES) {
		fds_close(pidfd, fd_count);
		return size == 0 || size == -ECONNRESET ? -EPIPE : -EPROTO;
	}
	reply->step[sizeof(reply->step) - 1] = reply->remedy[sizeof(reply->remedy) - 1] = '\0';
	return 0;
}

/* Sends a request and waits for its answer. 0, or -EPIPE: there is no starter, any more. */
static int starter_ask(struct starter *starter, const struct starter_request *request, const int *fds,
		       size_t fd_count, int *pidfd)
{
	struct iovec part = {(void *)request, sizeof(*request)};
	ssize_t size;
	int result;

	if (starter->wire_fd < 0)
		return -EPIPE;
	/* An empty wire has room for one, and it is asked for one thing at a time. */
	size = fd_send(starter->wire_fd, &part, 1, fds, fd_count, MSG_DONTWAIT);
	result = size < 0 ? (int)size : reply_receive(starter, pidfd);
	if (result == 0)
		return 0;
	starter_lose(starter, result == -ETIMEDOUT ? "did not answer in time"
			      : result == -EPROTO  ? "answered what is no answer"
						   : NULL);
	return -EPIPE;
}

/* Children of ours that got nowhere: they were killed. */
static void reap_lost(const struct starter_reply *reply)
{
	struct timespec pause = {.tv_nsec = 1000000};

	for (unsigned i = 0, waited = 0; i < reply->lost_count; i++) {
		siginfo_t info = {0};

		if (reply->lost[i] <= 0)
			continue;
		while (waitid(P_PID, (id_t)reply->lost[i], &info, WEXITED | WNOHANG) == 0 &&
		       info.si_pid == 0 && waited++ < LOST_MS)
			nanosleep(&pause, NULL);
	}
}

int starter_start(struct starter *starter, enum child_role role, const char *id,
		  const struct spawn_limits *limits, int control_fd, int output_fd, pid_t *pid, int *pidfd,
		  struct spawn_problem *problem)
{
	struct starter_request request = {
		.kind = STARTER_START, .memory = limits->memory, .file = limits->file};
	const int fds[] = {control_fd, output_fd, limits->cgroup_fd};
	int result = -EINVAL;

	*pidfd = -1;
	*problem = (struct spawn_problem){"it is none of this VM's", "this is a fault of Atoll", false};
	if (!table_find(&starter->table, role, id, &request.index))
		return result;
	result = starter_ask(starter, &request, fds, limits->cgroup_fd >= 0 ? 3 : 2, pidfd);
	*problem = (struct spawn_problem){"the process that starts the others has ended", "start the VM anew",
					  false};
	if (result < 0)
		return result;
	reap_lost(&starter->reply);
	*problem = (struct spawn_problem){starter->reply.step, starter->reply.remedy, starter->reply.host};
	if (starter->reply.error == 0 && *pidfd >= 0) {
		*pid = starter->reply.pid;
		return 0;
	}
	fds_close(pidfd, 1);
	return starter->reply.error < 0 ? starter->reply.error : -EPROTO;
}

bool starter_process_is_stopped(struct starter *starter, pid_t pid)
{
	const struct starter_request request = {.kind = STARTER_LOOK, .pid = pid};
	int pidfd = -1;

	if (starter == NULL || starter_ask(starter, &request, NULL, 0, &pidfd) < 0)
		return false;
	fds_close(&pidfd, 1);
	return starter->reply.error == 1;
}

pid_t starter_pid(const struct starter *starter)
{
	return starter->pid;
}

/* --- Its life, from the supervisor's side --- */

static int starter_make(struct starter *starter, const char *title, int (*seal)(void))
{
	pid_t parent = getpid();
	sigset_t all, before;
	int sockets[2], result = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	starter->pid = fork();
	if (starter->pid == 0) {
		close(sockets[0]);
		starter_begin(&starter->table, title, sockets[1], parent, seal);
	}
	if (starter->pid < 0)
		result = -errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(sockets[1]);
	starter->wire_fd = sockets[0];
	if (result == 0) {
		/* Nobody else can reap it, so the number is its own. */
		starter->pidfd = pidfd_open(starter->pid, 0);
		result = starter->pidfd < 0 ? -errno : 0;
	}
	return result;
}

int starter_fork(const struct starter_table *table, const char *title, int (*seal)(void),
		 struct starter **starter)
{
	struct starter *made = calloc(1, sizeof(*made));
	int result = made == NULL ? -ENOMEM : 0, pidfd = -1;

	*starter = NULL;
	if (result == 0) {
		made->pidfd = made->wire_fd = -1;
		result = table_copy(&made->table, table);
	}
	if (result == 0)
		result = starter_make(made, title, seal);
	/* What it says first is whether it is sealed. */
	if (result == 0)
		result = reply_receive(made, &pidfd);
	if (result == 0)
		result = made->reply.error;
	if (result < 0)
		starter_free(made);
	else
		*starter = made;
	return result;
}

int starter_watch(struct starter *starter, struct loop *loop)
{
	starter->watch = loop_watch_fd(loop, starter->pidfd, LOOP_READ, starter_ended, starter);
	return starter->watch == NULL ? -ENOMEM : 0;
}

void starter_free(struct starter *starter)
{
	siginfo_t info;

	if (starter == NULL)
		return;
	fds_close(&starter->wire_fd, 1);
	if (starter->pidfd >= 0)
		starter_reap(starter, END_MS, &info);
	starter_close(starter);
	starter_table_clear(&starter->table);
	free(starter);
}
