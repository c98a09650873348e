/* The receive filter: see net_filter.h. */
#include "dev-net/net_filter.h"

#include <string.h>

/* IEEE 802.1Q */
#define ETHERTYPE_OFFSET 12
#define ETHERTYPE_VLAN_0 0x81
#define ETHERTYPE_VLAN_1 0x00
#define VLAN_ID_MASK	 0x0fff

void net_filter_reset(struct net_filter *filter, const uint8_t *mac)
{
	*filter = (struct net_filter){.any_address = true};
	memcpy(filter->mac, mac, NET_ADDRESS_SIZE);
}

bool net_filter_open(const struct net_filter *filter)
{
	return filter->promiscuous || (filter->any_address && !filter->vlan_filtering &&
				       !filter->no_multicast && !filter->no_unicast && !filter->no_broadcast);
}

void net_filter_set_vlan(struct net_filter *filter, uint16_t id, bool member)
{
	uint8_t bit = (uint8_t)(1u << (id % 8));

	if (member)
		filter->vlans[id / 8] |= bit;
	else
		filter->vlans[id / 8] &= (uint8_t)~bit;
}

static bool list_holds(const struct net_address_list *list, const uint8_t *address)
{
	if (list->overflow)
		return true;
	for (size_t i = 0; i < list->count; i++) {
		if (memcmp(list->addresses[i], address, NET_ADDRESS_SIZE) == 0)
			return true;
	}
	return false;
}

static bool vlan_accepts(const struct net_filter *filter, const uint8_t *frame, size_t length)
{
	unsigned id;

	if (!filter->vlan_filtering || length < NET_FILTER_LOOK ||
	    frame[ETHERTYPE_OFFSET] != ETHERTYPE_VLAN_0 || frame[ETHERTYPE_OFFSET + 1] != ETHERTYPE_VLAN_1)
		return true;
	id = ((unsigned)frame[ETHERTYPE_OFFSET + 2] << 8 | frame[ETHERTYPE_OFFSET + 3]) & VLAN_ID_MASK;
	/* 0 says that the tag carries a priority and no VLAN. */
	return id == 0 || (filter->vlans[id / 8] & 1u << (id % 8)) != 0;
}

bool net_filter_accepts(const struct net_filter *filter, const uint8_t *frame, size_t length)
{
	static const uint8_t broadcast[NET_ADDRESS_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	if (filter->promiscuous)
		return true;
	if (!vlan_accepts(filter, frame, length))
		return false;
	if (memcmp(frame, broadcast, NET_ADDRESS_SIZE) == 0)
		return !filter->no_broadcast;
	if ((frame[0] & 1) != 0)
		return !filter->no_multicast && (filter->any_address || filter->all_multicast ||
						 list_holds(&filter->multicast, frame));
	return !filter->no_unicast &&
	       (filter->any_address || filter->all_unicast ||
		memcmp(frame, filter->mac, NET_ADDRESS_SIZE) == 0 || list_holds(&filter->unicast, frame));
}
