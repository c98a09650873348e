/*
 * The receive filter: which frames of the tap the guest gets.
 *
 * A fresh filter lets every address through until the driver has said whether it wants to be promiscuous:
 * drivers that do not use the control queue expect that. The VLAN table is empty at first and counts from the
 * beginning, once VIRTIO_NET_F_CTRL_VLAN is negotiated.
 *
 * Source: virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3.
 */
#ifndef ATOLL_DEV_NET_NET_FILTER_H
#define ATOLL_DEV_NET_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Addresses that each list holds; a driver that sets more gets all frames of that kind. */
#define NET_FILTER_ADDRESSES 64
#define NET_FILTER_VLANS     4096
/* Bytes of a frame that the filter wants to see at most: the addresses and one VLAN tag. */
#define NET_FILTER_LOOK 18

#define NET_ADDRESS_SIZE 6

struct net_address_list {
	size_t count;
	bool overflow;
	uint8_t addresses[NET_FILTER_ADDRESSES][NET_ADDRESS_SIZE];
};

struct net_filter {
	uint8_t mac[NET_ADDRESS_SIZE]; /* the device's own */
	bool any_address;	       /* nobody has set the mode yet */
	bool promiscuous;
	bool all_multicast;
	bool all_unicast;
	bool no_multicast;
	bool no_unicast;
	bool no_broadcast;
	bool vlan_filtering;
	struct net_address_list unicast;
	struct net_address_list multicast;
	uint8_t vlans[NET_FILTER_VLANS / 8];
};

void net_filter_reset(struct net_filter *filter, const uint8_t *mac);

/* Whether net_filter_accepts() would say yes to everything, so that nobody needs to look at a frame. */
bool net_filter_open(const struct net_filter *filter);

/* frame: the first min(length, NET_FILTER_LOOK) bytes of a frame of at least 14. */
bool net_filter_accepts(const struct net_filter *filter, const uint8_t *frame, size_t length);

void net_filter_set_vlan(struct net_filter *filter, uint16_t id, bool member);

#endif
