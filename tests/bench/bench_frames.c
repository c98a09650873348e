/* Frames: see bench_frames.h. */
#include "tests/bench/bench_frames.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>

/* IEEE 802's Local Experimental EtherType 1. */
#define ETHERTYPE_EXPERIMENTAL 0x88b5
#define MTU		       1500u

static const uint8_t source[ETH_ALEN] = {0x02, 0, 0, 0, 0, 0x02};

/* The ones' complement sum of 16-bit words in network order (RFC 1071), not folded. */
static uint32_t sum_words(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * The headers of a TCP segment with what a driver that leaves the checksum to others puts there: the pseudo header's.
 */
static void segment_headers(uint32_t bytes, struct virtio_net_hdr *header, uint8_t *frame)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(bytes - ETH_HLEN)),
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(0xc0000201), /* 192.0.2.1 and .2: RFC 5737's, for documentation */
		.daddr = htonl(0xc0000202),
	};
	struct tcphdr tcp = {
		.source = htons(1024), .dest = htons(1025), .seq = htonl(1), .doff = 5, .ack = 1};
	uint32_t pseudo = sum_words(&ip.saddr, 2 * sizeof(ip.saddr)) + IPPROTO_TCP + bytes - ETH_HLEN -
			  (uint32_t)sizeof(ip);

	ip.check = htons((uint16_t)~sum_fold(sum_words(&ip, sizeof(ip))));
	tcp.check = htons(sum_fold(pseudo));
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + ETH_HLEN + sizeof(ip), &tcp, sizeof(tcp));
	*header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETH_HLEN + sizeof(ip) + sizeof(tcp),
		.gso_size = MTU - sizeof(ip) - sizeof(tcp),
		.csum_start = ETH_HLEN + sizeof(ip),
		.csum_offset = offsetof(struct tcphdr, check),
	};
}

void bench_frame_make(enum bench_frame_kind kind, uint32_t bytes, const uint8_t *destination, uint32_t seed,
		      struct virtio_net_hdr *header, uint8_t *frame)
{
	struct ether_header ethernet = {
		.ether_type = htons(kind == BENCH_FRAME_PLAIN ? ETHERTYPE_EXPERIMENTAL : ETHERTYPE_IP)};

	for (uint32_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		frame[i] = (uint8_t)(seed >> 24);
	}
	memcpy(ethernet.ether_dhost, destination, ETH_ALEN);
	memcpy(ethernet.ether_shost, source, ETH_ALEN);
	memcpy(frame, &ethernet, sizeof(ethernet));
	if (kind == BENCH_FRAME_PLAIN)
		*header = (struct virtio_net_hdr){0};
	else
		segment_headers(bytes, header, frame);
}
