/*
 * The serial port as a guest has it: a client of vfio-user on one side, a host stream on the other.
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
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/pty.h"
#include "common/vfio-user/vfio_user_message.h"
#include "dev-console/serial.h"
#include "dev-console/uart16550.h"

struct bench {
	struct loop *loop;
	struct console_state state;
	struct output *output;
	struct serial *serial;
	int client;
	int host;
	int eventfd;
	struct vfio_user_stream replies;
	int end; /* 1 before */
};

static void note_end(void *argument, int error)
{
	((struct bench *)argument)->end = error;
}

/* Runs the loop until the condition holds, for two seconds at most. */
#define RUN_UNTIL(bench, condition)                                 \
	do {                                                        \
		bool holds = condition;                             \
                                                                    \
		for (int turn = 0; turn < 2000 && !holds; turn++) { \
			loop_run_once((bench)->loop, 1);            \
			holds = condition;                          \
		}                                                   \
		assert_true(holds);                                 \
	} while (0)

static struct vfio_user_message call(struct bench *bench, uint16_t command, const void *payload, size_t size,
				     const int *fds, size_t fd_count)
{
	struct vfio_user_header header = {.command = command};
	struct vfio_user_message message;
	int whole = 0;

	assert_int_equal(vfio_user_send(bench->client, &header, payload, size, NULL, 0, fds, fd_count), 0);
	for (int i = 0; i < 1000 && whole == 0; i++) {
		loop_run_once(bench->loop, 1);
		if (vfio_user_stream_receive(&bench->replies, MSG_DONTWAIT) > 0)
			whole = vfio_user_stream_next(&bench->replies, &message);
	}
	assert_int_equal(whole, 1);
	assert_int_equal(message.header.flags, VFIO_USER_FLAG_TYPE_REPLY);
	return message;
}

static uint8_t get(struct bench *bench, uint64_t offset)
{
	struct vfio_user_region_access access = {.offset = offset, .count = 1};
	struct vfio_user_message message =
		call(bench, VFIO_USER_REGION_READ, &access, sizeof(access), NULL, 0);

	return message.payload[sizeof(access)];
}

/* Posted, and not looked after. */
static void put(struct bench *bench, uint64_t offset, uint8_t value)
{
	struct vfio_user_header header = {.command = VFIO_USER_REGION_WRITE,
					  .flags = VFIO_USER_FLAG_NO_REPLY};
	struct vfio_user_region_access access = {.offset = offset, .count = 1};

	while (vfio_user_send(bench->client, &header, &access, sizeof(access), &value, 1, NULL, 0) == -EAGAIN)
		loop_run_once(bench->loop, 0);
}

static unsigned interrupts(struct bench *bench)
{
	eventfd_t count = 0;

	eventfd_read(bench->eventfd, &count);
	return (unsigned)count;
}

static void ignore_log(const struct log_record *record, void *argument)
{
	(void)record;
	(void)argument;
}

/* The host's side is `host`, and what the output has of it `output_fd`. */
static int set_up_on(void **state, enum output_kind kind, int host, int output_fd)
{
	struct vfio_user_version version = {.major = VFIO_USER_VERSION_MAJOR,
					    .minor = VFIO_USER_VERSION_MINOR};
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
					.count = 1};
	struct bench *bench = calloc(1, sizeof(*bench));
	int wire[2];

	log_set_sink(ignore_log, NULL);
	bench->end = 1;
	bench->loop = loop_new();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, wire), 0);
	bench->host = host;
	bench->client = wire[0];
	bench->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(console_state_open(&bench->state, CONSOLE_KIND_SERIAL, -1, false), 0);
	assert_int_equal(output_new(bench->loop, kind, output_fd, output_fd, &bench->state, &bench->output),
			 0);
	assert_int_equal(serial_new(bench->loop, bench->output, &bench->state, &bench->serial), 0);
	assert_int_equal(serial_start(bench->serial, wire[1], note_end, bench), 0);
	assert_int_equal(vfio_user_stream_init(&bench->replies, bench->client, 8192), 0);
	call(bench, VFIO_USER_VERSION, &version, sizeof(version), NULL, 0);
	call(bench, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), &bench->eventfd, 1);
	put(bench, UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_TRIGGER_8);
	*state = bench;
	return 0;
}

