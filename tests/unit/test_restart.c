/*
 * When a device's process gets a successor, and what answers to heartbeats are a hang.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/vm/heartbeat.h"
#include "supervisor/vm/restart.h"

#define MS     UINT64_C(1000)
#define SECOND UINT64_C(1000000)

/* --- restarts --- */

/* The pause before the successor of one that served for so long, in ms; -1: there is none. */
static int64_t decide(struct restart *restart, uint64_t now_us, uint64_t served_us)
{
	uint64_t delay = 77;

	return restart_decide(restart, now_us, served_us, &delay) ? (int64_t)(delay / MS) : -1;
}

static void test_backoff(void **state)
{
	static const int64_t pauses[] = {0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
	struct restart restart;
	uint64_t now = 1000 * SECOND;

	(void)state;
	assert_int_equal(restart_init(&restart, true, 1000, 50 * MS), 0);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		assert_int_equal(decide(&restart, now, i == 0 ? 3600 * SECOND : 0), pauses[i]);
		now += MS;
	}
	/* Not long enough to be well again; then long enough. */
	assert_int_equal(decide(&restart, now, SECOND - 1), 5000);
	assert_int_equal(decide(&restart, now, SECOND), 0);
	assert_int_equal(decide(&restart, now, 0), 50);
	restart_clear(&restart);
	/* The longest pause that the config allows does not double. */
	assert_int_equal(restart_init(&restart, true, 1000, RESTART_BACKOFF_MAX_US), 0);
	assert_int_equal(decide(&restart, now, 0), 0);
	assert_int_equal(decide(&restart, now, 0), 5000);
	assert_int_equal(decide(&restart, now, 0), 5000);
	restart_clear(&restart);
	/* 3 s doubled is more than 5 s. */
	assert_int_equal(restart_init(&restart, true, 1000, 3 * SECOND), 0);
	assert_int_equal(decide(&restart, now, 0), 0);
	assert_int_equal(decide(&restart, now, 0), 3000);
	assert_int_equal(decide(&restart, now, 0), 5000);
	restart_clear(&restart);
}

static void test_limit(void **state)
{
	struct restart restart;
	uint64_t start = 5 * SECOND;

	(void)state;
	assert_int_equal(restart_init(&restart, true, 3, MS), 0);
	assert_true(decide(&restart, start, SECOND) == 0);
	assert_true(decide(&restart, start + 10 * SECOND, SECOND) == 0);
	assert_true(decide(&restart, start + 20 * SECOND, SECOND) == 0);
	assert_int_equal(restart_recent(&restart, start + 20 * SECOND), 3);
	assert_int_equal(decide(&restart, start + 30 * SECOND, SECOND), -1);
	/* What is refused does not count: the window ends for the first, and then for the second. */
	assert_int_equal(decide(&restart, start + 60 * SECOND - 1, SECOND), -1);
	assert_int_equal(decide(&restart, start + 60 * SECOND, SECOND), 0);
	assert_int_equal(decide(&restart, start + 60 * SECOND, SECOND), -1);
	assert_int_equal(decide(&restart, start + 70 * SECOND, SECOND), 0);
	assert_int_equal(decide(&restart, start + 70 * SECOND, SECOND), -1);
	restart_forgive(&restart);
	for (int i = 0; i < 3; i++)
		assert_true(decide(&restart, start + 70 * SECOND, 0) >= 0);
	assert_int_equal(decide(&restart, start + 70 * SECOND, 0), -1);
	/* A day later all is forgotten. */
	assert_int_equal(restart_recent(&restart, start + 86400 * SECOND), 0);
	restart_clear(&restart);
	assert_int_equal(restart_init(&restart, true, 1, MS), 0);
	assert_int_equal(decide(&restart, start, SECOND), 0);
	assert_int_equal(decide(&restart, start, SECOND), -1);
	restart_clear(&restart);
}

static void test_never(void **state)
{
	struct restart restart;

	(void)state;
	assert_int_equal(restart_init(&restart, false, 10, MS), 0);
	assert_int_equal(decide(&restart, SECOND, 86400 * SECOND), -1);
	restart_forgive(&restart);
	assert_int_equal(decide(&restart, SECOND, 86400 * SECOND), -1);
	restart_clear(&restart);
}

