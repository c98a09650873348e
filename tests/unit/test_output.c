/*
 * The host side of a console: what becomes of output when nobody is there, when the host is slow, and when
 * peers come and go; and that input is neither lost nor read ahead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/fd_passing.h"
#include "common/base/log.h"
#include "common/host/pty.h"
#include "dev-console/output.h"

struct bench {
	struct loop *loop;
	struct console_state state;
	struct output *output;
	char input[65536];
	size_t input_size;
	unsigned inputs;
	unsigned rooms;
};

static void take_input(void *owner)
{
	struct bench *bench = owner;
	const uint8_t *data;
	size_t size;

	bench->inputs++;
	size = output_input(bench->output, sizeof(bench->input) - bench->input_size, &data);
	if (size > 0)
		memcpy(bench->input + bench->input_size, data, size);
	bench->input_size += size;
	output_take(bench->output, size);
	console_state_commit(&bench->state);
}

static void note_room(void *owner)
{
	struct bench *bench = owner;

	bench->rooms++;
}

static const struct output_ops bench_ops = {.input = take_input, .room = note_room};

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	log_set_sink(ignore_log, NULL);
	bench->loop = loop_new();
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	output_free(bench->output);
	console_state_close(&bench->state);
	loop_free(bench->loop);
	free(bench);
	return 0;
}

static void open_output(struct bench *bench, enum output_kind kind, int in_fd, int out_fd)
{
	assert_int_equal(console_state_open(&bench->state, CONSOLE_KIND_SERIAL, -1, false), 0);
	assert_int_equal(output_new(bench->loop, kind, in_fd, out_fd, &bench->state, &bench->output), 0);
	output_set_owner(bench->output, &bench_ops, bench);
}

/* Runs the loop until the condition holds, for two seconds at most. */
#define RUN_UNTIL(bench, condition)                           \
	do {                                                  \
		for (int i = 0; i < 200 && !(condition); i++) \
			loop_run_once((bench)->loop, 10);     \
		assert_true(condition);                       \
	} while (0)

static void write_text(struct bench *bench, const char *text)
{
	output_write(bench->output, text, strlen(text));
	console_state_commit(&bench->state);
	output_flush(bench->output);
}

static void expect_text(int fd, const char *text)
{
	char data[256] = {0};
	size_t size = 0;

	while (size < strlen(text)) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		ssize_t got;

		assert_int_equal(poll(&readable, 1, 2000), 1);
		got = read(fd, data + size, sizeof(data) - 1 - size);
		assert_true(got > 0);
		size += (size_t)got;
	}
	assert_string_equal(data, text);
}

/* --- Streams --- */

static void stream_carries_both_ways(void **state)
{
	struct bench *bench = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	output_write(bench->output, "gathered ", 9);
	assert_true(output_unflushed(bench->output));
	write_text(bench, "and sent");
	assert_false(output_unflushed(bench->output));
	expect_text(pair[0], "gathered and sent");
	assert_int_equal(write(pair[0], "input", 5), 5);
	RUN_UNTIL(bench, bench->input_size == 5);
	assert_memory_equal(bench->input, "input", 5);
	assert_int_equal(output_counters(bench->output)->written, 17);
	assert_int_equal(output_counters(bench->output)->read, 5);
	close(pair[0]);
}

static void stream_input_waits_until_it_is_wanted(void **state)
{
	struct bench *bench = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	output_want_input(bench->output, false);
	assert_int_equal(write(pair[0], "later", 5), 5);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(bench->inputs, 0);
	output_want_input(bench->output, true);
	RUN_UNTIL(bench, bench->input_size == 5);
	close(pair[0]);
}

/* The reader is slow: the buffer fills up, then takes no more; all of it arrives in order. */
static void stream_loses_nothing_to_a_slow_reader(void **state)
{
	struct bench *bench = *state;
	uint32_t next = 0, seen = 0, total = 200000;
	int pair[2], small = 4096;
	bool was_full = false;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	while (seen < total) {
		uint32_t numbers[1000];
		ssize_t got;

		while (next < total && output_room(bench->output) >= sizeof(next)) {
			output_write(bench->output, &next, sizeof(next));
			next++;
		}
		was_full = was_full || output_room(bench->output) < sizeof(next);
		console_state_commit(&bench->state);
		output_flush(bench->output);
		got = recv(pair[0], numbers, sizeof(numbers), MSG_DONTWAIT);
		if (got < 0) {
			loop_run_once(bench->loop, 10);
			continue;
		}
		assert_int_equal(got % 4, 0);
		for (ssize_t i = 0; i < got / 4; i++)
			assert_int_equal(numbers[i], seen++);
	}
	assert_true(was_full);
	assert_true(bench->rooms > 0);
	assert_int_equal(output_counters(bench->output)->dropped, 0);
	close(pair[0]);
}

