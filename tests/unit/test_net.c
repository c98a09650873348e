/*
 * atoll-net's data path, driven as a guest and a tap do: frames in both directions, buffers of every shape, and rings
 * and frames that break the rules. A socket stands in the tap's place. What is decided from a header's or an address's
 * bytes alone is in test_net_rules.c, the control queue and the device's life in test_net_control.c.
 */
#include <linux/if_tun.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/log.h"
#include "tests/unit/net_talk.h"

/* --- Sending --- */

static void test_sends_a_frame(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	guest_interrupts(&guest, TX);
	transmit_plain(other, 60, 1);
	expect_on_wire(other, 60, 1);
	assert_memory_equal(wire, &(struct virtio_net_hdr){0}, NET_HEADER_SIZE);
	expect_silence();
	expect_used(TX, 0);
	assert_int_equal(guest_interrupts(&guest, TX), 1);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), 1);
	assert_int_equal(counter(NET_COUNTER_TX_BYTES), 60);
	assert_int_equal(counter(NET_COUNTER_TX_INTERRUPTS), 1);
	assert_true(counter(NET_COUNTER_TX_KICKS) >= 1);
	/* Nobody looks without a kick. */
	transmit_offer(&(struct virtio_net_hdr){0}, frame_make(other, 61, 2), 61);
	guest_settle(&guest);
	expect_silence();
	guest_kick(&guest, TX);
	guest_settle(&guest);
	expect_on_wire(other, 61, 2);
}

/* The header and the frame in pieces that have nothing to do with either, one of them across two regions. */
static void test_sends_scattered_frames(void **state)
{
	static const struct virtio_net_hdr header = {.flags = 1, .csum_start = 34, .csum_offset = 6};
	uint32_t across = GUEST_REGION_BYTES - 11;
	uint8_t whole[NET_HEADER_SIZE + 200];

	(void)state;
	guest_start(&guest, VIRTIO_BIT(VIRTIO_NET_F_CSUM), RING);
	memcpy(whole, &header, sizeof(header));
	memcpy(whole + NET_HEADER_SIZE, frame_make(other, 200, 9), 200);
	memcpy(guest_out(&guest, TX, guest_buffer(&guest, 1), 1), whole, 1);
	guest_out(&guest, TX, guest_buffer(&guest, 1), 0);
	memcpy(guest_out(&guest, TX, guest_buffer(&guest, 10), 10), whole + 1, 10);
	memcpy(guest_out(&guest, TX, across, 30), whole + 11, 30);
	memcpy(guest_out(&guest, TX, guest_buffer(&guest, 171), 171), whole + 41, 171);
	/* What the device may write is not part of the frame. */
	guest_in(&guest, TX, guest_buffer(&guest, 100), 100);
	guest_offer(&guest, TX);
	guest_kick(&guest, TX);
	guest_settle(&guest);
	expect_on_wire(other, 200, 9);
	assert_memory_equal(wire, &header, sizeof(header));
	expect_used(TX, 0);
}

static void test_drops_frames_of_bad_size(void **state)
{
	static const uint32_t sizes[] = {0, 1, NET_FRAME_MIN - 1, NET_FRAME_MAX + 1};
	uint64_t dropped = 0;

	(void)state;
	guest_start(&guest, 0, RING);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		transmit_plain(other, sizes[i], 3);
		expect_used(TX, 0);
		assert_int_equal(counter(NET_COUNTER_TX_DROPPED_SIZE), ++dropped);
	}
	/* Less than a header, and nothing at all to read. */
	guest_out(&guest, TX, guest_buffer(&guest, 11), 11);
	guest_offer(&guest, TX);
	guest_in(&guest, TX, guest_buffer(&guest, 100), 100);
	guest_offer(&guest, TX);
	guest_kick(&guest, TX);
	guest_settle(&guest);
	expect_used(TX, 0);
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_SIZE), dropped + 2);
	expect_silence();
	transmit_plain(other, NET_FRAME_MIN, 4);
	expect_on_wire(other, NET_FRAME_MIN, 4);
	transmit_plain(other, NET_FRAME_MAX, 5);
	expect_on_wire(other, NET_FRAME_MAX, 5);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), 2);
}

