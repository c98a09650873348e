/*
 * The starter (F6): requests that are none, and descriptors that do not belong to one, are refused and named; what it
 * starts is the caller's child; it ends with its wire, and a caller is not left waiting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "supervisor/vm/starter.h"

/* A program of the name "atoll-blk" that ends at once, with status 0. */
static char folder[] = "/tmp/atoll-test-starter-XXXXXX";

/* The last that was logged. */
static char logged[LOG_TEXT_MAX];
static unsigned logged_count;

static void note_log(const struct log_record *record, void *argument)
{
	(void)argument;
	snprintf(logged, sizeof(logged), "%s", record->text);
	logged_count++;
}

static int seal_nothing(void)
{
	return 0;
}

static int seal_fails(void)
{
	return -ENOSYS;
}

/* Entry 0: a disk without a sandbox; 1: one with limits; 2: one whose program is not there. */
static void table_make(struct starter_table *table)
{
	*table = (struct starter_table){0};
	assert_int_equal(starter_table_add(table, CHILD_ROLE_BLK, "web", "root", false, false), 0);
	assert_int_equal(starter_table_add(table, CHILD_ROLE_BLK, "web", "data", false, true), 0);
	assert_int_equal(starter_table_add(table, CHILD_ROLE_NET, "web", "a", true, false), 0);
}

static int setup(void **state)
{
	char path[64];

	(void)state;
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/atoll-blk", folder);
	log_set_sink(note_log, NULL);
	return symlink("/bin/true", path) < 0 || setenv("ATOLL_LIBEXEC_DIR", folder, 1) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/atoll-blk", folder);
	return unlink(path) < 0 || rmdir(folder) < 0 ? -1 : 0;
}

/* What a start needs, of the right kinds. */
struct ends {
	int control[2], output[2];
};

static void ends_make(struct ends *ends)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->control), 0);
	assert_int_equal(pipe2(ends->output, O_CLOEXEC), 0);
}

static void ends_close(struct ends *ends)
{
	fds_close(ends->control, 2);
	fds_close(ends->output, 2);
}

/* --- Requests --- */

static void refused(const struct starter_table *table, const void *request, size_t size, const int *fds,
		    size_t fd_count, const char *why)
{
	struct starter_reply reply;
	int pidfd;

	starter_answer(table, request, size, fds, fd_count, &reply, &pidfd);
	assert_int_equal(reply.error, -EPROTO);
	assert_int_equal(pidfd, -1);
	assert_int_equal(reply.lost_count, 0);
	assert_non_null(strstr(reply.step, "refuses a request: "));
	if (strstr(reply.step, why) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reply.step, why);
	assert_string_equal(reply.remedy, "this is a fault of Atoll");
}

static void test_requests(void **state)
{
	struct starter_request request = {.kind = STARTER_START};
	struct {
		struct starter_request request;
		char more;
	} longer = {{.kind = STARTER_START}, 0};
	struct starter_table table;
	struct ends ends;

	(void)state;
	table_make(&table);
	ends_make(&ends);
	/* Sizes. */
	for (size_t size = 0; size < sizeof(request); size++)
		refused(&table, &request, size, (int[]){ends.control[1], ends.output[1]}, 2, "another size");
	refused(&table, &longer, sizeof(request) + 1, (int[]){ends.control[1], ends.output[1]}, 2,
		"another size");
	/* Kinds. */
	for (uint32_t kind = 0; kind < 300; kind++) {
		request.kind = kind == 299 ? UINT32_MAX : kind;
		if (kind != STARTER_START && kind != STARTER_LOOK)
			refused(&table, &request, sizeof(request), NULL, 0, "no kind");
	}
	request = (struct starter_request){.kind = STARTER_START, .zero = 1};
	refused(&table, &request, sizeof(request), (int[]){ends.control[1], ends.output[1]}, 2, "no kind");
	/* What is not in the table. */
	request.zero = 0;
	for (unsigned i = 0; i < 2; i++) {
		request.index = i == 0 ? 3 : UINT32_MAX;
		refused(&table, &request, sizeof(request), (int[]){ends.control[1], ends.output[1]}, 2,
			"no such program");
	}
	/* Looks. */
	request = (struct starter_request){.kind = STARTER_LOOK, .pid = 0};
	refused(&table, &request, sizeof(request), NULL, 0, "no such process");
	request.pid = -1;
	refused(&table, &request, sizeof(request), NULL, 0, "no such process");
	request.pid = getpid();
	refused(&table, &request, sizeof(request), ends.control, 1, "do not belong to it");
	ends_close(&ends);
	starter_table_clear(&table);
}

