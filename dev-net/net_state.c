/* What a network's process leaves to its successor: see net_state.h. */
#include "dev-net/net_state.h"

#include <string.h>

#include "common/spec/virtio_spec.h"
#include "dev-net/net_header.h"
#include "dev-net/virtio_net_spec.h"

static const struct device_state_layout net_layout = {NET_STATE_VERSION, sizeof(struct net_record),
						      sizeof(struct net_record)};

int net_state_open(struct device_state *state, int fd)
{
	return device_state_open(state, DEVICE_STATE_NET, &net_layout, fd);
}

static bool lists_valid(const struct net_record *record)
{
	return record->unicast_count <= (record->unicast_overflow ? 0 : NET_FILTER_ADDRESSES) &&
	       record->multicast_count <= (record->multicast_overflow ? 0 : NET_FILTER_ADDRESSES);
}

/* NULL, or what cannot be. */
static const char *record_problem(const struct net_record *record, uint64_t offered)
{
	static const uint8_t zero[sizeof(record->reserved)];
	const uint8_t flags[] = {
		record->any_address,	    record->promiscuous,  record->all_multicast,
		record->all_unicast,	    record->no_multicast, record->no_unicast,
		record->no_broadcast,	    record->announce,	  record->unicast_overflow,
		record->multicast_overflow,
	};

	if ((record->features & ~offered) != 0)
		return "its driver uses features that are not offered";
	if ((record->offloads & ~(record->features & net_guest_offloads)) != 0)
		return "its offloads are not among its features";
	for (size_t i = 0; i < sizeof(flags); i++) {
		if (flags[i] > 1)
			return "one of its flags is neither set nor clear";
	}
	if (!lists_valid(record))
		return "its lists of addresses are longer than they can be";
	if (memcmp(record->reserved, zero, sizeof(zero)) != 0)
		return "it has something where there is nothing";
	return NULL;
}

static struct net_address_list list_of(uint16_t count, uint8_t overflow,
				       const uint8_t addresses[][NET_ADDRESS_SIZE])
{
	struct net_address_list list = {.count = count, .overflow = overflow != 0};

	memcpy(list.addresses, addresses, count * (size_t)NET_ADDRESS_SIZE);
	return list;
}

const char *net_state_take_over(struct device_state *state, uint64_t offered, struct net_port *port,
				bool *announce)
{
	struct net_record record = {0};
	const char *problem = device_state_take(state, &record);

	if (problem == NULL)
		problem = record_problem(&record, offered);
	if (problem != NULL)
		return problem;
	port->features = record.features;
	port->offloads = record.offloads;
	port->filter = (struct net_filter){
		.any_address = record.any_address != 0,
		.promiscuous = record.promiscuous != 0,
		.all_multicast = record.all_multicast != 0,
		.all_unicast = record.all_unicast != 0,
		.no_multicast = record.no_multicast != 0,
		.no_unicast = record.no_unicast != 0,
		.no_broadcast = record.no_broadcast != 0,
		.vlan_filtering = (record.features & VIRTIO_BIT(VIRTIO_NET_F_CTRL_VLAN)) != 0,
		.unicast = list_of(record.unicast_count, record.unicast_overflow, record.unicast),
		.multicast = list_of(record.multicast_count, record.multicast_overflow, record.multicast),
	};
	memcpy(port->filter.mac, record.mac, sizeof(record.mac));
	memcpy(port->filter.vlans, record.vlans, sizeof(record.vlans));
	*announce = record.announce != 0;
	return NULL;
}

static struct net_record record_of(const struct net_port *port, bool announce)
{
	const struct net_filter *filter = &port->filter;
	struct net_record record = {
		.features = port->features,
		.offloads = port->offloads,
		.any_address = filter->any_address,
		.promiscuous = filter->promiscuous,
		.all_multicast = filter->all_multicast,
		.all_unicast = filter->all_unicast,
		.no_multicast = filter->no_multicast,
		.no_unicast = filter->no_unicast,
		.no_broadcast = filter->no_broadcast,
		.announce = announce,
		.unicast_overflow = filter->unicast.overflow,
		.multicast_overflow = filter->multicast.overflow,
		.unicast_count = (uint16_t)filter->unicast.count,
		.multicast_count = (uint16_t)filter->multicast.count,
	};

	memcpy(record.mac, filter->mac, sizeof(record.mac));
	memcpy(record.unicast, filter->unicast.addresses, sizeof(record.unicast));
	memcpy(record.multicast, filter->multicast.addresses, sizeof(record.multicast));
	memcpy(record.vlans, filter->vlans, sizeof(record.vlans));
	return record;
}

void net_state_begin(struct device_state *state, const struct net_port *port, bool announce)
{
	struct net_record record = record_of(port, announce);

	device_state_begin(state, &record);
}

void net_state_commit(struct device_state *state, const struct net_port *port, bool announce)
{
	struct net_record record = record_of(port, announce);

	device_state_commit(state, &record);
}
