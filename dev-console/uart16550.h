/*
 * A 16550A UART as a state machine: registers in, registers and an interrupt line out, nothing else.
 *
 * It does no I/O, keeps no time and holds no pointer: its owner (serial.c) takes transmitted characters out,
 * puts received ones in, and says when the line was idle. The whole guest-visible state is struct uart16550,
 * plain data that may be copied.
 *
 * The transmitter is a FIFO of 16 (1 without FIFOs) that empties when the owner takes characters out; THRE
 * and TEMT are clear as long as it holds one. So an owner whose host side is full lets the guest wait as a
 * slow line would.
 *
 * Source: National Semiconductor, PC16550D data sheet; section numbers below are its.
 */
#ifndef ATOLL_DEV_CONSOLE_UART16550_H
#define ATOLL_DEV_CONSOLE_UART16550_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART16550_REGISTERS 8
#define UART16550_FIFO	    16

/* Register offsets; the first two are the divisor's while LCR has DLAB. */
enum uart16550_register {
	UART16550_RBR = 0, /* read: received character */
	UART16550_THR = 0, /* write: character to transmit */
	UART16550_IER = 1,
	UART16550_IIR = 2, /* read */
	UART16550_FCR = 2, /* write */
	UART16550_LCR = 3,
	UART16550_MCR = 4,
	UART16550_LSR = 5,
	UART16550_MSR = 6,
	UART16550_SCR = 7,
};

/* 8.6 Interrupt Enable Register */
#define UART16550_IER_ERBFI 0x01 /* received data */
#define UART16550_IER_ETBEI 0x02 /* transmitter empty */
#define UART16550_IER_ELSI  0x04 /* line status */
#define UART16550_IER_EDSSI 0x08 /* modem status */

/* 8.5 Interrupt Identification Register */
#define UART16550_IIR_NONE     0x01
#define UART16550_IIR_MODEM    0x00
#define UART16550_IIR_THRE     0x02
#define UART16550_IIR_RECEIVED 0x04
#define UART16550_IIR_LINE     0x06
#define UART16550_IIR_TIMEOUT  0x0c
#define UART16550_IIR_FIFOS    0xc0

/* 8.4 FIFO Control Register */
#define UART16550_FCR_ENABLE	 0x01
#define UART16550_FCR_CLEAR_RX	 0x02
#define UART16550_FCR_CLEAR_TX	 0x04
#define UART16550_FCR_DMA_MODE	 0x08
#define UART16550_FCR_TRIGGER	 0xc0
#define UART16550_FCR_TRIGGER_1	 0x00
#define UART16550_FCR_TRIGGER_4	 0x40
#define UART16550_FCR_TRIGGER_8	 0x80
#define UART16550_FCR_TRIGGER_14 0xc0

/* 8.1 Line Control Register */
#define UART16550_LCR_BREAK 0x40
#define UART16550_LCR_DLAB  0x80

/* 8.7 Modem Control Register */
#define UART16550_MCR_DTR  0x01
#define UART16550_MCR_RTS  0x02
#define UART16550_MCR_OUT1 0x04
#define UART16550_MCR_OUT2 0x08 /* on a PC: lets the interrupt out */
#define UART16550_MCR_LOOP 0x10

/* 8.3 Line Status Register */
#define UART16550_LSR_DR	 0x01
#define UART16550_LSR_OE	 0x02
#define UART16550_LSR_PE	 0x04
#define UART16550_LSR_FE	 0x08
#define UART16550_LSR_BI	 0x10
#define UART16550_LSR_THRE	 0x20
#define UART16550_LSR_TEMT	 0x40
#define UART16550_LSR_FIFO_ERROR 0x80

/* 8.8 Modem Status Register */
#define UART16550_MSR_DCTS 0x01
#define UART16550_MSR_DDSR 0x02
#define UART16550_MSR_TERI 0x04
#define UART16550_MSR_DDCD 0x08
#define UART16550_MSR_CTS  0x10
#define UART16550_MSR_DSR  0x20
#define UART16550_MSR_RI   0x40
#define UART16550_MSR_DCD  0x80

struct uart16550 {
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t msr;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
	uint8_t line_errors;  /* LSR's OE, PE, FE and BI until LSR is read */
	uint8_t thre_pending; /* the transmitter became empty and nobody was told yet */
	uint8_t timeout_pending;
	uint8_t modem_lines; /* what the far end drives: CTS, DSR, RI, DCD as in MSR */

	uint8_t rx_data[UART16550_FIFO];
	uint8_t rx_errors[UART16550_FIFO]; /* PE, FE, BI of the character */
	uint8_t rx_head;
	uint8_t rx_count;
	uint8_t tx_data[UART16550_FIFO];
	uint8_t tx_head;
	uint8_t tx_count;

	/* What serial.c bases its choice on whether the guest listens: has MCR, has LSR ever been used. */
	uint8_t mcr_written;
	uint8_t lsr_read;
	/* Characters written while there was no room for them: lost, as on the chip. */
	uint32_t tx_lost;
};

/* 8.10 "Master reset", with a far end that is always ready (CTS, DSR, DCD). */
void uart16550_reset(struct uart16550 *uart);
/* Whether a UART can be in this state: one that came from elsewhere is checked before it is used. */
bool uart16550_valid(const struct uart16550 *uart);

/* offset: 0 .. 7 (its low three bits count). */
uint8_t uart16550_read(struct uart16550 *uart, unsigned offset);
void uart16550_write(struct uart16550 *uart, unsigned offset, uint8_t value);

/* The level of the interrupt line, behind the gate that a PC makes of OUT2. */
bool uart16550_interrupt(const struct uart16550 *uart);

/* Characters that the receiver takes now without an overrun; 0 in loopback mode. */
unsigned uart16550_receive_room(const struct uart16550 *uart);
/* A character arrives, with UART16550_LSR_PE, _FE and _BI as they apply. */
void uart16550_receive(struct uart16550 *uart, uint8_t character, uint8_t errors);
/* Whether a character waits below the trigger level and its timeout has not yet been told. */
bool uart16550_receive_waits(const struct uart16550 *uart);
/* Four character times passed in which none arrived and none was read (8.11 "FIFO interrupt mode operation").
 */
void uart16550_receive_idle(struct uart16550 *uart);

/* Takes up to `room` characters to transmit; returns how many. */
size_t uart16550_transmit(struct uart16550 *uart, uint8_t *data, size_t room);
/* Characters that wait to be transmitted, and whether the transmitter takes another one. */
unsigned uart16550_transmit_count(const struct uart16550 *uart);
bool uart16550_transmit_full(const struct uart16550 *uart);

/* Drives the far end's modem lines: UART16550_MSR_CTS, _DSR, _RI and _DCD. */
void uart16550_set_modem_lines(struct uart16550 *uart, uint8_t lines);

#endif