static void test_descriptors(void **state)
{
	struct starter_request request = {.kind = STARTER_START};
	int stream[2], event = eventfd(0, EFD_CLOEXEC), place = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct starter_table table;
	struct ends ends;

	(void)state;
	table_make(&table);
	ends_make(&ends);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	/* Numbers. */
	for (size_t count = 0; count <= 3; count++)
		if (count != 2)
			refused(&table, &request, sizeof(request),
				(int[]){ends.control[1], ends.output[1], place}, count, "another number");
	/* No control wire: a stream, an eventfd, the pipe. */
	for (unsigned i = 0; i < 3; i++)
		refused(&table, &request, sizeof(request),
			(int[]){(int[]){stream[0], event, ends.output[1]}[i], ends.output[1]}, 2,
			"no control wire");
	/* No output: a pipe to read from, a socket, a folder. */
	for (unsigned i = 0; i < 3; i++)
		refused(&table, &request, sizeof(request),
			(int[]){ends.control[1], (int[]){ends.output[0], stream[0], place}[i]}, 2,
			"no pipe to write to");
	/* No cgroup: none at all, a folder, a file in one. */
	request.index = 1;
	refused(&table, &request, sizeof(request), (int[]){ends.control[1], ends.output[1]}, 2,
		"another number");
	for (unsigned i = 0; i < 2; i++)
		refused(&table, &request, sizeof(request),
			(int[]){ends.control[1], ends.output[1], i == 0 ? place : event}, 3, "no cgroup");
	fds_close(stream, 2);
	close(event);
	close(place);
	ends_close(&ends);
	starter_table_clear(&table);
}

/* --- A starter --- */

static void starter_make_one(struct starter **starter)
{
	struct starter_table table;

	table_make(&table);
	assert_int_equal(starter_fork(&table, "atoll-starter: web", seal_nothing, starter), 0);
	starter_table_clear(&table);
	assert_true(starter_pid(*starter) > 0);
}

static int start_one(struct starter *starter, enum child_role role, const char *id, pid_t *pid, int *pidfd,
		     struct spawn_problem *problem)
{
	const struct spawn_limits limits = {UINT64_MAX, UINT64_MAX, -1};
	struct ends ends;
	int result;

	ends_make(&ends);
	result = starter_start(starter, role, id, &limits, ends.control[1], ends.output[1], pid, pidfd,
			       problem);
	ends_close(&ends);
	return result;
}

static void test_starts(void **state)
{
	struct spawn_problem problem;
	struct starter *starter;
	siginfo_t info = {0};
	int pidfd;
	pid_t pid;

	(void)state;
	starter_make_one(&starter);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "root", &pid, &pidfd, &problem), 0);
		/* Ours to wait for, and no other's. */
		assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
		assert_int_equal(info.si_pid, pid);
		assert_int_equal(info.si_code, CLD_EXITED);
		assert_int_equal(info.si_status, 0);
		close(pidfd);
	}
	/* One that is in no table, and one whose program is not there: the starter goes on. */
	assert_int_equal(start_one(starter, CHILD_ROLE_CONSOLE, "x", &pid, &pidfd, &problem), -EINVAL);
	assert_int_equal(start_one(starter, CHILD_ROLE_NET, "a", &pid, &pidfd, &problem), -ENOENT);
	assert_string_equal(problem.step, "");
	assert_string_equal(problem.remedy, "install Atoll as a whole, or set ATOLL_LIBEXEC_DIR");
	/* One that is limited, and has no cgroup. */
	assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "data", &pid, &pidfd, &problem), -EPROTO);
	assert_non_null(strstr(problem.step, "another number of descriptors"));
	assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "root", &pid, &pidfd, &problem), 0);
	assert_int_equal(waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED), 0);
	close(pidfd);
	assert_false(starter_process_is_stopped(starter, getpid()));
	pid = starter_pid(starter);
	starter_free(starter);
	/* It is reaped, and was no child's parent. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(kill(pid, 0), -1);
}

/* The supervisor's end of the wire, which nobody else has a use for. */
static int wire_of_starter(void)
{
	int type;
	socklen_t size = sizeof(type);

	for (int fd = 3; fd < 64; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET)
			return fd;
	fail_msg("there is no wire");
	return -1;
}

