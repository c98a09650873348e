/*
 * atoll-net: one network interface of one VM, behind vhost-user.
 *
 * Under the supervisor it gets the tap and its wire as descriptors and opens nothing (net_supervised.c). By hand it opens the
 * tap that --tap names (net_by_hand.c). The device itself is net_device.c's.
 */
#include "dev-net/net_program.h"
#include "policy/filters.h"

static int net_prepare(void *argument, struct loop *loop)
{
	struct net_program *net = argument;

	return net_device_prepare(&net->device, loop);
}

static int net_session_start(void *argument, struct loop *loop, int socket_fd, device_session_ended_fn ended,
			     void *ended_argument)
{
	struct net_program *net = argument;

	(void)loop;
	return net_device_session_start(&net->device, socket_fd, ended, ended_argument);
}

static void net_session_stop(void *argument)
{
	struct net_program *net = argument;

	net_device_session_stop(&net->device);
}

static void net_close(void *argument)
{
	struct net_program *net = argument;

	net_device_close(&net->device);
}

static const struct device_program program = {
	.name = "atoll-net",
	.summary = "Serve a tap as a virtio-net device over vhost-user.",
	/* QEMU's docs/interop/vhost-user.rst names no features of a net back end. */
	.capabilities = "{\n  \"type\": \"net\",\n  \"features\": [\n  ]\n}\n",
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_NET,
	.has_state = true,
	.filter = &filter_net_main,
	.hand_filter = &filter_net_hand_main,
	.options = net_options,
	.option = net_option,
	.open_by_hand = net_open_by_hand,
	.configure = net_configure,
	.message = net_message,
	.statistics = net_statistics,
	.heartbeat = net_heartbeat,
	.prepare = net_prepare,
	.session_start = net_session_start,
	.session_stop = net_session_stop,
	.close = net_close,
};

int main(int argc, char **argv)
{
	static struct net_program net;

	net_device_init(&net.device);
	return device_program_main(argc, argv, &program, &net);
}