static void test_drops_frames_with_bad_headers(void **state)
{
	static const struct virtio_net_hdr headers[] = {
		{.flags = 1, .csum_start = 60},
		{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100},
		{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4},
		{.flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 100},
		{.flags = 1, .gso_type = 0xff, .gso_size = 100},
	};

	(void)state;
	guest_start(&guest, VIRTIO_BIT(VIRTIO_NET_F_CSUM) | VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4), RING);
	for (size_t i = 0; i < COUNT(headers); i++) {
		transmit(&headers[i], frame_make(other, 60, 1), 60);
		expect_used(TX, 0);
		assert_int_equal(counter(NET_COUNTER_TX_DROPPED_HEADER), i + 1);
	}
	expect_silence();
	transmit(&(struct virtio_net_hdr){.flags = 0xff, .num_buffers = 9, .hdr_len = 0xffff},
		 frame_make(other, 60, 1), 60);
	expect_on_wire(other, 60, 1);
	assert_int_equal(wire[0], 1);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), 1);
}

/* A chain of `pieces` buffers of a byte each, behind a header, in an indirect table. */
static void transmit_in_pieces(uint32_t pieces)
{
	uint32_t table = guest_buffer(&guest, (pieces + 1) * 16);
	uint32_t buffer = guest_buffer(&guest, NET_HEADER_SIZE + pieces);
	struct virtq_desc *descriptors = (struct virtq_desc *)(void *)(guest.base + table);

	memset(guest.base + buffer, 0, NET_HEADER_SIZE);
	memcpy(guest.base + buffer + NET_HEADER_SIZE, frame_make(other, pieces, 6), pieces);
	for (uint32_t i = 0; i <= pieces; i++) {
		descriptors[i] = (struct virtq_desc){
			.addr = i == 0 ? buffer : buffer + NET_HEADER_SIZE + i - 1,
			.len = i == 0 ? NET_HEADER_SIZE : 1,
			.flags = i < pieces ? VIRTQ_DESC_F_NEXT : 0,
			.next = (uint16_t)(i + 1),
		};
	}
	guest_out(&guest, TX, table, (pieces + 1) * 16);
	guest.rings[TX].descriptors[guest_offer(&guest, TX)].flags = VIRTQ_DESC_F_INDIRECT;
	guest_kick(&guest, TX);
	guest_settle(&guest);
}

static void test_sends_frames_in_many_pieces(void **state)
{
	(void)state;
	guest_start(&guest, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), RING);
	transmit_in_pieces(1023);
	expect_on_wire(other, 1023, 6);
	/* With the header in the same piece as the first of the frame there would be room for one more. */
	transmit_in_pieces(1024);
	expect_silence();
	assert_non_null(virtqueue_broken(guest.rings[TX].queue));
}

/* The tap is full: frames stay in the ring, and none is lost or sent twice. */
static void test_waits_for_room_in_the_tap(void **state)
{
	unsigned offered = 0, arrived = 0;
	uint32_t id, length;

	(void)state;
	guest_start(&guest, 0, 512);
	while (counter(NET_COUNTER_TX_BLOCKED) == 0) {
		assert_true(offered < 400);
		transmit_plain(other, 9000, (uint8_t)offered++);
	}
	assert_true(guest.device.tx_blocked);
	transmit_plain(other, 9000, (uint8_t)offered++);
	/* Whoever waits must not be asking all the time: once when it failed, once for the kick. */
	assert_int_equal(counter(NET_COUNTER_TX_BLOCKED), 2);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), offered - 2);
	while (arrived < offered) {
		expect_on_wire(other, 9000, (uint8_t)arrived++);
		guest_settle(&guest);
	}
	expect_silence();
	assert_false(guest.device.tx_blocked);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), offered);
	for (unsigned i = 0; i < offered; i++) {
		assert_true(guest_used(&guest, TX, &id, &length));
		assert_int_equal(length, 0);
	}
	expect_nothing_used(TX);
}

