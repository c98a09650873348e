/*
 * The jail, from both sides: children that go in and then try what they must not, and a parent that looks at
 * them through /proc; filters and the report of what they do not allow.
 *
 * A child tells by its exit status: 0 if everything was as it should be, else the number of the line that found
 * something, less 256s.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <config.h>

#include "common/base/control_wire.h"
#include "common/base/log.h"
#include "common/base/syscall_names.h"
#include "common/jail/jail.h"
#include "common/jail/jail_user.h"
#include "common/jail/jail_violation.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

/* In a child. */
#define TRY(condition)                                                                               \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
			_exit(__LINE__ % 255 + 1);                                                   \
		}                                                                                    \
	} while (0)
/* The call fails with one of these errors. */
#define REFUSED(call, error)		    TRY(((call) < 0) && errno == (error))
#define REFUSED_SOMEHOW(call, error, other) TRY(((call) < 0) && (errno == (error) || errno == (other)))

/* --- Children --- */

static const struct jail test_jail = {.program = "test", .files = 64};

/* Whether this host lets us make namespaces; else the tests of them are skipped. */
static bool namespaces_allowed(void)
{
	struct jail_fork fork;
	int result = jail_fork(&fork);

	if (result == 1)
		_exit(0);
	if (result < 0)
		return false;
	waitid(P_PIDFD, (id_t)fork.pidfd, NULL, WEXITED);
	close(fork.pidfd);
	close(fork.link_fd);
	return true;
}

#define NEED_NAMESPACES()                  \
	do {                               \
		if (!namespaces_allowed()) \
			skip();            \
	} while (0)

/* Users that another process is said to have taken at the same time. */
static unsigned users_taken;
__typeof__(jail_user_verify) __real_jail_user_verify, __wrap_jail_user_verify;

int __wrap_jail_user_verify(const struct jail_users *users, pid_t pid, uint32_t id)
{
	if (users_taken == 0)
		return __real_jail_user_verify(users, pid, id);
	users_taken--;
	return -EBUSY;
}

/* Starts body() in a jail; it gets the socket to us. */
static struct jail_fork jailed_start(void (*body)(int link_fd))
{
	struct jail_fork fork;
	int result = jail_fork(&fork);

	assert_true(result >= 0);
	if (result == 1) {
		struct jail jail = test_jail;

		jail_fork_done(&fork);
		jail.parent_fd = fork.link_fd;
		TRY(jail_enter(&jail) == 0);
		body(fork.link_fd);
		_exit(0);
	}
	assert_int_equal(jail_fork_wait(&fork), 0);
	return fork;
}

/* Its exit status; 1000 + signal if one ended it. */
static int jailed_end(struct jail_fork *fork)
{
	siginfo_t info = {0};

	assert_int_equal(waitid(P_PIDFD, (id_t)fork->pidfd, &info, WEXITED), 0);
	close(fork->pidfd);
	close(fork->link_fd);
	return info.si_code == CLD_EXITED ? info.si_status : 1000 + info.si_status;
}

static void jailed_run(void (*body)(int link_fd))
{
	struct jail_fork fork = jailed_start(body);

	assert_int_equal(jailed_end(&fork), 0);
}

