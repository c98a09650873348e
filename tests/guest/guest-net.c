/*
 * virtio-net, driven by hand: two NICs whose taps are on one bridge, so that what one sends the other
 * receives.
 *
 *   mac0=.. mac1=..   what the NICs must say (52:54:00:00:00:01)
 *   count=N           numbered datagrams each way (default 2000)
 *   lenient           skips what stops or ends QEMU: a chain that is no frame
 *   steady=N          instead of the tests: N datagrams each way between two holds, "# begin" and "# end"
 *   kept              instead of the tests: what the driver has set counts on when, between "# set" and a key, the
 *                     second NIC's process is replaced
 *   gso               segmentation offload: needs taps; QEMU's hub has none
 */
#include "tests/guest/lib/net.h"

#define ETH_IP	 0x0800
#define ETH_ARP	 0x0806
#define ETH_VLAN 0x8100
#define ETH_TEST 0x88b5 /* IEEE 802: local experimental */
#define HEADERS	 42u	/* Ethernet, IPv4, UDP */
#define OFFLOADS                                                                               \
	(VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_GUEST_CSUM) | VIRTIO_BIT(NET_F_HOST_TSO4) | \
	 VIRTIO_BIT(NET_F_GUEST_TSO4) | VIRTIO_BIT(NET_F_HOST_TSO6) | VIRTIO_BIT(NET_F_GUEST_TSO6))
#define PLAIN                                                                           \
	(VIRTIO_BIT(NET_F_MAC) | VIRTIO_BIT(NET_F_STATUS) | VIRTIO_BIT(NET_F_CTRL_VQ) | \
	 VIRTIO_BIT(NET_F_CTRL_RX) | VIRTIO_BIT(NET_F_CTRL_VLAN) | VIRTIO_BIT(NET_F_CTRL_MAC_ADDR))
#define MERGEABLE VIRTIO_BIT(NET_F_MRG_RXBUF)
#define RINGS	  (VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX))

static struct net nic[2];
static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
static const struct net_header no_offload;
static uint8_t frame[NET_FRAME_MAX];

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}

/* The Internet checksum's sum, folded, not complemented. */
static unsigned sum_up(const uint8_t *data, unsigned length, uint32_t sum)
{
	for (; length > 1; length -= 2, data += 2)
		sum += get16(data);
	if (length)
		sum += (unsigned)*data << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void ethernet(const uint8_t *to, const uint8_t *from, unsigned type)
{
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	put16(frame + 12, type);
}

static void ip_header(unsigned length, uint8_t protocol, unsigned from, unsigned to)
{
	uint8_t *ip = frame + 14;

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, length);
	ip[8] = 64;
	ip[9] = protocol;
	ip[12] = ip[16] = 10;
	ip[15] = (uint8_t)(from + 1);
	ip[19] = (uint8_t)(to + 1);
	put16(ip + 10, ~sum_up(ip, 20, 0) & 0xffff);
}

/* The sum over the pseudo header. */
static unsigned pseudo_sum(const uint8_t *ip, unsigned length)
{
	return sum_up(ip + 12, 8, ip[9] + length);
}

/* A UDP datagram with `size` bytes of data numbered `number` in `frame`; its length. partial: the checksum is
 * left to whoever offloads it. */
static uint32_t datagram(unsigned from, unsigned to, uint32_t number, unsigned size, bool partial)
{
	uint8_t *udp = frame + 34, *data = frame + HEADERS;
	unsigned i, sum;

	ethernet(nic[to].mac, nic[from].mac, ETH_IP);
	ip_header(28 + size, 17, from, to);
	put16(udp, 7000);
	put16(udp + 2, 7);
	put16(udp + 4, 8 + size);
	put16(udp + 6, 0);
	for (i = 0; i < size; i++)
		data[i] = (uint8_t)(number * 31 + i * 7 + (i >> 8));
	if (size >= 4)
		memcpy(data, &number, 4);
	sum = pseudo_sum(frame + 14, 8 + size);
	put16(udp + 6, partial ? sum : ~sum_up(udp, 8 + size, sum) & 0xffff);
	return HEADERS + size;
}

static bool datagram_sum_right(const struct net *net)
{
	const uint8_t *ip = net->frame + 14;
	unsigned length = get16(ip + 2) - 20;

	return length + 34 <= net->length &&
	       sum_up(net->frame + 34, length, pseudo_sum(ip, length)) == 0xffff;
}

