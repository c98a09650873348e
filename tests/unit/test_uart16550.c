/*
 * The 16550A, register by register: what drivers rely on, and what Linux looks at to find out that it is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dev-console/uart16550.h"

#define IER_ALL (UART16550_IER_ERBFI | UART16550_IER_ETBEI | UART16550_IER_ELSI | UART16550_IER_EDSSI)
#define MODEM	(UART16550_MSR_CTS | UART16550_MSR_DSR | UART16550_MSR_DCD)
#define IDLE	(UART16550_LSR_THRE | UART16550_LSR_TEMT)

static struct uart16550 uart;

static uint8_t get(unsigned offset)
{
	return uart16550_read(&uart, offset);
}

static void put(unsigned offset, uint8_t value)
{
	uart16550_write(&uart, offset, value);
}

/* Reset, FIFOs on, interrupts let out. */
static int start(void **state)
{
	(void)state;
	uart16550_reset(&uart);
	put(UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_TRIGGER_8);
	put(UART16550_MCR, UART16550_MCR_DTR | UART16550_MCR_RTS | UART16550_MCR_OUT2);
	return 0;
}

static void receive(const char *text)
{
	for (; *text != '\0'; text++)
		uart16550_receive(&uart, (uint8_t)*text, 0);
}

/* What the interrupt is about; the line must agree. */
static uint8_t identify(void)
{
	bool line = uart16550_interrupt(&uart);
	uint8_t identification = get(UART16550_IIR) & (uint8_t)~UART16550_IIR_FIFOS;

	assert_int_equal(line, identification != UART16550_IIR_NONE);
	return identification;
}

/* --- Registers --- */

static void reset_values(void **state)
{
	(void)state;
	uart16550_reset(&uart);
	assert_int_equal(get(UART16550_IER), 0);
	assert_int_equal(get(UART16550_IIR), UART16550_IIR_NONE);
	assert_int_equal(get(UART16550_LCR), 0);
	assert_int_equal(get(UART16550_MCR), 0);
	assert_int_equal(get(UART16550_LSR), IDLE);
	assert_int_equal(get(UART16550_MSR), MODEM);
	assert_int_equal(get(UART16550_SCR), 0);
	assert_false(uart16550_interrupt(&uart));
}

static void registers_keep_their_bits(void **state)
{
	static const struct {
		unsigned offset;
		uint8_t kept;
	} registers[] = {
		{UART16550_IER, 0x0f}, {UART16550_LCR, 0x7f}, {UART16550_MCR, 0x1f}, {UART16550_SCR, 0xff}};

	(void)state;
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		put(registers[i].offset, 0xff & (uint8_t)~UART16550_LCR_DLAB);
		assert_int_equal(get(registers[i].offset), registers[i].kept & 0x7f);
		put(registers[i].offset, 0);
		assert_int_equal(get(registers[i].offset), 0);
	}
	put(UART16550_SCR, 0xa5);
	assert_int_equal(get(UART16550_SCR), 0xa5);
}

static void divisor_hides_data_and_ier(void **state)
{
	(void)state;
	put(UART16550_IER, UART16550_IER_ERBFI);
	receive("x");
	put(UART16550_LCR, UART16550_LCR_DLAB | 3);
	put(0, 0x34);
	put(1, 0x12);
	assert_int_equal(get(0), 0x34);
	assert_int_equal(get(1), 0x12);
	put(UART16550_LCR, 3);
	assert_int_equal(get(UART16550_IER), UART16550_IER_ERBFI);
	assert_int_equal(uart16550_transmit_count(&uart), 0);
	assert_int_equal(get(UART16550_RBR), 'x');
}

static void status_registers_are_read_only(void **state)
{
	(void)state;
	put(UART16550_LSR, 0x00);
	put(UART16550_MSR, 0xff);
	assert_int_equal(get(UART16550_LSR), IDLE);
	assert_int_equal(get(UART16550_MSR), MODEM);
}

