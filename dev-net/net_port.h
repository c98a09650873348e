/*
 * What both directions of the device share: the tap, what was negotiated, the filter, and the counters.
 *
 * Everything in dev-net/ runs in the main thread; see net_device.h for why.
 */
#ifndef ATOLL_DEV_NET_NET_PORT_H
#define ATOLL_DEV_NET_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "dev-net/net_filter.h"
#include "dev-net/net_header.h"

enum net_counter {
	NET_COUNTER_RX_PACKETS,
	NET_COUNTER_RX_BYTES, /* of frames, without the header */
	NET_COUNTER_RX_HELD,  /* frames that were copied because the guest was short of buffers */
	NET_COUNTER_RX_STARVED,
	NET_COUNTER_RX_DROPPED_FILTER,
	NET_COUNTER_RX_DROPPED_LINK_DOWN,
	NET_COUNTER_RX_DROPPED_TOO_LARGE,
	NET_COUNTER_RX_DROPPED_OFFLOAD, /* frames that need an offload which the driver does not do */
	NET_COUNTER_RX_ERRORS,
	NET_COUNTER_RX_KICKS,
	NET_COUNTER_RX_INTERRUPTS,
	NET_COUNTER_TX_PACKETS,
	NET_COUNTER_TX_BYTES,
	NET_COUNTER_TX_BLOCKED, /* times the tap had no room */
	NET_COUNTER_TX_DROPPED_HEADER,
	NET_COUNTER_TX_DROPPED_SIZE,
	NET_COUNTER_TX_DROPPED_LINK_DOWN,
	NET_COUNTER_TX_DROPPED_TAP_DOWN,
	NET_COUNTER_TX_ERRORS,
	NET_COUNTER_TX_KICKS,
	NET_COUNTER_TX_INTERRUPTS,
	NET_COUNTER_CONTROL_COMMANDS,
	NET_COUNTER_CONTROL_REFUSED,
	NET_COUNTER_CONTROL_KICKS,
	NET_COUNTER_CONTROL_INTERRUPTS,
	NET_COUNTERS,
};

struct net_port {
	int tap_fd;
	int (*set_offload)(int tap_fd, unsigned flags); /* tap_set_offload() */
	uint64_t features;				/* VIRTIO_NET_F_* as acked */
	uint64_t offloads;	/* VIRTIO_NET_F_GUEST_* that are in force: what the tap may give us */
	uint32_t mtu_max;	/* of the tap, at the start */
	uint32_t longest_frame; /* that came and was longer than that */
	bool link_up;
	struct net_filter filter;
	uint64_t counters[NET_COUNTERS];
};

/* How far a run over a queue came. */
enum net_progress {
	NET_PROGRESS_IDLE,    /* all is done that there was to do */
	NET_PROGRESS_MORE,    /* the budget is spent */
	NET_PROGRESS_BLOCKED, /* receiving: no buffers of the guest; sending: no room in the tap */
	NET_PROGRESS_GONE,    /* the tap was removed */
	NET_PROGRESS_BROKEN,  /* the ring broke the rules */
};

static inline void net_count(struct net_port *port, enum net_counter counter, uint64_t value)
{
	port->counters[counter] += value;
}

/* Puts those of the offloads (VIRTIO_NET_F_GUEST_*) that hang together in force at the tap. 0 or -errno. */
int net_port_set_offloads(struct net_port *port, uint64_t offloads);

const char *net_counter_name(enum net_counter counter);

#endif