/* Runs body() in an ordinary child; returns its exit status. */
static int child_run(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* --- What is left inside --- */

static void try_paths(int link_fd)
{
	struct stat status;

	(void)link_fd;
	REFUSED_SOMEHOW(open("/etc/passwd", O_RDONLY), ENOENT, EACCES);
	REFUSED_SOMEHOW(open("/proc/self/status", O_RDONLY), ENOENT, EACCES);
	REFUSED_SOMEHOW(open("/dev/null", O_RDONLY), ENOENT, EACCES);
	REFUSED_SOMEHOW(open("../../../../etc/passwd", O_RDONLY), ENOENT, EACCES);
	TRY(stat("/", &status) == 0 && status.st_nlink == 2 && (status.st_mode & 0222) == 0);
	REFUSED_SOMEHOW(mkdir("/a", 0700), EROFS, EACCES);
	REFUSED_SOMEHOW(open("/a", O_CREAT | O_RDWR, 0600), EROFS, EACCES);
	REFUSED_SOMEHOW(execl("/bin/true", "true", (char *)NULL), ENOENT, EACCES);
}

static void try_rights(int link_fd)
{
	(void)link_fd;
	REFUSED(mount("none", "/", "tmpfs", 0, NULL), EPERM);
	REFUSED(umount2("/", MNT_DETACH), EPERM);
	REFUSED(chroot("/"), EPERM);
	REFUSED(sethostname("x", 1), EPERM);
	REFUSED(setresuid(12, 12, 12), EINVAL);
	REFUSED(setgroups(0, NULL), EPERM);
	REFUSED(prctl(PR_SET_SECUREBITS, 0), EPERM);
	REFUSED(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);
	TRY(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	TRY(prctl(PR_GET_DUMPABLE) == 0);
	for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++)
		TRY(cap_get_bound(capability) == 0 && cap_get_ambient(capability) == 0);
}

/* Whoever we could signal would be init, our parent, or everybody. */
static void try_others(int link_fd)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd, parent_signal = 0;

	(void)link_fd;
	TRY(getpid() == 1 && getppid() == 0 && getuid() == 0);
	TRY(prctl(PR_GET_PDEATHSIG, &parent_signal) == 0 && parent_signal == SIGKILL);
	REFUSED(kill(-1, 0), ESRCH);
	for (pid_t pid = 2; pid < 5000; pid++)
		REFUSED_SOMEHOW(kill(pid, 0), ESRCH, EPERM);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	TRY(fd >= 0);
	REFUSED_SOMEHOW(connect(fd, (struct sockaddr *)&address, sizeof(address)), ENETUNREACH, EACCES);
}

static void try_memory(int link_fd)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)link_fd;
	TRY(page != MAP_FAILED);
	/* Kernels before 6.3 do not have it. */
	if (prctl(PR_GET_MDWE, 0, 0, 0, 0) != 1)
		return;
	REFUSED_SOMEHOW(mprotect(page, 4096, PROT_READ | PROT_EXEC), EACCES, EPERM);
	TRY(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	    MAP_FAILED);
}

static void try_limits(int link_fd)
{
	struct rlimit limit;

	TRY(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 64 && limit.rlim_max == 64);
	TRY(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	limit.rlim_max = limit.rlim_cur = 1;
	REFUSED(setrlimit(RLIMIT_CORE, &limit), EPERM);
	for (int i = 0; i < 100; i++)
		if (dup(link_fd) < 0)
			return;
	TRY(!"a limit of 64 descriptors");
}

static void try_abort(int link_fd)
{
	(void)link_fd;
	abort();
}

static void inside_there_is_no_path(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	jailed_run(try_paths);
}

static void inside_there_are_no_rights(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	jailed_run(try_rights);
}

static void inside_there_is_nobody_else(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	jailed_run(try_others);
}

static void inside_memory_is_data(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	jailed_run(try_memory);
}

static void inside_there_are_limits(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	jailed_run(try_limits);
}

static void abort_has_a_status_of_its_own(void **state)
{
	struct jail_fork fork;

	(void)state;
	NEED_NAMESPACES();
	fork = jailed_start(try_abort);
	assert_int_equal(jailed_end(&fork), JAIL_EXIT_ABORTED);
}

/* --- What the parent sees --- */

static void say_and_wait(int link_fd)
{
	char byte = 1;

	TRY(send(link_fd, &byte, 1, 0) == 1);
	recv(link_fd, &byte, 1, 0);
}

static void read_status(pid_t pid, const char *key, char *value, size_t size)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	value[0] = '\0';
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
			snprintf(value, size, "%s", line + strlen(key) + 2);
	fclose(file);
	value[strcspn(value, "\n")] = '\0';
}

static void assert_status(pid_t pid, const char *key, const char *expected)
{
	char value[256];

	read_status(pid, key, value, sizeof(value));
	assert_string_equal(value, expected);
}

