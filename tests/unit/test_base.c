/*
 * The base libraries: what a peer of the control wire can send, what the log makes of hostile text, and that
 * no descriptor stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/control_wire.h"
#include "common/base/escape.h"
#include "common/base/eventfd_wire.h"
#include "common/base/fd_passing.h"
#include "common/base/fd_wait.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/mac.h"
#include "common/base/proc.h"
#include "common/base/sealed_memfd.h"
#include "common/base/socket_path.h"
#include "common/program/child.h"
#include "tests/unit/test_fds.h"

static void make_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

/* --- log --- */

static void log_line_escapes_control_characters(void **state)
{
	struct log_record record = {
		.level = LOG_LEVEL_WARNING,
		.program = "atoll-blk",
		.object = "web/root",
		.text = "a\nb\033[2Jc\177d\xc2\x9b",
	};
	char line[256] = {0};
	int pipe_fds[2];

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	log_write_line(pipe_fds[1], &record);
	assert_true(read(pipe_fds[0], line, sizeof(line) - 1) > 0);
	assert_string_equal(line, "1970-01-01T00:00:00.000000Z warning atoll-blk: web/root: "
				  "a\\x0ab\\x1b[2Jc\\x7fd\\xc2\\x9b\n");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static char captured[LOG_TEXT_MAX + 8];
static unsigned captured_count;

static void capture(const struct log_record *record, void *argument)
{
	(void)argument;
	captured_count++;
	snprintf(captured, sizeof(captured), "%s", record->text);
}

static void log_cuts_long_texts_and_keeps_errno(void **state)
{
	static char text[2 * LOG_TEXT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	log_set_sink(capture, NULL);
	captured_count = 0;
	errno = EBADF;
	log_error("%s", text);
	assert_int_equal(errno, EBADF);
	assert_int_equal(captured_count, 1);
	assert_int_equal(strlen(captured), LOG_TEXT_MAX - 1);
	assert_string_equal(captured + LOG_TEXT_MAX - 4, "...");
	log_debug("below the threshold");
	assert_int_equal(captured_count, 1);
	log_set_sink(NULL, NULL);
}

/* --- the escaper --- */

static void escape_expect(const char *text, size_t length, enum escape_as as, size_t size,
			  const char *expected)
{
	char out[64];

	memset(out, '#', sizeof(out));
	assert_int_equal(escape_text(text, length, as, out, size), strlen(expected));
	assert_string_equal(out, expected);
	if (size < sizeof(out))
		assert_int_equal(out[size], '#');
}

static void escaped_names_are_ascii(void **state)
{
	(void)state;
	escape_expect("blk root", 8, ESCAPE_NAME, 64, "blk root");
	escape_expect("a\nb\033[31m\\", 9, ESCAPE_NAME, 64, "a\\x0ab\\x1b[31m\\x5c");
	escape_expect("\xc2\x9b", 2, ESCAPE_NAME, 64, "\\xc2\\x9b");
	escape_expect("\xc3\xa4", 2, ESCAPE_NAME, 64, "\\xc3\\xa4");
	escape_expect("a\0b", 3, ESCAPE_NAME, 64, "a\\x00b");
	escape_expect("1234567", 7, ESCAPE_NAME, 8, "1234567");
	escape_expect("12345678", 8, ESCAPE_NAME, 8, "1234...");
	escape_expect("\n\n\n", 3, ESCAPE_NAME, 8, "\\x0a...");
	escape_expect("", 0, ESCAPE_NAME, 1, "");
}

/* A2: U+009B begins a terminal's orders as ESC [ does, and what is no UTF-8 may be anything to a terminal. */
static void escaped_text_drives_no_terminal(void **state)
{
	(void)state;
	escape_expect("gr\xc3\xbc\xc3\x9f \\ \xe2\x82\xac \xf0\x9f\x8f\x9d", 17, ESCAPE_TEXT, 64,
		      "gr\xc3\xbc\xc3\x9f \\ \xe2\x82\xac \xf0\x9f\x8f\x9d");
	escape_expect("a\tb\177", 4, ESCAPE_TEXT, 64, "a\\x09b\\x7f");
	/* C1, first and last; U+00A0 is none. */
	escape_expect("\xc2\x80\xc2\x9b[2J\xc2\x9f\xc2\xa0", 11, ESCAPE_TEXT, 64,
		      "\\xc2\\x80\\xc2\\x9b[2J\\xc2\\x9f\xc2\xa0");
	/* Not UTF-8: a C1 by itself, a tail, a head without its tail, too long, a surrogate, too large. */
	escape_expect("\x9b[2J", 4, ESCAPE_TEXT, 64, "\\x9b[2J");
	escape_expect("\xbf.\xc3.\xc3", 5, ESCAPE_TEXT, 64, "\\xbf.\\xc3.\\xc3");
	escape_expect("\xc0\x9b\xe0\x82\x9b", 5, ESCAPE_TEXT, 64, "\\xc0\\x9b\\xe0\\x82\\x9b");
	escape_expect("\xed\xa0\x80\xf4\x90\x80\x80", 7, ESCAPE_TEXT, 64,
		      "\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80");
	escape_expect("\xf0\x80\x80\x9b\xff", 5, ESCAPE_TEXT, 64, "\\xf0\\x80\\x80\\x9b\\xff");
	/* What reorders a line. */
	escape_expect("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8", 9, ESCAPE_TEXT, 64,
		      "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x80\\xa8");
	/* A character is there as a whole, or not. */
	escape_expect("1234\xe2\x82\xac", 7, ESCAPE_TEXT, 7, "123...");
	/* The end is where it is said to be. */
	escape_expect("\xe2\x82\xac", 2, ESCAPE_TEXT, 64, "\\xe2\\x82");
}

/* --- eventfds that a peer has too --- */

/* A3: with O_NONBLOCK cleared, and whatever the count is, neither call waits. */
static void eventfds_of_peers_do_not_wait(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	eventfd_t count;

	(void)state;
	assert_true(fd >= 0);
	alarm(20);
	eventfd_drain(fd);
	eventfd_raise(fd);
	eventfd_raise(fd);
	assert_int_equal(eventfd_read(fd, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	eventfd_raise(fd);
	/* And what was there is taken: the kernel knows RWF_NOWAIT of eventfds. */
	eventfd_drain(fd);
	eventfd_drain(fd);
	eventfd_raise(fd);
	assert_int_equal(eventfd_read(fd, &count), 0);
	assert_int_equal(count, 1);
	alarm(0);
	close(fd);
}

/* --- B5: one record a kind a second --- */

#define SECOND UINT64_C(1000000000)

struct told {
	unsigned calls;
	uint32_t held;
	const char *format;
	unsigned level;
};

static void tell(const struct log_site *site, uint32_t held, void *argument)
{
	struct told *told = argument;

	told->calls++;
	told->held = held;
	told->format = site->format;
	told->level = site->level;
}

static void log_site_lets_one_a_second_through(void **state)
{
	static struct log_site site;
	struct told told = {0};
	uint32_t held = 77;

	(void)state;
	assert_true(log_site_take(&site, NULL, 1, "of %d", 5 * SECOND, &held));
	assert_int_equal(held, 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_false(log_site_take(&site, NULL, 1, "of %d", 5 * SECOND + i, &held));
	/* What is not over is not told. */
	log_site_flush(6 * SECOND - 1, false, tell, &told);
	assert_int_equal(told.calls, 0);
	assert_true(log_site_take(&site, NULL, 1, "of %d", 6 * SECOND, &held));
	assert_int_equal(held, 100000);
	assert_false(log_site_take(&site, NULL, 1, "of %d", 7 * SECOND - 1, &held));
	assert_false(log_site_take(&site, NULL, 1, "of %d", 7 * SECOND - 1, &held));
	log_site_flush(7 * SECOND, false, tell, &told);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.held, 2);
	assert_int_equal(told.level, 1);
	assert_string_equal(told.format, "of %d");
	/* The flush is a record as well: the next second begins with it, and nothing is told twice. */
	assert_false(log_site_take(&site, NULL, 1, "of %d", 7 * SECOND, &held));
	log_site_flush(7 * SECOND, true, tell, &told);
	assert_int_equal(told.calls, 2);
	assert_int_equal(told.held, 1);
	log_site_flush(20 * SECOND, true, tell, &told);
	assert_int_equal(told.calls, 2);
}

static void log_site_keeps_subjects_apart(void **state)
{
	static struct log_site site;
	uint32_t held;

	(void)state;
	assert_true(log_site_take(&site, "disk", 1, "x", SECOND, &held));
	assert_false(log_site_take(&site, "disk", 1, "x", SECOND, &held));
	assert_true(log_site_take(&site, "net", 1, "x", SECOND, &held));
	assert_false(log_site_take(&site, "net", 1, "x", SECOND, &held));
	/* As many subjects as one likes do not make as many records. */
	for (unsigned i = 0, records = 0; i < 10000; i++) {
		char subject[16];

		snprintf(subject, sizeof(subject), "s%u", i);
		records += log_site_take(&site, subject, 1, "x", SECOND, &held);
		assert_true(records <= LOG_SITE_SLOTS);
	}
}

#define SITE_THREADS 4

static struct log_site shared_site;
static _Atomic unsigned shared_records;
static _Atomic uint64_t shared_held;

static void *take_often(void *argument)
{
	uint32_t held;

	for (unsigned i = 0; i < 50000; i++)
		if (log_site_take(&shared_site, NULL, 1, "x", SECOND + i / 10000 * SECOND, &held)) {
			shared_records++;
			shared_held += held;
		}
	return argument;
}

static void add_held(const struct log_site *site, uint32_t held, void *argument)
{
	(void)argument;
	if (site == &shared_site)
		shared_held += held;
}

static void log_site_counts_each_of_many_threads(void **state)
{
	pthread_t threads[SITE_THREADS];

	(void)state;
	for (unsigned i = 0; i < SITE_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_often, NULL), 0);
	for (unsigned i = 0; i < SITE_THREADS; i++)
		pthread_join(threads[i], NULL);
	log_site_flush(100 * SECOND, true, add_held, NULL);
	assert_true(shared_records >= 1 && shared_records <= 5);
	assert_int_equal(shared_records + shared_held, SITE_THREADS * 50000);
}

/* --- fd passing --- */

static void fds_more_than_allowed_are_closed(void **state)
{
	int pair[2], fds[4], received[2] = {-1, -1};
	size_t count = 2;
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	unsigned before;

	(void)state;
	make_pair(pair);
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(fd_send(pair[0], &iov, 1, fds, 4, 0), 1);
	before = count_open_fds();
	assert_int_equal(fd_receive(pair[1], &iov, 1, received, &count, 0), -EPROTO);
	assert_int_equal(count, 0);
	assert_int_equal(count_open_fds(), before);
	fds_close(fds, 4);
	fds_close(pair, 2);
}

static void fds_arrive_in_order_and_close_on_exec(void **state)
{
	int pair[2], fds[3], received[3];
	size_t count = 3;
	char byte = 'x';
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	(void)state;
	make_pair(pair);
	for (int i = 0; i < 3; i++)
		fds[i] = eventfd((unsigned)i + 5, 0);
	assert_int_equal(fd_send(pair[0], &iov, 1, fds, 3, 0), 1);
	assert_int_equal(fd_receive(pair[1], &iov, 1, received, &count, 0), 1);
	assert_int_equal(count, 3);
	for (int i = 0; i < 3; i++) {
		eventfd_t value;

		assert_true(fcntl(received[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(eventfd_read(received[i], &value), 0);
		assert_int_equal(value, i + 5);
	}
	fds_close(received, 3);
	fds_close(fds, 3);
	fds_close(pair, 2);
}

/* --- control wire --- */

static void control_message_travels_with_its_fds(void **state)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__CoreConfigure configure = ATOLL__CONTROL__CORE_CONFIGURE__INIT;
	struct control_message message;
	char cmdline[3000];
	int pair[2], fds[2];

	(void)state;
	make_pair(pair);
	fds[0] = eventfd(0, 0);
	fds[1] = eventfd(0, 0);
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	cmdline[sizeof(cmdline) - 1] = '\0';
	configure.vm = (char *)"web";
	configure.cmdline = cmdline; /* larger than what is built on the stack */
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE;
	envelope.core_configure = &configure;
	assert_int_equal(control_send(pair[0], &envelope, fds, 2), 0);
	assert_int_equal(control_receive_timeout(pair[1], 1000, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_CORE_CONFIGURE);
	assert_string_equal(message.envelope->core_configure->cmdline, cmdline);
	assert_int_equal(message.fd_count, 2);
	control_message_clear(&message);
	fds_close(fds, 2);
	fds_close(pair, 2);
}

/* Each bad packet is refused, and what it brought is closed. */
static void control_receive_refuses_bad_packets(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		size_t fds;
	} packets[] = {
		{"\xff\xff\xff\xff", 4, 1},	/* no protobuf */
		{"\x08\x01", 2, 1},		/* serial only: no body */
		{"\xf2\x01\x00", 3, 1},		/* Ready, but a descriptor that it does not announce */
		{"\x10\x01\xf2\x01\x00", 5, 0}, /* Ready, announcing one that did not come */
		{"\xf2\x01\x7f", 3, 0},		/* a nested length beyond the end */
	};
	int pair[2], fd = eventfd(0, 0);
	unsigned before;

	(void)state;
	make_pair(pair);
	before = count_open_fds();
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		struct iovec iov = {.iov_base = (void *)packets[i].bytes, .iov_len = packets[i].size};
		struct control_message message;

		assert_int_equal(fd_send(pair[0], &iov, 1, &fd, packets[i].fds, 0), packets[i].size);
		assert_int_equal(control_receive(pair[1], &message), -EPROTO);
		assert_null(message.envelope);
		assert_int_equal(message.fd_count, 0);
		assert_int_equal(count_open_fds(), before);
	}
	close(fd);
	fds_close(pair, 2);
}

static void control_receive_refuses_a_huge_packet(void **state)
{
	static char bytes[CONTROL_FRAME_MAX + 1];
	struct control_message message;
	int pair[2];

	(void)state;
	make_pair(pair);
	assert_int_equal(send(pair[0], bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(control_receive(pair[1], &message), -EPROTO);
	fds_close(pair, 2);
}

/* Who ends does not read any more; the kernel tells that first, and once. */
static void control_receive_loses_no_last_words(void **state)
{
	struct control_message message;
	int pair[2];

	(void)state;
	make_pair(pair);
	assert_int_equal(control_send_ready(pair[1]), 0);
	assert_int_equal(control_send_order(pair[0], ATOLL__CONTROL__ORDER__KIND__KIND_START), 0);
	assert_int_equal(control_send_ready(pair[0]), 0);
	close(pair[0]);
	assert_int_equal(control_receive(pair[1], &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_ORDER);
	control_message_clear(&message);
	assert_int_equal(control_receive(pair[1], &message), 1);
	control_message_clear(&message);
	assert_int_equal(control_receive(pair[1], &message), 0);
	close(pair[1]);
}

static void ignore_alarm(int number)
{
	(void)number;
}

static void a_wait_keeps_its_deadline_under_signals(void **state)
{
	const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = ignore_alarm}, before;
	int64_t deadline_ms = clock_ms(CLOCK_MONOTONIC) + 30;
	int pair[2];

	(void)state;
	make_pair(pair);
	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_int_equal(fd_wait_until(pair[1], POLLIN, deadline_ms), -ETIMEDOUT);
	assert_true(clock_ms(CLOCK_MONOTONIC) >= deadline_ms);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
	/* It is over; but what is there is there. */
	assert_int_equal(fd_wait_until(pair[1], POLLIN, 0), -ETIMEDOUT);
	close(pair[0]);
	assert_int_equal(fd_wait_until(pair[1], POLLIN, 0), 0);
	assert_int_equal(fd_wait_until(pair[1], POLLIN, -1), 0);
	close(pair[1]);
}

static void control_receive_tells_the_end(void **state)
{
	struct control_message message;
	int pair[2];

	(void)state;
	make_pair(pair);
	assert_int_equal(control_receive_timeout(pair[1], 1, &message), -ETIMEDOUT);
	close(pair[0]);
	assert_int_equal(control_receive(pair[1], &message), 0);
	assert_int_equal(control_send_ready(pair[1]), -EPIPE);
	close(pair[1]);
}

/* --- child --- */

struct child_fixture {
	struct loop *loop;
	struct child *child;
	int supervisor_fd;
	unsigned shut_downs;
	unsigned messages;
	bool unsettled;
};

static void fixture_shut_down(void *argument)
{
	struct child_fixture *fixture = argument;

	fixture->shut_downs++;
	loop_stop(fixture->loop);
}

static int fixture_message(void *argument, struct control_message *message)
{
	struct child_fixture *fixture = argument;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_LINK_STATE)
		return -EPROTO;
	fixture->messages++;
	loop_stop(fixture->loop);
	return 0;
}

static void fixture_statistics(void *argument, struct child *child)
{
	(void)argument;
	child_counter(child, "reads", 7);
	child_counter(child, "writes", UINT64_MAX);
}

static bool fixture_settled(void *argument)
{
	return !((struct child_fixture *)argument)->unsettled;
}

static const struct child_ops fixture_ops = {
	.shut_down = fixture_shut_down,
	.message = fixture_message,
	.statistics = fixture_statistics,
	.settled = fixture_settled,
};

static void child_set_up(struct child_fixture *fixture)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__DeviceConfigure configure = ATOLL__CONTROL__DEVICE_CONFIGURE__INIT;
	struct control_message message;
	char number[16];
	int pair[2];

	memset(fixture, 0, sizeof(*fixture));
	make_pair(pair);
	fixture->supervisor_fd = pair[0];
	snprintf(number, sizeof(number), "%d", pair[1]);
	setenv(CHILD_CONTROL_FD_ENV, number, 1);
	assert_int_equal(child_attach(&fixture->child), 0);
	assert_null(getenv(CHILD_CONTROL_FD_ENV));
	configure.vm = (char *)"web";
	configure.id = (char *)"root";
	configure.log_level = LOG_LEVEL_INFO;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_DEVICE_CONFIGURE;
	envelope.device_configure = &configure;
	assert_int_equal(control_send(pair[0], &envelope, NULL, 0), 0);
	assert_int_equal(child_configuration(fixture->child, "atoll-blk", &message), 1);
	assert_string_equal(message.envelope->device_configure->id, "root");
	control_message_clear(&message);
	fixture->loop = loop_new();
	assert_non_null(fixture->loop);
	assert_int_equal(child_serve(fixture->child, fixture->loop, &fixture_ops, fixture), 0);
}

static void child_tear_down(struct child_fixture *fixture)
{
	child_free(fixture->child);
	loop_free(fixture->loop);
	if (fixture->supervisor_fd >= 0)
		close(fixture->supervisor_fd);
	log_set_level(LOG_LEVEL_NOTICE);
}

static void child_without_a_wire_was_started_by_hand(void **state)
{
	struct child *child;
	int pipe_fds[2];
	char number[16];

	(void)state;
	unsetenv(CHILD_CONTROL_FD_ENV);
	assert_int_equal(child_attach(&child), -ENOENT);
	setenv(CHILD_CONTROL_FD_ENV, "three", 1);
	assert_int_equal(child_attach(&child), -EBADF);
	assert_int_equal(pipe(pipe_fds), 0);
	snprintf(number, sizeof(number), "%d", pipe_fds[0]);
	setenv(CHILD_CONTROL_FD_ENV, number, 1);
	assert_int_equal(child_attach(&child), -EBADF);
	unsetenv(CHILD_CONTROL_FD_ENV);
	fds_close(pipe_fds, 2);
}

static void child_log_travels_to_the_supervisor(void **state)
{
	struct child_fixture fixture;
	struct control_message message;

	(void)state;
	child_set_up(&fixture);
	log_info("hello %d", 5);
	log_debug("not wanted");
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 1000, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_LOG_RECORD);
	assert_int_equal(message.envelope->log_record->level, LOG_LEVEL_INFO);
	assert_string_equal(message.envelope->log_record->text, "hello 5");
	control_message_clear(&message);
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 1, &message), -ETIMEDOUT);
	child_tear_down(&fixture);
}

/* A supervisor that does not read must not stop a child; what was lost is told once there is room. */
static void child_counts_records_that_did_not_fit(void **state)
{
	struct child_fixture fixture;
	struct control_message message;
	unsigned sent = 0, came = 0, lost = 0;

	(void)state;
	child_set_up(&fixture);
	for (; sent < 5000; sent++)
		log_message(LOG_LEVEL_INFO, "record %u", sent);
	while (control_receive_timeout(fixture.supervisor_fd, 0, &message) == 1) {
		came++;
		control_message_clear(&message);
	}
	assert_true(came > 0 && came < sent);
	log_message(LOG_LEVEL_INFO, "the last");
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 1000, &message), 1);
	assert_int_equal(sscanf(message.envelope->log_record->text, "%u log records lost", &lost), 1);
	assert_int_equal(came + lost, sent);
	control_message_clear(&message);
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 1000, &message), 1);
	assert_string_equal(message.envelope->log_record->text, "the last");
	control_message_clear(&message);
	child_tear_down(&fixture);
}

