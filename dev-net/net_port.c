/* What both directions share: see net_port.h. */
#include "dev-net/net_port.h"

#include "dev-net/net_header.h"

int net_port_set_offloads(struct net_port *port, uint64_t offloads)
{
	uint64_t usable = net_offloads_usable(offloads);
	int result = port->set_offload(port->tap_fd, net_offloads_tap_flags(usable));

	if (result == 0)
		port->offloads = usable;
	return result;
}

const char *net_counter_name(enum net_counter counter)
{
	static const char *const names[NET_COUNTERS] = {
		[NET_COUNTER_RX_PACKETS] = "rx-packets",
		[NET_COUNTER_RX_BYTES] = "rx-bytes",
		[NET_COUNTER_RX_HELD] = "rx-held",
		[NET_COUNTER_RX_STARVED] = "rx-starved",
		[NET_COUNTER_RX_DROPPED_FILTER] = "rx-dropped-filter",
		[NET_COUNTER_RX_DROPPED_LINK_DOWN] = "rx-dropped-link-down",
		[NET_COUNTER_RX_DROPPED_TOO_LARGE] = "rx-dropped-too-large",
		[NET_COUNTER_RX_DROPPED_OFFLOAD] = "rx-dropped-offload",
		[NET_COUNTER_RX_ERRORS] = "rx-errors",
		[NET_COUNTER_RX_KICKS] = "rx-kicks",
		[NET_COUNTER_RX_INTERRUPTS] = "rx-interrupts",
		[NET_COUNTER_TX_PACKETS] = "tx-packets",
		[NET_COUNTER_TX_BYTES] = "tx-bytes",
		[NET_COUNTER_TX_BLOCKED] = "tx-blocked",
		[NET_COUNTER_TX_DROPPED_HEADER] = "tx-dropped-header",
		[NET_COUNTER_TX_DROPPED_SIZE] = "tx-dropped-size",
		[NET_COUNTER_TX_DROPPED_LINK_DOWN] = "tx-dropped-link-down",
		[NET_COUNTER_TX_DROPPED_TAP_DOWN] = "tx-dropped-tap-down",
		[NET_COUNTER_TX_ERRORS] = "tx-errors",
		[NET_COUNTER_TX_KICKS] = "tx-kicks",
		[NET_COUNTER_TX_INTERRUPTS] = "tx-interrupts",
		[NET_COUNTER_CONTROL_COMMANDS] = "control-commands",
		[NET_COUNTER_CONTROL_REFUSED] = "control-refused",
		[NET_COUNTER_CONTROL_KICKS] = "control-kicks",
		[NET_COUNTER_CONTROL_INTERRUPTS] = "control-interrupts",
	};

	return names[counter];
}