static void from_outside_it_is_what_it_should_be(void **state)
{
	static const char *const kinds[] = {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"};
	char path[64], value[256], expected[256], byte;
	struct stat own, other;
	struct jail_fork fork;

	(void)state;
	NEED_NAMESPACES();
	fork = jailed_start(say_and_wait);
	assert_int_equal(recv(fork.link_fd, &byte, 1, 0), 1);
	for (const char *const *key =
		     (const char *const[]){"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", NULL};
	     *key != NULL; key++)
		assert_status(fork.pid, *key, "0000000000000000");
	assert_status(fork.pid, "NoNewPrivs", "1");
	assert_status(fork.pid, "Name", "test");
	read_status(fork.pid, "Uid", value, sizeof(value));
	if (geteuid() == 0 && strtoul(value, NULL, 10) != 0)
		snprintf(expected, sizeof(expected), "%u", 0x70000000u | (unsigned)fork.pid);
	else
		snprintf(expected, sizeof(expected), "%u", geteuid());
	assert_memory_equal(value, expected, strlen(expected));
	/* What is not dumpable is root's to look into. */
	for (size_t i = 0; geteuid() == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)fork.pid, kinds[i]);
		assert_int_equal(stat(path, &other), 0);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		assert_int_equal(stat(path, &own), 0);
		assert_true(own.st_ino != other.st_ino);
	}
	send(fork.link_fd, &byte, 1, 0);
	assert_int_equal(jailed_end(&fork), 0);
}

/* A process that makes a jailed child, and ends; the child holds the pipe. */
static int orphan_pipe[2];

static void wait_for_ever(int link_fd)
{
	char byte = 1;

	TRY(write(orphan_pipe[1], &byte, 1) == 1);
	(void)link_fd;
	for (;;)
		pause();
}

static void make_an_orphan(void)
{
	char byte;

	jailed_start(wait_for_ever);
	/* It is there, and its end is tied to ours. */
	TRY(read(orphan_pipe[0], &byte, 1) == 1);
}

static void it_ends_with_its_parent(void **state)
{
	char byte;

	(void)state;
	NEED_NAMESPACES();
	assert_int_equal(pipe2(orphan_pipe, O_CLOEXEC), 0);
	assert_int_equal(child_run(make_an_orphan), 0);
	close(orphan_pipe[1]);
	/* The end of file is its end. */
	assert_int_equal(read(orphan_pipe[0], &byte, 1), 0);
	close(orphan_pipe[0]);
}

/* The parent is gone before the child has come to tie itself to it. */
static void enter_without_a_parent(int link_fd)
{
	struct jail jail = {.program = "test", .parent_fd = link_fd, .files = 64};
	int sockets[2];

	TRY(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) == 0);
	close(sockets[1]);
	jail.parent_fd = sockets[0];
	TRY(jail_enter(&jail) == -EPIPE);
}

static void a_parent_that_has_ended_is_noticed(void **state)
{
	struct jail_fork fork;
	int result;

	(void)state;
	NEED_NAMESPACES();
	result = jail_fork(&fork);
	assert_true(result >= 0);
	if (result == 1) {
		jail_fork_done(&fork);
		enter_without_a_parent(fork.link_fd);
		_exit(0);
	}
	assert_int_equal(jail_fork_wait(&fork), 0);
	assert_int_equal(jailed_end(&fork), 0);
}

