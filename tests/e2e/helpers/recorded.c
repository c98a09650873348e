/*
 * What a program that is run by hand calls while it serves, for `atoll policy cover`: there is no supervisor who could
 * record it (common/jail/jail_record.h).
 *
 *     recorded ROLE RECORD PROGRAM [ARGUMENT...]
 *
 * Traces the main thread of PROGRAM, which must run without its sandbox, from its first wait for events on, and appends
 * a line to RECORD for each call with arguments that were not seen before. ROLE is the policy's name. SIGTERM ends
 * both.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/syscall_names.h"

#define CALLS_MAX 8192

struct call {
	uint64_t number;
	uint64_t arguments[6];
};

static struct call calls[CALLS_MAX];
static size_t call_count;
static volatile sig_atomic_t ended;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "recorded: %s: %s\n", what, strerror(errno));
	exit(125);
}

static void end(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static bool call_is_new(const struct call *call)
{
	for (size_t i = 0; i < call_count; i++)
		if (memcmp(&calls[i], call, sizeof(*call)) == 0)
			return false;
	if (call_count == CALLS_MAX) {
		errno = E2BIG;
		fail("different calls");
	}
	calls[call_count++] = *call;
	return true;
}

/* A name without quotes; a test's is of this tree. */
static void call_record(const struct call *call, const char *role, FILE *record)
{
	const char *name = syscall_name((uint32_t)call->number), *test = getenv("ATOLL_POLICY_TEST");

	if (!call_is_new(call))
		return;
	fprintf(record, "{\"role\": \"%s\", \"call\": \"%s\", \"args\": [", role, name != NULL ? name : "?");
	for (size_t i = 0; i < 6; i++)
		fprintf(record, "%s\"%#" PRIx64 "\"", i > 0 ? ", " : "", call->arguments[i]);
	fprintf(record, "], \"test\": \"%s\"}\n", test != NULL ? test : "");
}

static void stop_look(pid_t pid, const char *role, FILE *record)
{
	static bool serves;
	struct __ptrace_syscall_info info;
	struct call call;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
		fail("PTRACE_GET_SYSCALL_INFO");
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	serves |= info.entry.nr == SYS_epoll_wait || info.entry.nr == SYS_epoll_pwait;
	if (!serves)
		return;
	call.number = info.entry.nr;
	memcpy(call.arguments, info.entry.args, sizeof(call.arguments));
	call_record(&call, role, record);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end}; /* without SA_RESTART: a wait returns */
	FILE *record;
	int status, deliver = 0;
	pid_t pid;

	if (argc < 4) {
		fputs("Usage: recorded ROLE RECORD PROGRAM [ARGUMENT...]\n", stderr);
		return 125;
	}
	record = fopen(argv[2], "ae");
	if (record == NULL)
		fail(argv[2]);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			fail("PTRACE_TRACEME");
		execv(argv[3], &argv[3]);
		fail(argv[3]);
	}
	sigaction(SIGTERM, &action, NULL);
	/* It stops at its exec. */
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0)
		fail("cannot trace");
	while (!ended) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, deliver) < 0)
			fail("PTRACE_SYSCALL");
		if (waitpid(pid, &status, 0) < 0) {
			if (errno == EINTR)
				break;
			fail("waitpid");
		}
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			fprintf(stderr, "recorded: it ended by itself: %#x\n", (unsigned)status);
			return 1;
		}
		deliver = WSTOPSIG(status) & ~0x80;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		deliver = 0;
		stop_look(pid, argv[1], record);
	}
	kill(pid, SIGKILL);
	return fclose(record) == 0 ? 0 : 1;
}