static int set_up(void **state)
{
	int host[2], small = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, host), 0);
	setsockopt(host[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return set_up_on(state, OUTPUT_STREAM, host[0], host[1]);
}

static char pty_name[64];

static int open_reader(void)
{
	int reader = open(pty_name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	assert_true(reader >= 0);
	return reader;
}

static int set_up_pty(void **state)
{
	int master = pty_open(pty_name, sizeof(pty_name));

	assert_true(master >= 0);
	return set_up_on(state, OUTPUT_PTY, open_reader(), master);
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	serial_free(bench->serial);
	output_free(bench->output);
	console_state_close(&bench->state);
	vfio_user_stream_clear(&bench->replies);
	close(bench->client);
	close(bench->host);
	close(bench->eventfd);
	loop_free(bench->loop);
	free(bench);
	return 0;
}

static void expect_output(struct bench *bench, const char *text)
{
	char data[256] = {0};
	size_t size = 0;

	for (int i = 0; i < 2000 && size < strlen(text); i++) {
		ssize_t got = recv(bench->host, data + size, sizeof(data) - 1 - size, MSG_DONTWAIT);

		size += got > 0 ? (size_t)got : 0;
		loop_run_once(bench->loop, 1);
	}
	assert_string_equal(data, text);
}

/* --- Output --- */

static void polled_output_arrives(void **state)
{
	struct bench *bench = *state;

	for (const char *c = "hello, polling\n"; *c != '\0'; c++) {
		put(bench, UART16550_THR, (uint8_t)*c);
		assert_int_equal(get(bench, UART16550_LSR), UART16550_LSR_THRE | UART16550_LSR_TEMT);
	}
	expect_output(bench, "hello, polling\n");
	/* Also if the guest never looks again. */
	put(bench, UART16550_THR, '!');
	expect_output(bench, "!");
}

/* One interrupt for a FIFO's worth, and not one a character. */
static void interrupt_driven_output_costs_few_interrupts(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_MCR, UART16550_MCR_OUT2);
	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	assert_int_equal(get(bench, UART16550_IIR) & 0x0f, UART16550_IIR_THRE);
	assert_int_equal(interrupts(bench), 1);
	for (int i = 0; i < 16; i++)
		put(bench, UART16550_THR, (uint8_t)('a' + i));
	expect_output(bench, "abcdefghijklmnop");
	assert_int_equal(interrupts(bench), 1);
	assert_int_equal(get(bench, UART16550_IIR) & 0x0f, UART16550_IIR_THRE);
	/* Fewer are told too, a little later. */
	put(bench, UART16550_THR, 'q');
	expect_output(bench, "q");
	assert_int_equal(interrupts(bench), 1);
	assert_int_equal(serial_counters(bench->serial).interrupts, 3);
}

static void output_without_fifos_interrupts_each_character(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_FCR, 0);
	put(bench, UART16550_MCR, UART16550_MCR_OUT2);
	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	/* The driver does not even read IIR. */
	for (unsigned i = 0; i < 5; i++) {
		RUN_UNTIL(bench, interrupts(bench) == 1);
		put(bench, UART16550_THR, (uint8_t)('a' + i));
	}
	expect_output(bench, "abcde");
}

