/*
 * atoll-net: one network interface of one VM, behind vhost-user.
 *
 * Under the supervisor it gets the tap and its wire as descriptors and opens nothing. By hand it opens the
 * tap that
 * --tap names. The device itself is net_device.c's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mac.h"
#include "common/host/tap.h"
#include "common/program/device_program.h"
#include "dev-net/net_device.h"
#include "policy/filters.h"

struct net_program {
	struct net_device device;
	struct device_program *program;
	/* Options by hand. */
	const char *tap;
	bool has_mac;
	uint8_t mac[NET_ADDRESS_SIZE];
	uint32_t mtu; /* 0: the tap's */
};

/* --- By hand --- */

static const struct device_option net_options[] = {
	{"tap", "NAME", "the tap to serve, which must exist (required)"},
	{"mac", "ADDRESS", "the guest's MAC address (one that is always the same for NAME)"},
	{"mtu", "BYTES", "the MTU that the guest is told (the tap's)"},
	{0},
};

static int net_parse_mac(const char *text, uint8_t *mac)
{
	if (mac_parse(text, mac))
		return 0;
	log_error("--mac=%s: not a MAC address; give one like 52:54:00:12:34:56", text);
	return -EINVAL;
}

static int net_parse_mtu(const char *text, uint32_t *mtu)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < VIRTIO_NET_MTU_MIN || value > UINT16_MAX) {
		log_error("--mtu=%s: not an MTU; give %d to %d bytes", text, VIRTIO_NET_MTU_MIN, UINT16_MAX);
		return -EINVAL;
	}
	*mtu = (uint32_t)value;
	return 0;
}

static int net_option(void *argument, const char *name, const char *value)
{
	struct net_program *net = argument;

	if (strcmp(name, "tap") == 0) {
		net->tap = value;
	} else if (strcmp(name, "mac") == 0) {
		net->has_mac = true;
		return net_parse_mac(value, net->mac);
	} else if (strcmp(name, "mtu") == 0) {
		return net_parse_mtu(value, &net->mtu);
	}
	return 0;
}

/* An address under QEMU's prefix for guests, from the tap's name by FNV-1a. */
static void net_default_mac(const char *name, uint8_t *mac)
{
	uint32_t hash = 2166136261u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	hash ^= hash >> 24;
	mac[0] = 0x52;
	mac[1] = 0x54;
	mac[2] = 0x00;
	mac[3] = (uint8_t)(hash >> 16);
	mac[4] = (uint8_t)(hash >> 8);
	mac[5] = (uint8_t)hash;
}

static int net_open_by_hand(void *argument)
{
	struct net_program *net = argument;
	struct net_setup setup = {.mac = net->mac, .link_up = true};
	const char *problem;
	struct tap tap;
	int result;

	if (net->tap == NULL) {
		log_error("no tap; give --tap=NAME");
		return -EINVAL;
	}
	result = tap_open(net->tap, &tap, &problem);
	if (result < 0) {
		log_error("%s: %s", net->tap, problem);
		/* Without the driver the host lacks something, too. */
		return result == -ENOENT ? -ENODEV : result;
	}
	if (!tap.up)
		log_warning("%s: the tap is down, nothing will pass; bring it up: ip link set %s up",
			    net->tap, net->tap);
	if (!net->has_mac)
		net_default_mac(net->tap, net->mac);
	setup.tap_fd = tap.fd;
	setup.mtu = net->mtu != 0 ? net->mtu : tap.mtu;
	result = net_device_configure(&net->device, &setup, &problem);
	if (result < 0) {
		log_error("%s: %s", net->tap, problem);
		close(tap.fd);
	}
	return result;
}

/* --- Supervised --- */

static int net_configure(void *argument, struct device_configuration *configuration)
{
	struct net_program *net = argument;
	const Atoll__Control__NetConfigure *configure = configuration->message->net;
	struct net_setup setup;
	const char *problem;
	int result;

	if (configuration->state_fd < 0 || configuration->fd_count != 1 ||
	    configure->mac.len != NET_ADDRESS_SIZE) {
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

static int net_message(void *argument, struct control_message *message)
{
	struct net_program *net = argument;

	if (message->envelope->body_case != ATOLL__CONTROL__ENVELOPE__BODY_LINK_STATE)
		return -EPROTO;
	net_device_set_link(&net->device, message->envelope->link_state->up);
	return 0;
}

static void net_statistics(void *argument, struct child *child)
{
	struct net_program *net = argument;

	for (size_t i = 0; i < NET_COUNTERS; i++)
		child_counter(child, net_counter_name((enum net_counter)i), net->device.port.counters[i]);
}

/* Both directions are the loop's own, which has come round if it answers; it could only have missed a kick. */
static void net_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
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

/* --- Both --- */

static int net_prepare(void *argument, struct loop *loop)
{
	struct net_program *net = argument;

	return net_device_prepare(&net->device, loop);
}

static void net_session_ended(void *argument, int error)
{
	struct net_program *net = argument;

	device_program_session_ended(net->program, error);
}

static int net_session_start(void *argument, struct device_program *program, int socket_fd)
{
	struct net_program *net = argument;

	net->program = program;
	return net_device_session_start(&net->device, socket_fd, net_session_ended, net);
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

static const struct device_program_ops net_ops = {
	.program = "atoll-net",
	.summary = "Serve a tap as a virtio-net device over vhost-user.",
	/* QEMU's docs/interop/vhost-user.rst names no features of a net back end. */
	.capabilities = "{\n  \"type\": \"net\",\n  \"features\": [\n  ]\n}\n",
	.options = net_options,
	.option = net_option,
	.open_by_hand = net_open_by_hand,
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_NET,
	.configure = net_configure,
	.prepare = net_prepare,
	.filter = &filter_net_main,
	.hand_filter = &filter_net_hand_main,
	.session_start = net_session_start,
	.session_stop = net_session_stop,
	.message = net_message,
	.statistics = net_statistics,
	.heartbeat = net_heartbeat,
	.close = net_close,
};

int main(int argc, char **argv)
{
	static struct net_program net;

	net_device_init(&net.device);
	return device_program_main(argc, argv, &net_ops, &net);
}