/* A full ring does not hold the loop for more than its share. */
static void test_sends_within_a_budget(void **state)
{
	(void)state;
	guest_start(&guest, 0, 1024);
	net_device_set_link(&guest.device, false);
	for (unsigned i = 0; i < 400; i++)
		transmit_offer(&(struct virtio_net_hdr){0}, frame_make(other, 60, 0), 60);
	guest_kick(&guest, TX);
	assert_int_equal(loop_run_once(guest.loop, 1000), 0);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_LINK_DOWN), NET_BUDGET);
	guest_settle(&guest);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_LINK_DOWN), 400);
}

static void test_survives_refusals_of_the_tap(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	assert_int_equal(shutdown(guest.device.port.tap_fd, SHUT_WR), 0);
	transmit_plain(other, 60, 1);
	transmit_plain(other, 60, 1);
	expect_used(TX, 0);
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_ERRORS), 2);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), 0);
}

/* --- Rings that break the rules --- */

static void test_a_broken_ring_stops_one_queue(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	guest_out(&guest, TX, GUEST_MEMORY_BYTES - 10, 60);
	guest_offer(&guest, TX);
	guest_kick(&guest, TX);
	guest_settle(&guest);
	assert_non_null(virtqueue_broken(guest.rings[TX].queue));
	transmit_plain(other, 60, 1);
	expect_nothing_used(TX);
	expect_silence();
	/* The other direction goes on. */
	uint32_t address = receive_offer_now(2000);

	wire_send_plain(own, 60, 2);
	expect_received(address, own, 60, 2);
	/* A driver that starts over is served. */
	guest_stop_queue(&guest, TX);
	assert_int_equal(guest_start_queue(&guest, TX), 0);
	transmit_plain(other, 60, 3);
	expect_on_wire(other, 60, 3);

	guest_in(&guest, CONTROL, 0xffffffff, 1);
	guest_offer(&guest, CONTROL);
	guest_kick(&guest, CONTROL);
	guest_settle(&guest);
	assert_non_null(virtqueue_broken(guest.rings[CONTROL].queue));
	transmit_plain(other, 60, 4);
	expect_on_wire(other, 60, 4);

	receive_offer_now(NET_HEADER_SIZE - 1);
	wire_send_plain(own, 60, 5);
	assert_non_null(virtqueue_broken(guest.rings[RX].queue));
	net_device_set_link(&guest.device, false);
	net_device_set_link(&guest.device, true);
	guest_settle(&guest);
	expect_nothing_used(RX);
}

static void test_a_buffer_in_too_many_pieces_breaks_its_queue(void **state)
{
	static const uint32_t pieces[] = {1022, 1023};
	uint32_t table, buffer;

	(void)state;
	guest_start(&guest, VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC), RING);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		struct virtq_desc *descriptors;

		table = guest_buffer(&guest, 1024 * 16);
		buffer = guest_buffer(&guest, 2048);
		descriptors = (struct virtq_desc *)(void *)(guest.base + table);
		for (uint32_t j = 0; j < pieces[i]; j++) {
			descriptors[j] = (struct virtq_desc){
				.addr = buffer + j,
				.len = 1,
				.flags = VIRTQ_DESC_F_WRITE | (j + 1 < pieces[i] ? VIRTQ_DESC_F_NEXT : 0),
				.next = (uint16_t)(j + 1),
			};
		}
		guest_in(&guest, RX, table, pieces[i] * 16);
		guest.rings[RX].descriptors[guest_offer(&guest, RX)].flags = VIRTQ_DESC_F_INDIRECT;
		guest_kick(&guest, RX);
		wire_send_plain(own, 1022 - NET_HEADER_SIZE, 5);
		if (i == 0)
			expect_received(buffer, own, 1022 - NET_HEADER_SIZE, 5);
	}
	expect_nothing_used(RX);
	assert_non_null(virtqueue_broken(guest.rings[RX].queue));
}