static void a_child_that_cannot_go_on_is_told_and_reaped(void **state)
{
	struct jail_fork fork;
	int result;

	(void)state;
	NEED_NAMESPACES();
	result = jail_fork(&fork);
	if (result == 1)
		jail_fork_fail(&fork, -EACCES);
	assert_int_equal(result, 0);
	assert_int_equal(jail_fork_wait(&fork), -EACCES);
	assert_non_null(fork.step);
	assert_non_null(fork.remedy);
	assert_int_equal(waitpid(fork.pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void enter_from_outside(void)
{
	struct stat before, after;

	TRY(stat("/", &before) == 0);
	TRY(jail_enter(&test_jail) == -EPERM);
	TRY(stat("/", &after) == 0 && before.st_ino == after.st_ino && before.st_dev == after.st_dev);
	TRY(access("/proc/self", F_OK) == 0);
	TRY(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
}

static void who_did_not_come_through_the_fork_is_refused_and_left_alone(void **state)
{
	(void)state;
	assert_int_equal(child_run(enter_from_outside), 0);
}

/* --- Filters --- */

#define FILTER_LOAD_CALL BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define FILTER_TRAP	 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)
#define FILTER_ALLOW	 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* All calls but two. */
static const struct sock_filter two_denied[] = {
	FILTER_LOAD_CALL,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 9999, 0, 1),
	FILTER_TRAP,
	FILTER_ALLOW,
};
static const struct seccomp_filter filter_test_main = {
	.name = "test.main",
	.instructions = two_denied,
	.count = sizeof(two_denied) / sizeof(two_denied[0]),
};

/* lseek(2) of a descriptor that is another one than the slot's. */
static const struct sock_filter own_fd_only[] = {
	FILTER_LOAD_CALL,
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_lseek, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 1, 0),
	FILTER_TRAP,
	FILTER_ALLOW,
};
static const struct seccomp_filter_slot own_fd_slot = {"OWN_FD", 3};
static const struct seccomp_filter filter_test_thread = {
	.name = "test.thread",
	.instructions = own_fd_only,
	.count = sizeof(own_fd_only) / sizeof(own_fd_only[0]),
	.slots = &own_fd_slot,
	.slot_count = 1,
};

static int control[2]; /* ours, the child's */
static int standard_error[2];

/* Runs body() with the child's control wire and standard error in our hands. Returns its exit status. */
static int sealed_run(void (*body)(void))
{
	pid_t pid;
	int status;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	assert_int_equal(pipe2(standard_error, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(standard_error[1], STDERR_FILENO);
		TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		TRY(jail_watch_violations(control[1]) == 0);
		jail_serves();
		body();
		_exit(0);
	}
	close(control[1]);
	close(standard_error[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void sealed_close(void)
{
	close(control[0]);
	close(standard_error[0]);
}

/* The report came, and says this; what standard error got is the same. */
static void assert_reported(const char *thread, const char *filter, unsigned call, uint64_t first_argument)
{
	struct control_message message;
	const Atoll__Control__Violation *violation;
	char line[512] = "", expected[256];

	assert_int_equal(control_receive_timeout(control[0], 1000, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION);
	violation = message.envelope->violation;
	assert_string_equal(violation->thread, thread);
	assert_string_equal(violation->filter, filter);
	assert_int_equal(violation->arch, AUDIT_ARCH_X86_64);
	assert_int_equal(violation->call, call);
	assert_int_equal(violation->n_arguments, 6);
	assert_true(violation->arguments[0] == first_argument);
	assert_true(violation->instruction != 0);
	control_message_clear(&message);
	/* Nothing follows. */
	assert_int_equal(control_receive_timeout(control[0], 1000, &message), 0);
	assert_true(read(standard_error[0], line, sizeof(line) - 1) > 0);
	snprintf(expected, sizeof(expected), "atoll: %s called %s(0x%llx, ", thread, syscall_name(call),
		 (unsigned long long)first_argument);
	assert_memory_equal(line, expected, strlen(expected));
	snprintf(expected, sizeof(expected),
		 "which %s.policy does not allow; see atoll policy explain %s %s\n", filter, filter,
		 syscall_name(call));
	assert_non_null(strstr(line, expected));
	assert_string_equal(strchr(line, '\n'), "\n");
}

static void seal_and_call(void)
{
	TRY(jail_seal_process(&filter_test_main, true) == 0);
	syscall(SYS_getppid, 0x1234567890abcdef);
	_exit(99);
}

static void a_call_that_is_not_allowed_ends_it_with_a_report(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_and_call), JAIL_EXIT_VIOLATION);
	assert_reported("main", "test.main", SYS_getppid, 0x1234567890abcdef);
	sealed_close();
}

static void seal_and_call_what_there_is_not(void)
{
	TRY(jail_seal_process(&filter_test_main, true) == 0);
	syscall(9999, 0);
	_exit(99);
}

static void a_call_without_a_name_is_reported_by_its_number(void **state)
{
	char line[512] = "";

	(void)state;
	assert_int_equal(sealed_run(seal_and_call_what_there_is_not), JAIL_EXIT_VIOLATION);
	assert_true(read(standard_error[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "main called system call 9999(0x0, "));
	sealed_close();
}

static void seal_with_all_blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	seal_and_call();
}

static void a_blocked_report_is_unblocked(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_with_all_blocked), JAIL_EXIT_VIOLATION);
	assert_reported("main", "test.main", SYS_getppid, 0x1234567890abcdef);
	sealed_close();
}

/* The supervisor does not read, or has ended: standard error and the status still tell. */
static void fill_wire_and_call(void)
{
	static const char bytes[1024];

	fcntl(control[1], F_SETFL, O_NONBLOCK);
	while (write(control[1], bytes, sizeof(bytes)) > 0)
		;
	seal_and_call();
}

static void a_full_wire_does_not_hold_the_end_up(void **state)
{
	char line[512] = "";

	(void)state;
	assert_int_equal(sealed_run(fill_wire_and_call), JAIL_EXIT_VIOLATION);
	assert_true(read(standard_error[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "getppid"));
	sealed_close();
}

/* The supervisor has ended: nobody hears, and that is no way to go on. */
static void cut_wire_and_call(void)
{
	TRY(shutdown(control[1], SHUT_RDWR) == 0);
	seal_and_call();
}

static void a_dead_wire_does_not_hold_the_end_up(void **state)
{
	char line[512] = "";

	(void)state;
	assert_int_equal(sealed_run(cut_wire_and_call), JAIL_EXIT_VIOLATION);
	assert_true(read(standard_error[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "getppid"));
	sealed_close();
}

static void seal_and_survive(void)
{
	struct rlimit limit;

	TRY(jail_seal_process(&filter_test_main, false) == 0);
	TRY(getpid() > 0 && open("/", O_RDONLY) >= 0);
	TRY(getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == 0);
	TRY(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
}

static void what_is_allowed_goes_on(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_and_survive), 0);
	sealed_close();
}

/* --- Threads --- */

static int thread_go, thread_ready;
static const struct seccomp_filter *thread_filter;
static const struct jail_slot *thread_slots;
static size_t thread_slot_count;
static int thread_result;

static void *sealed_thread(void *argument)
{
	eventfd_t count;

	(void)argument;
	jail_name_thread("queue-7");
	eventfd_write(thread_ready, 1);
	eventfd_read(thread_go, &count);
	if (thread_filter != NULL)
		thread_result = jail_seal_thread(thread_filter, thread_slots, thread_slot_count);
	if (thread_result == 0) {
		lseek(3, 0, SEEK_CUR);
		lseek(4, 0, SEEK_CUR);
	}
	return NULL;
}

static pthread_t thread_start(const struct seccomp_filter *filter, const struct jail_slot *slots,
			      size_t count)
{
	eventfd_t ignored;
	pthread_t thread;

	thread_go = eventfd(0, 0);
	thread_ready = eventfd(0, 0);
	thread_filter = filter;
	thread_slots = slots;
	thread_slot_count = count;
	TRY(pthread_create(&thread, NULL, sealed_thread, NULL) == 0);
	TRY(eventfd_read(thread_ready, &ignored) == 0);
	return thread;
}

static void seal_thread_with_slot(void)
{
	static const struct jail_slot slots[] = {{"OTHER", 4}, {"OWN_FD", 3}};
	pthread_t thread = thread_start(&filter_test_thread, slots, 2);

	TRY(jail_seal_process(&filter_test_main, true) == 0);
	eventfd_write(thread_go, 1);
	pthread_join(thread, NULL);
	_exit(99);
}

static void a_thread_has_a_filter_of_its_own_and_reports_by_its_name(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_thread_with_slot), JAIL_EXIT_VIOLATION);
	assert_reported("queue-7", "test.thread", SYS_lseek, 4);
	sealed_close();
}

static void *call_at_once(void *argument)
{
	eventfd_t count;

	(void)argument;
	jail_name_thread("queue-8");
	eventfd_write(thread_ready, 1);
	eventfd_read(thread_go, &count);
	syscall(SYS_getppid, 5);
	return NULL;
}

static void seal_process_with_thread(void)
{
	eventfd_t ignored;
	pthread_t thread;

	thread_go = eventfd(0, 0);
	thread_ready = eventfd(0, 0);
	TRY(pthread_create(&thread, NULL, call_at_once, NULL) == 0);
	TRY(eventfd_read(thread_ready, &ignored) == 0);
	TRY(jail_seal_process(&filter_test_main, true) == 0);
	eventfd_write(thread_go, 1);
	pthread_join(thread, NULL);
	_exit(99);
}

static void the_filter_of_the_process_is_all_threads_filter(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_process_with_thread), JAIL_EXIT_VIOLATION);
	assert_reported("queue-8", "test.main", SYS_getppid, 5);
	sealed_close();
}

