/*
 * What a process of the family could do if a guest had taken it over.
 *
 *     intruder FILTER attacks     tries what an attacker would want first
 *     intruder FILTER hand        tries what only a program that is run by hand needs (A4)
 *     intruder FILTER calls       tries every number of a system call, and some that there are not
 *     intruder FILTER arguments   tries the calls that are allowed with some arguments, with others
 *
 * FILTER is a compiled one: blk.queue. Each attempt is a process of its own in a jail as the real one's, with the
 * filter of the role's whole process first if it has one, then FILTER. An attempt must end it, with the report that
 * names the call; or fail with the error that the policy's text gives. Tells a line for each that did not, and how
 * many there were. The exit status is 0 if there were attempts, and all were stopped.
 *
 * What the text says comes from the policies in $ATOLL_POLICY_DIR, through the evaluator, not from the filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/syscall_names.h"
#include "common/jail/jail.h"
#include "policy/filters.h"
#include "policy/policy.h"

#define OWN_FD	     77 /* what the filter's slot gets: not open */
#define NOT_STOPPED  42 /* exit status of an attempt that came back */
#define OTHER_ERROR  43
#define X32_CALL     0x40000000u
#define CALLS_BEYOND 64
/* uretprobe and uprobe: the kernel's own trampolines call them, and it lets them pass every filter (Linux 6.14). They
 * end a process that calls them from elsewhere, or fail. */
#define UNFILTERED_FIRST 335
#define UNFILTERED_LAST	 336

static const struct seccomp_filter *filter, *process_filter;
static struct policy policy;
static unsigned attempts, failures;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "intruder: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* --- Attempts --- */

struct attempt {
	const char *name;
	const char *call;   /* whose name the report must say */
	long (*make)(void); /* NULL: the call of this number */
	unsigned number;
	uint64_t arguments[POLICY_ARGUMENTS];
	int error;   /* that it must fail with; 0: it must end the process */
	bool killed; /* by the kernel, without a report */
	bool aborts; /* as a crash, without a report */
};

static pid_t sibling;
static int internet_fd, unix_fd, own_fd;