static void child_answers_statistics(void **state)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__StatisticsRequest request = ATOLL__CONTROL__STATISTICS_REQUEST__INIT;
	struct child_fixture fixture;
	struct control_message message;

	(void)state;
	child_set_up(&fixture);
	envelope.serial = 99;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS_REQUEST;
	envelope.statistics_request = &request;
	assert_int_equal(control_send(fixture.supervisor_fd, &envelope, NULL, 0), 0);
	assert_int_equal(loop_run_once(fixture.loop, 1000), 0);
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 1000, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_STATISTICS);
	assert_int_equal(message.envelope->serial, 99);
	assert_int_equal(message.envelope->statistics->n_counters, 2);
	assert_string_equal(message.envelope->statistics->counters[1]->name, "writes");
	assert_true(message.envelope->statistics->counters[1]->value == UINT64_MAX);
	control_message_clear(&message);
	child_tear_down(&fixture);
}

static void fixture_beat(struct child_fixture *fixture, uint64_t serial)
{
	Atoll__Control__Envelope envelope = ATOLL__CONTROL__ENVELOPE__INIT;
	Atoll__Control__Heartbeat heartbeat = ATOLL__CONTROL__HEARTBEAT__INIT;

	envelope.serial = serial;
	envelope.body_case = ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT;
	envelope.heartbeat = &heartbeat;
	assert_int_equal(control_send(fixture->supervisor_fd, &envelope, NULL, 0), 0);
	assert_int_equal(loop_run_once(fixture->loop, 1000), 0);
}