/* The host takes nothing: THRE stays clear and the guest waits; later all of it arrives. */
static void slow_host_makes_the_guest_wait(void **state)
{
	struct bench *bench = *state;
	uint32_t written = 0, seen = 0;

	while (get(bench, UART16550_LSR) & UART16550_LSR_THRE) {
		for (int i = 0; i < 16; i++)
			put(bench, UART16550_THR, (uint8_t)(written++ * 7));
		assert_true(written < 1000000);
	}
	assert_true(written > OUTPUT_BUFFER);
	/* It does not get ready by itself, */
	for (int i = 0; i < 5; i++)
		loop_run_once(bench->loop, 1);
	assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_THRE, 0);
	/* and what is written in spite of it is lost, as on the chip, and counted. */
	while (serial_counters(bench->serial).lost == 0) {
		put(bench, UART16550_THR, (uint8_t)(written * 7));
		get(bench, UART16550_SCR);
		if (serial_counters(bench->serial).lost == 0)
			written++;
	}
	put(bench, UART16550_MCR, UART16550_MCR_OUT2);
	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	get(bench, UART16550_SCR);
	assert_int_equal(interrupts(bench), 0);
	while (seen < written) {
		uint8_t data[4096];
		ssize_t got = recv(bench->host, data, sizeof(data), MSG_DONTWAIT);

		for (ssize_t i = 0; i < got; i++)
			assert_int_equal(data[i], (uint8_t)(seen++ * 7));
		loop_run_once(bench->loop, 1);
	}
	assert_int_equal(interrupts(bench), 1);
	assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_THRE, UART16550_LSR_THRE);
}

/* Reads what the reader of the pty gets until this character comes; false: none does. */
static bool reader_gets(struct bench *bench, char wanted)
{
	for (int i = 0; i < 2000; i++) {
		char data[4096];
		ssize_t got = read(bench->host, data, sizeof(data));

		if (got > 0 && memchr(data, wanted, (size_t)got) != NULL)
			return true;
		loop_run_once(bench->loop, 1);
	}
	return false;
}

/* What the reader of the pty has got is of no interest. */
static bool read_away(struct bench *bench)
{
	char data[4096];

	return read(bench->host, data, sizeof(data)) > 0;
}

/* D2: a reader goes, without having read what there was, or in the middle of its own words; the next one gets answers. */
static void reader_that_goes_does_not_keep_the_guest(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_MCR, UART16550_MCR_OUT2 | UART16550_MCR_RTS);
	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	for (unsigned round = 0; round < 4; round++) {
		static const char paste[4096] = {'p'};
		unsigned written = 0;

		/* It talks, in every other round without end. */
		while (write(bench->host, round & 1 ? paste : "?", round & 1 ? sizeof(paste) : 1) > 0 &&
		       round & 1)
			;
		RUN_UNTIL(bench, get(bench, UART16550_LSR) & UART16550_LSR_DR);
		if (!(round & 1))
			get(bench, UART16550_RBR);
		while (get(bench, UART16550_LSR) & UART16550_LSR_THRE) {
			for (int i = 0; i < 16; i++)
				put(bench, UART16550_THR, '.');
			assert_true(++written < 100000);
		}
		interrupts(bench);
		close(bench->host);
		if (round < 2)
			RUN_UNTIL(bench, get(bench, UART16550_LSR) & UART16550_LSR_THRE);
		/* The next one comes then, or before anybody has noticed. */
		bench->host = open_reader();
		assert_int_equal(write(bench->host, "?", 1), 1);
		for (int i = 0; i < 100000 && get(bench, UART16550_RBR) != '?'; i++)
			read_away(bench);
		RUN_UNTIL(bench, !read_away(bench) && get(bench, UART16550_LSR) & UART16550_LSR_THRE);
		assert_true(interrupts(bench) > 0);
		put(bench, UART16550_THR, '!');
		assert_true(reader_gets(bench, '!'));
	}
}

static void stop_takes_the_last_words(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	for (const char *c = "last words"; *c != '\0'; c++)
		put(bench, UART16550_THR, (uint8_t)*c);
	serial_stop(bench->serial);
	assert_int_equal(output_drain(bench->output, 1000), 0);
	expect_output(bench, "last words");
}

static void end_of_the_client_keeps_the_last_words(void **state)
{
	struct bench *bench = *state;

	for (const char *c = "posted"; *c != '\0'; c++)
		put(bench, UART16550_THR, (uint8_t)*c);
	shutdown(bench->client, SHUT_WR);
	RUN_UNTIL(bench, bench->end == 0);
	expect_output(bench, "posted");
}