/* --- Receiving --- */

static void test_receives_a_frame(void **state)
{
	uint32_t first, second;

	(void)state;
	guest_start(&guest, 0, RING);
	first = receive_offer(2000);
	second = receive_offer_now(2000);
	guest_interrupts(&guest, RX);
	wire_send_plain(own, 60, 1);
	expect_received(first, own, 60, 1);
	assert_int_equal(guest_interrupts(&guest, RX), 1);
	/* Behind the frame is what was there before. */
	assert_int_equal(guest.base[first + NET_HEADER_SIZE + 60], 0xee);
	wire_send_plain(own, NET_FRAME_MIN, 2);
	expect_received(second, own, NET_FRAME_MIN, 2);
	assert_int_equal(counter(NET_COUNTER_RX_PACKETS), 2);
	assert_int_equal(counter(NET_COUNTER_RX_BYTES), 60 + NET_FRAME_MIN);
	assert_int_equal(counter(NET_COUNTER_RX_INTERRUPTS), 2);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 0);
}

static void test_passes_the_taps_header_on(void **state)
{
	static const struct virtio_net_hdr header = {
		.flags = 1,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
		.num_buffers = 99,
	};
	struct virtio_net_hdr found, expected = header;
	uint32_t address;

	(void)state;
	guest_start(&guest, TSO, RING);
	assert_int_equal(guest_offload_flags, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	address = receive_offer_now(NET_HEADER_SIZE + NET_FRAME_MAX);
	wire_send(&header, frame_make(own, 65000, 1), 65000);
	guest_settle(&guest);
	expect_received(address, own, 65000, 1);
	memcpy(&found, guest.base + address, sizeof(found));
	expected.num_buffers = 1;
	assert_memory_equal(&found, &expected, sizeof(found));
}

/* The window gives each frame as many buffers as it needs, in the order in which they came. */
static void test_merges_buffers(void **state)
{
	struct virtio_net_hdr header;
	uint32_t addresses[40];

	(void)state;
	guest_start(&guest, MERGED, RING);
	for (size_t i = 0; i < COUNT(addresses); i++)
		addresses[i] = receive_offer(100);
	guest_kick(&guest, RX);
	wire_send_plain(own, 1400, 1);
	/* 1412 bytes: 14 buffers of 100 and one of 12. */
	frame_make(own, 1400, 1);
	for (size_t i = 0, at = 0; i < 15; i++) {
		size_t skip = i == 0 ? NET_HEADER_SIZE : 0, part = i < 14 ? 100 - skip : 12;

		expect_used(RX, (uint32_t)(part + skip));
		assert_memory_equal(guest.base + addresses[i] + skip, sent + at, part);
		at += part;
	}
	memcpy(&header, guest.base + addresses[0], sizeof(header));
	assert_int_equal(header.num_buffers, 15);
	assert_int_equal(guest.base[addresses[14] + 12], 0xee);
	expect_nothing_used(RX);
	/* A frame that fills its buffers to the last byte takes no other. */
	wire_send_plain(own, 200 - NET_HEADER_SIZE, 2);
	expect_used(RX, 100);
	expect_used(RX, 100);
	expect_nothing_used(RX);
	wire_send_plain(own, 60, 3);
	expect_received(addresses[17], own, 60, 3);
	assert_int_equal(counter(NET_COUNTER_RX_PACKETS), 3);
}

/* The largest packet, in buffers of a page and of hardly more than a header. */
static void test_merges_large_packets(void **state)
{
	static const struct virtio_net_hdr header = {.flags = 1,
						     .gso_type = VIRTIO_NET_HDR_GSO_TCPV6,
						     .gso_size = 1428,
						     .csum_start = 54,
						     .csum_offset = 16};
	struct virtio_net_hdr found;
	uint32_t first, id, length;
	size_t bytes = 0, buffers = 0;

	(void)state;
	guest_start(&guest, MERGED | TSO, 512);
	first = receive_offer(NET_HEADER_SIZE);
	for (int i = 0; i < 20; i++)
		receive_offer(13);
	for (int i = 0; i < 200; i++)
		receive_offer(1500);
	guest_kick(&guest, RX);
	for (int i = 0; i < 3; i++) {
		wire_send(&header, frame_make(own, NET_FRAME_MAX, 1), NET_FRAME_MAX);
		guest_settle(&guest);
	}
	while (guest_used(&guest, RX, &id, &length)) {
		bytes += length;
		buffers++;
	}
	assert_int_equal(bytes, 3 * (NET_HEADER_SIZE + NET_FRAME_MAX));
	memcpy(&found, guest.base + first, sizeof(found));
	assert_int_equal(found.num_buffers, 1 + 20 + (NET_FRAME_MAX - 20 * 13 + 1499) / 1500);
	assert_int_equal(found.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
	assert_int_equal(buffers, found.num_buffers + 2 * ((NET_FRAME_MAX + NET_HEADER_SIZE + 1499) / 1500));
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 0);
}

/* The header's place in pieces, each of a byte, and the frame across two regions. */
static void test_receives_into_scattered_buffers(void **state)
{
	uint32_t head = guest_buffer(&guest, 64), across = GUEST_REGION_BYTES - 11;

	(void)state;
	guest_start(&guest, VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ), RING);
	head = guest_buffer(&guest, 64);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	for (uint32_t i = 0; i < NET_HEADER_SIZE + 3; i++)
		guest_in(&guest, RX, head + i, 1);
	guest_in(&guest, RX, across, 2000);
	guest_offer(&guest, RX);
	guest_kick(&guest, RX);
	/* One that is read and not wanted leaves the buffer as it was for the next. */
	wire_send_plain(other, 1000, 4);
	expect_nothing_used(RX);
	wire_send_plain(own, 1000, 5);
	expect_used(RX, NET_HEADER_SIZE + 1000);
	frame_make(own, 1000, 5);
	assert_int_equal(guest.base[head + 10], 1);
	assert_memory_equal(guest.base + head + NET_HEADER_SIZE, sent, 3);
	assert_memory_equal(guest.base + across, sent + 3, 997);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_FILTER), 1);
}

