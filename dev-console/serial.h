/*
 * The serial port: a 16550A whose registers are a region of vfio-user, over an output.
 *
 * One thread, the loop's: register accesses, host input and timers take turns, so the UART needs no lock.
 */
#ifndef ATOLL_DEV_CONSOLE_SERIAL_H
#define ATOLL_DEV_CONSOLE_SERIAL_H

#include <stdint.h>

#include "common/base/loop.h"
#include "dev-console/output.h"

struct serial;

struct serial_counters {
	uint64_t register_reads;
	uint64_t register_writes;
	uint64_t interrupts;
	uint64_t lost; /* characters that the guest wrote although the transmitter was full */
};

/* output and its state are borrowed. Returns 0 or -errno. */
int serial_new(struct loop *loop, struct output *output, struct console_state *state, struct serial **serial);
/* Ends a session that still runs. NULL is allowed. */
void serial_free(struct serial *serial);

/* Serves vfio-user on a connected socket, which becomes the session's on success. ended() is called when the session is over, as
 * session_end() of vfio_user_backend.h. Returns 0 or -errno. */
int serial_start(struct serial *serial, int socket_fd, void (*ended)(void *argument, int error),
		 void *argument);
/* Takes what the client has sent so far, transmits it (waiting at most a second for the host), ends the
 * session. */
void serial_stop(struct serial *serial);

struct serial_counters serial_counters(const struct serial *serial);

#endif