static void seal_thread_without_its_slot(void)
{
	static const struct jail_slot slots[] = {{"OTHER", 4}};

	TRY(jail_seal_thread(&filter_test_thread, slots, 1) == -EINVAL);
	TRY(jail_seal_process(&filter_test_thread, true) == -EINVAL);
	TRY(prctl(PR_GET_SECCOMP) == 0);
}

static void a_slot_without_a_value_is_refused(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_thread_without_its_slot), 0);
	sealed_close();
}

static void *seal_alone(void *argument)
{
	TRY(jail_seal_thread(&filter_test_main, NULL, 0) == 0);
	eventfd_write(*(int *)argument, 1);
	pause();
	return NULL;
}

static void seal_too_late(void)
{
	int done = eventfd(0, 0);
	eventfd_t ignored;
	pthread_t thread;

	TRY(pthread_create(&thread, NULL, seal_alone, &done) == 0);
	eventfd_read(done, &ignored);
	TRY(jail_seal_process(&filter_test_main, true) == -EBUSY);
}

static void a_thread_with_another_filter_is_a_failure(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_too_late), 0);
	sealed_close();
}

static void seal_with_nonsense(void)
{
	static const struct sock_filter nonsense[] = {FILTER_LOAD_CALL};
	const struct seccomp_filter filter = {.name = "test.bad", .instructions = nonsense, .count = 1};

	TRY(jail_seal_process(&filter, true) == -EINVAL);
}