static long attack_open(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static long attack_proc(void)
{
	return syscall(SYS_open, "/proc/self/mem", O_RDWR);
}

static long attack_socket(void)
{
	return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long attack_connect(void)
{
	struct sockaddr address = {.sa_family = AF_INET};

	return syscall(SYS_connect, internet_fd, &address, sizeof(address));
}

static long attack_connect_unix(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/dbus/system_bus_socket"};

	return syscall(SYS_connect, unix_fd, &address, sizeof(address));
}

static long attack_execute(void)
{
	char *arguments[] = {(char *)"sh", NULL};

	return syscall(SYS_execve, "/bin/sh", arguments, NULL);
}

static long attack_fork(void)
{
	return syscall(SYS_fork);
}

static long attack_thread(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static long attack_code(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
}

static long attack_code_later(void)
{
	return syscall(SYS_mprotect, (uintptr_t)&attempts & ~UINT64_C(4095), 4096,
		       PROT_READ | PROT_WRITE | PROT_EXEC);
}

static long attack_capabilities(void)
{
	return syscall(SYS_unshare, CLONE_NEWUSER);
}

static long attack_sibling(void)
{
	return syscall(SYS_kill, sibling, SIGKILL);
}

static long attack_sibling_thread(void)
{
	return syscall(SYS_tgkill, sibling, sibling, SIGKILL);
}

static long attack_trace(void)
{
	return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, sibling, 0, 0);
}

static long attack_kvm(void)
{
	return syscall(SYS_ioctl, 4, 0xae01 /* KVM_CREATE_VM */, 0);
}

static long attack_terminal(void)
{
	return syscall(SYS_ioctl, 2, 0x5412 /* TIOCSTI */, "x");
}

static long attack_32_bits(void)
{
	long result;

	/* open(2) of the 32-bit table has another number: a filter that does not look at the table lets it pass. */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(5L), "b"("/etc/passwd"), "c"(0L) : "memory");
	return result;
}

static const struct attempt attacks[] = {
	{.name = "open a file", .call = "openat", .make = attack_open},
	{.name = "open /proc", .call = "open", .make = attack_proc},
	{.name = "make a socket", .call = "socket", .make = attack_socket},
	{.name = "connect to the network", .call = "connect", .make = attack_connect},
	{.name = "connect to a service", .call = "connect", .make = attack_connect_unix},
	{.name = "execute a program", .call = "execve", .make = attack_execute},
	{.name = "fork", .call = "fork", .make = attack_fork},
	{.name = "clone", .call = "clone", .make = attack_thread},
	{.name = "map memory for code", .call = "mmap", .make = attack_code},
	{.name = "make memory executable", .call = "mprotect", .make = attack_code_later},
	{.name = "gain capabilities", .call = "unshare", .make = attack_capabilities},
	{.name = "kill a sibling", .call = "kill", .make = attack_sibling},
	{.name = "kill a sibling's thread", .call = "tgkill", .make = attack_sibling_thread},
	{.name = "trace a sibling", .call = "ptrace", .make = attack_trace},
	{.name = "make a VM", .call = "ioctl", .make = attack_kvm},
	{.name = "type on the terminal", .call = "ioctl", .make = attack_terminal},
	{.name = "call as a 32-bit program", .make = attack_32_bits, .killed = true},
};

static long hand_make_memory(void)
{
	return syscall(SYS_memfd_create, "memory", 2 /* MFD_ALLOW_SEALING */);
}

static long hand_shorten(void)
{
	return syscall(SYS_ftruncate, own_fd, 0);
}

static long hand_seal(void)
{
	return syscall(SYS_fcntl, own_fd, F_ADD_SEALS, F_SEAL_GROW);
}

static long hand_unblock(void)
{
	return syscall(SYS_fcntl, own_fd, F_SETFL, 0);
}

static long hand_accept(void)
{
	return syscall(SYS_accept4, unix_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static long hand_terminal(void)
{
	char size[8];

	return syscall(SYS_ioctl, 2, 0x5413 /* TIOCGWINSZ */, size);
}

static const struct attempt hands[] = {
	{.name = "make memory", .call = "memfd_create", .make = hand_make_memory},
	{.name = "shorten a file", .call = "ftruncate", .make = hand_shorten},
	{.name = "seal a file", .call = "fcntl", .make = hand_seal},
	{.name = "change how a descriptor blocks", .call = "fcntl", .make = hand_unblock},
	{.name = "ask for a terminal's size", .call = "ioctl", .make = hand_terminal},
	{.name = "take a connection", .call = "accept4", .make = hand_accept},
};

/* The process that is sealed and tries. */
static _Noreturn void attempt_make(const struct attempt *attempt)
{
	static const struct jail_slot slots[] = {{"OWN_FD", OWN_FD}};
	const uint64_t *arguments = attempt->arguments;
	long result;

	if (jail_watch_violations(-1) < 0 ||
	    (process_filter != NULL && jail_seal_process(process_filter, true) < 0) ||
	    jail_seal_thread(filter, slots, 1) < 0)
		_exit(125);
	jail_serves();
	errno = 0;
	result = attempt->make != NULL ? attempt->make()
				       : syscall(attempt->number, arguments[0], arguments[1], arguments[2],
						 arguments[3], arguments[4], arguments[5]);
	syscall(SYS_exit_group, result == -1 && errno == attempt->error && errno != 0 ? 0
				: result == -1					      ? OTHER_ERROR
										      : NOT_STOPPED);
	_exit(NOT_STOPPED);
}

/* Whether the report names the call, and the filter. */
static bool attempt_reported(const struct attempt *attempt, const char *line)
{
	char expected[128];

	if (attempt->call != NULL)
		snprintf(expected, sizeof(expected), "atoll: main called %s(0x", attempt->call);
	else
		snprintf(expected, sizeof(expected), "atoll: main called system call %u(0x", attempt->number);
	if (strncmp(line, expected, strlen(expected)) != 0)
		return false;
	snprintf(expected, sizeof(expected),
		 "), which %s.policy does not allow; see atoll policy explain %s ", filter->name,
		 filter->name);
	return strstr(line, expected) != NULL;
}

static void attempt_try(const struct attempt *attempt)
{
	char line[1024] = "";
	int output[2], status;
	bool stopped;
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		fail("fork");
	if (pid == 0) {
		dup2(output[1], STDERR_FILENO);
		attempt_make(attempt);
	}
	close(output[1]);
	if (read(output[0], line, sizeof(line) - 1) < 0 || waitpid(pid, &status, 0) < 0)
		fail("wait");
	close(output[0]);
	if (attempt->killed)
		stopped = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	else if (attempt->aborts)
		stopped = WIFEXITED(status) && WEXITSTATUS(status) == JAIL_EXIT_ABORTED &&
			  strncmp(line, "atoll: main aborted (it called ", 31) == 0;
	else if (attempt->error != 0)
		stopped = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	else
		stopped = WIFEXITED(status) && WEXITSTATUS(status) == JAIL_EXIT_VIOLATION &&
			  attempt_reported(attempt, line);
	attempts++;
	if (stopped)
		return;
	failures++;
	printf("%s: %s: wait status %#x, \"%.*s\"\n", filter->name, attempt->name, (unsigned)status,
	       (int)strcspn(line, "\n"), line);
}

/* --- All numbers --- */

/* What abort(3) does to the process itself. That to nobody (0), or by another signal, is an attempt like others. */
static bool call_aborts(unsigned number, const uint64_t arguments[POLICY_ARGUMENTS])
{
	return number == SYS_getpid || number == SYS_gettid ||
	       (number == SYS_rt_sigprocmask &&
		((int)arguments[0] == SIG_BLOCK || (int)arguments[0] == SIG_UNBLOCK)) ||
	       (number == SYS_writev && (int)arguments[0] == STDERR_FILENO);
}

static void try_call(unsigned number, const uint64_t arguments[POLICY_ARGUMENTS])
{
	const char *call = syscall_name(number);
	struct policy_slot_value own = {"OWN_FD", OWN_FD};
	struct policy_verdict verdict =
		policy_evaluate(&policy, AUDIT_ARCH_X86_64, number, arguments, &own, 1);
	struct attempt attempt = {.name = call != NULL ? call : "no call", .call = call, .number = number};

	/* What it may do, it may do: other tests need it. */
	if (verdict.action == POLICY_ALLOW || (number >= UNFILTERED_FIRST && number <= UNFILTERED_LAST))
		return;
	memcpy(attempt.arguments, arguments, sizeof(attempt.arguments));
	attempt.error = verdict.action == POLICY_ERRNO ? verdict.error : 0;
	attempt.killed = verdict.action == POLICY_KILL;
	attempt.aborts = verdict.action == POLICY_TRAP && call_aborts(number, arguments);
	attempt_try(&attempt);
}

static void try_calls(void)
{
	static const uint64_t none[POLICY_ARGUMENTS];

	for (unsigned number = 0; number < syscall_limit() + CALLS_BEYOND; number++)
		try_call(number, none);
	for (unsigned number = 0; number < syscall_limit(); number += 7)
		attempt_try(&(struct attempt){
			.name = "a call of the x32 table", .number = X32_CALL | number, .killed = true});
}

/* --- Other arguments --- */

/* A value that satisfies the condition. */
static uint64_t condition_good(const struct policy_condition *condition)
{
	if (condition->slot != NULL)
		return OWN_FD;
	return condition->differs ? ~condition->value : condition->value;
}

/* One alternative, with each of its arguments one after the other replaced by its neighbours and by what is far off. */
static void try_alternative(unsigned number, const struct policy_alternative *alternative)
{
	uint64_t arguments[POLICY_ARGUMENTS] = {0};

	for (unsigned i = 0; i < alternative->count; i++)
		arguments[alternative->conditions[i].argument] = condition_good(&alternative->conditions[i]);
	for (unsigned i = 0; i < alternative->count; i++) {
		const struct policy_condition *condition = &alternative->conditions[i];
		uint64_t good = arguments[condition->argument];
		const uint64_t others[] = {good + 1,   good - 1,	 ~good,
					   0,	       UINT32_MAX,	 INT32_MIN,
					   UINT64_MAX, condition->value, condition->value ^ UINT32_MAX};

		for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
			arguments[condition->argument] = others[k];
			try_call(number, arguments);
		}
		/* Each bit alone: a mask with a hole lets one of them pass. */
		for (unsigned bit = 0; bit < 64; bit += bit < 32 ? 1 : 5) {
			arguments[condition->argument] = good ^ UINT64_C(1) << bit;
			try_call(number, arguments);
		}
		arguments[condition->argument] = good;
	}
}

static void try_arguments(void)
{
	for (size_t i = 0; i < policy.rule_count; i++) {
		const struct policy_rule *rule = &policy.rules[i];

		for (size_t j = 0; rule->call >= 0 && j < rule->alternative_count; j++)
			try_alternative((unsigned)rule->call, &rule->alternatives[j]);
	}
}

/* --- In the jail --- */

static void find_filters(const char *name)
{
	struct policy_problems problems = {0};
	const char *directory = getenv("ATOLL_POLICY_DIR");
	char process[64];

	filter = seccomp_filter_find(name);
	snprintf(process, sizeof(process), "%.*s.process", (int)strcspn(name, "."), name);
	process_filter = seccomp_filter_find(process);
	if (filter == NULL || directory == NULL || policy_load_any(&policy, directory, name, &problems) < 0) {
		fprintf(stderr, "intruder: no filter %s, or no policy of it in $ATOLL_POLICY_DIR\n", name);
		exit(125);
	}
}

static int run_inside(const char *what, int parent_fd)
{
	const struct jail jail = {.program = "intruder", .parent_fd = parent_fd, .files = 256};

	/* As root of the namespaces it could still. */
	internet_fd = socket(AF_INET, SOCK_STREAM, 0);
	unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	own_fd = memfd_create("own", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (jail_enter(&jail) < 0)
		return 125;
	sibling = fork();
	if (sibling == 0) {
		for (;;)
			pause();
	}
	if (strcmp(what, "attacks") == 0) {
		for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
			attempt_try(&attacks[i]);
	} else if (strcmp(what, "hand") == 0) {
		/* A console has clients. */
		for (size_t i = 0; i < sizeof(hands) / sizeof(hands[0]); i++)
			if (hands[i].make != hand_accept || strcmp(filter->name, "console.main") != 0)
				attempt_try(&hands[i]);
	} else if (strcmp(what, "calls") == 0) {
		try_calls();
	} else {
		try_arguments();
	}
	if (kill(sibling, 0) < 0 || waitpid(sibling, NULL, WNOHANG) != 0) {
		printf("%s: the sibling is gone\n", filter->name);
		failures++;
	}
	printf("%s: %u attempts, %u not stopped\n", filter->name, attempts, failures);
	fflush(stdout);
	return failures == 0 && attempts > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct jail_fork jail;
	siginfo_t info = {0};
	int result;

	if (argc != 3 || (strcmp(argv[2], "attacks") != 0 && strcmp(argv[2], "hand") != 0 &&
			  strcmp(argv[2], "calls") != 0 && strcmp(argv[2], "arguments") != 0)) {
		fprintf(stderr, "Usage: intruder FILTER attacks|hand|calls|arguments\n");
		return 125;
	}
	find_filters(argv[1]);
	result = jail_fork(&jail);
	if (result == 1) {
		jail_fork_done(&jail);
		_exit(run_inside(argv[2], jail.link_fd));
	}
	if (result < 0 || jail_fork_wait(&jail) < 0) {
		fprintf(stderr, "intruder: %s: %s\n", jail.step, strerror(-result));
		return 125;
	}
	waitid(P_PIDFD, (id_t)jail.pidfd, &info, WEXITED);
	return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}
