/*
 * A device's link in each of its states, given each order that the main thread can give, with a handshake that then
 * ends well or badly: what becomes of the device, what the supervisor is told, and that nothing is kept. The device is
 * ours, so that its handshakes last as long as the test wants. Linked with --wrap=loop_timer_arm, to see what
 * is armed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "tests/unit/test_fds.h"
#include "vmm-core/wire/device_link.h"

enum answer {
	ANSWER_LATER,
	ANSWER_READY,
	ANSWER_REFUSE,
};

static struct {
	struct core core;
	struct device_link link;
	_Atomic int answer;
	_Atomic bool deaf; /* a handshake does not see the end of its wire */
	_Atomic bool greeting;
	_Atomic unsigned handshakes;
	_Atomic unsigned readies;
	_Atomic unsigned leaves;
	bool is_new;  /* what is adopted is no successor */
	bool no_room; /* nor can it be adopted */
	unsigned discards;
	unsigned adoptions;
	int prepared_fd;
	int serving_fd;
	int peers[16];
	unsigned peer_count;
	unsigned reports;
	struct device_report report;
} f;

int __real_loop_timer_arm(struct loop_watch *timer, uint64_t delay_us);
int __wrap_loop_timer_arm(struct loop_watch *timer, uint64_t delay_us);

static uint64_t armed_us;