static void a_filter_that_the_kernel_does_not_take_is_a_failure(void **state)
{
	(void)state;
	assert_int_equal(sealed_run(seal_with_nonsense), 0);
	sealed_close();
}

/* --- Texts --- */

static void a_violation_is_described(void **state)
{
	struct violation violation = {.thread = "queue-0",
				      .filter = "blk.queue",
				      .call = SYS_openat,
				      .arguments = {0xffffff9c, 0, 0x10, UINT64_MAX, 4, 5}};
	char text[512], small[20];
	size_t length = violation_describe(&violation, text, sizeof(text));

	(void)state;
	assert_int_equal(length, strlen(text));
	assert_string_equal(text,
			    "queue-0 called openat(0xffffff9c, 0x0, 0x10, 0xffffffffffffffff, 0x4, 0x5), "
			    "which blk.queue.policy does not allow; see atoll policy explain blk.queue "
			    "openat");
	assert_int_equal(violation_describe(&violation, small, sizeof(small)), sizeof(small) - 1);
	assert_string_equal(small, "queue-0 called open");
	/* H: before it served. */
	length = violation_describe_misfit("blk.main", "glibc 2.36", "glibc 2.41", text, sizeof(text));
	assert_int_equal(length, strlen(text));
	assert_string_equal(text, "; it had not served yet: the policy blk.main of Atoll " PACKAGE_VERSION
				  " and the C library do not fit (built with glibc 2.36, runs with glibc "
				  "2.41); install an Atoll that knows this library");
	assert_int_equal(violation_describe_misfit("blk.main", "a", "b", small, sizeof(small)),
			 sizeof(small) - 1);
}

static bool aborts(unsigned call, uint64_t first, uint64_t second, uint64_t third)
{
	return violation_aborts(&(struct violation){.arch = AUDIT_ARCH_X86_64,
						    .call = call,
						    .arguments = {first, second, third}},
				12);
}