/* The next frame from our other NIC; hosts talk on a bridge too (IPv6 and the like). */
static bool receive_ours(struct net *net, const struct net *from, unsigned milliseconds)
{
	while (net_receive(net, milliseconds))
		if (net->length >= 14 && !memcmp(net->frame + 6, from->mac, 6))
			return true;
	return false;
}

static bool start_both(uint64_t features, uint32_t rx_size)
{
	return net_start(&nic[0], features, rx_size) && net_start(&nic[1], features, rx_size);
}

static void test_configuration(void)
{
	uint64_t needed = PLAIN | MERGEABLE | RINGS | VIRTIO_BIT(VIRTIO_F_VERSION_1);
	unsigned i;

	for (i = 0; i < 2; i++) {
		char told[18];
		const char *wanted = option(i ? "mac1" : "mac0");
		uint8_t *mac = nic[i].mac;
		uint16_t status = 0;

		test((nic[i].device.offered & needed) == needed, "NIC %u offers what we rely on: %lx", i,
		     nic[i].device.offered);
		print_to(told, sizeof(told), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
			 mac[4], mac[5]);
		test(wanted ? text_equal(told, wanted) : !(mac[0] & 1), "its MAC is %s", told);
		virtio_config_read(&nic[i].device, NET_CONFIG_STATUS, &status, 2);
		test(status & NET_S_LINK_UP, "its link is up");
		if (nic[i].device.offered & VIRTIO_BIT(NET_F_MTU)) {
			uint16_t mtu = 0;

			virtio_config_read(&nic[i].device, NET_CONFIG_MTU, &mtu, 2);
			test(mtu >= 1280, "its MTU is %u", mtu);
		}
	}
}