/* The steps of Linux's autoconfig() and autoconfig_16550a() that tell the types apart. */
static void linux_finds_a_16550a(void **state)
{
	uint8_t identification;

	(void)state;
	uart16550_reset(&uart);
	put(UART16550_IER, 0);
	assert_int_equal(get(UART16550_IER), 0);
	put(UART16550_IER, 0x0f);
	assert_int_equal(get(UART16550_IER), 0x0f);
	put(UART16550_IER, 0);
	/* Loopback: OUT2 and RTS show as DCD and CTS. */
	put(UART16550_MCR, UART16550_MCR_LOOP | 0x0a);
	assert_int_equal(get(UART16550_MSR) & 0xf0, UART16550_MSR_DCD | UART16550_MSR_CTS);
	put(UART16550_MCR, 0);
	put(UART16550_LCR, 0xbf);
	put(UART16550_FCR, 0);
	put(UART16550_LCR, 0);
	put(UART16550_FCR, UART16550_FCR_ENABLE);
	assert_int_equal(get(UART16550_IIR) >> 6, 3);
	/* No EFR (16650), no 64-byte FIFO (16750), no UUE (XScale), no bank switch (NS16550A with EXCR). */
	put(UART16550_LCR, 0xbf);
	assert_int_not_equal(get(UART16550_IIR), 0);
	put(UART16550_LCR, 0);
	put(UART16550_FCR, UART16550_FCR_ENABLE | 0x20);
	assert_int_equal(get(UART16550_IIR) & 0xe0, UART16550_IIR_FIFOS);
	put(UART16550_IER, 0x40);
	assert_int_equal(get(UART16550_IER) & 0x40, 0);
	put(UART16550_LCR, 0xe0);
	identification = get(UART16550_IIR);
	assert_int_equal(identification & UART16550_MCR_LOOP, 0);
	put(UART16550_LCR, 0);
	put(UART16550_MCR, UART16550_MCR_LOOP);
	put(UART16550_LCR, 0xe0);
	assert_int_equal(get(UART16550_IIR), identification);
	put(UART16550_LCR, 0);
	/* serial8250_do_startup(): THRE must be told each time its interrupt is enabled. */
	put(UART16550_MCR, UART16550_MCR_OUT2);
	for (int i = 0; i < 2; i++) {
		put(UART16550_IER, UART16550_IER_ETBEI);
		assert_int_equal(identify(), UART16550_IIR_THRE);
		put(UART16550_IER, 0);
	}
}

/* --- Transmitter --- */

static void transmitter_fills_and_empties(void **state)
{
	uint8_t data[32];

	(void)state;
	for (unsigned i = 0; i < UART16550_FIFO; i++) {
		assert_false(uart16550_transmit_full(&uart));
		put(UART16550_THR, (uint8_t)('a' + i));
		assert_int_equal(get(UART16550_LSR) & IDLE, 0);
	}
	assert_true(uart16550_transmit_full(&uart));
	assert_int_equal(uart.tx_lost, 0);
	put(UART16550_THR, '!');
	assert_int_equal(uart.tx_lost, 1);
	assert_int_equal(uart16550_transmit(&uart, data, 10), 10);
	assert_memory_equal(data, "abcdefghij", 10);
	assert_int_equal(get(UART16550_LSR) & IDLE, 0);
	/* Around the end of the ring. */
	put(UART16550_THR, 'A');
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 7);
	assert_memory_equal(data, "klmnopA", 7);
	assert_int_equal(get(UART16550_LSR), IDLE);
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 0);
}

static void transmitter_without_fifos_holds_one(void **state)
{
	uint8_t data[4];

	(void)state;
	put(UART16550_FCR, 0);
	put(UART16550_THR, 'a');
	assert_true(uart16550_transmit_full(&uart));
	put(UART16550_THR, 'b');
	assert_int_equal(uart.tx_lost, 1);
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 1);
	assert_int_equal(data[0], 'a');
}