static void a_step_of_abort_is_no_violation(void **state)
{
	(void)state;
	assert_true(aborts(SYS_rt_sigprocmask, SIG_UNBLOCK, 0, 0));
	assert_true(aborts(SYS_rt_sigprocmask, SIG_BLOCK, 0, 0));
	assert_true(aborts(SYS_gettid, 0, 0, 0));
	assert_true(aborts(SYS_getpid, 0, 0, 0));
	assert_true(aborts(SYS_tgkill, 12, 13, SIGABRT));
	assert_true(aborts(SYS_writev, STDERR_FILENO, 0x1000, 4));
	/* To others, by other signals, to other files; and what is like it. */
	assert_false(aborts(SYS_rt_sigprocmask, SIG_SETMASK, 0, 0));
	assert_false(aborts(SYS_tgkill, 11, 13, SIGABRT));
	assert_false(aborts(SYS_tgkill, 12, 13, SIGKILL));
	assert_false(aborts(SYS_tgkill, (uint64_t)-1, 13, SIGABRT));
	assert_false(aborts(SYS_kill, 12, SIGABRT, 0));
	assert_false(aborts(SYS_writev, STDOUT_FILENO, 0x1000, 4));
	assert_false(aborts(SYS_getppid, 0, 0, 0));
	assert_false(aborts(SYS_openat, 0, 0, 0));
	assert_false(violation_aborts(&(struct violation){.arch = AUDIT_ARCH_I386, .call = SYS_gettid}, 12));
}

/* G: wherever a process is made. An ordinary user has none to give away. */
static void another_user_is_chosen_when_one_is_taken(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	for (int into = 0; into < 2; into++) {
		struct jail_fork fork;
		int result;

		users_taken = geteuid() == 0 ? 2 : 0;
		result = into ? jail_fork_into(&fork, -1) : jail_fork(&fork);
		if (result == 1)
			_exit(7);
		assert_int_equal(result, 0);
		assert_int_equal(users_taken, 0);
		assert_int_equal(jailed_end(&fork), 7);
	}
}

