/*
 * Reading filters from living threads: children with filters that are known. Without the right to do so, that is
 * what is tested.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/audit_proc.h"
#include "audit/audit_trace.h"

#define LOAD_NUMBER BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)
#define ALLOW	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static const struct sock_filter outer[] = {LOAD_NUMBER, ALLOW};
static const struct sock_filter inner[] = {LOAD_NUMBER,
					   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ptrace, 0, 1),
					   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), ALLOW};

static void filter_install(const struct sock_filter *instructions, unsigned short count)
{
	struct sock_fprog program = {count, (struct sock_filter *)instructions};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(9);
}

struct child {
	pid_t pid;
	int dir_fd;
	int told[2], order[2]; /* pipes */
};

static void tell(int fd, char byte)
{
	if (write(fd, &byte, 1) != 1)
		_exit(8);
}

static void *child_thread(void *argument)
{
	const struct child *child = argument;

	filter_install(inner, 4);
	prctl(PR_SET_NAME, "queue-0");
	tell(child->told[1], 't');
	for (;;)
		pause();
	return NULL;
}

static volatile sig_atomic_t signals;

static void child_signal(int number)
{
	(void)number;
	signals++;
}

/* Answers each byte with how many signals it has had. */
static _Noreturn void child_serve(const struct child *child)
{
	char byte;
	ssize_t got;

	while ((got = read(child->order[0], &byte, 1)) != 0) {
		if (got < 0)
			continue;
		tell(child->told[1], (char)('0' + signals));
	}
	_exit(0);
}

static char child_ask(struct child *child)
{
	char byte = '?';

	assert_int_equal(write(child->order[1], "?", 1), 1);
	assert_int_equal(read(child->told[0], &byte, 1), 1);
	return byte;
}

/* filters: how many its main thread installs; with a thread that installs another. */
static void child_start(struct child *child, unsigned filters, bool thread)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char byte;

	assert_int_equal(pipe2(child->told, O_CLOEXEC), 0);
	assert_int_equal(pipe2(child->order, O_CLOEXEC), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		pthread_t other;

		close(child->order[1]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGUSR1, child_signal);
		if (filters > 0)
			filter_install(outer, 2);
		if (filters > 1)
			filter_install(inner, 4);
		if (thread)
			pthread_create(&other, NULL, child_thread, child);
		else
			tell(child->told[1], 'm');
		child_serve(child);
	}
	assert_int_equal(read(child->told[0], &byte, 1), 1);
	child->dir_fd = proc_open(proc_fd, child->pid);
	assert_true(child->dir_fd >= 0);
	close(proc_fd);
}

static void child_end(struct child *child)
{
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
	close(child->dir_fd);
	for (unsigned i = 0; i < 2; i++) {
		close(child->told[i]);
		close(child->order[i]);
	}
}

/* "TracerPid:" of a process. */
static int tracer_of(pid_t pid)
{
	char path[32], line[128];
	int tracer = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "TracerPid: %d", &tracer);
	fclose(file);
	return tracer;
}

static bool may_read(const struct child *child)
{
	struct trace_thread trace = {.thread = child->pid};

	assert_int_equal(trace_threads(child->dir_fd, &trace, 1), 0);
	if (trace.result == -EACCES)
		return false;
	trace_filters_free(&trace.filters);
	return true;
}

static void filter_expect(const struct trace_filter *found, const struct sock_filter *wanted, unsigned count)
{
	assert_int_equal(found->count, count);
	assert_memory_equal(found->instructions, wanted, count * sizeof(*wanted));
}

static void test_filters_last_first(void **state)
{
	struct child child;
	struct trace_thread trace = {0};

	(void)state;
	child_start(&child, 2, false);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	trace.thread = child.pid;
	assert_int_equal(trace_threads(child.dir_fd, &trace, 1), 0);
	assert_int_equal(trace.result, 0);
	assert_int_equal(trace.filters.count, 2);
	filter_expect(&trace.filters.filters[0], inner, 4);
	filter_expect(&trace.filters.filters[1], outer, 2);
	trace_filters_free(&trace.filters);
	assert_int_equal(trace.filters.count, 0);
	/* It goes on, and nobody traces it. */
	assert_int_equal(tracer_of(child.pid), 0);
	assert_int_equal(child_ask(&child), '0');
	child_end(&child);
}

static void test_each_thread(void **state)
{
	struct trace_thread traces[2] = {0};
	struct proc_ids threads;
	struct child child;

	(void)state;
	child_start(&child, 1, true);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	assert_int_equal(proc_read_threads(child.dir_fd, &threads), 0);
	assert_int_equal(threads.count, 2);
	for (unsigned i = 0; i < 2; i++)
		traces[i].thread = threads.ids[i];
	proc_ids_free(&threads);
	assert_int_equal(trace_threads(child.dir_fd, traces, 2), 0);
	assert_int_equal(traces[0].result, 0);
	assert_int_equal(traces[0].filters.count, 1);
	filter_expect(&traces[0].filters.filters[0], outer, 2);
	assert_int_equal(traces[1].result, 0);
	assert_int_equal(traces[1].filters.count, 2);
	filter_expect(&traces[1].filters.filters[0], inner, 4);
	for (unsigned i = 0; i < 2; i++)
		trace_filters_free(&traces[i].filters);
	child_end(&child);
}

