/* The host's side of a tap: see bench_port.h. */
#include "tests/bench/bench_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/bench/bench_ring.h"
#include "tests/bench/bench_say.h"

/* A packet socket's header has no num_buffers: it is virtio's of before VIRTIO_F_VERSION_1. */
#define SOCKET_HEADER_SIZE offsetof(struct virtio_net_hdr, num_buffers)

/* A packet socket at the tap; with protocol 0 it sees nothing. */
static int port_socket(const struct bench_port *port, uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(port->tap),
	};
	int fd, one = 1, room = 64 << 20;

	if (address.sll_ifindex == 0)
		bench_fail("%s: there is no such interface", port->tap);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_fail("%s: a packet socket cannot be made: %s", port->tap, strerror(errno));
	return fd;
}

void bench_port_open(struct bench_port *port, const char *tap)
{
	*port = (struct bench_port){.tap = tap, .see_fd = -1};
	port->send_fd = port_socket(port, 0);
}

void bench_port_send(struct bench_port *port, const struct virtio_net_hdr *header, const uint8_t *frame,
		     uint32_t bytes, unsigned count)
{
	static struct mmsghdr messages[BENCH_PORT_BURST_MAX];
	struct iovec iov[] = {
		{(void *)(uintptr_t)header, SOCKET_HEADER_SIZE},
		{(void *)(uintptr_t)frame, bytes},
	};
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = iov, .msg_iovlen = 2}};
	while (sent < count) {
		int result = sendmmsg(port->send_fd, messages, count - sent, 0);

		if (result <= 0)
			bench_fail("%s: a frame of %u bytes cannot be sent: %s", port->tap, bytes,
				   strerror(errno));
		sent += (unsigned)result;
	}
}

void bench_port_see(struct bench_port *port)
{
	port->see_fd = port_socket(port, ETH_P_ALL);
}

uint32_t bench_port_seen(struct bench_port *port, struct virtio_net_hdr *header, uint8_t *frame,
			 uint32_t room)
{
	struct pollfd poll_fd = {.fd = port->see_fd, .events = POLLIN};
	struct iovec iov[] = {{header, SOCKET_HEADER_SIZE}, {frame, room}};
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t got;

	if (poll(&poll_fd, 1, BENCH_PATIENCE_MS) != 1)
		bench_fail("%s: a frame that was sent by the device is not seen", port->tap);
	got = recvmsg(port->see_fd, &message, 0);
	if (got < (ssize_t)SOCKET_HEADER_SIZE || (message.msg_flags & MSG_TRUNC) != 0)
		bench_fail("%s: a frame cannot be looked at: %s", port->tap, strerror(errno));
	return (uint32_t)((size_t)got - SOCKET_HEADER_SIZE);
}

void bench_port_look_away(struct bench_port *port)
{
	close(port->see_fd);
	port->see_fd = -1;
}

struct bench_port_counts bench_port_count(const struct bench_port *port)
{
	struct bench_port_counts counts = {0};
	struct ifaddrs *addresses, *at;

	if (getifaddrs(&addresses) < 0)
		bench_fail("%s: cannot be asked for its counters: %s", port->tap, strerror(errno));
	for (at = addresses; at != NULL; at = at->ifa_next) {
		const struct rtnl_link_stats *statistics = at->ifa_data;

		if (at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_PACKET &&
		    strcmp(at->ifa_name, port->tap) == 0 && statistics != NULL)
			counts = (struct bench_port_counts){statistics->rx_packets, statistics->rx_bytes};
	}
	freeifaddrs(addresses);
	return counts;
}
