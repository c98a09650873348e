/*
 * The registers of the 16550A. What an interrupt is about is computed from the state whenever it is asked
 * for; only what the chip latches (THR empty, the timeout, line errors, modem deltas) is kept.
 */
#include "dev-console/uart16550.h"

#include <string.h>

static bool uart16550_fifos(const struct uart16550 *uart)
{
	return uart->fcr & UART16550_FCR_ENABLE;
}

static unsigned uart16550_depth(const struct uart16550 *uart)
{
	return uart16550_fifos(uart) ? UART16550_FIFO : 1;
}

static unsigned uart16550_trigger(const struct uart16550 *uart)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return uart16550_fifos(uart) ? levels[uart->fcr >> 6] : 1;
}

void uart16550_reset(struct uart16550 *uart)
{
	*uart = (struct uart16550){
		/* As firmware leaves it on a PC: 9600 baud. The chip itself has no reset value. */
		.dll = 12,
		.modem_lines = UART16550_MSR_CTS | UART16550_MSR_DSR | UART16550_MSR_DCD,
		.msr = UART16550_MSR_CTS | UART16550_MSR_DSR | UART16550_MSR_DCD,
		/* The transmitter is empty: enabling its interrupt raises it. */
		.thre_pending = 1,
	};
}

/* What the registers keep of what is written to them. */
#define UART16550_IER_BITS \
	(UART16550_IER_ERBFI | UART16550_IER_ETBEI | UART16550_IER_ELSI | UART16550_IER_EDSSI)
#define UART16550_FCR_BITS (UART16550_FCR_ENABLE | UART16550_FCR_DMA_MODE | UART16550_FCR_TRIGGER)
#define UART16550_MCR_BITS \
	(UART16550_MCR_DTR | UART16550_MCR_RTS | UART16550_MCR_OUT1 | UART16550_MCR_OUT2 | UART16550_MCR_LOOP)
/* What LSR keeps until it is read, and of that, what a character brings with it. */
#define UART16550_CHARACTER_ERRORS (UART16550_LSR_PE | UART16550_LSR_FE | UART16550_LSR_BI)
#define UART16550_LINE_ERRORS	   (UART16550_LSR_OE | UART16550_CHARACTER_ERRORS)

bool uart16550_valid(const struct uart16550 *uart)
{
	const uint8_t flags = uart->thre_pending | uart->timeout_pending | uart->mcr_written | uart->lsr_read;
	uint8_t errors = 0;

	for (unsigned i = 0; i < UART16550_FIFO; i++)
		errors |= uart->rx_errors[i];
	if ((uart->ier & ~UART16550_IER_BITS) || (uart->fcr & ~UART16550_FCR_BITS) ||
	    (uart->mcr & ~UART16550_MCR_BITS) || (uart->modem_lines & 0x0f) ||
	    (uart->line_errors & ~UART16550_LINE_ERRORS) || (errors & ~UART16550_CHARACTER_ERRORS))
		return false;
	if (flags > 1 || (uart->fcr != 0 && !uart16550_fifos(uart)))
		return false;
	return uart->rx_head < UART16550_FIFO && uart->rx_count <= uart16550_depth(uart) &&
	       uart->tx_head < UART16550_FIFO && uart->tx_count <= uart16550_depth(uart) &&
	       (!uart->timeout_pending || uart->rx_count > 0);
}

/* --- Receiver --- */

/* The character at the head shows its errors in LSR. */
static void uart16550_show_errors(struct uart16550 *uart)
{
	if (uart->rx_count > 0)
		uart->line_errors |= uart->rx_errors[uart->rx_head];
}

static void uart16550_clear_receiver(struct uart16550 *uart)
{
	uart->rx_head = 0;
	uart->rx_count = 0;
	uart->timeout_pending = 0;
	memset(uart->rx_errors, 0, sizeof(uart->rx_errors));
}

unsigned uart16550_receive_room(const struct uart16550 *uart)
{
	unsigned depth = uart16550_depth(uart);

	if (uart->mcr & UART16550_MCR_LOOP || uart->rx_count >= depth)
		return 0;
	return depth - uart->rx_count;
}

void uart16550_receive(struct uart16550 *uart, uint8_t character, uint8_t errors)
{
	unsigned slot = (uart->rx_head + uart->rx_count) % UART16550_FIFO;

	errors &= UART16550_CHARACTER_ERRORS;
	if (uart->rx_count == uart16550_depth(uart)) {
		/* 8.3: a full FIFO keeps what it has; without FIFOs the new character destroys the old one.
		 */
		uart->line_errors |= UART16550_LSR_OE;
		if (uart16550_fifos(uart))
			return;
		slot = uart->rx_head;
		uart->rx_count = 0;
	}
	uart->rx_data[slot] = character;
	uart->rx_errors[slot] = errors;
	uart->rx_count++;
	uart->timeout_pending = 0;
	if (uart->rx_count == 1)
		uart16550_show_errors(uart);
}