static void test_drops_frames_larger_than_their_buffer(void **state)
{
	uint32_t address;

	(void)state;
	guest_start(&guest, 0, RING);
	address = receive_offer_now(NET_HEADER_SIZE + 100);
	wire_send_plain(own, 101, 1);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 1);
	wire_send_plain(own, 100, 2);
	expect_received(address, own, 100, 2);
	/* Larger than the tap's MTU says: an offload's packet that nobody has asked for. */
	receive_offer_now(2000);
	wire_send_plain(own, 3000, 3);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 2);
}

static void test_drops_frames_that_are_none(void **state)
{
	static const size_t sizes[] = {1, NET_HEADER_SIZE - 1, NET_HEADER_SIZE,
				       NET_HEADER_SIZE + NET_FRAME_MIN - 1};

	(void)state;
	for (int merged = 0; merged < 2; merged++) {
		uint32_t address;

		guest_start(&guest, merged ? MERGED : 0, RING);
		/* With merging, too little for the longest frame: the other way of reading. */
		address = receive_offer_now(merged ? 600 : 2000);
		for (size_t i = 0; i < COUNT(sizes); i++) {
			assert_int_equal(send(guest.wire, frame_make(own, 60, 1), sizes[i], 0),
					 (ssize_t)sizes[i]);
			guest_settle(&guest);
			expect_nothing_used(RX);
			assert_int_equal(counter(NET_COUNTER_RX_ERRORS), i + 1);
		}
		wire_send_plain(own, 60, 2);
		expect_received(address, own, 60, 2);
		if (!merged)
			guest_stop(&guest);
	}
}

