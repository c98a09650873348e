/* The control queue's commands: see net_control.h. */
#include "dev-net/net_control.h"

#include <string.h>

#include "common/spec/virtio_spec.h"
#include "dev-net/net_header.h"
#include "dev-net/virtio_net_spec.h"

static bool negotiated(const struct net_port *port, unsigned bit)
{
	return (port->features & VIRTIO_BIT(bit)) != 0;
}

/* Takes the command's data, which must have exactly this size. */
static bool data_take(const struct virtqueue_chain *chain, void *data, size_t size)
{
	return chain->out_bytes == sizeof(struct virtio_net_ctrl) + size &&
	       virtqueue_chain_read(chain, sizeof(struct virtio_net_ctrl), data, size) == size;
}

static bool rx_mode_set(struct net_port *port, uint8_t command, const struct virtqueue_chain *chain)
{
	struct net_filter *filter = &port->filter;
	bool *const modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &filter->promiscuous,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &filter->all_multicast,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &filter->all_unicast,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &filter->no_multicast,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &filter->no_unicast,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &filter->no_broadcast,
	};
	unsigned feature =
		command >= VIRTIO_NET_CTRL_RX_ALLUNI ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX;
	uint8_t on;

	if (command >= sizeof(modes) / sizeof(modes[0]) || !negotiated(port, feature) ||
	    !data_take(chain, &on, sizeof(on)) || on > 1)
		return false;
	*modes[command] = on != 0;
	if (command == VIRTIO_NET_CTRL_RX_PROMISC)
		filter->any_address = false;
	return true;
}

/* One of the two lists at *offset of the readable part, which it moves on. */
static bool address_list_take(const struct virtqueue_chain *chain, size_t *offset,
			      struct net_address_list *list)
{
	uint32_t count;
	size_t left;

	if (virtqueue_chain_read(chain, *offset, &count, sizeof(count)) != sizeof(count))
		return false;
	*offset += sizeof(count);
	left = chain->out_bytes - *offset;
	if (count > left / NET_ADDRESS_SIZE)
		return false;
	list->overflow = count > NET_FILTER_ADDRESSES;
	list->count = list->overflow ? 0 : count;
	virtqueue_chain_read(chain, *offset, list->addresses, list->count * NET_ADDRESS_SIZE);
	*offset += count * (size_t)NET_ADDRESS_SIZE;
	return true;
}

/* Unicast addresses, then multicast ones; both lists are replaced or none. */
static bool address_table_set(struct net_port *port, const struct virtqueue_chain *chain)
{
	struct net_address_list unicast = {0}, multicast = {0};
	size_t offset = sizeof(struct virtio_net_ctrl);

	if (!negotiated(port, VIRTIO_NET_F_CTRL_RX) || !address_list_take(chain, &offset, &unicast) ||
	    !address_list_take(chain, &offset, &multicast) || offset != chain->out_bytes)
		return false;
	port->filter.unicast = unicast;
	port->filter.multicast = multicast;
	return true;
}

static bool address_set(struct net_port *port, const struct virtqueue_chain *chain)
{
	uint8_t mac[NET_ADDRESS_SIZE];

	if (!negotiated(port, VIRTIO_NET_F_CTRL_MAC_ADDR) || !data_take(chain, mac, sizeof(mac)))
		return false;
	memcpy(port->filter.mac, mac, sizeof(mac));
	return true;
}

static bool address_command(struct net_port *port, uint8_t command, const struct virtqueue_chain *chain)
{
	switch (command) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return address_table_set(port, chain);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return address_set(port, chain);
	default:
		return false;
	}
}

static bool vlan_command(struct net_port *port, uint8_t command, const struct virtqueue_chain *chain)
{
	uint16_t id;

	if (!negotiated(port, VIRTIO_NET_F_CTRL_VLAN) ||
	    (command != VIRTIO_NET_CTRL_VLAN_ADD && command != VIRTIO_NET_CTRL_VLAN_DEL) ||
	    !data_take(chain, &id, sizeof(id)) || id >= NET_FILTER_VLANS)
		return false;
	net_filter_set_vlan(&port->filter, id, command == VIRTIO_NET_CTRL_VLAN_ADD);
	return true;
}

static bool offloads_command(struct net_port *port, uint8_t command, const struct virtqueue_chain *chain)
{
	uint64_t offloads;

	/* "A driver MUST NOT set offloads for which the appropriate feature has not been negotiated." */
	if (!negotiated(port, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    command != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !data_take(chain, &offloads, sizeof(offloads)) ||
	    (offloads & ~(port->features & net_guest_offloads)) != 0)
		return false;
	return net_port_set_offloads(port, offloads) == 0;
}

static bool announce_command(struct net_port *port, uint8_t command, const struct virtqueue_chain *chain,
			     bool *announced)
{
	if (!negotiated(port, VIRTIO_NET_F_GUEST_ANNOUNCE) || command != VIRTIO_NET_CTRL_ANNOUNCE_ACK ||
	    chain->out_bytes != sizeof(struct virtio_net_ctrl))
		return false;
	*announced = true;
	return true;
}

static bool command_execute(struct net_port *port, const struct virtqueue_chain *chain, bool *announced)
{
	struct virtio_net_ctrl command;

	if (virtqueue_chain_read(chain, 0, &command, sizeof(command)) != sizeof(command))
		return false;
	switch (command.class) {
	case VIRTIO_NET_CTRL_RX:
		return rx_mode_set(port, command.command, chain);
	case VIRTIO_NET_CTRL_MAC:
		return address_command(port, command.command, chain);
	case VIRTIO_NET_CTRL_VLAN:
		return vlan_command(port, command.command, chain);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announce_command(port, command.command, chain, announced);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return offloads_command(port, command.command, chain);
	default:
		return false;
	}
}

uint8_t net_control_execute(struct net_port *port, const struct virtqueue_chain *chain, bool *announced)
{
	bool done = negotiated(port, VIRTIO_NET_F_CTRL_VQ) && command_execute(port, chain, announced);

	net_count(port, NET_COUNTER_CONTROL_COMMANDS, 1);
	if (!done)
		net_count(port, NET_COUNTER_CONTROL_REFUSED, 1);
	return done ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}