/* F6: what the supervisor wears. */
static void a_domain_leaves_what_it_names_and_signals(void **state)
{
	char folder[] = "/tmp/atoll-test-jail-XXXXXX", inside[64], outside[64], made[64];
	pid_t pid;
	int status;

	(void)state;
	if (jail_landlock_version() == 0)
		skip();
	assert_non_null(mkdtemp(folder));
	snprintf(inside, sizeof(inside), "%s/in", folder);
	snprintf(outside, sizeof(outside), "%s/out", folder);
	snprintf(made, sizeof(made), "%s/in/made", folder);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(mkdir(outside, 0700), 0);
	pid = fork();
	if (pid == 0) {
		int pipes[2], outside_fd = open(outside, O_RDONLY | O_DIRECTORY);
		struct jail_path paths[] = {
			{open(inside, O_PATH), JAIL_PATH_WRITE_FILE | JAIL_PATH_MAKE_REG},
			/* Rights that a file cannot have are left out, and what is at no path is. */
			{open("/dev/null", O_PATH), JAIL_PATH_READ_FILE | JAIL_PATH_READ_DIR},
			{pipe(pipes) == 0 ? pipes[0] : -1, JAIL_PATH_READ_FILE},
		};

		TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		TRY(jail_restrict_landlock_to(paths, sizeof(paths) / sizeof(paths[0])) == 0);
		TRY(open(made, O_WRONLY | O_CREAT, 0600) >= 0);
		REFUSED(open(made, O_RDONLY), EACCES);
		REFUSED(unlink(made), EACCES);
		REFUSED(open(inside, O_RDONLY | O_DIRECTORY), EACCES);
		REFUSED(openat(outside_fd, "made", O_WRONLY | O_CREAT, 0600), EACCES);
		REFUSED(rmdir(outside), EACCES);
		TRY(open("/dev/null", O_RDONLY) >= 0);
		REFUSED(open("/dev/null", O_WRONLY), EACCES);
		/* Outside of the domain. */
		TRY(kill(getppid(), 0) == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(unlink(made), 0);
	assert_int_equal(rmdir(inside), 0);
	assert_int_equal(rmdir(outside), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* In the process that makes it; tells of it on the pipe. */
static _Noreturn void make_one_beside(int tell_fd, bool sandbox)
{
	struct jail_fork fork;
	int result;

	/* Who is not root has no user to give, and none that is taken. */
	users_taken = sandbox && geteuid() == 0 ? 2 : 0;
	result = jail_fork_beside(&fork, -1, sandbox);
	TRY(result >= 0);
	if (result == 1) {
		TRY((getpid() == 1) == sandbox);
		jail_fork_done(&fork);
		_exit(7);
	}
	TRY(jail_fork_wait(&fork) == 0);
	TRY(waitid(P_PIDFD, (id_t)fork.pidfd, NULL, WEXITED) < 0 && errno == ECHILD);
	TRY(write(tell_fd, &fork, sizeof(fork)) == sizeof(fork));
	_exit(0);
}

/* F6: as a starter makes its supervisor's children. */
static void a_child_that_is_made_beside_us_is_our_parents(void **state)
{
	(void)state;
	NEED_NAMESPACES();
	for (unsigned sandbox = 0; sandbox < 2; sandbox++) {
		struct jail_fork told;
		int tell[2], status;
		pid_t pid;

		assert_int_equal(pipe(tell), 0);
		pid = fork();
		if (pid == 0)
			make_one_beside(tell[1], sandbox != 0);
		assert_int_equal(read(tell[0], &told, sizeof(told)), sizeof(told));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(waitpid(told.pid, &status, 0), told.pid);
		assert_int_equal(WEXITSTATUS(status), 7);
		/* Those whose user was another's in the last moment. */
		assert_int_equal(told.lost_count, sandbox && geteuid() == 0 ? 2 : 0);
		for (unsigned i = 0; i < told.lost_count; i++) {
			assert_int_equal(waitpid(told.lost[i], &status, 0), told.lost[i]);
			assert_int_equal(WTERMSIG(status), SIGKILL);
		}
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		close(tell[0]);
		close(tell[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inside_there_is_no_path),
		cmocka_unit_test(inside_there_are_no_rights),
		cmocka_unit_test(inside_there_is_nobody_else),
		cmocka_unit_test(inside_memory_is_data),
		cmocka_unit_test(inside_there_are_limits),
		cmocka_unit_test(abort_has_a_status_of_its_own),
		cmocka_unit_test(from_outside_it_is_what_it_should_be),
		cmocka_unit_test(it_ends_with_its_parent),
		cmocka_unit_test(a_parent_that_has_ended_is_noticed),
		cmocka_unit_test(a_child_that_cannot_go_on_is_told_and_reaped),
		cmocka_unit_test(who_did_not_come_through_the_fork_is_refused_and_left_alone),
		cmocka_unit_test(a_call_that_is_not_allowed_ends_it_with_a_report),
		cmocka_unit_test(a_call_without_a_name_is_reported_by_its_number),
		cmocka_unit_test(a_blocked_report_is_unblocked),
		cmocka_unit_test(a_full_wire_does_not_hold_the_end_up),
		cmocka_unit_test(a_dead_wire_does_not_hold_the_end_up),
		cmocka_unit_test(what_is_allowed_goes_on),
		cmocka_unit_test(a_thread_has_a_filter_of_its_own_and_reports_by_its_name),
		cmocka_unit_test(the_filter_of_the_process_is_all_threads_filter),
		cmocka_unit_test(a_slot_without_a_value_is_refused),
		cmocka_unit_test(a_thread_with_another_filter_is_a_failure),
		cmocka_unit_test(a_filter_that_the_kernel_does_not_take_is_a_failure),
		cmocka_unit_test(a_violation_is_described),
		cmocka_unit_test(a_step_of_abort_is_no_violation),
		cmocka_unit_test(another_user_is_chosen_when_one_is_taken),
		cmocka_unit_test(a_domain_leaves_what_it_names_and_signals),
		cmocka_unit_test(a_child_that_is_made_beside_us_is_our_parents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