static void transmitter_interrupt_is_told_once(void **state)
{
	uint8_t data[16];

	(void)state;
	assert_int_equal(identify(), UART16550_IIR_NONE);
	put(UART16550_IER, UART16550_IER_ETBEI);
	assert_int_equal(identify(), UART16550_IIR_THRE);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	/* Enabling what is enabled tells nothing new. */
	put(UART16550_IER, UART16550_IER_ETBEI);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	put(UART16550_THR, 'a');
	put(UART16550_THR, 'b');
	assert_int_equal(identify(), UART16550_IIR_NONE);
	uart16550_transmit(&uart, data, 1);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	uart16550_transmit(&uart, data, 1);
	assert_true(uart16550_interrupt(&uart));
	/* A write answers it as well as reading IIR does. */
	put(UART16550_THR, 'c');
	assert_int_equal(identify(), UART16550_IIR_NONE);
	/* Enabled while busy: told when it becomes empty. */
	put(UART16550_IER, 0);
	put(UART16550_IER, UART16550_IER_ETBEI);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	put(UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_CLEAR_TX);
	assert_int_equal(identify(), UART16550_IIR_THRE);
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 0);
}

/* --- Receiver --- */

static void receiver_interrupts_at_each_trigger_level(void **state)
{
	static const struct {
		uint8_t fcr;
		unsigned level;
	} triggers[] = {{UART16550_FCR_TRIGGER_1, 1},
			{UART16550_FCR_TRIGGER_4, 4},
			{UART16550_FCR_TRIGGER_8, 8},
			{UART16550_FCR_TRIGGER_14, 14}};

	(void)state;
	put(UART16550_IER, UART16550_IER_ERBFI);
	for (size_t i = 0; i < sizeof(triggers) / sizeof(triggers[0]); i++) {
		put(UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_CLEAR_RX | triggers[i].fcr);
		for (unsigned count = 1; count <= UART16550_FIFO; count++) {
			uart16550_receive(&uart, (uint8_t)count, 0);
			assert_int_equal(identify(), count >= triggers[i].level ? UART16550_IIR_RECEIVED
										: UART16550_IIR_NONE);
		}
		assert_int_equal(uart16550_receive_room(&uart), 0);
		for (unsigned count = UART16550_FIFO; count > 0; count--) {
			assert_int_equal(get(UART16550_LSR) & UART16550_LSR_DR, UART16550_LSR_DR);
			assert_int_equal(get(UART16550_RBR), UART16550_FIFO + 1 - count);
			assert_int_equal(identify(), count - 1 >= triggers[i].level ? UART16550_IIR_RECEIVED
										    : UART16550_IIR_NONE);
		}
		assert_int_equal(get(UART16550_LSR) & UART16550_LSR_DR, 0);
		assert_int_equal(uart16550_receive_room(&uart), UART16550_FIFO);
	}
}

static void receiver_without_fifos_interrupts_each_character(void **state)
{
	(void)state;
	put(UART16550_FCR, 0);
	put(UART16550_IER, UART16550_IER_ERBFI);
	assert_int_equal(uart16550_receive_room(&uart), 1);
	receive("a");
	assert_int_equal(get(UART16550_IIR), UART16550_IIR_RECEIVED);
	assert_int_equal(uart16550_receive_room(&uart), 0);
	assert_false(uart16550_receive_waits(&uart));
	assert_int_equal(get(UART16550_RBR), 'a');
	assert_int_equal(get(UART16550_IIR), UART16550_IIR_NONE);
}

static void receiver_timeout(void **state)
{
	(void)state;
	put(UART16550_IER, UART16550_IER_ERBFI);
	assert_false(uart16550_receive_waits(&uart));
	uart16550_receive_idle(&uart);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	receive("abc");
	assert_int_equal(identify(), UART16550_IIR_NONE);
	assert_true(uart16550_receive_waits(&uart));
	uart16550_receive_idle(&uart);
	assert_int_equal(identify(), UART16550_IIR_TIMEOUT);
	/* It stays until the character is read; a read restarts the time. */
	assert_int_equal(identify(), UART16550_IIR_TIMEOUT);
	assert_false(uart16550_receive_waits(&uart));
	assert_int_equal(get(UART16550_RBR), 'a');
	assert_int_equal(identify(), UART16550_IIR_NONE);
	assert_true(uart16550_receive_waits(&uart));
	uart16550_receive_idle(&uart);
	assert_int_equal(identify(), UART16550_IIR_TIMEOUT);
	/* So does another character. */
	receive("d");
	assert_int_equal(identify(), UART16550_IIR_NONE);
	receive("efghi");
	assert_int_equal(identify(), UART16550_IIR_RECEIVED);
	/* At the trigger level there is nothing to wait for. */
	assert_false(uart16550_receive_waits(&uart));
	put(UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_CLEAR_RX);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	assert_int_equal(get(UART16550_LSR), IDLE);
}