static void stream_without_a_reader_is_dropped(void **state)
{
	struct bench *bench = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	close(pair[0]);
	write_text(bench, "nobody");
	write_text(bench, "there");
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	assert_int_equal(output_counters(bench->output)->dropped, 11);
	/* The end of input is told once and does not keep the loop busy. */
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_true(bench->inputs <= 1);
}

static void stream_input_may_end_before_output(void **state)
{
	struct bench *bench = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	shutdown(pair[0], SHUT_WR);
	RUN_UNTIL(bench, bench->inputs == 1);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(bench->inputs, 1);
	write_text(bench, "still here");
	expect_text(pair[0], "still here");
	close(pair[0]);
}

static void stream_input_may_be_a_file(void **state)
{
	struct bench *bench = *state;
	int in_fd = memfd_create("input", MFD_CLOEXEC);
	int pair[2];

	assert_int_equal(write(in_fd, "from a file", 11), 11);
	lseek(in_fd, 0, SEEK_SET);
	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	open_output(bench, OUTPUT_STREAM, in_fd, pair[1]);
	RUN_UNTIL(bench, bench->input_size == 11);
	RUN_UNTIL(bench, bench->inputs == 2);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(bench->inputs, 2);
	write_text(bench, "pipe");
	expect_text(pair[0], "pipe");
	close(pair[0]);
}

static void drain_waits_for_the_host_but_not_for_ever(void **state)
{
	static const char data[OUTPUT_BUFFER];
	struct bench *bench = *state;
	int pair[2], small = 4096;
	ssize_t got;
	size_t all = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	open_output(bench, OUTPUT_STREAM, pair[1], pair[1]);
	output_write(bench->output, data, sizeof(data));
	console_state_commit(&bench->state);
	assert_int_equal(output_drain(bench->output, 20), -ETIMEDOUT);
	if (fork() == 0) {
		static char sink[4096];

		close(pair[1]);
		while (all < sizeof(data) && (got = read(pair[0], sink, sizeof(sink))) > 0)
			all += (size_t)got;
		_exit(all == sizeof(data) ? 0 : 1);
	}
	assert_int_equal(output_drain(bench->output, 5000), 0);
	assert_int_equal(output_counters(bench->output)->written, sizeof(data));
	close(pair[0]);
}

/* --- Pseudo-terminals --- */

static int open_pty(struct bench *bench, char name[64])
{
	int master = pty_open(name, 64);

	assert_true(master >= 0);
	open_output(bench, OUTPUT_PTY, master, -1);
	return master;
}

static void pty_without_a_reader_is_dropped(void **state)
{
	static const char data[4096];
	struct bench *bench = *state;
	char name[64];
	uint64_t before;

	open_pty(bench, name);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
		output_write(bench->output, data, sizeof(data));
		console_state_commit(&bench->state);
		output_flush(bench->output);
	}
	assert_int_equal(output_counters(bench->output)->dropped, 100 * sizeof(data));
	/* The hang-up does not keep the loop busy. */
	before = bench->inputs;
	loop_run_once(bench->loop, 1);
	assert_int_equal(bench->inputs, before);
}

static void pty_readers_come_and_go(void **state)
{
	struct bench *bench = *state;
	struct termios settings;
	char name[64];

	open_pty(bench, name);
	for (unsigned round = 0; round < 2; round++) {
		uint64_t dropped;
		int reader;

		write_text(bench, "unseen");
		dropped = output_counters(bench->output)->dropped;
		reader = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(reader >= 0);
		assert_int_equal(tcgetattr(reader, &settings), 0);
		assert_int_equal(settings.c_lflag & (ECHO | ICANON), 0);
		bench->input_size = 0;
		assert_int_equal(write(reader, "typed", 5), 5);
		RUN_UNTIL(bench, bench->input_size == 5);
		write_text(bench, "seen\n");
		expect_text(reader, "seen\n");
		/* Also while its input is not looked at, a reader's end is seen. */
		if (round == 1)
			output_want_input(bench->output, false);
		close(reader);
		RUN_UNTIL(bench, (write_text(bench, "x"), output_counters(bench->output)->dropped > dropped));
	}
}