static void test_drops_frames_that_need_an_offload(void **state)
{
	static const struct virtio_net_hdr headers[] = {
		{.flags = 1, .csum_start = 34, .csum_offset = 16},
		{.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100},
		{.gso_type = 0x7f},
	};
	struct virtio_net_hdr found;
	uint32_t address;

	(void)state;
	guest_start(&guest, 0, RING);
	address = receive_offer_now(2000);
	for (size_t i = 0; i < COUNT(headers); i++) {
		wire_send(&headers[i], frame_make(own, 60, 1), 60);
		guest_settle(&guest);
		expect_nothing_used(RX);
		assert_int_equal(counter(NET_COUNTER_RX_DROPPED_OFFLOAD), i + 1);
	}
	wire_send(&(struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_DATA_VALID}, frame_make(own, 60, 2), 60);
	guest_settle(&guest);
	expect_received(address, own, 60, 2);
	memcpy(&found, guest.base + address, sizeof(found));
	assert_int_equal(found.flags, 0);
}

/* --- Too few buffers --- */

static void test_starves_and_resumes(void **state)
{
	uint64_t starved;
	uint32_t address;

	(void)state;
	guest_start(&guest, 0, RING);
	starved = counter(NET_COUNTER_RX_STARVED);
	wire_send_plain(own, 60, 1);
	wire_send_plain(own, 60, 2);
	assert_true(guest.device.rx_starved);
	/* Who waits for buffers does not look at the tap. */
	assert_true(counter(NET_COUNTER_RX_STARVED) <= starved + 1);
	assert_int_equal(counter(NET_COUNTER_RX_PACKETS), 0);
	address = receive_offer_now(2000);
	expect_received(address, own, 60, 1);
	expect_nothing_used(RX);
	address = receive_offer_now(2000);
	expect_received(address, own, 60, 2);
	/* Kicks are unwanted while there is room. */
	receive_offer(2000);
	receive_offer_now(2000);
	wire_send_plain(own, 60, 3);
	assert_int_equal(guest.rings[RX].used->flags & VIRTQ_USED_F_NO_NOTIFY, VIRTQ_USED_F_NO_NOTIFY);
}

static void test_holds_what_does_not_fit_yet(void **state)
{
	struct virtio_net_hdr header;
	uint32_t addresses[3];

	(void)state;
	guest_start(&guest, MERGED, RING);
	addresses[0] = receive_offer_now(600);
	wire_send_plain(own, 60, 1);
	expect_received(addresses[0], own, 60, 1);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 1);
	addresses[0] = receive_offer_now(600);
	wire_send_plain(own, 1300, 2);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 2);
	addresses[1] = receive_offer_now(600);
	expect_nothing_used(RX);
	wire_send_plain(own, 60, 3);
	addresses[2] = receive_offer_now(600);
	expect_used(RX, 600);
	expect_used(RX, 600);
	expect_used(RX, NET_HEADER_SIZE + 1300 - 1200);
	frame_make(own, 1300, 2);
	memcpy(&header, guest.base + addresses[0], sizeof(header));
	assert_int_equal(header.num_buffers, 3);
	assert_memory_equal(guest.base + addresses[0] + NET_HEADER_SIZE, sent, 588);
	assert_memory_equal(guest.base + addresses[1], sent + 588, 600);
	assert_memory_equal(guest.base + addresses[2], sent + 1188, 112);
	expect_nothing_used(RX);
	addresses[0] = receive_offer_now(600);
	expect_received(addresses[0], own, 60, 3);
}