static void fixture_expect_answer(struct child_fixture *fixture, uint64_t serial)
{
	struct control_message message;

	assert_int_equal(control_receive_timeout(fixture->supervisor_fd, 1000, &message), 1);
	assert_int_equal(message.envelope->body_case, ATOLL__CONTROL__ENVELOPE__BODY_HEARTBEAT_REPLY);
	assert_int_equal(message.envelope->serial, serial);
	control_message_clear(&message);
}

/* D6: the answer to a heartbeat says that what was ordered before it is done. */
static void d6_child_answers_heartbeats_when_all_is_settled(void **state)
{
	struct child_fixture fixture;
	struct control_message message;

	(void)state;
	child_set_up(&fixture);
	fixture_beat(&fixture, 7);
	fixture_expect_answer(&fixture, 7);
	fixture.unsettled = true;
	for (uint64_t serial = 8; serial < 100; serial++)
		fixture_beat(&fixture, serial);
	child_answer_heartbeats(fixture.child);
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 0, &message), -ETIMEDOUT);
	fixture.unsettled = false;
	child_answer_heartbeats(fixture.child);
	for (uint64_t serial = 8; serial < 100; serial++)
		fixture_expect_answer(&fixture, serial);
	/* Once. */
	child_answer_heartbeats(fixture.child);
	assert_int_equal(control_receive_timeout(fixture.supervisor_fd, 0, &message), -ETIMEDOUT);
	/* Those that still wait are nobody's at the end. */
	fixture.unsettled = true;
	fixture_beat(&fixture, 100);
	child_tear_down(&fixture);
}