static void test_no_filter(void **state)
{
	struct trace_thread trace = {0};
	struct child child;

	(void)state;
	child_start(&child, 0, false);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	trace.thread = child.pid;
	assert_int_equal(trace_threads(child.dir_fd, &trace, 1), 0);
	assert_int_equal(trace.result, -ENODATA);
	child_end(&child);
}

/* A thread of another process, and one that has ended. */
static void test_strangers(void **state)
{
	struct trace_thread trace = {0};
	struct child one, other;

	(void)state;
	child_start(&one, 1, false);
	child_start(&other, 1, false);
	if (may_read(&one)) {
		trace.thread = other.pid;
		assert_int_equal(trace_threads(one.dir_fd, &trace, 1), 0);
		assert_int_equal(trace.result, -ESRCH);
		assert_int_equal(tracer_of(other.pid), 0);
		assert_int_equal(child_ask(&other), '0');
	}
	kill(one.pid, SIGKILL);
	waitpid(one.pid, NULL, 0);
	trace.thread = one.pid;
	assert_int_equal(trace_threads(one.dir_fd, &trace, 1), 0);
	assert_int_equal(trace.result, -ESRCH);
	one.pid = 0;
	child_end(&one);
	child_end(&other);
}

static void test_stopped_before(void **state)
{
	struct trace_thread trace = {0};
	struct child child;
	int status;

	(void)state;
	child_start(&child, 1, false);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	/* As SIGTSTP does; it is to be stopped still afterwards. */
	kill(child.pid, SIGSTOP);
	assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
	trace.thread = child.pid;
	assert_int_equal(trace_threads(child.dir_fd, &trace, 1), 0);
	assert_int_equal(trace.result, 0);
	trace_filters_free(&trace.filters);
	kill(child.pid, SIGCONT);
	assert_int_equal(waitpid(child.pid, &status, WCONTINUED), child.pid);
	assert_true(WIFCONTINUED(status));
	assert_int_equal(child_ask(&child), '0');
	child_end(&child);
}

/* A signal that comes while it is read is not lost: many audits, a signal before each. */
static void test_signals_arrive(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, 1, false);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	for (char i = 1; i <= 9; i++) {
		struct trace_thread trace = {.thread = child.pid};

		kill(child.pid, SIGUSR1);
		assert_int_equal(trace_threads(child.dir_fd, &trace, 1), 0);
		assert_int_equal(trace.result, 0);
		trace_filters_free(&trace.filters);
		assert_int_equal(child_ask(&child), '0' + i);
	}
	child_end(&child);
}

/* An audit that is killed at any moment leaves nothing stopped. */
static void test_killed_tracer(void **state)
{
	struct child child;

	(void)state;
	child_start(&child, 2, false);
	if (!may_read(&child)) {
		child_end(&child);
		skip();
	}
	for (unsigned i = 0; i < 20; i++) {
		int ready[2];
		char byte;
		pid_t auditor;

		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		auditor = fork();
		if (auditor == 0) {
			for (;;) {
				struct trace_thread trace = {.thread = child.pid};

				trace_threads(child.dir_fd, &trace, 1);
				trace_filters_free(&trace.filters);
				tell(ready[1], 'r');
			}
		}
		for (unsigned k = 0; k <= i; k++)
			assert_int_equal(read(ready[0], &byte, 1), 1);
		kill(auditor, SIGKILL);
		waitpid(auditor, NULL, 0);
		assert_int_equal(tracer_of(child.pid), 0);
		assert_int_equal(child_ask(&child), '0');
		close(ready[0]);
		close(ready[1]);
	}
	child_end(&child);
}

/* Who wears a filter may not read others': said, not passed. */
static void test_refused(void **state)
{
	struct child child;
	int status;
	pid_t auditor;

	(void)state;
	child_start(&child, 1, false);
	auditor = fork();
	if (auditor == 0) {
		struct trace_thread trace = {.thread = child.pid};

		filter_install(outer, 2);
		if (trace_threads(child.dir_fd, &trace, 1) < 0)
			_exit(2);
		_exit(trace.result == -EACCES && trace.filters.count == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(auditor, &status, 0), auditor);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(child_ask(&child), '0');
	child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filters_last_first), cmocka_unit_test(test_each_thread),
		cmocka_unit_test(test_no_filter),	   cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_stopped_before),	   cmocka_unit_test(test_signals_arrive),
		cmocka_unit_test(test_killed_tracer),	   cmocka_unit_test(test_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("audit_trace", tests, NULL, NULL);
}
