/*
 * largest_frames INTERFACE: prints "ready", and after SIGTERM the lengths of the largest frames that the interface
 * brought and took: "received N sent N". Frames of segmentation offload count whole, as the kernel hands them on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t largest[2]; /* received, sent */

static void look(int packets)
{
	struct sockaddr_ll from;
	socklen_t from_size = sizeof(from);
	char byte;
	ssize_t length =
		recvfrom(packets, &byte, 1, MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);

	if (length > 0 && (size_t)length > largest[from.sll_pkttype == PACKET_OUTGOING])
		largest[from.sll_pkttype == PACKET_OUTGOING] = (size_t)length;
}

int main(int argc, char **argv)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct pollfd polled[2];
	sigset_t term;

	if (argc != 2 || (address.sll_ifindex = (int)if_nametoindex(argv[1])) == 0) {
		fprintf(stderr, "usage: largest_frames INTERFACE\n");
		return 2;
	}
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	polled[0] = (struct pollfd){.fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), .events = POLLIN};
	polled[1] = (struct pollfd){.fd = signalfd(-1, &term, 0), .events = POLLIN};
	if (polled[0].fd < 0 || polled[1].fd < 0 ||
	    bind(polled[0].fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		fprintf(stderr, "largest_frames: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (poll(polled, 2, -1) > 0 || errno == EINTR) {
		if (polled[0].revents != 0)
			look(polled[0].fd);
		else if (polled[1].revents != 0)
			break;
	}
	printf("received %zu sent %zu\n", largest[0], largest[1]);
	return 0;
}