bool uart16550_receive_waits(const struct uart16550 *uart)
{
	return uart16550_fifos(uart) && uart->rx_count > 0 && uart->rx_count < uart16550_trigger(uart) &&
	       !uart->timeout_pending;
}

void uart16550_receive_idle(struct uart16550 *uart)
{
	if (uart16550_receive_waits(uart))
		uart->timeout_pending = 1;
}

static uint8_t uart16550_read_rbr(struct uart16550 *uart)
{
	uint8_t character = uart->rx_data[uart->rx_head];

	if (uart->rx_count == 0)
		return character;
	uart->rx_errors[uart->rx_head] = 0;
	uart->rx_count--;
	if (uart16550_fifos(uart))
		uart->rx_head = (uint8_t)((uart->rx_head + 1) % UART16550_FIFO);
	uart->timeout_pending = 0;
	uart16550_show_errors(uart);
	return character;
}

/* --- Transmitter --- */

size_t uart16550_transmit(struct uart16550 *uart, uint8_t *data, size_t room)
{
	size_t taken = 0;

	if (uart->tx_count == 0)
		return 0;
	while (taken < room && uart->tx_count > 0) {
		data[taken++] = uart->tx_data[uart->tx_head];
		uart->tx_head = (uint8_t)((uart->tx_head + 1) % UART16550_FIFO);
		uart->tx_count--;
	}
	if (uart->tx_count == 0)
		uart->thre_pending = 1;
	return taken;
}

unsigned uart16550_transmit_count(const struct uart16550 *uart)
{
	return uart->tx_count;
}

bool uart16550_transmit_full(const struct uart16550 *uart)
{
	return uart->tx_count >= uart16550_depth(uart);
}

static void uart16550_write_thr(struct uart16550 *uart, uint8_t character)
{
	uart->thre_pending = 0;
	if (uart->mcr & UART16550_MCR_LOOP) {
		/* 8.7: "transmitted data is immediately received" */
		uart16550_receive(uart, character, 0);
		uart->thre_pending = uart->tx_count == 0;
		return;
	}
	if (uart16550_transmit_full(uart)) {
		uart->tx_lost++;
		return;
	}
	uart->tx_data[(uart->tx_head + uart->tx_count) % UART16550_FIFO] = character;
	uart->tx_count++;
}

static void uart16550_clear_transmitter(struct uart16550 *uart)
{
	uart->tx_head = 0;
	if (uart->tx_count == 0)
		return;
	uart->tx_count = 0;
	uart->thre_pending = 1;
}

/* --- Modem lines --- */

/* The four inputs as MSR shows them: the far end's, or in loopback mode our own outputs (8.7). */
static uint8_t uart16550_modem_inputs(const struct uart16550 *uart)
{
	uint8_t inputs = 0;

	if (!(uart->mcr & UART16550_MCR_LOOP))
		return uart->modem_lines;
	if (uart->mcr & UART16550_MCR_RTS)
		inputs |= UART16550_MSR_CTS;
	if (uart->mcr & UART16550_MCR_DTR)
		inputs |= UART16550_MSR_DSR;
	if (uart->mcr & UART16550_MCR_OUT1)
		inputs |= UART16550_MSR_RI;
	if (uart->mcr & UART16550_MCR_OUT2)
		inputs |= UART16550_MSR_DCD;
	return inputs;
}

/* Brings MSR up to date and notes what changed since it was last read. */
static void uart16550_update_modem(struct uart16550 *uart)
{
	uint8_t inputs = uart16550_modem_inputs(uart);
	uint8_t changed = (uart->msr ^ inputs) & 0xf0;

	/* 8.8: TERI tells the trailing edge alone. */
	if (inputs & UART16550_MSR_RI)
		changed &= (uint8_t)~UART16550_MSR_RI;
	uart->msr = (uint8_t)(inputs | (uart->msr & 0x0f) | changed >> 4);
}

void uart16550_set_modem_lines(struct uart16550 *uart, uint8_t lines)
{
	uart->modem_lines = lines & 0xf0;
	uart16550_update_modem(uart);
}

/* --- Interrupts --- */

/* The most urgent pending interrupt (8.5, table IV), without the FIFO bits. */
static uint8_t uart16550_identify(const struct uart16550 *uart)
{
	if (uart->ier & UART16550_IER_ELSI && uart->line_errors)
		return UART16550_IIR_LINE;
	if (uart->ier & UART16550_IER_ERBFI) {
		if (uart->rx_count >= uart16550_trigger(uart))
			return UART16550_IIR_RECEIVED;
		if (uart->timeout_pending)
			return UART16550_IIR_TIMEOUT;
	}
	if (uart->ier & UART16550_IER_ETBEI && uart->thre_pending)
		return UART16550_IIR_THRE;
	if (uart->ier & UART16550_IER_EDSSI && uart->msr & 0x0f)
		return UART16550_IIR_MODEM;
	return UART16550_IIR_NONE;
}