static void child_shuts_down_once_for_order_and_end(void **state)
{
	struct child_fixture fixture;

	(void)state;
	child_set_up(&fixture);
	assert_int_equal(
		control_send_order(fixture.supervisor_fd, ATOLL__CONTROL__ORDER__KIND__KIND_SHUT_DOWN), 0);
	loop_run(fixture.loop);
	assert_int_equal(fixture.shut_downs, 1);
	close(fixture.supervisor_fd);
	fixture.supervisor_fd = -1;
	loop_run_once(fixture.loop, 100);
	assert_int_equal(fixture.shut_downs, 1);
	child_tear_down(&fixture);
}

static void child_shuts_down_for_what_it_does_not_take(void **state)
{
	struct child_fixture fixture;

	(void)state;
	child_set_up(&fixture);
	assert_int_equal(control_send_ready(fixture.supervisor_fd), 0);
	loop_run(fixture.loop);
	assert_int_equal(fixture.shut_downs, 1);
	assert_int_equal(fixture.messages, 0);
	child_tear_down(&fixture);
}

/* --- loop --- */

static void *wake_from_thread(void *argument)
{
	loop_wake(argument);
	return NULL;
}

static void stop_loop(void *argument)
{
	loop_stop(argument);
}

static void loop_wakes_across_threads_and_fires_timers(void **state)
{
	struct loop *loop = loop_new();
	struct loop_watch *timer;
	pthread_t thread;

	(void)state;
	loop_on_wake(loop, stop_loop, loop);
	assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, loop), 0);
	assert_int_equal(loop_run(loop), 0);
	pthread_join(thread, NULL);
	timer = loop_watch_timer(loop, stop_loop, loop);
	assert_int_equal(loop_timer_arm(timer, 1000), 0);
	assert_int_equal(loop_run(loop), 0);
	loop_unwatch(timer);
	loop_free(loop);
}