static void test_arp(void)
{
	static const uint8_t request[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t *arp = frame + 14;

	ethernet(broadcast, nic[0].mac, ETH_ARP);
	memset(arp, 0, 46);
	memcpy(arp, request, 8);
	memcpy(arp + 8, nic[0].mac, 6);
	arp[14] = arp[24] = 10;
	arp[17] = 1;
	arp[27] = 2;
	test(net_send(&nic[0], &no_offload, frame, 60, 1), "an ARP request is sent");
	if (!test(receive_ours(&nic[1], &nic[0], 2000) && nic[1].length == 60 &&
			  !memcmp(nic[1].frame, frame, 60),
		  "and received by the other NIC"))
		return;
	test(nic[1].header.gso_type == 0 && nic[1].header.num_buffers == 1,
	     "in one buffer, with a clean header");
	ethernet(nic[0].mac, nic[1].mac, ETH_ARP);
	arp[7] = 2;
	memcpy(arp + 8, nic[1].mac, 6);
	arp[17] = 2;
	memcpy(arp + 18, nic[0].mac, 6);
	arp[27] = 1;
	net_send(&nic[1], &no_offload, frame, 60, 3);
	test(receive_ours(&nic[0], &nic[1], 2000) && !memcmp(nic[0].frame, frame, 60),
	     "its answer comes back");
}

/* Datagrams of all sizes there, each sent back by the other side with its ports exchanged, and compared. */
static void test_echo(const char *name, uint32_t count)
{
	uint32_t i, good = 0;

	for (i = 0; i < count; i++) {
		unsigned size = 18 + i * 37 % 1455;
		uint32_t length = datagram(0, 1, i, size, false);

		if (!net_send(&nic[0], &no_offload, frame, length, 1 + i % 4) ||
		    !receive_ours(&nic[1], &nic[0], 2000))
			break;
		if (nic[1].length != length || memcmp(nic[1].frame, frame, length) ||
		    !datagram_sum_right(&nic[1]))
			break;
		length = datagram(1, 0, ~i, size, false);
		if (!net_send(&nic[1], &no_offload, frame, length, 1) ||
		    !receive_ours(&nic[0], &nic[1], 2000))
			break;
		if (nic[0].length != length || memcmp(nic[0].frame, frame, length))
			break;
		good++;
	}
	test(good == count, "%u of %u datagrams went there and back, %s", good, count, name);
}

static void test_burst(void)
{
	unsigned i, got = 0, wrong = 0;

	for (i = 0; i < 64; i++)
		net_send(&nic[0], &no_offload, frame, datagram(0, 1, i, 1000, false), 2);
	while (receive_ours(&nic[1], &nic[0], 500)) {
		uint32_t number;

		memcpy(&number, nic[1].frame + HEADERS, 4);
		wrong += number != got++;
	}
	test(got == 64 && !wrong, "64 frames in a row: %u came, %u out of order", got, wrong);
}

static void test_mergeable(void)
{
	uint32_t length = datagram(0, 1, 9, 1472, false);

	test(start_both(PLAIN | MERGEABLE | RINGS, 268), "receive buffers of 268 bytes");
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(receive_ours(&nic[1], &nic[0], 2000) && nic[1].length == length &&
		     !memcmp(nic[1].frame, frame, length),
	     "a frame of %u bytes is received over several", length);
	test(nic[1].buffers == 6, "it took %u buffers", nic[1].buffers);
	test_echo("over small buffers", 100);

	test(start_both(PLAIN | RINGS, 300), "without mergeable buffers");
	net_send(&nic[0], &no_offload, frame, datagram(0, 1, 10, 1000, false), 1);
	net_send(&nic[0], &no_offload, frame, datagram(0, 1, 11, 200, false), 1);
	test(receive_ours(&nic[1], &nic[0], 2000) && nic[1].length == HEADERS + 200 &&
		     !memcmp(nic[1].frame, frame, HEADERS + 200),
	     "a frame that fits no buffer is dropped, the next one comes");
}

static void test_control(void)
{
	static const uint8_t other[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
	struct {
		uint32_t unicast;
		uint32_t multicast;
	} empty = {0, 0};
	uint8_t on = 1, off = 0, told[6];
	uint16_t vlan = 5;
	struct net *net = &nic[1];
	uint32_t length;

	start_both(PLAIN | MERGEABLE | RINGS, 1526);
	/* Frames whose address nobody has learned reach every port of a bridge. */
	length = datagram(0, 1, 1, 100, false);
	memcpy(frame, other, 6);
	test(net_control(net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &off, 1) == NET_OK, "promiscuous mode off");
	test(net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_TABLE, &empty, 8) == NET_OK,
	     "an empty address table");
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(!receive_ours(net, &nic[0], 100), "a frame to another address is not received");
	test(net_control(net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &on, 1) == NET_OK, "promiscuous mode on");
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(receive_ours(net, &nic[0], 2000), "now it is");
	net_control(net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &off, 1);
	test(net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_SET, other, 6) == NET_OK, "the address is set");
	virtio_config_read(&net->device, NET_CONFIG_MAC, told, 6);
	test(!memcmp(told, other, 6), "config space says the new one");
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(receive_ours(net, &nic[0], 2000), "and frames to it are received");
	memcpy(frame, net->mac, 6);
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(!receive_ours(net, &nic[0], 100), "those to the old one are not");
	net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_SET, net->mac, 6);

	ethernet(net->mac, nic[0].mac, ETH_VLAN);
	memset(frame + 14, 0, 64);
	put16(frame + 14, vlan);
	put16(frame + 16, ETH_TEST);
	net_send(&nic[0], &no_offload, frame, 64, 1);
	test(!receive_ours(net, &nic[0], 100), "a frame of VLAN 5 is not received");
	test(net_control(net, NET_CTRL_VLAN, NET_CTRL_VLAN_ADD, &vlan, 2) == NET_OK,
	     "VLAN 5 is added to the filter");
	net_send(&nic[0], &no_offload, frame, 64, 1);
	test(receive_ours(net, &nic[0], 2000) && net->length == 64 && !memcmp(net->frame, frame, 64),
	     "now it is");
	test(net_control(net, NET_CTRL_VLAN, NET_CTRL_VLAN_DEL, &vlan, 2) == NET_OK, "and taken out again");
	net_send(&nic[0], &no_offload, frame, 64, 1);
	test(!receive_ours(net, &nic[0], 100), "no frame then");

	test(net_control(net, 77, 0, &on, 1) != NET_OK, "an unknown class is an error");
	test(net_control(net, NET_CTRL_RX, 99, &on, 1) != NET_OK, "an unknown command is an error");
	test(net_control(net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &on, 0) != NET_OK,
	     "a command without its data is an error");
	test(net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_SET, other, 5) != NET_OK,
	     "an address of 5 bytes is an error");
	empty.unicast = 0xffffffff;
	test(net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_TABLE, &empty, 8) != NET_OK,
	     "an address table that promises 4 G entries is an error");

	/* C2: none of it outlives the driver, seen before the next one has come. */
	test(net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_SET, other, 6) == NET_OK,
	     "the address is set again");
	virtio_reset(&net->device);
	virtio_config_read(&net->device, NET_CONFIG_MAC, told, 6);
	test(!memcmp(told, net->mac, 6), "a reset brings the device's own back");
}

