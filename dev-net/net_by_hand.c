/*
 * atoll-net by hand: its options, and the tap that they name, which it opens.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mac.h"
#include "common/host/tap.h"
#include "dev-net/net_program.h"

const struct device_option net_options[] = {
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

int net_option(void *argument, const char *name, const char *value)
{
	struct net_program *net = argument;

	if (strcmp(name, "tap") == 0) {
		net->tap = value;
	} else if (strcmp(name, "mac") == 0) {
		net->has_mac = true;
		return net_parse_mac(value, net->mac);
	} else if (strcmp(name, "mtu") == 0) {
		return device_option_number(name, value, "an MTU", VIRTIO_NET_MTU_MIN, UINT16_MAX, " bytes",
					    &net->mtu);
	}
	return 0;
}

int net_open_by_hand(void *argument)
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
		mac_of_hash(mac_hash(MAC_HASH_BEGIN, net->tap, strlen(net->tap)), net->mac);
	setup.tap_fd = tap.fd;
	setup.mtu = net->mtu != 0 ? net->mtu : tap.mtu;
	result = net_device_configure(&net->device, &setup, &problem);
	if (result < 0) {
		log_error("%s: %s", net->tap, problem);
		close(tap.fd);
	}
	return result;
}
