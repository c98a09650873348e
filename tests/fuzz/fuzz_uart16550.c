/*
 * The 16550A under any sequence of accesses and events, two bytes each. What must always hold is checked
 * after each.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "dev-console/uart16550.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_uart(const struct uart16550 *uart)
{
	unsigned depth = uart->fcr & UART16550_FCR_ENABLE ? UART16550_FIFO : 1;
	struct uart16550 copy = *uart;
	uint8_t status = uart16550_read(&copy, UART16550_LSR);
	uint8_t identification = uart16550_read(&copy, UART16550_IIR);

	check(uart->rx_head < UART16550_FIFO && uart->rx_count <= depth);
	check(uart->tx_head < UART16550_FIFO && uart->tx_count <= depth);
	check(uart16550_receive_room(uart) <= depth - uart->rx_count);
	check(uart16550_transmit_full(uart) == (uart->tx_count == depth));
	check(((status & UART16550_LSR_THRE) != 0) == (uart->tx_count == 0));
	check(((status & UART16550_LSR_DR) != 0) == (uart->rx_count > 0));
	check((uart->ier & 0xf0) == 0 && (uart->mcr & 0xe0) == 0);
	check(!uart->timeout_pending || uart->rx_count > 0);
	/* A line that is up has a reason. LSR was read from the copy, so a line status may be gone from it.
	 */
	copy = *uart;
	identification = uart16550_read(&copy, UART16550_IIR);
	check(!uart16550_interrupt(uart) || !(identification & UART16550_IIR_NONE));
	check((identification & UART16550_IIR_FIFOS) == (depth > 1 ? UART16550_IIR_FIFOS : 0));
}

/* A driver that answers each interrupt as the data sheet says gets to an end. */
static void check_interrupts_end(struct uart16550 uart)
{
	uint8_t sink[UART16550_FIFO];

	for (int i = 0; i < 64; i++) {
		switch (uart16550_read(&uart, UART16550_IIR) & 0x0f) {
		case UART16550_IIR_NONE:
			return;
		case UART16550_IIR_LINE:
			uart16550_read(&uart, UART16550_LSR);
			break;
		case UART16550_IIR_RECEIVED:
		case UART16550_IIR_TIMEOUT:
			uart.lcr &= 0x7f;
			uart16550_read(&uart, UART16550_RBR);
			break;
		case UART16550_IIR_THRE:
			uart16550_transmit(&uart, sink, sizeof(sink));
			break;
		case UART16550_IIR_MODEM:
			uart16550_read(&uart, UART16550_MSR);
			break;
		default:
			abort();
		}
	}
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t sink[UART16550_FIFO];
	struct uart16550 uart;

	uart16550_reset(&uart);
	for (size_t i = 0; i + 1 < size; i += 2) {
		unsigned count = uart.tx_count;

		switch (data[i] >> 4) {
		case 0:
			uart16550_read(&uart, data[i]);
			break;
		case 1:
			uart16550_receive(&uart, data[i + 1], data[i] << 1 & 0x1e);
			break;
		case 2:
			check(uart16550_transmit(&uart, sink, data[i + 1] % 17u) <= count);
			break;
		case 3:
			uart16550_receive_idle(&uart);
			check(!uart16550_receive_waits(&uart));
			break;
		case 4:
			uart16550_set_modem_lines(&uart, data[i + 1]);
			break;
		case 5:
			uart16550_reset(&uart);
			break;
		default:
			uart16550_write(&uart, data[i], data[i + 1]);
			break;
		}
		check_uart(&uart);
		check_interrupts_end(uart);
	}
	return 0;
}