static void pty_reader_that_stops_makes_the_guest_wait(void **state)
{
	static const char data[4096];
	struct bench *bench = *state;
	char name[64];
	int reader;

	open_pty(bench, name);
	reader = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(write(reader, "x", 1), 1);
	RUN_UNTIL(bench, bench->input_size == 1);
	for (int i = 0; i < 100 && output_room(bench->output) >= sizeof(data); i++) {
		output_write(bench->output, data, sizeof(data));
		console_state_commit(&bench->state);
		output_flush(bench->output);
	}
	assert_true(output_room(bench->output) < sizeof(data));
	assert_int_equal(output_counters(bench->output)->dropped, 0);
	/* It goes away: nobody waits any more. */
	close(reader);
	RUN_UNTIL(bench, output_room(bench->output) == OUTPUT_BUFFER);
	assert_true(bench->rooms > 0);
}

/* --- Files and nothing --- */

static void file_gets_all(void **state)
{
	struct bench *bench = *state;
	int fd = memfd_create("log", MFD_CLOEXEC);
	int check = dup(fd);
	char data[32] = {0};

	open_output(bench, OUTPUT_FILE, -1, fd);
	write_text(bench, "first ");
	output_write(bench->output, "second", 6);
	console_state_commit(&bench->state);
	assert_int_equal(output_drain(bench->output, 0), 0);
	assert_int_equal(pread(check, data, sizeof(data), 0), 12);
	assert_string_equal(data, "first second");
	close(check);
}

static void file_on_a_full_medium_does_not_stop_the_guest(void **state)
{
	struct bench *bench = *state;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	open_output(bench, OUTPUT_FILE, -1, fd);
	write_text(bench, "lost");
	write_text(bench, "too");
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	assert_int_equal(output_counters(bench->output)->dropped, 7);
}

/* --- B5: a file with a bound --- */

struct giver {
	struct bench *bench;
	unsigned asked;
	int answer; /* of full() */
	int next;   /* of await() */
};

static int giver_full(void *owner)
{
	struct giver *giver = owner;

	giver->asked++;
	return giver->answer;
}

static int giver_await(void *owner, int timeout_ms)
{
	struct giver *giver = owner;

	assert_true(timeout_ms > 0);
	if (giver->next < 0)
		return -ETIMEDOUT;
	assert_int_equal(output_replace_file(giver->bench->output, giver->next), 0);
	giver->next = -1;
	return 0;
}

static const struct output_file_ops giver_ops = {giver_full, giver_await};

static void expect_file(int fd, const char *text)
{
	char data[64] = {0};

	assert_int_equal(pread(fd, data, sizeof(data), 0), strlen(text));
	assert_string_equal(data, text);
}

static void file_is_changed_at_its_bound(void **state)
{
	struct bench *bench = *state;
	struct giver giver = {.bench = bench, .next = -1};
	int files[4], checks[4];

	for (size_t i = 0; i < 4; i++) {
		files[i] = memfd_create("log", MFD_CLOEXEC);
		checks[i] = dup(files[i]);
	}
	open_output(bench, OUTPUT_FILE, -1, files[0]);
	output_bound_file(bench->output, 10, &giver_ops, &giver);
	assert_int_equal(output_replace_file(bench->output, files[1]), -EPROTO);
	/* Up to the bound nothing is asked. */
	write_text(bench, "0123456789");
	assert_int_equal(giver.asked, 0);
	write_text(bench, "abcdef");
	assert_int_equal(giver.asked, 1);
	/* What comes meanwhile waits, and it is asked once. */
	write_text(bench, "ghijkl");
	assert_int_equal(giver.asked, 1);
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER - 12);
	assert_int_equal(output_replace_file(bench->output, files[1]), 0);
	assert_int_equal(bench->rooms, 1);
	assert_int_equal(giver.asked, 2);
	expect_file(checks[0], "0123456789");
	expect_file(checks[1], "abcdefghij");
	/* Who drains waits for the answer, and is not called. */
	giver.next = files[2];
	assert_int_equal(output_drain(bench->output, 1000), 0);
	assert_int_equal(bench->rooms, 1);
	expect_file(checks[2], "kl");
	write_text(bench, "mnopqrstuvwxyz");
	assert_int_equal(output_drain(bench->output, 1000), -ETIMEDOUT);
	assert_int_equal(output_counters(bench->output)->dropped, 0);
	assert_int_equal(output_replace_file(bench->output, files[3]), 0);
	expect_file(checks[2], "klmnopqrst");
	expect_file(checks[3], "uvwxyz");
	for (size_t i = 0; i < 4; i++)
		close(checks[i]);
}

