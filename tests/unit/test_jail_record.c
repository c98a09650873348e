/*
 * Recording (common/jail/jail_record.h), with this test in the supervisor's place: each call of each thread of a child
 * is told on the listener that it sent, and goes on when it was answered; what is sent to the supervisor is not told;
 * and without a supervisor there is no recording.
 *
 * A child tells by its exit status: 0 if everything was as it should be, else the number of the line that found
 * something, less 255s.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/control_wire.h"
#include "common/jail/jail.h"
#include "common/jail/jail_record.h"
#include "common/jail/jail_violation.h"

#define TRY(condition)                                                                               \
	do {                                                                                         \
		if (!(condition)) {                                                                  \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
			_exit(__LINE__ % 255 + 1);                                                   \
		}                                                                                    \
	} while (0)
#define TIMEOUT_MS 10000

/* Kills at getppid(2): installed, it would end the child. */
static const struct sock_filter no_getppid[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct seccomp_filter filter_test = {
	.name = "test.main",
	.instructions = no_getppid,
	.count = sizeof(no_getppid) / sizeof(no_getppid[0]),
};

struct recorded {
	pid_t pid;
	int control; /* ours */
	int listener;
	unsigned told[512]; /* how often, by the call's number */
};

static void recorded_start(struct recorded *recorded, void (*body)(int control))
{
	int control[2];

	*recorded = (struct recorded){.listener = -1};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	recorded->pid = fork();
	assert_true(recorded->pid >= 0);
	if (recorded->pid == 0) {
		close(control[0]);
		TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
		TRY(setenv(JAIL_RECORD_ENV, "1", 1) == 0);
		body(control[1]);
		_exit(0);
	}
	close(control[1]);
	recorded->control = control[0];
}

/* The first message, as the supervisor takes it. */
static void recorded_take_listener(struct recorded *recorded)
{
	struct control_message message;

	assert_int_equal(control_receive_timeout(recorded->control, TIMEOUT_MS, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_RECORDING);
	assert_int_equal(message.fd_count, 1);
	recorded->listener = message.fds[0];
	message.fds[0] = -1;
	control_message_clear(&message);
}

/* Counts and answers one call. False when nobody is left who could call. */
static bool recorded_answer(struct recorded *recorded)
{
	struct pollfd wait = {.fd = recorded->listener, .events = POLLIN};
	struct seccomp_notif notice = {0};
	struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

	assert_int_equal(poll(&wait, 1, TIMEOUT_MS), 1);
	if ((wait.revents & POLLIN) == 0)
		return false;
	if (ioctl(recorded->listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) < 0) {
		assert_int_equal(errno, ENOENT);
		return true;
	}
	if (notice.data.nr >= 0 &&
	    (size_t)notice.data.nr < sizeof(recorded->told) / sizeof(recorded->told[0]))
		recorded->told[notice.data.nr]++;
	answer.id = notice.id;
	ioctl(recorded->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	return true;
}

/* Until the end. Returns the exit status. */
static int recorded_follow(struct recorded *recorded)
{
	int status;

	while (recorded_answer(recorded))
		;
	assert_int_equal(waitpid(recorded->pid, &status, 0), recorded->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void recorded_close(struct recorded *recorded)
{
	close(recorded->control);
	if (recorded->listener >= 0)
		close(recorded->listener);
}

static void *call_in_thread(void *argument)
{
	(void)argument;
	TRY(syscall(SYS_getppid) > 0);
	TRY(syscall(SYS_getppid) > 0);
	return NULL;
}

static int go[2];

static void *wait_and_call(void *argument)
{
	char byte;

	TRY(read(go[0], &byte, 1) == 1);
	return call_in_thread(argument);
}

static void record_and_call(int control)
{
	pthread_t thread;

	TRY(jail_watch_violations(control) == 0);
	TRY(pipe(go) == 0);
	TRY(pthread_create(&thread, NULL, wait_and_call, NULL) == 0);
	TRY(jail_records());
	TRY(jail_seal_process(&filter_test, true) == 0);
	/* The thread's own would hide what it calls: there is one filter, and it tells everything. */
	TRY(jail_seal_thread(&filter_test, NULL, 0) == 0);
	TRY(syscall(SYS_getppid) > 0);
	TRY(control_send_ready(control) == 0);
	TRY(write(go[1], "", 1) == 1);
	TRY(pthread_join(thread, NULL) == 0);
}

static void each_call_of_each_thread_is_told_and_goes_on(void **state)
{
	struct control_message message;
	struct recorded recorded;

	(void)state;
	recorded_start(&recorded, record_and_call);
	recorded_take_listener(&recorded);
	assert_int_equal(recorded_follow(&recorded), 0);
	assert_int_equal(recorded.told[SYS_getppid], 3);
	assert_int_equal(recorded.told[SYS_write], 1);
	assert_true(recorded.told[SYS_exit_group] == 1);
	assert_int_equal(recorded.told[SYS_seccomp], 0);
	/* What goes to the supervisor is not: it would wait for itself. */
	assert_int_equal(recorded.told[SYS_sendmsg], 0);
	assert_int_equal(control_receive_timeout(recorded.control, TIMEOUT_MS, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_READY);
	control_message_clear(&message);
	recorded_close(&recorded);
}

static void send_on_another_socket(int control)
{
	int pair[2];

	TRY(jail_watch_violations(control) == 0);
	TRY(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	TRY(jail_seal_process(&filter_test, true) == 0);
	TRY(control_send_ready(pair[0]) == 0);
}

static void what_is_sent_elsewhere_is_told(void **state)
{
	struct recorded recorded;

	(void)state;
	recorded_start(&recorded, send_on_another_socket);
	recorded_take_listener(&recorded);
	assert_int_equal(recorded_follow(&recorded), 0);
	assert_int_equal(recorded.told[SYS_sendmsg], 1);
	recorded_close(&recorded);
}

/* In memory that both sides see. */
struct attempts {
	_Atomic unsigned made, successes;
};
static struct attempts *attempts;

static void record_and_be_left(int control)
{
	TRY(jail_watch_violations(control) == 0);
	TRY(jail_seal_process(&filter_test, true) == 0);
	/* Nobody listens any more: it cannot even end. */
	for (;;) {
		if (syscall(SYS_open, "/dev/null", O_RDONLY) >= 0 || errno != ENOSYS)
			attempts->successes++;
		syscall(SYS_exit_group, 0);
		attempts->made++;
	}
}

static void a_recorder_that_is_gone_leaves_no_hole(void **state)
{
	struct recorded recorded;
	int status;

	(void)state;
	attempts = mmap(NULL, sizeof(*attempts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(attempts, MAP_FAILED);
	recorded_start(&recorded, record_and_be_left);
	recorded_take_listener(&recorded);
	/* Its own copy of the listener, with which it would wait for itself. */
	assert_true(recorded_answer(&recorded));
	assert_int_equal(recorded.told[SYS_close], 1);
	close(recorded.listener);
	recorded.listener = -1;
	while (attempts->made < 100 && waitpid(recorded.pid, &status, WNOHANG) == 0)
		sched_yield();
	assert_int_equal(attempts->successes, 0);
	assert_int_equal(kill(recorded.pid, SIGKILL), 0);
	assert_int_equal(waitpid(recorded.pid, &status, 0), recorded.pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	munmap(attempts, sizeof(*attempts));
	recorded_close(&recorded);
}

/* A device program by hand has no control wire: the variable means nothing to it, and it is sealed as ever. */
static void seal_by_hand(int control)
{
	(void)control;
	TRY(jail_watch_violations(-1) == 0);
	TRY(!jail_records());
	close(STDERR_FILENO);
	TRY(jail_seal_process(&filter_test, true) == 0);
	syscall(SYS_getppid);
	_exit(99);
}

static void by_hand_nothing_is_recorded(void **state)
{
	struct recorded recorded;
	int status;

	(void)state;
	recorded_start(&recorded, seal_by_hand);
	assert_int_equal(waitpid(recorded.pid, &status, 0), recorded.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), JAIL_EXIT_VIOLATION);
	recorded_close(&recorded);
}

/* Not asked, it does not record either. */
static void seal_unasked(int control)
{
	TRY(unsetenv(JAIL_RECORD_ENV) == 0);
	TRY(jail_watch_violations(control) == 0);
	TRY(!jail_records());
	close(STDERR_FILENO);
	TRY(jail_seal_process(&filter_test, true) == 0);
	syscall(SYS_getppid);
	_exit(99);
}

static void who_was_not_asked_is_sealed(void **state)
{
	struct recorded recorded;
	struct control_message message;
	int status;

	(void)state;
	recorded_start(&recorded, seal_unasked);
	assert_int_equal(waitpid(recorded.pid, &status, 0), recorded.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), JAIL_EXIT_VIOLATION);
	assert_int_equal(control_receive_timeout(recorded.control, TIMEOUT_MS, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_VIOLATION);
	control_message_clear(&message);
	recorded_close(&recorded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_of_each_thread_is_told_and_goes_on),
		cmocka_unit_test(what_is_sent_elsewhere_is_told),
		cmocka_unit_test(a_recorder_that_is_gone_leaves_no_hole),
		cmocka_unit_test(by_hand_nothing_is_recorded),
		cmocka_unit_test(who_was_not_asked_is_sealed),
	};

	return cmocka_run_group_tests_name("jail_record", tests, NULL, NULL);
}
