/*
 * The serial port. Registers come over vfio-user, characters go to and come from an output, and struct
 * uart16550 is between them.
 *
 * Transmission. The guest writes characters one message each, posted. They stay in the UART's FIFO until it
 * is full, or the guest looks at the UART again, or a tick passed, and go to the output's buffer together; so
 * a driver that writes a FIFO's worth an interrupt gets one interrupt for it and not one a character. A
 * driver without transmitter interrupts has nothing to be told, and its characters go on at once. When the
 * output's buffer is full they stay in the FIFO, THRE stays clear, and the guest waits: nothing is lost.
 *
 * Reception. Host input is read only when the receiver has room and the guest listens. Real terminals are
 * told so by RTS; guests that never touch MCR show it by looking at LSR or by enabling the interrupt. Drivers
 * empty the FIFOs while they set themselves up, so the guest must have listened for a moment before it gets
 * the first character: input that was typed or piped in before the guest booted is not lost.
 *
 * The tick is one timer for everything that waits a little: the transmitter's interrupt, the receiver's
 * timeout, and the write(2) of what was gathered. It is armed when there is something to wait for, and not
 * moved while it runs.
 *
 * Succession. The UART is in the console's state (console_state.h), which is committed before the reply to an access
 * is sent, and before the host is given what an access or a tick moved to the output. The client numbers accesses by
 * the ids of their messages, and gives us again those of which it does not know whether our predecessor did them: one
 * whose id is not behind that of the last access in the state was done, and a read's reply is there too. From the first
 * access that is new, ids are of no interest; nor are they where there was no predecessor.
 */
#include "dev-console/serial.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/vfio-user/vfio_user_backend.h"
#include "common/vfio-user/vfio_user_message.h"
#include "dev-console/uart16550.h"

/* A character takes 87 us at 115200 baud. */
#define SERIAL_TICK_US 100
/*
 * The receiver's time-out: four character times (PC16550D 8.4), of ten bits each, at the baud rate that the divisor makes of
 * 1.8432 MHz, in ticks. For rates below 9600 baud as for that: nobody shall wait, or keep us ticking, for seconds.
 */
#define SERIAL_TIMEOUT_US(divisor) (UINT64_C(4) * 10 * 16 * (divisor)*1000000 / 1843200)
#define SERIAL_TIMEOUT_US_MAX	   SERIAL_TIMEOUT_US(12)
/* How long a guest must have listened before it is spoken to. */
#define SERIAL_SETTLE_US 5000
#define SERIAL_DRAIN_MS	 1000
/* Accesses that a client may give a successor again: more than ours keeps. */
#define SERIAL_AGAIN_MAX 1024

struct serial {
	struct loop *loop;
	struct output *output;
	struct vfio_user_backend *backend;
	struct loop_watch *tick;
	struct loop_watch *settle;
	void (*session_end)(void *argument, int error);
	void *argument;

	struct console_state *state;
	struct uart16550 *uart; /* the state's */
	bool line;		/* the level of the interrupt line */
	bool tick_armed;
	bool resuming;	     /* the client may give us again what a predecessor did */
	bool listened;	     /* the guest listens, and settle is armed or over */
	bool input_waits;    /* the host has input that the receiver had no room for */
	unsigned idle_ticks; /* since something was read or came in */
	struct serial_counters counters;
};

/* --- The interrupt line --- */

/* A rising edge is a pulse on the ISA interrupt, which is edge-triggered. */
static void serial_update_line(struct serial *serial)
{
	bool level = uart16550_interrupt(serial->uart);

	if (level && !serial->line && serial->backend != NULL) {
		serial->counters.interrupts++;
		vfio_user_backend_interrupt(serial->backend, 0);
	}
	serial->line = level;
}