/* E10: the tap's MTU was raised after the start. No frame is lost, the first one neither; and soon none is copied. */
static void test_receives_frames_longer_than_the_taps_mtu_was(void **state)
{
	static const size_t sizes[] = {2000, 9014, 60, 9014, 1514, NET_FRAME_MAX, 9014};

	(void)state;
	guest_start(&guest, MERGED, RING);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t left = NET_HEADER_SIZE + sizes[i], at = 0;
		uint32_t addresses[RING];
		unsigned buffers = 0;

		/* More than the longest frame that was expected so far. */
		for (size_t room = 0; room < NET_HEADER_SIZE + NET_FRAME_MAX; room += 1526)
			addresses[buffers++] = receive_offer(1526);
		guest_kick(&guest, RX);
		guest_settle(&guest);
		wire_send_plain(own, sizes[i], (uint8_t)(i + 1));
		frame_make(own, sizes[i], (uint8_t)(i + 1));
		for (unsigned buffer = 0; left > 0; buffer++) {
			size_t part = left < 1526 ? left : 1526, header = buffer == 0 ? NET_HEADER_SIZE : 0;

			expect_used(RX, (uint32_t)part);
			assert_memory_equal(guest.base + addresses[buffer] + header, sent + at,
					    part - header);
			at += part - header;
			left -= part;
		}
		expect_nothing_used(RX);
		guest_stop_queue(&guest, RX);
		assert_int_equal(guest_start_queue(&guest, RX), 0);
	}
	assert_int_equal(counter(NET_COUNTER_RX_PACKETS), COUNT(sizes));
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 0);
	/* Twice there was a longest one; that of 2,000 bytes fits into the two buffers that were taken for less. */
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 2);
}

static unsigned warnings;

static void count_warnings(const struct log_record *record, void *argument)
{
	(void)argument;
	warnings += record->level == LOG_LEVEL_WARNING && strstr(record->text, "frame") != NULL;
}

/* E10: what no buffer of the guest's can hold is dropped with a word, and one word alone. */
static void test_says_that_frames_do_not_fit(void **state)
{
	uint32_t address;

	(void)state;
	log_set_level(LOG_LEVEL_WARNING);
	log_set_sink(count_warnings, NULL);
	guest_start(&guest, 0, RING);
	address = receive_offer_now(1526);
	for (unsigned i = 0; i < 3; i++)
		wire_send_plain(own, 9014, 1);
	wire_send_plain(own, 1514, 2);
	log_set_sink(NULL, NULL);
	log_set_level(LOG_LEVEL_ERROR);
	expect_received(address, own, 1514, 2);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 3);
	assert_int_equal(warnings, 1);
}

/* A ring that is too small for a frame loses it, and not the next one. */
static void test_drops_what_never_fits(void **state)
{
	uint32_t address;

	(void)state;
	guest_start(&guest, MERGED, 2);
	address = receive_offer(100);
	receive_offer_now(100);
	wire_send_plain(own, 1000, 1);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 1);
	wire_send_plain(own, 80, 2);
	expect_received(address, own, 80, 2);
}

/* A held frame is judged by the rules that are in force when it is delivered. */
static void test_judges_held_frames_again(void **state)
{
	static const struct virtio_net_hdr header = {.flags = 1,
						     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						     .gso_size = 500,
						     .csum_start = 34,
						     .csum_offset = 16};
	uint64_t none = 0;

	(void)state;
	guest_start(&guest, MERGED | TSO | CHOICE | RULES, RING);
	receive_offer_now(600);
	wire_send(&header, frame_make(own, 1300, 1), 1300);
	guest_settle(&guest);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 1);
	assert_true(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &none, 8));
	receive_offer_now(1000);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_OFFLOAD), 1);

	wire_send_plain(other, 1514, 2);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_TOO_LARGE), 0);
	expect_used(RX, 600);
	expect_used(RX, NET_HEADER_SIZE + 1514 - 600);
	receive_offer_now(600);
	wire_send_plain(other, 1300, 3);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	receive_offer_now(1000);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_FILTER), 1);
}

