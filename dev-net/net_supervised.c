/*
 * atoll-net under the supervisor: what it is told of its interface, at first and later, and what it answers.
 */
#include <errno.h>

#include "common/base/log.h"
#include "dev-net/net_program.h"

int net_configure(void *argument, struct device_configuration *configuration)
{
	struct net_program *net = argument;
	const Atoll__Control__NetConfigure *configure = configuration->message->net;
	struct net_setup setup;
	const char *problem;
	int result;

	if (configuration->fd_count != 1 || configure->mac.len != NET_ADDRESS_SIZE) {
		log_error("the first message is not an interface's configuration with its descriptors");
		return -EPROTO;
	}
	setup = (struct net_setup){
		.tap_fd = configuration->fds[0],
		.mac = configure->mac.data,
		.mtu = configure->mtu,
		.link_up = configure->link_up,
	};
	result = net_device_configure(&net->device, &setup, &problem);
	if (result < 0) {
		log_error("%s", problem);
		return result;
	}
	configuration->fds[0] = -1;
	net_device_set_state(&net->device, configuration->state_fd, configuration->message->resume);
	configuration->state_fd = -1;
	return 0;
}

int net_message(void *argument, struct control_message *message)
{
	struct net_program *net = argument;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_LINK_STATE)
		return -EPROTO;
	net_device_set_link(&net->device, message->envelope->link_state->up);
	return 0;
}

void net_statistics(void *argument, struct child *child)
{
	struct net_program *net = argument;

	for (size_t i = 0; i < NET_COUNTERS; i++)
		child_counter(child, net_counter_name((enum net_counter)i), net->device.port.counters[i]);
}

/* Both directions are the loop's own, which has come round if it answers; it could only have missed a kick. */
void net_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
{
	struct net_program *net = argument;
	const uint64_t *counters = net->device.port.counters;
	bool kicked, host_io;

	net_device_heartbeat(&net->device, &kicked, &host_io);
	reply->kicked = kicked;
	reply->host_io = host_io;
	reply->accepted = reply->completed = counters[NET_COUNTER_RX_PACKETS] +
					     counters[NET_COUNTER_TX_PACKETS] +
					     counters[NET_COUNTER_TX_KICKS];
}
