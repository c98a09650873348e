/*
 * atoll-net by hand: its options, and the tap that they name, which it opens.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/tap.h"
#include "dev-net/net_program.h"

const struct device_option net_options[] = {
	{"tap", "NAME", "the tap to serve, which must exist (required)"},
	{"mac", "ADDRESS", "the guest's MAC address (one that is always the same for NAME)"},
	{"mtu", "BYTES", "the MTU that the guest is told (the tap's)"},
	{0},
};

/* Six bytes in hexadecimal, two digits each, with colons between them. */
static int net_parse_mac(const char *text, uint8_t *mac)
{
	unsigned bytes[NET_ADDRESS_SIZE];
	int end = -1;

	if (strlen(text) == 3 * NET_ADDRESS_SIZE - 1 &&
	    strspn(text, "0123456789abcdefABCDEF:") == strlen(text) &&
	    sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
		   &bytes[5], &end) == NET_ADDRESS_SIZE &&
	    end == 3 * NET_ADDRESS_SIZE - 1) {
		for (size_t i = 0; i < NET_ADDRESS_SIZE; i++)
			mac[i] = (uint8_t)bytes[i];
		return 0;
	}
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
