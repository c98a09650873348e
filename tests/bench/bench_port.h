/*
 * The other side of the tap that a network device's process serves: the host's end, by way of packet sockets. It sends
 * frames to the device, sees what came from it, and asks the kernel how much that was. Each failure ends the program.
 */
#ifndef ATOLL_TESTS_BENCH_BENCH_PORT_H
#define ATOLL_TESTS_BENCH_BENCH_PORT_H

#include <stdint.h>

#include "dev-net/virtio_net_spec.h"

/* What the kernel counts at the interface, modulo 2^32. */
struct bench_port_counts {
	uint32_t frames; /* that came from the device */
	uint32_t bytes;
};

struct bench_port {
	const char *tap;
	int send_fd;
	int see_fd; /* -1: nothing is seen */
};

void bench_port_open(struct bench_port *port, const char *tap);

/*
 * Sends the same frame `count` times (at most BENCH_PORT_BURST_MAX), into the tap's queue, past the queueing
 * discipline. There must be room.
 */
#define BENCH_PORT_BURST_MAX 512u
void bench_port_send(struct bench_port *port, const struct virtio_net_hdr *header, const uint8_t *frame,
		     uint32_t bytes, unsigned count);

/*
 * From bench_port_see() to bench_port_look_away() each frame from the device is copied for us, which costs the device.
 */
void bench_port_see(struct bench_port *port);
/* The next frame with its header. Returns the frame's bytes. */
uint32_t bench_port_seen(struct bench_port *port, struct virtio_net_hdr *header, uint8_t *frame,
			 uint32_t room);
void bench_port_look_away(struct bench_port *port);

struct bench_port_counts bench_port_count(const struct bench_port *port);

#endif