static void test_forgets_held_frames(void **state)
{
	uint32_t address;

	(void)state;
	guest_start(&guest, MERGED, RING);
	receive_offer_now(600);
	wire_send_plain(own, 1300, 1);
	net_device_set_link(&guest.device, false);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_LINK_DOWN), 1);
	net_device_set_link(&guest.device, true);
	guest_settle(&guest);
	wire_send_plain(own, 1300, 2);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 2);
	/* What waited for the last driver is not for the next one. */
	guest_stop_queue(&guest, RX);
	guest.device.ops.reset(&guest.device);
	assert_int_equal(guest.device.ops.set_features(&guest.device, guest.features), 0);
	assert_int_equal(guest_start_queue(&guest, RX), 0);
	address = receive_offer_now(2000);
	expect_nothing_used(RX);
	wire_send_plain(own, 60, 3);
	expect_received(address, own, 60, 3);
}

/* What the window has is the ring's again when the queue stops. */
static void test_gives_buffers_back(void **state)
{
	(void)state;
	guest_start(&guest, MERGED, RING);
	for (int i = 0; i < 5; i++)
		receive_offer(1000);
	guest_kick(&guest, RX);
	wire_send_plain(own, 60, 1);
	expect_used(RX, NET_HEADER_SIZE + 60);
	assert_int_equal(guest_stop_queue(&guest, RX), 1);
	assert_int_equal(guest_start_queue(&guest, RX), 0);
	guest_settle(&guest);
	assert_int_equal(guest_stop_queue(&guest, RX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_sends_a_frame, teardown),
		cmocka_unit_test_teardown(test_sends_scattered_frames, teardown),
		cmocka_unit_test_teardown(test_drops_frames_of_bad_size, teardown),
		cmocka_unit_test_teardown(test_drops_frames_with_bad_headers, teardown),
		cmocka_unit_test_teardown(test_sends_frames_in_many_pieces, teardown),
		cmocka_unit_test_teardown(test_waits_for_room_in_the_tap, teardown),
		cmocka_unit_test_teardown(test_sends_within_a_budget, teardown),
		cmocka_unit_test_teardown(test_survives_refusals_of_the_tap, teardown),
		cmocka_unit_test_teardown(test_a_broken_ring_stops_one_queue, teardown),
		cmocka_unit_test_teardown(test_a_buffer_in_too_many_pieces_breaks_its_queue, teardown),
		cmocka_unit_test_teardown(test_receives_a_frame, teardown),
		cmocka_unit_test_teardown(test_passes_the_taps_header_on, teardown),
		cmocka_unit_test_teardown(test_merges_buffers, teardown),
		cmocka_unit_test_teardown(test_merges_large_packets, teardown),
		cmocka_unit_test_teardown(test_receives_into_scattered_buffers, teardown),
		cmocka_unit_test_teardown(test_drops_frames_larger_than_their_buffer, teardown),
		cmocka_unit_test_teardown(test_drops_frames_that_are_none, teardown),
		cmocka_unit_test_teardown(test_drops_frames_that_need_an_offload, teardown),
		cmocka_unit_test_teardown(test_starves_and_resumes, teardown),
		cmocka_unit_test_teardown(test_holds_what_does_not_fit_yet, teardown),
		cmocka_unit_test_teardown(test_receives_frames_longer_than_the_taps_mtu_was, teardown),
		cmocka_unit_test_teardown(test_says_that_frames_do_not_fit, teardown),
		cmocka_unit_test_teardown(test_drops_what_never_fits, teardown),
		cmocka_unit_test_teardown(test_judges_held_frames_again, teardown),
		cmocka_unit_test_teardown(test_forgets_held_frames, teardown),
		cmocka_unit_test_teardown(test_gives_buffers_back, teardown),
	};

	/* A tap does not send it. */
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