static void serial_arm_tick(struct serial *serial)
{
	if (serial->tick_armed)
		return;
	if ((uart16550_transmit_count(serial->uart) > 0 && output_room(serial->output) > 0) ||
	    output_unflushed(serial->output) || uart16550_receive_waits(serial->uart)) {
		serial->tick_armed = true;
		loop_timer_arm(serial->tick, SERIAL_TICK_US);
	}
}

/* --- Transmitter --- */

/* Moves characters from the FIFO to the output as far as that takes them. */
static void serial_transmit(struct serial *serial)
{
	uint8_t characters[UART16550_FIFO];
	size_t room, count;

	if (uart16550_transmit_count(serial->uart) == 0)
		return;
	room = output_room(serial->output);
	if (room < sizeof(characters) && output_unflushed(serial->output)) {
		output_flush(serial->output);
		room = output_room(serial->output);
	}
	count = uart16550_transmit(serial->uart, characters,
				   room < sizeof(characters) ? room : sizeof(characters));
	if (count > 0)
		output_write(serial->output, characters, count);
}

/* The output has room again. */
static void serial_output_room(void *owner)
{
	struct serial *serial = owner;

	serial_transmit(serial);
	serial_update_line(serial);
	console_state_commit(serial->state);
	serial_arm_tick(serial);
}

/* --- Receiver --- */

static bool serial_guest_listens(const struct uart16550 *uart)
{
	if (uart->mcr & UART16550_MCR_LOOP)
		return false;
	return uart->mcr & UART16550_MCR_RTS || uart->ier & UART16550_IER_ERBFI ||
	       (!uart->mcr_written && uart->lsr_read);
}

/* Fills the receiver from the host, as far as there is room and input. */
static void serial_feed(struct serial *serial)
{
	size_t room = uart16550_receive_room(serial->uart), count;
	const uint8_t *characters;

	if (!serial->state->live.listens || room == 0) {
		serial->input_waits = true;
		output_want_input(serial->output, false);
		return;
	}
	count = output_input(serial->output, room, &characters);
	for (size_t i = 0; i < count; i++)
		uart16550_receive(serial->uart, characters[i], 0);
	if (count > 0)
		output_take(serial->output, count);
	serial->idle_ticks = 0;
	/* A full read may have left some behind; it is not worth a turn of the loop to find out. */
	serial->input_waits = count == room || output_has_input(serial->output);
	output_want_input(serial->output, !serial->input_waits);
	/* The host has no more for now: the timeout need not be waited for. */
	if (!serial->input_waits)
		uart16550_receive_idle(serial->uart);
}

static void serial_output_input(void *owner)
{
	struct serial *serial = owner;

	serial_feed(serial);
	serial_update_line(serial);
	console_state_commit(serial->state);
	serial_arm_tick(serial);
}

static const struct output_ops serial_output_ops = {
	.input = serial_output_input,
	.room = serial_output_room,
};

static void serial_update_listening(struct serial *serial)
{
	bool listens = serial_guest_listens(serial->uart);

	if (listens == serial->listened)
		return;
	serial->listened = listens;
	serial->state->live.listens = false;
	if (listens)
		loop_timer_arm(serial->settle, SERIAL_SETTLE_US);
	else
		loop_timer_disarm(serial->settle);
}

static void serial_settled(void *argument)
{
	struct serial *serial = argument;

	serial->state->live.listens = serial->listened;
	serial_output_input(serial);
}

/* --- The tick --- */

static unsigned serial_timeout_ticks(const struct uart16550 *uart)
{
	uint64_t timeout_us = SERIAL_TIMEOUT_US((unsigned)uart->dlm << 8 | uart->dll);

	if (timeout_us > SERIAL_TIMEOUT_US_MAX)
		timeout_us = SERIAL_TIMEOUT_US_MAX;
	return timeout_us > SERIAL_TICK_US ? (unsigned)(timeout_us / SERIAL_TICK_US) : 1;
}