struct self_removing {
	struct loop *loop;
	struct loop_watch *watch;
	unsigned calls;
};

static void remove_own_watch(int fd, unsigned events, void *argument)
{
	struct self_removing *self = argument;

	(void)fd;
	assert_int_equal(events, LOOP_READ);
	self->calls++;
	loop_unwatch(self->watch);
	loop_stop(self->loop);
}

static void loop_watch_may_remove_itself_and_pause(void **state)
{
	struct self_removing self = {.loop = loop_new()};
	int fd = eventfd(1, 0);

	(void)state;
	self.watch = loop_watch_fd(self.loop, fd, LOOP_READ, remove_own_watch, &self);
	assert_int_equal(loop_watch_set_events(self.watch, 0), 0);
	loop_run_once(self.loop, 0);
	assert_int_equal(self.calls, 0);
	assert_int_equal(loop_watch_set_events(self.watch, LOOP_READ), 0);
	loop_run(self.loop);
	loop_run_once(self.loop, 0);
	assert_int_equal(self.calls, 1);
	close(fd);
	loop_free(self.loop);
}

/* Issue 9, item 10: one reader of MAC addresses, for the config and for options. */
static void mac_addresses_have_one_form(void **state)
{
	static const char *const others[] = {
		"",
		"52:54:00:12:34",
		"52:54:00:12:34:56:78",
		"52:54:00:12:34:5",
		"52:54:00:12:34:5g",
		"52:54:00:12:34: 5",
		"52:54:00:12:34:+5",
		"52:54:00:12:34:-5",
		"52-54-00-12-34-56",
		"525:4:00:12:34:56",
		"52:54:00:12:34:56 ",
		"0x:54:00:12:34:56",
		"\xb2\xb3:54:00:12:34:56",
	};
	static const uint8_t expected[MAC_SIZE] = {0x52, 0x54, 0x0a, 0xbc, 0xde, 0xff};
	uint8_t mac[MAC_SIZE] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (mac_parse(others[i], mac))
			fail_msg("\"%s\" was taken", others[i]);
	assert_int_equal(mac[0], 0);
	assert_true(mac_parse("52:54:0A:bc:De:fF", mac));
	assert_memory_equal(mac, expected, sizeof(mac));
}

