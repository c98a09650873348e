/*
 * The control wire: Envelopes with their descriptors over a SOCK_SEQPACKET socket.
 *
 * Stateless; either end may be non-blocking. Used by the supervisor for its children and its monitor socket,
 * by each child, and by the commands that ask a running supervisor.
 */
#ifndef ATOLL_COMMON_BASE_CONTROL_WIRE_H
#define ATOLL_COMMON_BASE_CONTROL_WIRE_H

#include <stddef.h>

#include "proto/control_frame.h"

/* How long a console that was refused a file waits before it asks again (ConsoleFile of proto/control.proto). */
#define CONSOLE_REFUSED_US 1000000

/* A received envelope and its descriptors. control_message_clear() frees both. */
struct control_message {
	Atoll__Control__Envelope *envelope;
	int fds[CONTROL_FRAME_FDS_MAX]; /* set an entry to -1 to keep the descriptor */
	size_t fd_count;
};

/*
 * Sends one envelope; its fd_count field is set here. Descriptors stay the caller's. Returns 0, -EAGAIN when
 * a non-blocking socket is full, -EPIPE when the peer is gone, -EMSGSIZE.
 */
int control_send(int socket_fd, Atoll__Control__Envelope *envelope, const int *fds, size_t fd_count);

/*
 * Receives one. Returns 1 with *message filled, 0 at the peer's end, -EAGAIN, -EPROTO for a packet that the
 * framing refuses, or another -errno; message is empty unless 1 was returned.
 */
int control_receive(int socket_fd, struct control_message *message);

/* Waits up to timeout_ms for one packet first (-1: for ever); -ETIMEDOUT. */
int control_receive_timeout(int socket_fd, int timeout_ms, struct control_message *message);

void control_message_clear(struct control_message *message);

/* Senders for the bodies that many use. Errors as control_send(). */
int control_send_order(int socket_fd, Atoll__Control__Order__Kind kind);
int control_send_ready(int socket_fd);
int control_send_guest_event(int socket_fd, Atoll__Control__GuestEvent__Kind kind, unsigned status,
			     const char *detail);

#endif