static void test_checksums(void)
{
	struct net_header partial = {.flags = NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	uint32_t length;

	/* The receiver does not take partial checksums: the host must have filled it in. */
	net_start(&nic[0], PLAIN | MERGEABLE | RINGS | VIRTIO_BIT(NET_F_CSUM), 1526);
	net_start(&nic[1], PLAIN | MERGEABLE | RINGS, 1526);
	if (!test(virtio_has(&nic[0].device, NET_F_CSUM), "checksum offload is offered"))
		return;
	length = datagram(0, 1, 3, 777, true);
	net_send(&nic[0], &partial, frame, length, 1);
	test(receive_ours(&nic[1], &nic[0], 2000) && !(nic[1].header.flags & NET_HDR_F_NEEDS_CSUM) &&
		     datagram_sum_right(&nic[1]),
	     "a partial checksum is completed for a receiver that takes none");
	net_start(&nic[1], PLAIN | MERGEABLE | RINGS | VIRTIO_BIT(NET_F_GUEST_CSUM), 1526);
	length = datagram(0, 1, 4, 778, true);
	net_send(&nic[0], &partial, frame, length, 1);
	test(receive_ours(&nic[1], &nic[0], 2000) &&
		     (datagram_sum_right(&nic[1]) ||
		      (nic[1].header.flags & NET_HDR_F_NEEDS_CSUM && nic[1].header.csum_start == 34 &&
		       nic[1].header.csum_offset == 6)),
	     "and passed on, or completed, for one that does");
}

/* A TCP segment of 16 KiB, which only segmentation offload lets through in one piece. */
static void test_segmentation(void)
{
	struct net_header header = {.flags = NET_HDR_F_NEEDS_CSUM,
				    .gso_type = NET_HDR_GSO_TCPV4,
				    .header_length = 54,
				    .gso_size = 1400,
				    .csum_start = 34,
				    .csum_offset = 16};
	uint64_t offloads = OFFLOADS & ~VIRTIO_BIT(NET_F_GUEST_TSO6);
	const unsigned size = 14000;
	uint8_t *tcp = frame + 34;
	unsigned i, got = 0, frames = 0, wrong = 0;

	start_both(PLAIN | MERGEABLE | RINGS | offloads, 1526);
	if (!test(virtio_has(&nic[0].device, NET_F_HOST_TSO4) && virtio_has(&nic[1].device, NET_F_GUEST_TSO4),
		  "segmentation offload is offered both ways"))
		return;
	ethernet(nic[1].mac, nic[0].mac, ETH_IP);
	ip_header(40 + size, 6, 0, 1);
	memset(tcp, 0, 20);
	put16(tcp, 7000);
	put16(tcp + 2, 7);
	tcp[12] = 0x50;
	tcp[13] = 0x10;
	for (i = 0; i < size; i++)
		frame[54 + i] = (uint8_t)(i * 7 + (i >> 8));
	put16(tcp + 16, pseudo_sum(frame + 14, 20 + size));
	test(net_send(&nic[0], &header, frame, 54 + size, 4), "a TCP segment of %u bytes is sent", size);
	test(receive_ours(&nic[1], &nic[0], 2000) && nic[1].length == 54 + size &&
		     nic[1].header.gso_type == NET_HDR_GSO_TCPV4 && nic[1].header.gso_size == 1400 &&
		     !memcmp(nic[1].frame + 54, frame + 54, size),
	     "and received in one piece: %u bytes in %u buffers, gso %u/%u", nic[1].length, nic[1].buffers,
	     nic[1].header.gso_type, nic[1].header.gso_size);

	net_start(&nic[1], PLAIN | MERGEABLE | RINGS, 1526);
	net_send(&nic[0], &header, frame, 54 + size, 1);
	while (got < size && receive_ours(&nic[1], &nic[0], 2000)) {
		unsigned here = nic[1].length - 54;

		wrong += nic[1].length > 1454 || nic[1].header.gso_type ||
			 memcmp(nic[1].frame + 54, frame + 54 + got, here) ||
			 sum_up(nic[1].frame + 34, 20 + here, pseudo_sum(nic[1].frame + 14, 20 + here)) !=
				 0xffff;
		got += here;
		frames++;
	}
	test(got == size && !wrong && frames == 10,
	     "for a receiver without offloads it is cut: %u frames, %u wrong", frames, wrong);
}

/* Frames that nobody should send. They may be dropped, or stop this NIC until its reset; nothing else. */
static void test_bad_frames(void)
{
	static const struct {
		const char *what;
		struct net_header header;
		uint32_t length;
	} bad[] = {
		{"a checksum beyond the frame", {.flags = 1, .csum_start = 60000, .csum_offset = 6}, 100},
		{"a checksum offset beyond the frame",
		 {.flags = 1, .csum_start = 34, .csum_offset = 60000},
		 100},
		{"a segment size of zero",
		 {.flags = 1, .gso_type = 1, .csum_start = 34, .csum_offset = 16},
		 100},
		{"an unknown gso_type", {.gso_type = 0x7f, .gso_size = 100}, 100},
		{"a header length beyond the frame",
		 {.gso_type = 1, .gso_size = 1, .header_length = 65535},
		 100},
		{"a header and no frame", {0}, 0},
		{"a frame of one byte", {0}, 1},
		{"a frame of 65,000 bytes", {0}, 65000},
	};
	unsigned i;
	uint32_t length;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		start_both(PLAIN | MERGEABLE | RINGS, 1526);
		datagram(0, 1, i, 1000, false);
		net_send(&nic[0], &bad[i].header, frame, bad[i].length, 1);
		length = datagram(1, 0, i, 300, false);
		test(net_send(&nic[1], &no_offload, frame, length, 1) &&
			     (receive_ours(&nic[0], &nic[1], 2000) || option("lenient")),
		     "%s: the other NIC can send", bad[i].what);
		start_both(PLAIN | MERGEABLE | RINGS, 1526);
		length = datagram(0, 1, i, 300, false);
		test(net_send(&nic[0], &no_offload, frame, length, 1) && receive_ours(&nic[1], &nic[0], 2000),
		     "and after a reset this one too");
	}
}