bool uart16550_interrupt(const struct uart16550 *uart)
{
	/* In loopback mode the chip drives its outputs inactive, OUT2 too (8.7). */
	if ((uart->mcr & (UART16550_MCR_OUT2 | UART16550_MCR_LOOP)) != UART16550_MCR_OUT2)
		return false;
	return uart16550_identify(uart) != UART16550_IIR_NONE;
}

/* --- Registers --- */

static uint8_t uart16550_read_iir(struct uart16550 *uart)
{
	uint8_t identification = uart16550_identify(uart);

	/* 8.5: reading IIR answers the transmitter's interrupt, if that is what it told. */
	if (identification == UART16550_IIR_THRE)
		uart->thre_pending = 0;
	return identification | (uart16550_fifos(uart) ? UART16550_IIR_FIFOS : 0);
}

static uint8_t uart16550_read_lsr(struct uart16550 *uart)
{
	uint8_t status = uart->line_errors;

	if (uart->rx_count > 0)
		status |= UART16550_LSR_DR;
	if (uart->tx_count == 0)
		status |= UART16550_LSR_THRE | UART16550_LSR_TEMT;
	for (unsigned i = 0; uart16550_fifos(uart) && i < uart->rx_count; i++) {
		if (uart->rx_errors[(uart->rx_head + i) % UART16550_FIFO])
			status |= UART16550_LSR_FIFO_ERROR;
	}
	uart->line_errors = 0;
	uart->rx_errors[uart->rx_head] = 0;
	uart->lsr_read = 1;
	return status;
}

static uint8_t uart16550_read_msr(struct uart16550 *uart)
{
	uint8_t status = uart->msr;

	uart->msr &= 0xf0;
	return status;
}

uint8_t uart16550_read(struct uart16550 *uart, unsigned offset)
{
	bool divisor = uart->lcr & UART16550_LCR_DLAB;

	switch (offset & 7) {
	case UART16550_RBR:
		return divisor ? uart->dll : uart16550_read_rbr(uart);
	case UART16550_IER:
		return divisor ? uart->dlm : uart->ier;
	case UART16550_IIR:
		return uart16550_read_iir(uart);
	case UART16550_LCR:
		return uart->lcr;
	case UART16550_MCR:
		return uart->mcr;
	case UART16550_LSR:
		return uart16550_read_lsr(uart);
	case UART16550_MSR:
		return uart16550_read_msr(uart);
	default:
		return uart->scr;
	}
}

static void uart16550_write_ier(struct uart16550 *uart, uint8_t value)
{
	uint8_t enabled;

	value &= UART16550_IER_BITS;
	enabled = value & (uint8_t)~uart->ier;
	uart->ier = value;
	/* Enabling the transmitter's interrupt while it is empty raises it, which is how drivers start to
	 * send. */
	if (enabled & UART16550_IER_ETBEI && uart->tx_count == 0)
		uart->thre_pending = 1;
}

static void uart16550_write_fcr(struct uart16550 *uart, uint8_t value)
{
	/* 8.4: changing FIFO mode clears both FIFOs; the other bits count only together with the first. */
	if ((value ^ uart->fcr) & UART16550_FCR_ENABLE)
		value |= UART16550_FCR_CLEAR_RX | UART16550_FCR_CLEAR_TX;
	else if (!(value & UART16550_FCR_ENABLE))
		return;
	if (value & UART16550_FCR_CLEAR_RX)
		uart16550_clear_receiver(uart);
	if (value & UART16550_FCR_CLEAR_TX)
		uart16550_clear_transmitter(uart);
	uart->fcr = value & UART16550_FCR_ENABLE ? value & UART16550_FCR_BITS : 0;
}

static void uart16550_write_lcr(struct uart16550 *uart, uint8_t value)
{
	uint8_t begun = value & (uint8_t)~uart->lcr;

	uart->lcr = value;
	/* 8.1: the transmitter's output is held at space; looped back, the receiver sees a break. */
	if (begun & UART16550_LCR_BREAK && uart->mcr & UART16550_MCR_LOOP)
		uart16550_receive(uart, 0, UART16550_LSR_BI);
}

static void uart16550_write_mcr(struct uart16550 *uart, uint8_t value)
{
	uart->mcr = value & UART16550_MCR_BITS;
	uart->mcr_written = 1;
	uart16550_update_modem(uart);
}

void uart16550_write(struct uart16550 *uart, unsigned offset, uint8_t value)
{
	bool divisor = uart->lcr & UART16550_LCR_DLAB;

	switch (offset & 7) {
	case UART16550_THR:
		if (divisor)
			uart->dll = value;
		else
			uart16550_write_thr(uart, value);
		return;
	case UART16550_IER:
		if (divisor)
			uart->dlm = value;
		else
			uart16550_write_ier(uart, value);
		return;
	case UART16550_FCR:
		uart16550_write_fcr(uart, value);
		return;
	case UART16550_LCR:
		uart16550_write_lcr(uart, value);
		return;
	case UART16550_MCR:
		uart16550_write_mcr(uart, value);
		return;
	case UART16550_SCR:
		uart->scr = value;
		return;
	default:
		/* LSR and MSR: "factory test" at best. */
		return;
	}
}