static void file_without_a_next_one_is_dropped_and_counted(void **state)
{
	struct bench *bench = *state;
	struct giver giver = {.bench = bench, .next = -1, .answer = -EAGAIN};
	int fd = memfd_create("log", MFD_CLOEXEC), next = memfd_create("log", MFD_CLOEXEC);
	int check = dup(fd), check_next = dup(next);

	open_output(bench, OUTPUT_FILE, -1, fd);
	output_bound_file(bench->output, 4, &giver_ops, &giver);
	/* Who cannot be asked now is asked again. */
	write_text(bench, "01234567");
	assert_int_equal(giver.asked, 1);
	giver.answer = 0;
	RUN_UNTIL(bench, giver.asked == 2);
	assert_int_equal(output_counters(bench->output)->dropped, 0);
	assert_int_equal(output_replace_file(bench->output, -1), 0);
	assert_int_equal(output_counters(bench->output)->dropped, 4);
	/* The guest goes on, and nobody is asked for a while. */
	for (unsigned i = 0; i < 100; i++)
		write_text(bench, "more");
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	assert_int_equal(output_counters(bench->output)->dropped, 404);
	assert_int_equal(giver.asked, 2);
	for (unsigned i = 0; i < 300 && giver.asked == 2; i++) {
		loop_run_once(bench->loop, 0);
		usleep(10000);
		write_text(bench, "x");
	}
	assert_int_equal(giver.asked, 3);
	assert_int_equal(output_replace_file(bench->output, next), 0);
	expect_file(check, "0123");
	expect_file(check_next, "x");
	close(check);
	close(check_next);
}

static void discard_takes_everything(void **state)
{
	struct bench *bench = *state;

	open_output(bench, OUTPUT_DISCARD, -1, -1);
	write_text(bench, "nothing");
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	assert_int_equal(output_drain(bench->output, 0), 0);
	assert_int_equal(output_counters(bench->output)->dropped, 7);
}

/* --- Listeners --- */

static int connect_to(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)address, length), 0);
	return fd;
}

/* Makes a listening output, at a name of the kernel's choosing; the length of its address. */
static socklen_t listen_output(struct bench *bench, struct sockaddr_un *address)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*address);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	assert_int_equal(bind(listener, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)address, &length), 0);
	assert_int_equal(listen(listener, 4), 0);
	open_output(bench, OUTPUT_LISTENER, listener, -1);
	return length;
}

static void socket_clients_come_and_go(void **state)
{
	struct sockaddr_un address;
	struct bench *bench = *state;
	socklen_t length;
	int first, second;

	length = listen_output(bench, &address);
	write_text(bench, "unheard");
	assert_int_equal(output_counters(bench->output)->dropped, 7);

	first = connect_to(&address, length);
	assert_int_equal(write(first, "1", 1), 1);
	RUN_UNTIL(bench, bench->input_size == 1);
	write_text(bench, "to the first");
	expect_text(first, "to the first");
	/* The second one waits, and is heard when the first is gone. */
	second = connect_to(&address, length);
	assert_int_equal(write(second, "2", 1), 1);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(bench->input_size, 1);
	close(first);
	RUN_UNTIL(bench, bench->input_size == 2);
	write_text(bench, "to the second");
	expect_text(second, "to the second");
	/* A client whose input is not looked at, and to whom nothing is said, is still seen to leave. */
	output_want_input(bench->output, false);
	first = connect_to(&address, length);
	assert_int_equal(write(first, "3", 1), 1);
	close(second);
	bench->rooms = 0;
	RUN_UNTIL(bench, bench->rooms > 0);
	output_want_input(bench->output, true);
	RUN_UNTIL(bench, bench->input_size == 3);
	assert_memory_equal(bench->input, "123", 3);
	close(first);
}