/* Chains that are no frame: too short for a header, with bytes for the device to write, looped. */
static void test_bad_chains(void)
{
	static struct net_header header;
	struct segment tiny = {&header, 5}, writable = {frame, 100}, whole = {&header, sizeof(header)};
	struct segment both[2] = {whole, writable};
	unsigned i;

	for (i = 0; i < 4; i++) {
		static const char *const names[] = {"a frame of 5 bytes, header and all",
						    "a frame to be written by the device",
						    "a receive buffer to be read", "a chain that loops"};
		struct virtqueue *queue = i == 2 ? &nic[0].rx : &nic[0].tx;
		uint32_t length;

		start_both(PLAIN | MERGEABLE | RINGS, 1526);
		if (i == 2) {
			virtio_negotiate(&nic[0].device, PLAIN | MERGEABLE);
			virtqueue_setup(&nic[0].rx, &nic[0].device, 0, 16);
			virtio_start(&nic[0].device);
		}
		virtqueue_add(queue, i == 0 ? &tiny : i == 1 ? both : &writable, 1, i == 1);
		if (i == 3) {
			queue->descriptors[queue->available->ring[0]].flags = VIRTQ_DESC_F_NEXT;
			queue->descriptors[queue->available->ring[0]].next = queue->available->ring[0];
		}
		virtqueue_notify(queue);
		length = datagram(1, 0, i, 300, false);
		test(net_send(&nic[1], &no_offload, frame, length, 1), "%s: the other NIC can send",
		     names[i]);
		test(start_both(PLAIN | MERGEABLE | RINGS, 1526), "after a reset both start");
		length = datagram(0, 1, i, 300, false);
		test(net_send(&nic[0], &no_offload, frame, length, 1) && receive_ours(&nic[1], &nic[0], 2000),
		     "and frames go through");
	}
}

static void test_interrupts(void)
{
	uint32_t before;
	unsigned i;

	interrupts_enable();
	net_start(&nic[0], PLAIN | MERGEABLE | RINGS, 1526);
	virtio_negotiate(&nic[1].device, PLAIN | MERGEABLE);
	/* net_start() takes no vectors: queue 0 gets its one between the two halves of the negotiation. */
	virtqueue_setup(&nic[1].rx, &nic[1].device, 0, NET_RX_BUFFERS);
	msix_set(&nic[1].device, 0, VECTOR_FIRST);
	test(virtio_vector(&nic[1].device, 0, 0), "the receive queue takes vector 0");
	virtio_start(&nic[1].device);
	virtqueue_interrupts(&nic[1].rx, true);
	for (i = 0; i < 8; i++) {
		struct segment segment = {nic[1].rx_memory + i * 2048, 1526};

		virtqueue_add(&nic[1].rx, &segment, 0, 1);
	}
	virtqueue_kick(&nic[1].rx);
	before = interrupt_counts[VECTOR_FIRST];
	net_send(&nic[0], &no_offload, frame, datagram(0, 1, 1, 300, false), 1);
	test(WAIT_UNTIL(interrupt_counts[VECTOR_FIRST] > before, 2), "a received frame interrupts");
	interrupts_disable();
}