static void overrun_keeps_the_fifo(void **state)
{
	(void)state;
	put(UART16550_IER, UART16550_IER_ELSI);
	receive("0123456789abcdef");
	assert_int_equal(identify(), UART16550_IIR_NONE);
	receive("X");
	assert_int_equal(identify(), UART16550_IIR_LINE);
	assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR | UART16550_LSR_OE);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR);
	for (const char *expected = "0123456789abcdef"; *expected != '\0'; expected++)
		assert_int_equal(get(UART16550_RBR), *expected);
	assert_int_equal(get(UART16550_LSR), IDLE);
}

static void overrun_without_fifos_destroys_the_character(void **state)
{
	(void)state;
	put(UART16550_FCR, 0);
	receive("ab");
	assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR | UART16550_LSR_OE);
	assert_int_equal(get(UART16550_RBR), 'b');
	assert_int_equal(get(UART16550_LSR), IDLE);
}

static void errors_show_when_their_character_is_first(void **state)
{
	static const uint8_t kinds[] = {UART16550_LSR_PE, UART16550_LSR_FE, UART16550_LSR_BI};

	(void)state;
	put(UART16550_IER, UART16550_IER_ELSI);
	for (size_t i = 0; i < sizeof(kinds); i++) {
		uart16550_receive(&uart, 'a', 0);
		uart16550_receive(&uart, 'b', kinds[i]);
		uart16550_receive(&uart, 'c', 0);
		assert_int_equal(identify(), UART16550_IIR_NONE);
		assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR | UART16550_LSR_FIFO_ERROR);
		assert_int_equal(get(UART16550_RBR), 'a');
		assert_int_equal(identify(), UART16550_IIR_LINE);
		assert_int_equal(get(UART16550_LSR),
				 IDLE | UART16550_LSR_DR | UART16550_LSR_FIFO_ERROR | kinds[i]);
		assert_int_equal(identify(), UART16550_IIR_NONE);
		assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR);
		assert_int_equal(get(UART16550_RBR), 'b');
		assert_int_equal(get(UART16550_RBR), 'c');
	}
	assert_int_equal(get(UART16550_LSR), IDLE);
}

static void fifo_mode_change_clears_both(void **state)
{
	uint8_t data[16];

	(void)state;
	receive("abc");
	put(UART16550_THR, 'x');
	put(UART16550_FCR, 0);
	assert_int_equal(get(UART16550_LSR), IDLE);
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 0);
	assert_int_equal(get(UART16550_IIR) & UART16550_IIR_FIFOS, 0);
	/* Without the enable bit the others do not count. */
	receive("a");
	put(UART16550_FCR, UART16550_FCR_CLEAR_RX);
	assert_int_equal(get(UART16550_LSR) & UART16550_LSR_DR, UART16550_LSR_DR);
	put(UART16550_FCR, UART16550_FCR_ENABLE);
	assert_int_equal(get(UART16550_LSR) & UART16550_LSR_DR, 0);
	/* Setting what is set clears nothing. */
	receive("a");
	put(UART16550_FCR, UART16550_FCR_ENABLE | UART16550_FCR_TRIGGER_14);
	assert_int_equal(get(UART16550_LSR) & UART16550_LSR_DR, UART16550_LSR_DR);
}

/* --- Modem lines and loopback --- */