/* Issue 9, item 10: memory that nobody can resize under whoever maps it. */
static void sealed_memory_keeps_its_size(void **state)
{
	struct stat status;
	int fd;

	(void)state;
	assert_int_equal(sealed_memfd_create("test", 8192, &fd), 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, 8192);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 16384), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(fd);
	assert_int_equal(sealed_memfd_create("test", UINT64_MAX, &fd), -EFBIG);
}

static int socket_at(const char *path, int type, bool listens)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listens)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Issue 9, item 10: a socket file is stale only if the kernel says that nobody listens; else it is somebody's. */
static void stale_sockets_are_told_from_others(void **state)
{
	char folder[] = "/tmp/atoll-socket-XXXXXX", path[64], longer[200];
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
	struct sockaddr_un address;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	assert_int_equal(socket_path_look(path, &address), 0);
	assert_string_equal(address.sun_path, path);
	snprintf(longer, sizeof(longer), "%s/%0150d", folder, 0);
	assert_int_equal(socket_path_look(longer, &address), -ENAMETOOLONG);
	snprintf(longer, sizeof(longer), "%s/none/sock", folder);
	assert_int_equal(socket_path_look(longer, &address), 0);
	for (size_t i = 0; i < 3; i++) {
		fd = socket_at(path, types[i], types[i] != SOCK_DGRAM);
		assert_int_equal(socket_path_look(path, &address), -EADDRINUSE);
		close(fd);
		/* A file of it is left, as of a program that was killed. */
		assert_int_equal(socket_path_look(path, &address), 0);
		assert_int_equal(unlink(path), 0);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(socket_path_look(path, &address), -EEXIST);
	unlink(path);
	rmdir(folder);
}

/* Issue 9, item 10: what is read of processes in /proc. */
static void proc_entries_and_names(void **state)
{
	char name[16], cut[4];

	(void)state;
	assert_int_equal(proc_entry_id("1"), 1);
	assert_int_equal(proc_entry_id("4194304"), 4194304);
	assert_int_equal(proc_entry_id("self"), 0);
	assert_int_equal(proc_entry_id(".."), 0);
	assert_int_equal(proc_entry_id(""), 0);
	assert_int_equal(proc_entry_id("12a"), 0);
	assert_int_equal(proc_entry_id("0"), 0);
	assert_int_equal(proc_entry_id("-1"), 0);
	assert_int_equal(proc_entry_id("4294967297"), 0);
	assert_int_equal(proc_entry_id("99999999999999999999999"), 0);
	assert_int_equal(prctl(PR_SET_NAME, "a \033name"), 0);
	assert_int_equal(proc_comm(getpid(), name, sizeof(name)), 0);
	assert_string_equal(name, "a \033name");
	assert_int_equal(proc_comm(getpid(), cut, sizeof(cut)), 0);
	assert_string_equal(cut, "a \033");
	assert_int_equal(proc_comm(INT32_MAX, name, sizeof(name)), -ENOENT);
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_line_escapes_control_characters),
		cmocka_unit_test(escaped_names_are_ascii),
		cmocka_unit_test(escaped_text_drives_no_terminal),
		cmocka_unit_test(eventfds_of_peers_do_not_wait),
		cmocka_unit_test(log_cuts_long_texts_and_keeps_errno),
		cmocka_unit_test(log_site_lets_one_a_second_through),
		cmocka_unit_test(log_site_keeps_subjects_apart),
		cmocka_unit_test(log_site_counts_each_of_many_threads),
		cmocka_unit_test(fds_more_than_allowed_are_closed),
		cmocka_unit_test(fds_arrive_in_order_and_close_on_exec),
		cmocka_unit_test(control_message_travels_with_its_fds),
		cmocka_unit_test(control_receive_refuses_bad_packets),
		cmocka_unit_test(control_receive_refuses_a_huge_packet),
		cmocka_unit_test(control_receive_loses_no_last_words),
		cmocka_unit_test(a_wait_keeps_its_deadline_under_signals),
		cmocka_unit_test(control_receive_tells_the_end),
		cmocka_unit_test(child_without_a_wire_was_started_by_hand),
		cmocka_unit_test(child_log_travels_to_the_supervisor),
		cmocka_unit_test(child_counts_records_that_did_not_fit),
		cmocka_unit_test(child_answers_statistics),
		cmocka_unit_test(d6_child_answers_heartbeats_when_all_is_settled),
		cmocka_unit_test(child_shuts_down_once_for_order_and_end),
		cmocka_unit_test(child_shuts_down_for_what_it_does_not_take),
		cmocka_unit_test(loop_wakes_across_threads_and_fires_timers),
		cmocka_unit_test(loop_watch_may_remove_itself_and_pause),
		cmocka_unit_test(mac_addresses_have_one_form),
		cmocka_unit_test(sealed_memory_keeps_its_size),
		cmocka_unit_test(stale_sockets_are_told_from_others),
		cmocka_unit_test(proc_entries_and_names),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