/* --- heartbeats --- */

static void beat(struct heartbeat *heartbeat, uint64_t now_us, uint64_t accepted, uint64_t completed,
		 bool kicked, bool host_io)
{
	Atoll__Control__HeartbeatReply reply = ATOLL__CONTROL__HEARTBEAT_REPLY__INIT;
	uint64_t serial = now_us;

	reply.accepted = accepted;
	reply.completed = completed;
	reply.kicked = kicked;
	reply.host_io = host_io;
	assert_true(heartbeat_due(heartbeat));
	heartbeat_asked(heartbeat, serial, now_us);
	assert_false(heartbeat_due(heartbeat));
	assert_false(heartbeat_answered(heartbeat, serial + 1, &reply, now_us));
	assert_true(heartbeat_answered(heartbeat, serial, &reply, now_us));
	assert_false(heartbeat_answered(heartbeat, serial, &reply, now_us));
}

static bool hangs(const struct heartbeat *heartbeat, uint64_t now_us)
{
	return heartbeat_hangs(heartbeat, 10 * SECOND, now_us) != NULL;
}

static void test_no_answer(void **state)
{
	struct heartbeat heartbeat = {0};

	(void)state;
	assert_false(hangs(&heartbeat, 3600 * SECOND));
	heartbeat_asked(&heartbeat, 1, 100 * SECOND);
	assert_false(hangs(&heartbeat, 110 * SECOND - 1));
	assert_true(hangs(&heartbeat, 110 * SECOND));
	/* It was stopped until now. */
	heartbeat_excuse(&heartbeat, 110 * SECOND);
	assert_false(hangs(&heartbeat, 120 * SECOND - 1));
	assert_true(hangs(&heartbeat, 120 * SECOND));
}

static void test_no_progress(void **state)
{
	struct heartbeat heartbeat = {0};

	(void)state;
	/* Idle for ever, with whatever counts. */
	beat(&heartbeat, 1 * SECOND, 7, 7, false, false);
	beat(&heartbeat, 100 * SECOND, 7, 7, false, false);
	assert_false(hangs(&heartbeat, 200 * SECOND));
	/* One is open and nothing moves. */
	beat(&heartbeat, 200 * SECOND, 8, 7, false, false);
	beat(&heartbeat, 205 * SECOND, 8, 7, false, false);
	assert_false(hangs(&heartbeat, 210 * SECOND - 1));
	assert_true(hangs(&heartbeat, 210 * SECOND));
	/* It moves. */
	beat(&heartbeat, 211 * SECOND, 9, 8, false, false);
	assert_false(hangs(&heartbeat, 215 * SECOND));
	/* The same, but for the host: a slow disk. */
	beat(&heartbeat, 216 * SECOND, 9, 8, false, true);
	beat(&heartbeat, 300 * SECOND, 9, 8, false, true);
	assert_false(hangs(&heartbeat, 900 * SECOND));
	/* The host has done its part: from here on it is the process's. */
	beat(&heartbeat, 901 * SECOND, 9, 8, false, false);
	assert_false(hangs(&heartbeat, 910 * SECOND));
	assert_true(hangs(&heartbeat, 911 * SECOND));
	/* A kick that nobody takes. */
	beat(&heartbeat, 912 * SECOND, 9, 9, true, false);
	beat(&heartbeat, 920 * SECOND, 9, 9, true, false);
	assert_true(hangs(&heartbeat, 922 * SECOND));
	heartbeat_excuse(&heartbeat, 922 * SECOND);
	assert_false(hangs(&heartbeat, 931 * SECOND));
}

static void test_stopped(void **state)
{
	siginfo_t info;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		raise(SIGSTOP);
		for (;;)
			pause();
	}
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WSTOPPED), 0);
	assert_true(process_is_stopped(child));
	kill(child, SIGCONT);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WCONTINUED), 0);
	assert_false(process_is_stopped(child));
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED), 0);
	assert_false(process_is_stopped(child));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff),	    cmocka_unit_test(test_limit),
		cmocka_unit_test(test_never),	    cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_no_progress), cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
