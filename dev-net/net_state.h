/*
 * What a network's process leaves to its successor: what the driver has negotiated and set over the control queue. The
 * frames are not part of it. See common/ring/device_state.h.
 *
 * It is committed when a command is done, and before the driver is told so. A process that is killed between the two
 * leaves the command in the ring, and the next one does it again, which changes nothing more.
 */
#ifndef ATOLL_DEV_NET_NET_STATE_H
#define ATOLL_DEV_NET_NET_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/device_state.h"
#include "dev-net/net_port.h"

#define NET_STATE_VERSION 1u

/* Flags are 0 or 1. Names as in struct net_filter. */
struct net_record {
	uint64_t features; /* as the driver acknowledged them; 0: there is no driver */
	uint64_t offloads; /* VIRTIO_NET_F_GUEST_* in force */
	uint8_t mac[NET_ADDRESS_SIZE];
	uint8_t any_address;
	uint8_t promiscuous;
	uint8_t all_multicast;
	uint8_t all_unicast;
	uint8_t no_multicast;
	uint8_t no_unicast;
	uint8_t no_broadcast;
	uint8_t announce; /* VIRTIO_NET_S_ANNOUNCE */
	uint8_t unicast_overflow;
	uint8_t multicast_overflow;
	uint16_t unicast_count;
	uint16_t multicast_count;
	uint8_t reserved[4]; /* 0 */
	uint8_t unicast[NET_FILTER_ADDRESSES][NET_ADDRESS_SIZE];
	uint8_t multicast[NET_FILTER_ADDRESSES][NET_ADDRESS_SIZE];
	uint8_t vlans[NET_FILTER_VLANS / 8];
};

_Static_assert(sizeof(struct net_record) == 16 + 16 + 8 + 2 * 6 * NET_FILTER_ADDRESSES + NET_FILTER_VLANS / 8,
	       "a record has no padding");
_Static_assert(sizeof(struct net_record) % 8 == 0 && sizeof(struct net_record) <= DEVICE_STATE_RECORD_MAX,
	       "a network's record is one of a device");

/*
 * fd: the state page, borrowed; -1: none. Call net_state_take_over() or net_state_begin() next. 0 or -errno (logged).
 */
int net_state_open(struct device_state *state, int fd);

/*
 * Fills port's features, offloads and filter, and *announce, with what a predecessor left. The offloads are not put in
 * force. offered: features that a driver may have acknowledged. NULL, or what is wrong with it; then nothing is
 * changed.
 */
const char *net_state_take_over(struct device_state *state, uint64_t offered, struct net_port *port,
				bool *announce);
void net_state_begin(struct device_state *state, const struct net_port *port, bool announce);
void net_state_commit(struct device_state *state, const struct net_port *port, bool announce);

#endif