/* Fills the buffer behind what the host takes. */
static void fill_up(struct bench *bench)
{
	static const char data[4096];

	for (int i = 0; i < 1000 && output_room(bench->output) >= sizeof(data); i++) {
		output_write(bench->output, data, sizeof(data));
		console_state_commit(&bench->state);
		output_flush(bench->output);
	}
	assert_true(output_room(bench->output) < sizeof(data));
}

/* D2: a client that has said all that it has to say waits for what is said to it. */
static void socket_input_may_end_before_output(void **state)
{
	struct sockaddr_un address;
	struct bench *bench = *state;
	socklen_t length;
	int first, second;

	length = listen_output(bench, &address);
	first = connect_to(&address, length);
	assert_int_equal(write(first, "?", 1), 1);
	shutdown(first, SHUT_WR);
	RUN_UNTIL(bench, bench->inputs >= 2);
	assert_int_equal(bench->input_size, 1);
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	/* The end is told once. */
	assert_int_equal(bench->inputs, 2);
	write_text(bench, "the answer");
	expect_text(first, "the answer");
	assert_int_equal(output_counters(bench->output)->dropped, 0);
	/* It is seen to go while output waits for it, and who waits for room is told. */
	fill_up(bench);
	bench->rooms = 0;
	close(first);
	RUN_UNTIL(bench, bench->rooms > 0);
	assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	/* The next one has its turn. */
	second = connect_to(&address, length);
	assert_int_equal(write(second, "2", 1), 1);
	RUN_UNTIL(bench, bench->input_size == 2);
	close(second);
}

/* D2: whoever notices that a peer has gone, the owner that waits for room is told. */
static void owner_is_told_whoever_notices_the_end(void **state)
{
	struct bench *bench = *state;
	const uint8_t *data;
	char name[64];
	int reader;

	open_pty(bench, name);
	for (unsigned round = 0; round < 3; round++) {
		reader = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(reader >= 0);
		assert_int_equal(write(reader, "x", 1), 1);
		RUN_UNTIL(bench, bench->input_size == round + 1);
		fill_up(bench);
		bench->rooms = 0;
		close(reader);
		if (round == 0) /* who wants input */
			assert_int_equal(output_input(bench->output, 1, &data), 0);
		if (round == 1) /* who has output, and knows of no reason why it should not be taken */
			output_drain(bench->output, 0);
		RUN_UNTIL(bench, bench->rooms > 0);
		assert_int_equal(output_room(bench->output), OUTPUT_BUFFER);
	}
}

int main(void)
{
#define OUTPUT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		OUTPUT_TEST(stream_carries_both_ways),
		OUTPUT_TEST(stream_input_waits_until_it_is_wanted),
		OUTPUT_TEST(stream_loses_nothing_to_a_slow_reader),
		OUTPUT_TEST(stream_without_a_reader_is_dropped),
		OUTPUT_TEST(stream_input_may_end_before_output),
		OUTPUT_TEST(stream_input_may_be_a_file),
		OUTPUT_TEST(drain_waits_for_the_host_but_not_for_ever),
		OUTPUT_TEST(pty_without_a_reader_is_dropped),
		OUTPUT_TEST(pty_readers_come_and_go),
		OUTPUT_TEST(pty_reader_that_stops_makes_the_guest_wait),
		OUTPUT_TEST(file_gets_all),
		OUTPUT_TEST(file_on_a_full_medium_does_not_stop_the_guest),
		OUTPUT_TEST(file_is_changed_at_its_bound),
		OUTPUT_TEST(file_without_a_next_one_is_dropped_and_counted),
		OUTPUT_TEST(discard_takes_everything),
		OUTPUT_TEST(socket_clients_come_and_go),
		OUTPUT_TEST(socket_input_may_end_before_output),
		OUTPUT_TEST(owner_is_told_whoever_notices_the_end),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