static void modem_deltas(void **state)
{
	(void)state;
	get(UART16550_MSR);
	put(UART16550_IER, UART16550_IER_EDSSI);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	uart16550_set_modem_lines(&uart, MODEM & (uint8_t)~UART16550_MSR_CTS);
	assert_int_equal(identify(), UART16550_IIR_MODEM);
	assert_int_equal(get(UART16550_MSR), UART16550_MSR_DSR | UART16550_MSR_DCD | UART16550_MSR_DCTS);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	uart16550_set_modem_lines(&uart, 0);
	assert_int_equal(get(UART16550_MSR), UART16550_MSR_DDSR | UART16550_MSR_DDCD);
	/* The ring indicator tells its trailing edge alone. */
	uart16550_set_modem_lines(&uart, UART16550_MSR_RI);
	assert_int_equal(identify(), UART16550_IIR_NONE);
	assert_int_equal(get(UART16550_MSR), UART16550_MSR_RI);
	uart16550_set_modem_lines(&uart, 0);
	assert_int_equal(identify(), UART16550_IIR_MODEM);
	assert_int_equal(get(UART16550_MSR), UART16550_MSR_TERI);
}

static void loopback_connects_outputs_to_inputs(void **state)
{
	static const struct {
		uint8_t mcr;
		uint8_t msr;
	} wires[] = {{UART16550_MCR_DTR, UART16550_MSR_DSR},
		     {UART16550_MCR_RTS, UART16550_MSR_CTS},
		     {UART16550_MCR_OUT1, UART16550_MSR_RI},
		     {UART16550_MCR_OUT2, UART16550_MSR_DCD}};

	(void)state;
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		put(UART16550_MCR, UART16550_MCR_LOOP | wires[i].mcr);
		assert_int_equal(get(UART16550_MSR) & 0xf0, wires[i].msr);
	}
	put(UART16550_MCR, UART16550_MCR_LOOP);
	get(UART16550_MSR);
	put(UART16550_IER, UART16550_IER_EDSSI);
	put(UART16550_MCR, UART16550_MCR_LOOP | UART16550_MCR_RTS);
	assert_int_equal(get(UART16550_IIR), UART16550_IIR_FIFOS | UART16550_IIR_MODEM);
	assert_int_equal(get(UART16550_MSR), UART16550_MSR_CTS | UART16550_MSR_DCTS);
	put(UART16550_MCR, UART16550_MCR_OUT2);
	assert_int_equal(get(UART16550_MSR) & 0xf0, MODEM);
}

static void loopback_receives_what_is_transmitted(void **state)
{
	uint8_t data[16];

	(void)state;
	put(UART16550_IER, UART16550_IER_ERBFI | UART16550_IER_ETBEI);
	put(UART16550_MCR, UART16550_MCR_LOOP | UART16550_MCR_OUT2);
	assert_int_equal(uart16550_receive_room(&uart), 0);
	for (unsigned i = 0; i < UART16550_FIFO; i++)
		put(UART16550_THR, (uint8_t)i);
	assert_int_equal(uart16550_transmit(&uart, data, sizeof(data)), 0);
	assert_int_equal(get(UART16550_IIR) & 0x0f, UART16550_IIR_RECEIVED);
	/* The chip drives OUT2 inactive: a PC's interrupt line hears nothing. */
	assert_false(uart16550_interrupt(&uart));
	put(UART16550_THR, 'X');
	assert_int_equal(get(UART16550_LSR), IDLE | UART16550_LSR_DR | UART16550_LSR_OE);
	for (unsigned i = 0; i < UART16550_FIFO; i++)
		assert_int_equal(get(UART16550_RBR), i);
	assert_int_equal(get(UART16550_IIR) & 0x0f, UART16550_IIR_THRE);
}

static void loopback_receives_a_break(void **state)
{
	(void)state;
	put(UART16550_LCR, UART16550_LCR_BREAK);
	assert_int_equal(get(UART16550_LSR), IDLE);
	put(UART16550_LCR, 0);
	put(UART16550_IER, UART16550_IER_ELSI);
	put(UART16550_MCR, UART16550_MCR_LOOP);
	put(UART16550_LCR, UART16550_LCR_BREAK);
	assert_int_equal(get(UART16550_IIR) & 0x0f, UART16550_IIR_LINE);
	assert_int_equal(get(UART16550_LSR) & UART16550_LSR_BI, UART16550_LSR_BI);
	assert_int_equal(get(UART16550_RBR), 0);
}