/* Packets that are no request, over the wire: each is answered, with nothing kept, and the next is as good as any. */
static void test_wire(void **state)
{
	static char bytes[100000];
	static const size_t sizes[] = {1, 7, 31, 33, 4096, sizeof(bytes)};
	struct spawn_problem problem;
	struct starter_reply reply;
	struct iovec part = {bytes, 0};
	struct starter *starter;
	int wire, fds[10], pidfd;
	size_t none;
	pid_t pid;

	(void)state;
	assert_int_equal(sizeof(struct starter_request), 32);
	starter_make_one(&starter);
	wire = wire_of_starter();
	for (unsigned i = 0; i < 10; i++)
		fds[i] = STDERR_FILENO;
	for (size_t i = 0; i < 3 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Without descriptors, with one more than there may be, with many. */
		size_t fd_count = (size_t[]){0, 4, 10}[i % 3];

		part = (struct iovec){bytes, sizes[i / 3]};
		assert_int_equal(fd_send(wire, &part, 1, fds, fd_count, 0), sizes[i / 3]);
		part = (struct iovec){&reply, sizeof(reply)};
		none = 0;
		assert_int_equal(fd_receive(wire, &part, 1, NULL, &none, 0), sizeof(reply));
		assert_int_equal(reply.error, -EPROTO);
		assert_string_equal(reply.step, "refuses a request: it has another size");
	}
	/* A request that is one, with too many. */
	part = (struct iovec){&(struct starter_request){.kind = STARTER_START},
			      sizeof(struct starter_request)};
	assert_int_equal(fd_send(wire, &part, 1, fds, 10, 0), sizeof(struct starter_request));
	part = (struct iovec){&reply, sizeof(reply)};
	assert_int_equal(fd_receive(wire, &part, 1, NULL, &none, 0), sizeof(reply));
	assert_int_equal(reply.error, -EPROTO);
	assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "root", &pid, &pidfd, &problem), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pidfd);
	starter_free(starter);
}

static void test_looks(void **state)
{
	struct starter *starter;
	pid_t child;
	int status;

	(void)state;
	starter_make_one(&starter);
	child = fork();
	if (child == 0)
		for (;;)
			pause();
	assert_false(starter_process_is_stopped(starter, child));
	kill(child, SIGSTOP);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(starter_process_is_stopped(starter, child));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_false(starter_process_is_stopped(starter, child));
	starter_free(starter);
}

/* A starter that cannot seal itself is none. */
static void test_seal_fails(void **state)
{
	struct starter_table table;
	struct starter *starter;

	(void)state;
	table_make(&table);
	assert_int_equal(starter_fork(&table, "t", seal_fails, &starter), -ENOSYS);
	assert_null(starter);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	starter_table_clear(&table);
}

static void test_is_killed(void **state)
{
	struct spawn_problem problem;
	struct starter *starter;
	int pidfd;
	pid_t pid;

	(void)state;
	starter_make_one(&starter);
	kill(starter_pid(starter), SIGKILL);
	logged_count = 0;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "root", &pid, &pidfd, &problem), -EPIPE);
		assert_int_equal(pidfd, -1);
		assert_string_equal(problem.remedy, "start the VM anew");
		assert_false(starter_process_is_stopped(starter, getpid()));
	}
	assert_int_equal(starter_pid(starter), 0);
	assert_int_equal(logged_count, 1);
	assert_non_null(strstr(logged, "was killed by signal 9 (Killed); no other can be started any more"));
	starter_free(starter);
}

/* Its wire has room for the request, and nobody answers. */
static void test_does_not_answer(void **state)
{
	struct spawn_problem problem;
	struct timespec before, after;
	struct starter *starter;
	int pidfd;
	pid_t pid;

	(void)state;
	starter_make_one(&starter);
	kill(starter_pid(starter), SIGSTOP);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(start_one(starter, CHILD_ROLE_BLK, "root", &pid, &pidfd, &problem), -EPIPE);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec >= 9);
	assert_non_null(strstr(logged, "did not answer in time and was killed"));
	starter_free(starter);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),  cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_starts),	  cmocka_unit_test(test_wire),
		cmocka_unit_test(test_looks),	  cmocka_unit_test(test_seal_fails),
		cmocka_unit_test(test_is_killed), cmocka_unit_test(test_does_not_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