/* --- Input --- */

static void input_waits_until_the_guest_listens(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(write(bench->host, "early", 5), 5);
	/* Drivers set up, loop back, and empty the FIFOs. */
	for (int i = 0; i < 10; i++) {
		put(bench, UART16550_MCR, UART16550_MCR_LOOP | UART16550_MCR_RTS | UART16550_MCR_OUT2);
		assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_DR, 0);
		put(bench, UART16550_MCR, 0);
		put(bench, UART16550_IER, 0x0f);
		put(bench, UART16550_IER, 0);
		put(bench, UART16550_FCR,
		    UART16550_FCR_ENABLE | UART16550_FCR_CLEAR_RX | UART16550_FCR_TRIGGER_8);
		assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_DR, 0);
	}
	put(bench, UART16550_IER, UART16550_IER_ERBFI);
	put(bench, UART16550_MCR, UART16550_MCR_DTR | UART16550_MCR_RTS | UART16550_MCR_OUT2);
	RUN_UNTIL(bench, interrupts(bench) == 1);
	assert_int_equal(get(bench, UART16550_IIR) & 0x0f, UART16550_IIR_TIMEOUT);
	for (const char *c = "early"; *c != '\0'; c++)
		assert_int_equal(get(bench, UART16550_RBR), *c);
	assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_DR, 0);
}

static void input_reaches_a_guest_that_only_polls(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(write(bench->host, "x", 1), 1);
	RUN_UNTIL(bench, get(bench, UART16550_LSR) & UART16550_LSR_DR);
	assert_int_equal(get(bench, UART16550_RBR), 'x');
}

/* A driver that reads as long as LSR says that there is more, woken by interrupts alone. */
static void input_at_full_speed_is_not_lost(void **state)
{
	struct bench *bench = *state;
	uint32_t sent = 0, seen = 0, total = 50000;

	put(bench, UART16550_IER, UART16550_IER_ERBFI);
	put(bench, UART16550_MCR, UART16550_MCR_RTS | UART16550_MCR_OUT2);
	while (seen < total) {
		uint8_t data[512];

		for (uint32_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)((sent + i) * 13);
		if (sent < total) {
			ssize_t put_in =
				send(bench->host, data,
				     total - sent < sizeof(data) ? total - sent : sizeof(data), MSG_DONTWAIT);

			sent += put_in > 0 ? (uint32_t)put_in : 0;
		}
		RUN_UNTIL(bench, interrupts(bench) > 0);
		while (get(bench, UART16550_LSR) & UART16550_LSR_DR)
			assert_int_equal(get(bench, UART16550_RBR), (uint8_t)(seen++ * 13));
	}
	assert_int_equal(seen, total);
	assert_int_equal(get(bench, UART16550_LSR) & UART16550_LSR_OE, 0);
}

/* A driver that reads one character an interrupt: each must make an edge, or it waits for ever. */
static void input_one_character_an_interrupt(void **state)
{
	struct bench *bench = *state;
	const char *text = "a few more characters than one FIFO takes";

	put(bench, UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_TRIGGER_1);
	put(bench, UART16550_IER, UART16550_IER_ERBFI);
	put(bench, UART16550_MCR, UART16550_MCR_RTS | UART16550_MCR_OUT2);
	put(bench, UART16550_FCR, 0);
	assert_int_equal(write(bench->host, text, strlen(text)), strlen(text));
	for (; *text != '\0'; text++) {
		RUN_UNTIL(bench, interrupts(bench) > 0);
		assert_int_equal(get(bench, UART16550_RBR), *text);
	}
}

static void timeout_comes_again_for_the_rest(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_IER, UART16550_IER_ERBFI);
	put(bench, UART16550_MCR, UART16550_MCR_RTS | UART16550_MCR_OUT2);
	assert_int_equal(write(bench->host, "abc", 3), 3);
	for (const char *c = "abc"; *c != '\0'; c++) {
		RUN_UNTIL(bench, interrupts(bench) == 1);
		assert_int_equal(get(bench, UART16550_IIR) & 0x0f, UART16550_IIR_TIMEOUT);
		assert_int_equal(get(bench, UART16550_RBR), *c);
	}
}