int __wrap_loop_timer_arm(struct loop_watch *timer, uint64_t delay_us)
{
	armed_us = delay_us;
	return __real_loop_timer_arm(timer, delay_us);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Without the main thread's part. */
#define WAIT_UNTIL(condition)                                    \
	do {                                                     \
		uint64_t deadline_ = now_ms() + 8000;            \
                                                                 \
		while (!(condition) && now_ms() < deadline_)     \
			poll(NULL, 0, 1);                        \
		if (!(condition))                                \
			fail_msg("waited in vain: " #condition); \
	} while (0)

/* With it. */
#define RUN_UNTIL(condition)                                     \
	do {                                                     \
		uint64_t deadline_ = now_ms() + 8000;            \
                                                                 \
		while (!(condition) && now_ms() < deadline_)     \
			loop_run_once(f.core.loop, 1);           \
		if (!(condition))                                \
			fail_msg("waited in vain: " #condition); \
	} while (0)

static enum device_link_state state_now(void)
{
	return device_link_state(&f.link);
}

/* --- The device --- */

static int handshake(void *device, int wire_fd, const char **doing)
{
	struct pollfd wire = {.fd = wire_fd, .events = POLLRDHUP};
	int result = 0;

	(void)device;
	*doing = "as the test wants";
	f.handshakes++;
	f.greeting = true;
	while (result == 0 && f.answer == ANSWER_LATER)
		if (poll(&wire, 1, 1) > 0 && !f.deaf)
			result = -EPIPE;
	if (result == 0 && f.answer == ANSWER_REFUSE)
		result = -EPROTO;
	if (result == 0) {
		f.prepared_fd = wire_fd;
		f.readies++;
	} else {
		close(wire_fd);
	}
	f.greeting = false;
	return result;
}

static void discard(void *device)
{
	(void)device;
	close(f.prepared_fd);
	f.prepared_fd = -1;
	f.discards++;
}

static void adopt(void *device)
{
	(void)device;
	if (f.no_room) {
		device_link_leave(&f.link, "there is no room");
		return;
	}
	f.serving_fd = f.prepared_fd;
	f.prepared_fd = -1;
	f.adoptions++;
	if (f.is_new)
		device_link_join(&f.link);
	else
		device_link_serve(&f.link);
}

static void retire(void *device)
{
	(void)device;
	if (f.serving_fd >= 0)
		close(f.serving_fd);
	f.serving_fd = -1;
}

static void give_up(void *device)
{
	(void)device;
	device_link_failed(&f.link);
}

static void leave(void *device)
{
	(void)device;
	f.leaves++;
}

static const struct device_link_ops ops = {handshake, discard, adopt, retire, give_up, leave};

/* --- The main thread --- */

static void woken(void *argument)
{
	struct device_report told;

	(void)argument;
	device_link_attend(&f.link);
	if (device_link_report(&f.link, &told)) {
		f.report = told;
		f.reports++;
		device_link_reported(&f.link, &told);
	}
}

static int wire_new(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f.peers[f.peer_count++] = pair[1];
	return pair[0];
}

static void begin(void)
{
	memset(&f, 0, sizeof(f));
	f.core.loop = loop_new();
	f.prepared_fd = -1;
	f.serving_fd = wire_new();
	assert_int_equal(device_link_init(&f.link, &f.core, "it", &ops, NULL), 0);
	assert_int_equal(device_link_start(&f.link, f.serving_fd), 0);
	assert_int_equal(device_link_release(&f.link, NULL), 0);
	loop_on_wake(f.core.loop, woken, NULL);
}

static void end(void)
{
	/* The attendant is waited for. */
	f.deaf = false;
	device_link_destroy(&f.link);
	assert_int_equal(f.prepared_fd, -1);
	assert_int_equal(f.readies, f.adoptions + f.discards);
	if (f.serving_fd >= 0)
		close(f.serving_fd);
	for (unsigned i = 0; i < f.peer_count; i++)
		close(f.peers[i]);
	loop_free(f.core.loop);
}

static void call(uint64_t serial)
{
	device_link_attach(&f.link, wire_new(), serial, false);
}

/* --- States --- */

/* Leads there; what is told on the way is forgotten. */
static void go_to(enum device_link_state state)
{
	bool back = state == DEVICE_LINK_FAILED || state == DEVICE_LINK_CALLED_BACK ||
		    state == DEVICE_LINK_GREETING_BACK;

	if (state == DEVICE_LINK_SERVING)
		return;
	shutdown(f.peers[0], SHUT_RDWR);
	RUN_UNTIL(f.reports == 1);
	f.reports = 0;
	if (back)
		device_link_fail(&f.link);
	if (state == DEVICE_LINK_LOST || state == DEVICE_LINK_FAILED)
		return;
	/* For CALLED the attendant has to be elsewhere. */
	f.deaf = state == DEVICE_LINK_CALLED || state == DEVICE_LINK_CALLED_BACK;
	call(1);
	WAIT_UNTIL(f.greeting);
	if (f.deaf) {
		if (back)
			device_link_fail(&f.link);
		call(2);
	}
	if (state == DEVICE_LINK_PREPARED) {
		f.answer = ANSWER_READY;
		WAIT_UNTIL(state_now() == DEVICE_LINK_PREPARED);
	}
}

static const enum device_link_state states[] = {
	DEVICE_LINK_SERVING, DEVICE_LINK_LOST,	   DEVICE_LINK_CALLED,	    DEVICE_LINK_GREETING,
	DEVICE_LINK_FAILED,  DEVICE_LINK_PREPARED, DEVICE_LINK_CALLED_BACK, DEVICE_LINK_GREETING_BACK,
};

/* The attendant is through with what is there for it, and the main thread heard of it. */
static void settle(enum answer answer)
{
	f.deaf = false;
	f.answer = answer;
	RUN_UNTIL(!f.greeting);
	for (unsigned i = 0; i < 20; i++)
		loop_run_once(f.core.loop, 1);
}

static void each_order_in_each_state(void (*try)(enum device_link_state state, enum answer answer))
{
	unsigned before = count_open_fds();

	for (unsigned i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		for (enum answer answer = ANSWER_READY; answer <= ANSWER_REFUSE; answer++) {
			begin();
			go_to(states[i]);
			assert_int_equal(state_now(), states[i]);
			try(states[i], answer);
			end();
			assert_int_equal(count_open_fds(), before);
		}
	}
}

#define SERVING_REPORT ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING
#define BROKEN_REPORT  ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN

static void expect_one(Atoll__Control__DeviceState__Kind kind, uint64_t serial)
{
	RUN_UNTIL(f.reports > 0);
	for (unsigned i = 0; i < 5; i++)
		loop_run_once(f.core.loop, 1);
	assert_int_equal(f.reports, 1);
	assert_int_equal(f.report.kind, kind);
	assert_int_equal(f.report.serial, serial);
}

/* --- Orders --- */

static void try_call(enum device_link_state state, enum answer answer)
{
	unsigned handshakes = f.handshakes;

	f.answer = ANSWER_LATER;
	call(9);
	/* The one that is there goes on to its end, which nobody wants. */
	f.deaf = false;
	RUN_UNTIL(f.handshakes > handshakes);
	f.answer = answer;
	expect_one(answer == ANSWER_READY ? SERVING_REPORT : BROKEN_REPORT, 9);
	if (answer == ANSWER_READY)
		assert_int_equal(state_now(), DEVICE_LINK_SERVING);
	else
		assert_int_equal(state_now(),
				 state == DEVICE_LINK_FAILED ? DEVICE_LINK_FAILED : DEVICE_LINK_LOST);
}

static void a_call(void **state)
{
	(void)state;
	each_order_in_each_state(try_call);
}

static void try_fail(enum device_link_state state, enum answer answer)
{
	(void)state;
	device_link_fail(&f.link);
	assert_int_equal(state_now(), DEVICE_LINK_FAILED);
	settle(answer);
	assert_int_equal(state_now(), DEVICE_LINK_FAILED);
	assert_int_equal(f.reports, 0);
	assert_int_equal(f.adoptions, 0);
	/* And back. */
	f.answer = ANSWER_READY;
	call(9);
	expect_one(SERVING_REPORT, 9);
}

static void giving_up(void **state)
{
	(void)state;
	each_order_in_each_state(try_fail);
}

static void try_cancel(enum device_link_state state, enum answer answer)
{
	device_link_cancel(&f.link, false);
	if (device_link_waits(state))
		assert_false(device_link_park(&f.link));
	settle(answer);
	assert_true(device_link_waits(state) == device_link_waits(state_now()));
	assert_int_equal(f.reports, 0);
	assert_int_equal(f.adoptions, 0);
	assert_int_equal(f.handshakes, state == DEVICE_LINK_SERVING || state == DEVICE_LINK_LOST ||
						       state == DEVICE_LINK_FAILED
					       ? 0
					       : 1);
}

static void the_end_of_the_run(void **state)
{
	(void)state;
	each_order_in_each_state(try_cancel);
}

/* A vCPU that finds the process broken, or found its predecessor so, and says it late. */
static void try_lost(enum device_link_state state, enum answer answer)
{
	bool called = state == DEVICE_LINK_CALLED || state == DEVICE_LINK_CALLED_BACK;
	bool waits = called || state == DEVICE_LINK_GREETING || state == DEVICE_LINK_GREETING_BACK;

	device_link_lost(&f.link, "an access failed", -EPROTO);
	if (state == DEVICE_LINK_SERVING) {
		expect_one(BROKEN_REPORT, 0);
		assert_int_equal(state_now(), DEVICE_LINK_LOST);
		return;
	}
	assert_int_equal(state_now(), state);
	settle(answer);
	if (state == DEVICE_LINK_PREPARED || (waits && answer == ANSWER_READY))
		expect_one(SERVING_REPORT, called ? 2 : 1);
	else if (waits)
		expect_one(BROKEN_REPORT, called ? 2 : 1);
	else
		assert_int_equal(f.reports, 0);
	/* A call is refused to where it came from. */
	if (waits && answer == ANSWER_REFUSE)
		assert_int_equal(state_now(),
				 state == DEVICE_LINK_CALLED_BACK || state == DEVICE_LINK_GREETING_BACK
					 ? DEVICE_LINK_FAILED
					 : DEVICE_LINK_LOST);
}

static void a_loss_that_is_told_late(void **state)
{
	(void)state;
	each_order_in_each_state(try_lost);
}

/* The handshake's time is over: that is the handshake's end, whatever its wire said last, and nobody else's. */
static void try_overdue(enum device_link_state state, enum answer answer)
{
	bool greeting = state == DEVICE_LINK_GREETING || state == DEVICE_LINK_GREETING_BACK;

	loop_timer_arm(f.link.attendant->timer, 1);
	if (!greeting) {
		for (unsigned i = 0; i < 5; i++)
			loop_run_once(f.core.loop, 1);
		assert_int_equal(f.readies, state == DEVICE_LINK_PREPARED);
		settle(answer);
		return;
	}
	expect_one(BROKEN_REPORT, 1);
	assert_non_null(strstr(f.report.detail, "does not answer"));
	assert_int_equal(state_now(),
			 state == DEVICE_LINK_GREETING_BACK ? DEVICE_LINK_FAILED : DEVICE_LINK_LOST);
}

static void a_handshake_that_takes_too_long(void **state)
{
	(void)state;
	each_order_in_each_state(try_overdue);
	begin();
	go_to(DEVICE_LINK_LOST);
	armed_us = 0;
	call(1);
	assert_int_equal(armed_us, DEVICE_LINK_HANDSHAKE_MS * 1000);
	end();
}

static void try_end(enum device_link_state state, enum answer answer)
{
	(void)state;
	/* end() does it. */
	if (f.greeting)
		f.answer = answer;
}

static void the_end_of_the_link(void **state)
{
	(void)state;
	each_order_in_each_state(try_end);
}

/* --- Issue 9, 5: a device that leaves, and one that comes --- */

static void expect_left(const char *why)
{
	struct device_report report;

	RUN_UNTIL(state_now() == DEVICE_LINK_LEFT);
	device_link_report(&f.link, &report);
	if (strstr(report.detail, why) == NULL)
		fail_msg("\"%s\" is not \"%s\"", report.detail, why);
}

static void try_leave(enum device_link_state state, enum answer answer)
{
	armed_us = 0;
	device_link_leave(&f.link, "it is wanted");
	assert_int_equal(armed_us, DEVICE_LINK_HANDSHAKE_MS * 1000);
	/* No vCPU waits, although there is nobody. */
	assert_false(device_link_park(&f.link));
	settle(answer);
	expect_left("it is wanted");
	assert_false(device_link_park(&f.link));
	assert_int_equal(f.leaves, state == DEVICE_LINK_SERVING);
	assert_int_equal(f.reports, 0);
	assert_int_equal(f.adoptions, 0);
	/* What somebody finds late, and the end of the run, change nothing. */
	device_link_lost(&f.link, "an access failed", -EPROTO);
	device_link_cancel(&f.link, true);
	assert_int_equal(state_now(), DEVICE_LINK_LEFT);
}

static void leaving(void **state)
{
	(void)state;
	each_order_in_each_state(try_leave);
}

/* Its end comes before it has left. */
static void try_leave_and_end(enum device_link_state state, enum answer answer)
{
	(void)state;
	device_link_leave(&f.link, NULL);
	if (f.greeting)
		f.answer = answer;
}

static void the_end_of_a_link_that_leaves(void **state)
{
	(void)state;
	each_order_in_each_state(try_leave_and_end);
}

static void begin_new(void)
{
	memset(&f, 0, sizeof(f));
	f.is_new = true;
	f.core.loop = loop_new();
	f.prepared_fd = f.serving_fd = -1;
	assert_int_equal(device_link_invite(&f.link, &f.core, "it", &ops, NULL, wire_new(), 7), 0);
	assert_int_equal(device_link_release(&f.link, NULL), 0);
	loop_on_wake(f.core.loop, woken, NULL);
}

static void count_restarts(void *argument, const char *name, uint64_t value)
{
	if (strcmp(name, "it.restarts") == 0)
		*(uint64_t *)argument += value;
}

static void a_new_one(void **state)
{
	unsigned before = count_open_fds();
	uint64_t restarts = 0;

	(void)state;
	/* It comes, and leaves. */
	begin_new();
	WAIT_UNTIL(f.greeting);
	assert_int_equal(state_now(), DEVICE_LINK_GREETING_NEW);
	f.answer = ANSWER_READY;
	RUN_UNTIL(f.adoptions == 1);
	assert_int_equal(state_now(), DEVICE_LINK_SERVING);
	assert_int_equal(f.link.wire.serial, 7);
	device_link_counters(&f.link, count_restarts, &restarts);
	assert_int_equal(restarts, 0);
	assert_int_equal(f.reports, 0);
	device_link_leave(&f.link, NULL);
	expect_left("");
	assert_int_equal(f.leaves, 1);
	end();
	assert_int_equal(count_open_fds(), before);
	/* It is none. */
	begin_new();
	f.answer = ANSWER_REFUSE;
	expect_left("as the test wants: its process broke the protocol");
	end();
	/* It is too slow. */
	begin_new();
	WAIT_UNTIL(f.greeting);
	loop_timer_arm(f.link.attendant->timer, 1);
	expect_left("its process does not answer");
	end();
	/* There is no room for it. */
	begin_new();
	f.no_room = true;
	f.answer = ANSWER_READY;
	expect_left("there is no room");
	assert_int_equal(f.leaves, 0);
	assert_int_equal(f.discards, 1);
	end();
	/* The run ends, or the link does, before it is greeted to the end. */
	begin_new();
	WAIT_UNTIL(f.greeting);
	device_link_cancel(&f.link, false);
	end();
	begin_new();
	end();
	assert_int_equal(count_open_fds(), before);
}

static unsigned threads(void)
{
	DIR *directory = opendir("/proc/self/task");
	unsigned count = 0;

	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

/* Spare attendants are all there are, and serve one link after the other. */
static void spare_attendants(void **state)
{
	struct device_link links[3];
	struct core core = {.loop = loop_new()};
	unsigned before = threads(), fds;

	(void)state;
	memset(&f, 0, sizeof(f));
	f.answer = ANSWER_REFUSE;
	assert_int_equal(attendants_stock(&core, &device_link_attendance, 2), 0);
	assert_int_equal(attendants_release(&core, NULL), 0);
	assert_int_equal(threads(), before + 2);
	fds = count_open_fds();
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 3; i++) {
			int pair[2], result;

			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
			result = device_link_invite(&links[i], &core, "it", &ops, NULL, pair[0], round);
			close(pair[1]);
			if (i < 2)
				assert_int_equal(result, 0);
			else
				assert_int_equal(result, -ENOSPC);
			if (result < 0)
				close(pair[0]);
		}
		for (unsigned i = 0; i < 2; i++) {
			if (round % 2 == 0)
				WAIT_UNTIL(device_link_state(&links[i]) == DEVICE_LINK_LEFT);
			device_link_destroy(&links[i]);
		}
		assert_int_equal(count_open_fds(), fds);
		assert_int_equal(threads(), before + 2);
	}
	attendants_free(&core);
	assert_int_equal(threads(), before);
	loop_free(core.loop);
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call),
		cmocka_unit_test(giving_up),
		cmocka_unit_test(the_end_of_the_run),
		cmocka_unit_test(a_loss_that_is_told_late),
		cmocka_unit_test(a_handshake_that_takes_too_long),
		cmocka_unit_test(the_end_of_the_link),
		cmocka_unit_test(leaving),
		cmocka_unit_test(the_end_of_a_link_that_leaves),
		cmocka_unit_test(a_new_one),
		cmocka_unit_test(spare_attendants),
	};

	log_set_sink(ignore_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