static void serial_tick(void *argument)
{
	struct serial *serial = argument;

	serial->tick_armed = false;
	serial_transmit(serial);
	console_state_commit(serial->state);
	output_flush(serial->output);
	/* The flush may have made room. */
	serial_transmit(serial);
	if (serial->input_waits && serial->state->live.listens && uart16550_receive_room(serial->uart) > 0)
		serial_feed(serial);
	else if (uart16550_receive_waits(serial->uart) &&
		 ++serial->idle_ticks >= serial_timeout_ticks(serial->uart))
		uart16550_receive_idle(serial->uart);
	serial_update_line(serial);
	console_state_commit(serial->state);
	serial_arm_tick(serial);
}

/* --- Registers --- */

/* Whether the access that came is one that a predecessor carried out. */
static bool serial_done_before(struct serial *serial)
{
	const struct console_record *record = &serial->state->live;
	uint16_t behind;

	if (!serial->resuming)
		return false;
	behind = (uint16_t)(record->access_id - vfio_user_backend_message_id(serial->backend));
	if (behind <= SERIAL_AGAIN_MAX)
		return true;
	serial->resuming = false;
	return false;
}

/* The access is carried out, with all that follows from it. */
static void serial_done(struct serial *serial, const uint8_t *data, uint32_t count)
{
	struct console_record *record = &serial->state->live;

	record->access_known = 1;
	record->access_id = vfio_user_backend_message_id(serial->backend);
	if (count > 0)
		memcpy(record->access_data, data, count);
	console_state_commit(serial->state);
}

/* What an access changed. */
static void serial_follow_guest(struct serial *serial)
{
	serial_update_listening(serial);
	/* The line first falls for what was read, and then rises for what takes its place. */
	serial_update_line(serial);
	if (serial->input_waits && serial->state->live.listens && serial->uart->rx_count == 0) {
		serial_feed(serial);
		serial_update_line(serial);
	}
	serial_arm_tick(serial);
}

static int serial_region_read(void *device, uint32_t region, uint64_t offset, void *data, uint32_t count)
{
	struct serial *serial = device;
	struct uart16550 *uart = serial->uart;
	uint8_t *bytes = data;

	(void)region;
	if (serial_done_before(serial)) {
		memcpy(data, serial->state->live.access_data, count);
		return 0;
	}
	serial->counters.register_reads++;
	for (uint32_t i = 0; i < count; i++) {
		/* Who looks at the transmitter shall see it empty if it can be. */
		serial_transmit(serial);
		bytes[i] = uart16550_read(uart, (unsigned)offset + i);
		if (offset + i == UART16550_RBR)
			serial->idle_ticks = 0;
	}
	serial_follow_guest(serial);
	serial_done(serial, bytes, count);
	return 0;
}

static void serial_write(struct serial *serial, unsigned offset, uint8_t value)
{
	struct uart16550 *uart = serial->uart;
	bool character = offset == UART16550_THR && !(uart->lcr & UART16550_LCR_DLAB);

	/* Characters written before a change are sent before it. */
	if (!character || uart16550_transmit_full(uart))
		serial_transmit(serial);
	uart16550_write(uart, offset, value);
	if (character)
		serial->idle_ticks = 0; /* looped back, it came in */
	/* The line falls before it rises again: without FIFOs both happen here, and the guest must see an
	 * edge. */
	serial_update_line(serial);
	if (character && (uart16550_transmit_full(uart) || !(uart->ier & UART16550_IER_ETBEI)))
		serial_transmit(serial);
}

static int serial_region_write(void *device, uint32_t region, uint64_t offset, const void *data,
			       uint32_t count)
{
	struct serial *serial = device;
	const uint8_t *bytes = data;

	(void)region;
	if (serial_done_before(serial))
		return 0;
	serial->counters.register_writes++;
	for (uint32_t i = 0; i < count; i++)
		serial_write(serial, (unsigned)offset + i, bytes[i]);
	serial_follow_guest(serial);
	serial_done(serial, NULL, 0);
	return 0;
}