/* --- All interrupts together --- */

static void interrupts_come_by_priority(void **state)
{
	(void)state;
	get(UART16550_MSR);
	put(UART16550_IER, IER_ALL);
	receive("0123456789abcdefX");
	uart16550_set_modem_lines(&uart, 0);
	assert_int_equal(identify(), UART16550_IIR_LINE);
	get(UART16550_LSR);
	assert_int_equal(identify(), UART16550_IIR_RECEIVED);
	for (int i = 0; i < 9; i++)
		get(UART16550_RBR);
	uart16550_receive_idle(&uart);
	assert_int_equal(identify(), UART16550_IIR_TIMEOUT);
	for (int i = 0; i < 7; i++)
		get(UART16550_RBR);
	assert_int_equal(identify(), UART16550_IIR_THRE);
	assert_int_equal(identify(), UART16550_IIR_MODEM);
	get(UART16550_MSR);
	assert_int_equal(identify(), UART16550_IIR_NONE);
}

static void interrupts_need_their_enable_bit(void **state)
{
	static const uint8_t kinds[][2] = {{UART16550_IER_ERBFI, UART16550_IIR_RECEIVED},
					   {UART16550_IER_ETBEI, UART16550_IIR_THRE},
					   {UART16550_IER_ELSI, UART16550_IIR_LINE},
					   {UART16550_IER_EDSSI, UART16550_IIR_MODEM}};

	receive("0123456789abcdefX");
	uart16550_set_modem_lines(&uart, 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		put(UART16550_IER, 0);
		assert_int_equal(identify(), UART16550_IIR_NONE);
		put(UART16550_IER, kinds[i][0]);
		assert_int_equal(identify(), kinds[i][1]);
	}
	start(state);
}

static void out2_gates_the_line(void **state)
{
	(void)state;
	put(UART16550_MCR, UART16550_MCR_DTR | UART16550_MCR_RTS);
	put(UART16550_IER, UART16550_IER_ERBFI);
	receive("01234567");
	assert_int_equal(get(UART16550_IIR) & 0x0f, UART16550_IIR_RECEIVED);
	assert_false(uart16550_interrupt(&uart));
	put(UART16550_MCR, UART16550_MCR_OUT2);
	assert_true(uart16550_interrupt(&uart));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reset_values, start),
		cmocka_unit_test_setup(registers_keep_their_bits, start),
		cmocka_unit_test_setup(divisor_hides_data_and_ier, start),
		cmocka_unit_test_setup(status_registers_are_read_only, start),
		cmocka_unit_test_setup(linux_finds_a_16550a, start),
		cmocka_unit_test_setup(transmitter_fills_and_empties, start),
		cmocka_unit_test_setup(transmitter_without_fifos_holds_one, start),
		cmocka_unit_test_setup(transmitter_interrupt_is_told_once, start),
		cmocka_unit_test_setup(receiver_interrupts_at_each_trigger_level, start),
		cmocka_unit_test_setup(receiver_without_fifos_interrupts_each_character, start),
		cmocka_unit_test_setup(receiver_timeout, start),
		cmocka_unit_test_setup(overrun_keeps_the_fifo, start),
		cmocka_unit_test_setup(overrun_without_fifos_destroys_the_character, start),
		cmocka_unit_test_setup(errors_show_when_their_character_is_first, start),
		cmocka_unit_test_setup(fifo_mode_change_clears_both, start),
		cmocka_unit_test_setup(modem_deltas, start),
		cmocka_unit_test_setup(loopback_connects_outputs_to_inputs, start),
		cmocka_unit_test_setup(loopback_receives_what_is_transmitted, start),
		cmocka_unit_test_setup(loopback_receives_a_break, start),
		cmocka_unit_test_setup(interrupts_come_by_priority, start),
		cmocka_unit_test_setup(interrupts_need_their_enable_bit, start),
		cmocka_unit_test_setup(out2_gates_the_line, start),
	};

	return cmocka_run_group_tests_name("uart16550", tests, NULL, NULL);
}