/* What the second NIC lets through, with a VLAN, an address, a mode and an offload set. */
static void test_what_is_set(const uint8_t *mine, const char *when)
{
	struct net_header partial = {.flags = NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	struct net *net = &nic[1];
	uint8_t told[6];
	uint32_t length;
	unsigned vlan;

	virtio_config_read(&net->device, NET_CONFIG_MAC, told, 6);
	test(!memcmp(told, mine, 6), "%s: config space says the address that was set", when);
	for (vlan = 5; vlan <= 6; vlan++) {
		ethernet(mine, nic[0].mac, ETH_VLAN);
		memset(frame + 14, 0, 64);
		put16(frame + 14, vlan);
		put16(frame + 16, ETH_TEST);
		net_send(&nic[0], &no_offload, frame, 64, 1);
		test(receive_ours(net, &nic[0], vlan == 5 ? 2000 : 100) == (vlan == 5),
		     "%s: a frame of VLAN %u is %s", when, vlan, vlan == 5 ? "received" : "not received");
	}
	length = datagram(0, 1, 7, 100, false);
	net_send(&nic[0], &no_offload, frame, length, 1);
	test(!receive_ours(net, &nic[0], 100), "%s: a frame to the old address is not received", when);
	length = datagram(0, 1, 8, 777, true);
	memcpy(frame, mine, 6);
	net_send(&nic[0], &partial, frame, length, 1);
	test(receive_ours(net, &nic[0], 2000) && !(net->header.flags & NET_HDR_F_NEEDS_CSUM) &&
		     datagram_sum_right(net),
	     "%s: a partial checksum is completed", when);
}

/* C1: state of the driver that a process leaves to its successor. */
static void test_kept(void)
{
	static const uint8_t mine[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
	const uint64_t none = 0;
	struct {
		uint32_t unicast;
		uint32_t multicast;
	} empty = {0, 0};
	struct net *net = &nic[1];
	uint16_t vlan = 5;
	uint8_t off = 0;

	test(start_both(PLAIN | MERGEABLE | RINGS | OFFLOADS | VIRTIO_BIT(NET_F_CTRL_GUEST_OFFLOADS), 1526) &&
		     virtio_has(&net->device, NET_F_CTRL_GUEST_OFFLOADS),
	     "both NICs start, with offloads that can be chosen");
	test(net_control(net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &off, 1) == NET_OK &&
		     net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_TABLE, &empty, 8) == NET_OK &&
		     net_control(net, NET_CTRL_MAC, NET_CTRL_MAC_SET, mine, 6) == NET_OK &&
		     net_control(net, NET_CTRL_VLAN, NET_CTRL_VLAN_ADD, &vlan, 2) == NET_OK &&
		     net_control(net, NET_CTRL_OFFLOADS, NET_CTRL_OFFLOADS_SET, &none, 8) == NET_OK,
	     "a mode, an address, a VLAN and offloads are set");
	test_what_is_set(mine, "before");
	guest_hold("# set");
	test_what_is_set(mine, "after");
}

void guest_main(void)
{
	uint32_t count = (uint32_t)option_number("count", 2000);

	if (!net_find(0, &nic[0]) || !net_find(1, &nic[1]))
		guest_fail("there are not two NICs");
	if (!test(start_both(PLAIN | MERGEABLE | VIRTIO_BIT(NET_F_MTU), 1526), "both NICs start"))
		guest_end();
	if (option("steady")) {
		start_both(PLAIN | MERGEABLE | RINGS, 1526);
		guest_hold("# begin");
		test_echo("steadily", (uint32_t)option_number("steady", 1000));
		guest_hold("# end");
		return;
	}
	if (option("kept")) {
		test_kept();
		return;
	}
	test_configuration();
	test_arp();
	test_echo("plain rings", count);
	test(start_both(PLAIN | MERGEABLE | RINGS, 1526), "with EVENT_IDX and indirect descriptors");
	test_echo("EVENT_IDX", count);
	test_burst();
	test_mergeable();
	test_control();
	if (option("gso")) {
		test_checksums();
		test_segmentation();
	}
	test_bad_frames();
	if (!option("lenient"))
		test_bad_chains();
	test_interrupts();
}