/* A line that was raised before anybody could hear it is raised again. */
static void serial_set_irq(void *device, uint32_t index, int eventfd)
{
	struct serial *serial = device;

	(void)index;
	if (eventfd < 0)
		return;
	serial->line = false;
	serial_update_line(serial);
}

static void serial_reset(void *device)
{
	struct serial *serial = device;

	serial_transmit(serial);
	serial->counters.lost += serial->uart->tx_lost;
	uart16550_reset(serial->uart);
	serial_update_listening(serial);
	serial_update_line(serial);
	console_state_commit(serial->state);
}

/* --- Sessions --- */

static void serial_session_end(void *device, int error)
{
	struct serial *serial = device;

	vfio_user_backend_free(serial->backend);
	serial->backend = NULL;
	/* Until the next client has set its interrupt nobody hears the line. */
	serial->line = false;
	/* It numbers its accesses anew. */
	serial->resuming = false;
	serial->session_end(serial->argument, error);
}

static const struct vfio_user_device_ops serial_device_ops = {
	.device_flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET,
	.region_count = 1,
	.regions = {{.size = UART16550_REGISTERS,
		     .flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE}},
	.irq_count = 1,
	.region_read = serial_region_read,
	.region_write = serial_region_write,
	.set_irq = serial_set_irq,
	.reset = serial_reset,
	.session_end = serial_session_end,
};

int serial_start(struct serial *serial, int socket_fd, void (*ended)(void *argument, int error),
		 void *argument)
{
	serial->session_end = ended;
	serial->argument = argument;
	return vfio_user_backend_new(serial->loop, socket_fd, &serial_device_ops, serial, &serial->backend);
}

void serial_stop(struct serial *serial)
{
	if (serial->backend == NULL)
		return;
	vfio_user_backend_drain(serial->backend);
	vfio_user_backend_free(serial->backend);
	serial->backend = NULL;
	/* The FIFO holds less than the buffer has once that is drained. */
	output_drain(serial->output, SERIAL_DRAIN_MS);
	serial_transmit(serial);
	console_state_commit(serial->state);
	output_flush(serial->output);
}

/* Where a predecessor left off: what it had still to do is done at the first tick. */
static void serial_resume(struct serial *serial)
{
	struct console_record *record = &serial->state->live;

	serial->resuming = record->access_known;
	serial->listened = serial_guest_listens(serial->uart);
	if (!serial->listened)
		record->listens = false;
	else if (!record->listens)
		loop_timer_arm(serial->settle, SERIAL_SETTLE_US);
	serial->input_waits = true;
	serial->tick_armed = true;
	loop_timer_arm(serial->tick, 0);
}

int serial_new(struct loop *loop, struct output *output, struct console_state *state, struct serial **serial)
{
	struct serial *new = calloc(1, sizeof(*new));

	if (new == NULL)
		return -ENOMEM;
	vfio_user_capabilities_prepare();
	new->loop = loop;
	new->output = output;
	new->state = state;
	new->uart = &state->live.uart;
	new->tick = loop_watch_timer(loop, serial_tick, new);
	new->settle = loop_watch_timer(loop, serial_settled, new);
	if (new->tick == NULL || new->settle == NULL) {
		serial_free(new);
		return -ENOMEM;
	}
	output_set_owner(output, &serial_output_ops, new);
	if (state->inherited)
		serial_resume(new);
	*serial = new;
	return 0;
}

void serial_free(struct serial *serial)
{
	if (serial == NULL)
		return;
	vfio_user_backend_free(serial->backend);
	loop_unwatch(serial->tick);
	loop_unwatch(serial->settle);
	free(serial);
}

struct serial_counters serial_counters(const struct serial *serial)
{
	struct serial_counters counters = serial->counters;

	counters.lost += serial->uart->tx_lost;
	return counters;
}