static void cleared_fifo_is_filled_again(void **state)
{
	static const char text[] = "0123456789abcdefghij";
	struct bench *bench = *state;

	put(bench, UART16550_MCR, UART16550_MCR_RTS);
	assert_int_equal(write(bench->host, text, 20), 20);
	RUN_UNTIL(bench, get(bench, UART16550_LSR) & UART16550_LSR_DR);
	put(bench, UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_CLEAR_RX | UART16550_FCR_TRIGGER_8);
	RUN_UNTIL(bench, get(bench, UART16550_LSR) & UART16550_LSR_DR);
	assert_int_equal(get(bench, UART16550_RBR), 'g');
}

/* --- The rest --- */

static void reset_puts_the_uart_back(void **state)
{
	struct bench *bench = *state;

	put(bench, UART16550_SCR, 0x55);
	put(bench, UART16550_THR, 'x');
	call(bench, VFIO_USER_DEVICE_RESET, NULL, 0, NULL, 0);
	assert_int_equal(get(bench, UART16550_SCR), 0);
	assert_int_equal(get(bench, UART16550_IIR), UART16550_IIR_NONE);
	expect_output(bench, "x");
}

static void wide_accesses_are_registers_in_a_row(void **state)
{
	struct vfio_user_region_access access = {.offset = UART16550_LSR, .count = 3};
	struct vfio_user_message message;
	struct bench *bench = *state;

	put(bench, UART16550_SCR, 0xa5);
	message = call(bench, VFIO_USER_REGION_READ, &access, sizeof(access), NULL, 0);
	assert_int_equal(message.payload[sizeof(access)], 0x60);
	assert_int_equal(message.payload[sizeof(access) + 1] & 0xf0, 0xb0);
	assert_int_equal(message.payload[sizeof(access) + 2], 0xa5);
	assert_int_equal(serial_counters(bench->serial).register_reads, 1);
	assert_int_equal(serial_counters(bench->serial).register_writes, 2);
}

static void line_that_is_up_is_told_to_a_new_eventfd(void **state)
{
	struct vfio_user_irq_set set = {.argsz = sizeof(set),
					.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
					.count = 1};
	struct bench *bench = *state;

	put(bench, UART16550_MCR, UART16550_MCR_OUT2);
	put(bench, UART16550_IER, UART16550_IER_ETBEI);
	get(bench, UART16550_SCR);
	assert_int_equal(interrupts(bench), 1);
	call(bench, VFIO_USER_DEVICE_SET_IRQS, &set, sizeof(set), &bench->eventfd, 1);
	assert_int_equal(interrupts(bench), 1);
}

int main(void)
{
#define SERIAL_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SERIAL_TEST(polled_output_arrives),
		SERIAL_TEST(interrupt_driven_output_costs_few_interrupts),
		SERIAL_TEST(output_without_fifos_interrupts_each_character),
		SERIAL_TEST(slow_host_makes_the_guest_wait),
		cmocka_unit_test_setup_teardown(reader_that_goes_does_not_keep_the_guest, set_up_pty,
						tear_down),
		SERIAL_TEST(stop_takes_the_last_words),
		SERIAL_TEST(end_of_the_client_keeps_the_last_words),
		SERIAL_TEST(input_waits_until_the_guest_listens),
		SERIAL_TEST(input_reaches_a_guest_that_only_polls),
		SERIAL_TEST(input_at_full_speed_is_not_lost),
		SERIAL_TEST(input_one_character_an_interrupt),
		SERIAL_TEST(timeout_comes_again_for_the_rest),
		SERIAL_TEST(cleared_fifo_is_filled_again),
		SERIAL_TEST(reset_puts_the_uart_back),
		SERIAL_TEST(wide_accesses_are_registers_in_a_row),
		SERIAL_TEST(line_that_is_up_is_told_to_a_new_eventfd),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
