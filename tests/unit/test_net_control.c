/*
 * What atoll-net's driver and supervisor may change, and the device's life: the control queue with good and bad
 * commands, the link, the MTU, resets, queues without kicks, a tap that goes, and one that is real.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/tap.h"
#include "common/spec/vhost_user_spec.h"
#include "dev-net/net_state.h"
#include "tests/unit/net_talk.h"

/* Whether a frame for this address reaches the guest. */
static bool passes(const uint8_t *address)
{
	uint32_t id, length;

	receive_offer_now(2000);
	wire_send_plain(address, 60, 1);
	return guest_used(&guest, RX, &id, &length);
}

/* --- Modes and addresses --- */

static void test_modes(void **state)
{
	(void)state;
	guest_start(&guest, RULES, RING);
	/* Nobody has said anything yet. */
	assert_true(passes(own) && passes(other) && passes(group) && passes(everybody));
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(passes(own) && !passes(other) && !passes(group) && passes(everybody));
	assert_true(mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1));
	assert_true(passes(own) && !passes(other) && passes(group) && passes(everybody));
	assert_true(mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1));
	assert_true(passes(other));
	assert_true(mode(VIRTIO_NET_CTRL_RX_NOMULTI, 1));
	assert_true(mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1));
	assert_true(passes(own) && passes(other) && !passes(group) && !passes(everybody));
	assert_true(mode(VIRTIO_NET_CTRL_RX_NOUNI, 1));
	assert_true(!passes(own) && !passes(other));
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 1));
	assert_true(passes(own) && passes(other) && passes(group) && passes(everybody));
	assert_true(counter(NET_COUNTER_RX_DROPPED_FILTER) > 0);
}

static void test_bad_modes(void **state)
{
	static const uint8_t bytes[] = {0, 0};
	struct net_filter before;

	(void)state;
	guest_start(&guest, RULES & ~VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA), RING);
	before = guest.device.port.filter;
	assert_false(mode(VIRTIO_NET_CTRL_RX_PROMISC, 2));
	assert_false(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0xff));
	assert_false(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, NULL, 0));
	assert_false(command(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, bytes, 2));
	/* Of a feature that was not negotiated, and of none. */
	assert_false(mode(VIRTIO_NET_CTRL_RX_ALLUNI, 1));
	assert_false(mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1));
	assert_false(mode(6, 1));
	assert_false(mode(0xff, 1));
	assert_memory_equal(&guest.device.port.filter, &before, sizeof(before));
	assert_true(mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1));
}

/* A table of addresses as the driver writes it: two counts, each before its addresses. Returns its size. */
static uint32_t table_make(uint8_t *table, uint32_t unicast, const uint8_t *last_unicast, uint32_t multicast,
			   const uint8_t *last_multicast)
{
	uint8_t *to = table;

	memcpy(to, &unicast, 4);
	to += 4;
	for (uint32_t i = 0; i < unicast; i++, to += 6)
		memcpy(to, i + 1 < unicast ? (const uint8_t[]){2, 0, 0, 0, 1, (uint8_t)i} : last_unicast, 6);
	memcpy(to, &multicast, 4);
	to += 4;
	for (uint32_t i = 0; i < multicast; i++, to += 6)
		memcpy(to, i + 1 < multicast ? (const uint8_t[]){3, 0, 0, 0, 1, (uint8_t)i} : last_multicast,
		       6);
	return (uint32_t)(to - table);
}

static bool table_set(const uint8_t *table, uint32_t size)
{
	return command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table, size);
}

static void test_address_tables(void **state)
{
	static uint8_t table[4096];

	(void)state;
	guest_start(&guest, RULES, RING);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(table_set(table, table_make(table, 1, other, 0, NULL)));
	assert_true(passes(own) && passes(other) && !passes(group));
	assert_true(table_set(table, table_make(table, 0, NULL, NET_FILTER_ADDRESSES, group)));
	assert_true(passes(own) && !passes(other) && passes(group));
	assert_true(table_set(table, table_make(table, NET_FILTER_ADDRESSES, other, 0, NULL)));
	assert_true(passes(other) && !passes(group));
	/* More than there is room for: all of that kind. */
	assert_true(table_set(table, table_make(table, NET_FILTER_ADDRESSES + 1, own, 1, own)));
	assert_true(passes(other) && !passes(group));
	assert_true(table_set(table, table_make(table, 0, NULL, NET_FILTER_ADDRESSES + 1, own)));
	assert_true(!passes(other) && passes(group));
	assert_true(table_set(table, table_make(table, 0, NULL, 0, NULL)));
	assert_true(passes(own) && !passes(other) && !passes(group));
}

static void test_bad_address_tables(void **state)
{
	static const uint32_t counts[] = {3, 0x2aaaaaab, 0x80000000, 0xffffffff};
	static uint8_t table[4096];
	struct net_filter before;
	uint32_t size;

	(void)state;
	guest_start(&guest, RULES, RING);
	assert_true(table_set(table, table_make(table, 1, other, 1, group)));
	before = guest.device.port.filter;
	size = table_make(table, 2, own, 2, own);
	/* Cut at each byte, and with one too many. */
	for (uint32_t i = 0; i < size; i++)
		assert_false(table_set(table, i));
	assert_false(table_set(table, size + 1));
	/* Counts of more than there is, of which some make a product of 32 bits wrap. */
	for (size_t i = 0; i < COUNT(counts); i++) {
		table_make(table, 2, own, 2, own);
		memcpy(table, &counts[i], 4);
		assert_false(table_set(table, size));
		table_make(table, 2, own, 2, own);
		memcpy(table + 16, &counts[i], 4);
		assert_false(table_set(table, size));
	}
	assert_memory_equal(&guest.device.port.filter, &before, sizeof(before));
}

static void test_own_address(void **state)
{
	(void)state;
	guest_start(&guest, RULES, RING);
	assert_memory_equal(config().mac, own, 6);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6));
	assert_memory_equal(config().mac, other, 6);
	assert_true(!passes(own) && passes(other));
	assert_false(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, own, 5));
	assert_false(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, "1234567", 7));
	assert_false(command(VIRTIO_NET_CTRL_MAC, 2, own, 6));
	assert_memory_equal(config().mac, other, 6);
}

/* --- VLANs --- */

static bool vlan(uint8_t number, uint16_t id)
{
	return command(VIRTIO_NET_CTRL_VLAN, number, &id, sizeof(id));
}

static bool tag_passes(uint16_t tag)
{
	uint8_t frame[60] = {[12] = 0x81, [14] = (uint8_t)(tag >> 8), [15] = (uint8_t)tag};
	uint32_t id, length;

	memcpy(frame, own, sizeof(own));
	receive_offer_now(2000);
	wire_send(&(struct virtio_net_hdr){0}, frame, sizeof(frame));
	guest_settle(&guest);
	return guest_used(&guest, RX, &id, &length);
}

static void test_vlans(void **state)
{
	(void)state;
	guest_start(&guest, VLANS, RING);
	assert_true(passes(own) && tag_passes(0x2000) && !tag_passes(7));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
	assert_true(tag_passes(7) && tag_passes(0x2007) && !tag_passes(8));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 4095));
	assert_true(tag_passes(4095));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_DEL, 7));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_DEL, 9));
	assert_true(!tag_passes(7) && tag_passes(4095));
	assert_false(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 4096));
	assert_false(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 0xffff));
	assert_false(vlan(2, 7));
	assert_false(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, "\7", 1));
	assert_false(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, "\7\0", 3));
	assert_true(!tag_passes(7));
}

/* --- Commands in general --- */

static void test_commands_of_no_class(void **state)
{
	(void)state;
	guest_start(&guest, ~0ull & ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX), RING);
	for (unsigned class = 0; class < 256; class ++) {
		if (class != VIRTIO_NET_CTRL_ANNOUNCE)
			assert_false(command((uint8_t) class, 0xff, "\1", 1));
	}
	/* Two queues of a pair are more than there are. */
	assert_false(command(4, 0, "\2", 2));
	assert_false(command(VIRTIO_NET_CTRL_ANNOUNCE, 1, NULL, 0));
	assert_false(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, "", 1));
}

static void test_commands_without_their_feature(void **state)
{
	static uint8_t table[64];
	uint64_t none = 0;

	(void)state;
	for (int with_queue = 0; with_queue < 2; with_queue++) {
		guest_start(&guest, with_queue ? VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) : 0, RING);
		assert_false(mode(VIRTIO_NET_CTRL_RX_PROMISC, 1));
		assert_false(table_set(table, table_make(table, 0, NULL, 0, NULL)));
		assert_false(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6));
		assert_false(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
		assert_false(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0));
		assert_false(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
				     &none, 8));
		if (!with_queue)
			guest_stop(&guest);
	}
}

/* Chains that are no command, or have no room for an answer, are given back like others. */
static void test_commands_in_odd_chains(void **state)
{
	static const uint8_t good[] = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0};
	uint32_t at;

	(void)state;
	guest_start(&guest, RULES, RING);
	for (uint32_t size = 0; size < 3; size++) {
		at = guest_buffer(&guest, 8);
		memcpy(guest_out(&guest, CONTROL, guest_buffer(&guest, 3), size), good, size);
		memset(guest_in(&guest, CONTROL, at, 1), 0xee, 1);
		guest_offer(&guest, CONTROL);
		guest_kick(&guest, CONTROL);
		guest_settle(&guest);
		expect_used(CONTROL, 1);
		assert_int_equal(guest.base[at], VIRTIO_NET_ERR);
	}
	/* No room. */
	memcpy(guest_out(&guest, CONTROL, guest_buffer(&guest, 3), 3), good, 3);
	guest_offer(&guest, CONTROL);
	guest_kick(&guest, CONTROL);
	guest_settle(&guest);
	expect_used(CONTROL, 0);
	/* A byte a piece, and more room than the answer takes. */
	for (size_t i = 0; i < 3; i++)
		*(uint8_t *)guest_out(&guest, CONTROL, guest_buffer(&guest, 1), 1) = good[i];
	at = guest_buffer(&guest, 8);
	memset(guest_in(&guest, CONTROL, at, 8), 0xee, 8);
	guest_offer(&guest, CONTROL);
	guest_kick(&guest, CONTROL);
	guest_settle(&guest);
	expect_used(CONTROL, 1);
	assert_memory_equal(guest.base + at, "\0\xee\xee\xee\xee\xee\xee\xee", 8);
	assert_true(!passes(other));
}

static void test_commands_within_a_budget(void **state)
{
	(void)state;
	guest_start(&guest, RULES, 1024);
	for (int i = 0; i < 400; i++) {
		guest_out(&guest, CONTROL, guest_buffer(&guest, 3), 3);
		guest_in(&guest, CONTROL, guest_buffer(&guest, 1), 1);
		guest_offer(&guest, CONTROL);
	}
	guest_kick(&guest, CONTROL);
	assert_int_equal(loop_run_once(guest.loop, 1000), 0);
	assert_int_equal(counter(NET_COUNTER_CONTROL_COMMANDS), NET_BUDGET);
	guest_settle(&guest);
	assert_int_equal(counter(NET_COUNTER_CONTROL_COMMANDS), 400);
	assert_int_equal(counter(NET_COUNTER_CONTROL_REFUSED), 0);
}

/* --- Offloads --- */

static bool offloads_set(uint64_t offloads)
{
	return command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &offloads,
		       sizeof(offloads));
}

static void test_changes_offloads(void **state)
{
	static const struct virtio_net_hdr segments = {.flags = 1,
						       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						       .gso_size = 100,
						       .csum_start = 34,
						       .csum_offset = 16};
	uint32_t address;

	(void)state;
	guest_start(&guest, TSO | CHOICE, RING);
	assert_int_equal(guest_offload_flags, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	address = receive_offer_now(2000);
	wire_send(&segments, frame_make(own, 600, 1), 600);
	guest_settle(&guest);
	expect_received(address, own, 600, 1);
	assert_true(offloads_set(CSUM));
	assert_int_equal(guest_offload_flags, TUN_F_CSUM);
	/* This one had been waiting in the tap. */
	address = receive_offer_now(2000);
	wire_send(&segments, frame_make(own, 600, 2), 600);
	guest_settle(&guest);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_OFFLOAD), 1);
	assert_true(offloads_set(TSO));
	wire_send(&segments, frame_make(own, 600, 3), 600);
	guest_settle(&guest);
	expect_received(address, own, 600, 3);
	/* What was not negotiated, what is no offload, and what has another size. */
	assert_false(offloads_set(TSO | VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO)));
	assert_false(offloads_set(TSO | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ)));
	assert_false(offloads_set(~0ull));
	assert_false(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
			     "\0\0\0\0\0\0\0", 7));
	assert_false(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 1, "\0\0\0\0\0\0\0", 8));
	assert_int_equal(guest_offload_flags, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	/* A tap that will not leaves everything as it was. */
	guest_offload_result = -EINVAL;
	assert_false(offloads_set(0));
	guest_offload_result = 0;
	address = receive_offer_now(2000);
	wire_send(&segments, frame_make(own, 600, 4), 600);
	guest_settle(&guest);
	expect_received(address, own, 600, 4);
	assert_true(offloads_set(0));
	assert_int_equal(guest_offload_flags, 0);
}

static void test_a_tap_that_takes_no_offloads(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	guest_offload_result = -EINVAL;
	assert_int_equal(guest.device.ops.set_features(&guest.device, guest.features | TSO), -EINVAL);
	guest_offload_result = 0;
	assert_int_equal(guest.device.ops.set_features(&guest.device, guest.features | TSO), 0);
}

/* --- Link and MTU --- */

static void test_link(void **state)
{
	uint32_t address;

	(void)state;
	guest_start(&guest, ANNOUNCE, RING);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config().max_virtqueue_pairs, 1);
	address = receive_offer_now(2000);
	net_device_set_link(&guest.device, false);
	assert_int_equal(config().status, 0);
	transmit_plain(other, 60, 1);
	expect_used(TX, 0);
	expect_silence();
	wire_send_plain(own, 60, 2);
	expect_nothing_used(RX);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_LINK_DOWN), 1);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_LINK_DOWN), 1);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS) + counter(NET_COUNTER_RX_PACKETS), 0);

	net_device_set_link(&guest.device, true);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	wire_send_plain(own, 60, 3);
	expect_received(address, own, 60, 3);
	assert_true(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0));
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
	/* A link that was up is not announced again. */
	net_device_set_link(&guest.device, true);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
	net_device_set_link(&guest.device, false);
	net_device_set_link(&guest.device, true);
	net_device_set_link(&guest.device, false);
	assert_int_equal(config().status, 0);
}

static void test_link_without_announcements(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	net_device_set_link(&guest.device, false);
	net_device_set_link(&guest.device, true);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
}

/* Whoever waits has nothing to wait for any more. */
static void test_link_down_frees_the_ring(void **state)
{
	uint8_t mark = 0;
	uint64_t dropped;

	(void)state;
	guest_start(&guest, 0, RING);
	while (counter(NET_COUNTER_TX_BLOCKED) == 0)
		transmit_plain(other, 9000, mark++);
	transmit_plain(other, 60, 0);
	/* No buffers: these wait in the tap. */
	for (int i = 0; i < 5; i++)
		wire_send_plain(own, 60, 1);
	dropped = counter(NET_COUNTER_RX_DROPPED_LINK_DOWN);
	net_device_set_link(&guest.device, false);
	guest_settle(&guest);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_LINK_DOWN), 2);
	assert_int_equal(counter(NET_COUNTER_RX_DROPPED_LINK_DOWN), dropped + 5);
}

/* Between two sessions, or before the driver has started its queues. */
static void test_link_while_no_queue_runs(void **state)
{
	uint8_t mark = 0;
	uint32_t address;

	(void)state;
	guest_start(&guest, 0, RING);
	while (counter(NET_COUNTER_TX_BLOCKED) == 0)
		transmit_plain(other, 9000, mark++);
	wire_send_plain(own, 60, 1);
	assert_true(guest.device.rx_starved && guest.device.tx_blocked);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		guest_stop_queue(&guest, i);
	net_device_set_link(&guest.device, false);
	guest_settle(&guest);
	net_device_set_link(&guest.device, true);
	guest_settle(&guest);
	while (wire_receive() >= 0)
		;
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		assert_int_equal(guest_start_queue(&guest, i), 0);
	address = receive_offer_now(2000);
	wire_send_plain(own, 60, 1);
	expect_received(address, own, 60, 1);
	transmit_plain(other, 60, 2);
	expect_on_wire(other, 60, 2);
}

static void test_mtu(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	assert_int_equal(config().mtu, 1500);
	assert_true((guest.device.ops.device_features & VIRTIO_BIT(VIRTIO_NET_F_MTU)) != 0);
	assert_int_equal(guest.device.ops.set_mtu(&guest.device, 1501), -EINVAL);
	assert_int_equal(guest.device.ops.set_mtu(&guest.device, 67), -EINVAL);
	assert_int_equal(guest.device.ops.set_mtu(&guest.device, 0), -EINVAL);
	assert_int_equal(config().mtu, 1500);
	assert_int_equal(guest.device.ops.set_mtu(&guest.device, 68), 0);
	assert_int_equal(config().mtu, 68);
	assert_int_equal(guest.device.ops.set_mtu(&guest.device, 1500), 0);
	/* A frame of the MTU, behind two VLAN tags, takes the way without a copy. */
	receive_offer_now(NET_HEADER_SIZE + NET_FRAME_MIN + 8 + 1500);
	wire_send_plain(own, NET_FRAME_MIN + 8 + 1500, 1);
	expect_used(RX, NET_HEADER_SIZE + NET_FRAME_MIN + 8 + 1500);
	assert_int_equal(counter(NET_COUNTER_RX_HELD), 0);
}

/* --- Life --- */

static void test_reset_forgets_the_driver(void **state)
{
	(void)state;
	guest_start(&guest, RULES | VLANS | ANNOUNCE | CHOICE | TSO, RING);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1));
	assert_true(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
	net_device_set_link(&guest.device, false);
	net_device_set_link(&guest.device, true);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		guest_stop_queue(&guest, i);
	guest.device.ops.reset(&guest.device);
	assert_int_equal(guest_offload_flags, 0);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
	assert_memory_equal(config().mac, own, 6);
	/* Without features a driver is a legacy one. */
	assert_int_equal(guest_start_queue(&guest, RX), -EINVAL);
	assert_int_equal(guest.device.ops.set_features(&guest.device, guest.features), 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		assert_int_equal(guest_start_queue(&guest, i), 0);
	guest_settle(&guest);
	assert_true(passes(own) && passes(other) && passes(everybody) && !tag_passes(7));
}

/* C4: front ends say the features again when a guest that was stopped goes on. */
static void test_features_said_again(void **state)
{
	unsigned flags;

	(void)state;
	guest_start(&guest, RULES | VLANS | CHOICE | TSO, RING);
	flags = guest_offload_flags;
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
	assert_true(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
			    &(uint64_t){0}, sizeof(uint64_t)));
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		guest_stop_queue(&guest, i);
	assert_int_equal(guest.device.ops.set_features(
				 &guest.device, guest.features | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)),
			 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		assert_int_equal(guest_start_queue(&guest, i), 0);
	guest_settle(&guest);
	assert_int_equal(guest_offload_flags, 0);
	assert_true(passes(own) && !passes(other) && tag_passes(7) && !tag_passes(8));
	/* Other features are another driver's. */
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		guest_stop_queue(&guest, i);
	assert_int_equal(guest.device.ops.set_features(
				 &guest.device, guest.features & ~VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA)),
			 0);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		assert_int_equal(guest_start_queue(&guest, i), 0);
	guest_settle(&guest);
	assert_int_equal(guest_offload_flags, flags);
	assert_true(passes(own) && passes(other) && !tag_passes(7));
}

/* --- A successor (C1) --- */

#define SUCCESSION (RULES | VLANS | ANNOUNCE | CHOICE | TSO)

/* This process ends, without a word, and the next one is there. */
static void succeed(bool resume)
{
	guest_stop(&guest);
	guest_resume = resume;
	guest_offload_flags = 0xff;
	guest_start(&guest, SUCCESSION, RING);
}

static int set_up_state(void **state)
{
	(void)state;
	guest_resume = false;
	return state_page_create(&guest_state_fd);
}

static int tear_down_state(void **state)
{
	close(guest_state_fd);
	guest_state_fd = -1;
	return teardown(state);
}

static void expect_fresh(unsigned flags)
{
	assert_int_equal(guest_offload_flags, flags);
	assert_memory_equal(config().mac, own, 6);
	assert_true(passes(own) && passes(other) && passes(group) && passes(everybody) && !tag_passes(7));
}

static void test_a_successor_knows_the_driver(void **state)
{
	static uint8_t table[4096];
	static const uint8_t mine[] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
	unsigned flags;

	(void)state;
	guest_start(&guest, SUCCESSION, RING);
	flags = guest_offload_flags;
	expect_fresh(flags);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	assert_true(mode(VIRTIO_NET_CTRL_RX_NOBCAST, 1));
	assert_true(table_set(table, table_make(table, 2, own, 1, group)));
	assert_true(command(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mine, 6));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7));
	assert_true(vlan(VIRTIO_NET_CTRL_VLAN_ADD, 4095));
	assert_true(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
			    &(uint64_t){VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)}, sizeof(uint64_t)));
	for (unsigned i = 0; i < 2; i++) {
		succeed(true);
		assert_int_equal(guest_offload_flags, TUN_F_CSUM);
		assert_memory_equal(config().mac, mine, 6);
		assert_true(passes(mine) && passes(own) && !passes(other) && passes(group));
		assert_true(!passes(everybody));
		assert_true(tag_passes(7) && tag_passes(4095) && !tag_passes(8));
	}
	/* A list that is too long to be kept. */
	assert_true(table_set(table, table_make(table, NET_FILTER_ADDRESSES + 1, other, 0, NULL)));
	net_device_set_link(&guest.device, false);
	net_device_set_link(&guest.device, true);
	succeed(true);
	assert_true(passes(own) && passes(other) && !passes(group));
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	assert_true(command(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0));
	succeed(true);
	assert_int_equal(config().status, VIRTIO_NET_S_LINK_UP);
	/* A driver's reset forgets it, and so does the VM's. */
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++)
		guest_stop_queue(&guest, i);
	guest.device.ops.reset(&guest.device);
	succeed(true);
	expect_fresh(flags);
	assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0));
	succeed(false);
	expect_fresh(flags);
}

/* What a process ends with is in its page; `change` is what a hostile one made of it. */
#define REFUSED(change)                                                                                \
	do {                                                                                           \
		struct device_state_page *page;                                                        \
		struct device_state_slot *slot;                                                        \
		struct net_record *record;                                                             \
		void *mapping;                                                                         \
                                                                                                       \
		assert_true(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0) && vlan(VIRTIO_NET_CTRL_VLAN_ADD, 7)); \
		assert_int_equal(state_page_map(guest_state_fd, &mapping), 0);                         \
		page = mapping;                                                                        \
		slot = &page->slots[page->commits & 1];                                                \
		record = (struct net_record *)slot->record;                                            \
		assert_int_equal(record->any_address, 0);                                              \
		change;                                                                                \
		slot->checksum = device_state_checksum(slot->sequence, slot->record, sizeof(*record)); \
		state_page_unmap(page);                                                                \
		succeed(true);                                                                         \
		if (!guest.device.port.filter.any_address)                                             \
			fail_msg("%s was taken over", #change);                                        \
		expect_fresh(flags);                                                                   \
	} while (0)

static void test_bad_records_are_refused(void **state)
{
	unsigned flags;

	(void)state;
	guest_start(&guest, SUCCESSION, RING);
	flags = guest_offload_flags;
	REFUSED(record->features = UINT64_MAX);
	REFUSED(record->features |= UINT64_C(1) << 63);
	REFUSED(record->features |= VIRTIO_BIT(22));
	REFUSED(record->offloads = UINT64_MAX);
	REFUSED(record->offloads |= VIRTIO_BIT(VIRTIO_NET_F_CSUM));
	REFUSED(record->features &= ~VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4));
	REFUSED(record->promiscuous = 2);
	REFUSED(record->any_address = 2);
	REFUSED(record->all_multicast = 2);
	REFUSED(record->all_unicast = 0xff);
	REFUSED(record->no_multicast = 2);
	REFUSED(record->no_unicast = 2);
	REFUSED(record->no_broadcast = 2);
	REFUSED(record->announce = 2);
	REFUSED(record->unicast_overflow = 2);
	REFUSED(record->multicast_overflow = 2);
	REFUSED(record->unicast_count = NET_FILTER_ADDRESSES + 1);
	REFUSED(record->unicast_count = UINT16_MAX);
	REFUSED(record->multicast_count = NET_FILTER_ADDRESSES + 1);
	REFUSED(record->multicast_count = UINT16_MAX);
	REFUSED((record->unicast_count = 1, record->unicast_overflow = 1));
	REFUSED((record->multicast_count = 1, record->multicast_overflow = 1));
	REFUSED(record->reserved[3] = 1);
	REFUSED(page->kind = DEVICE_STATE_BLK);
	REFUSED(page->version++);
	REFUSED(memset(page, 0, sizeof(*page)));
	REFUSED(memset(page, 0xff, sizeof(*page)));
}

static void test_queues_without_kicks(void **state)
{
	uint32_t address;

	(void)state;
	guest_start(&guest, RULES, RING);
	for (uint16_t i = 0; i < VIRTIO_NET_QUEUES; i++) {
		guest_stop_queue(&guest, i);
		guest.rings[i].polled = true;
		assert_int_equal(guest_start_queue(&guest, i), 0);
	}
	transmit_offer(&(struct virtio_net_hdr){0}, frame_make(other, 60, 1), 60);
	address = receive_offer(2000);
	wire_send(&(struct virtio_net_hdr){0}, frame_make(own, 60, 2), 60);
	for (int i = 0; i < 1000 && counter(NET_COUNTER_TX_PACKETS) + counter(NET_COUNTER_RX_PACKETS) < 2;
	     i++)
		assert_int_equal(loop_run_once(guest.loop, 1000), 0);
	expect_on_wire(other, 60, 1);
	expect_received(address, own, 60, 2);
	assert_int_equal(counter(NET_COUNTER_TX_KICKS) + counter(NET_COUNTER_RX_KICKS), 3 - 1);
}

static void test_a_tap_that_goes(void **state)
{
	(void)state;
	guest_start(&guest, 0, RING);
	receive_offer(2000);
	receive_offer_now(2000);
	close(guest.wire);
	guest.wire = -1;
	guest_settle(&guest);
	assert_true(guest.device.tap_gone);
	assert_int_equal(config().status, 0);
	transmit_plain(other, 60, 1);
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_LINK_DOWN), 1);
	receive_offer_now(2000);
	net_device_set_link(&guest.device, true);
	assert_int_equal(config().status, 0);
	/* The next driver finds a link that is down. */
	guest_stop_queue(&guest, RX);
	guest.device.ops.reset(&guest.device);
	assert_int_equal(guest.device.ops.set_features(&guest.device, guest.features), 0);
	assert_int_equal(guest_start_queue(&guest, RX), 0);
	guest_settle(&guest);
	assert_int_equal(config().status, 0);
}

static void test_refuses_bad_setups(void **state)
{
	static const uint8_t zero[6];
	const struct {
		int tap_fd;
		const uint8_t *mac;
		uint32_t mtu;
	} cases[] = {{0, group, 1500}, {0, zero, 1500}, {0, own, 67}, {0, own, 65536}, {-1, own, 1500}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_setup setup = {
			.tap_fd = cases[i].tap_fd, .mac = cases[i].mac, .mtu = cases[i].mtu};
		const char *problem = NULL;
		struct net_device device;

		net_device_init(&device);
		assert_int_equal(net_device_configure(&device, &setup, &problem), -EINVAL);
		assert_non_null(problem);
		assert_non_null(strstr(problem, "; "));
		assert_int_equal(device.port.tap_fd, -1);
		net_device_close(&device);
	}
}

static int session_error = 1;

static void session_over(void *argument, int error)
{
	(void)argument;
	session_error = error;
}

static void test_sessions_end(void **state)
{
	int sockets[2];

	(void)state;
	guest_start(&guest, 0, RING);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets),
				 0);
		assert_int_equal(net_device_session_start(&guest.device, sockets[0], session_over, NULL), 0);
		/* E4: there is one pair of queues. */
		assert_true(guest.device.ops.single_set);
		/* A front end that has not asked to be told. */
		net_device_set_link(&guest.device, i % 2 != 0);
		if (i == 1)
			assert_int_equal(send(sockets[1], "not a message of vhost-user", 27, 0), 27);
		session_error = 1;
		close(sockets[1]);
		guest_settle(&guest);
		assert_true(i == 1 ? session_error < 0 : session_error == 0);
		assert_null(guest.device.session);
	}
}

/* --- A real tap --- */

/* An interface of the test's own network namespace, up, and a socket that sees what the host's end sees. */
static int interface_up(const char *name, bool up)
{
	struct ifreq request = {.ifr_flags = up ? IFF_UP : 0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result;

	strcpy(request.ifr_name, name);
	result = ioctl(fd, SIOCSIFFLAGS, &request);
	close(fd);
	return result;
}

static int interface_listen(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(0x88b5),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(0x88b5));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_a_real_tap(void **state)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	uint8_t frame[200] = {0}, found[300];
	const char *problem;
	struct tap tap;
	uint32_t address, id, length;
	int maker, host;

	(void)state;
	strcpy(request.ifr_name, "atest0");
	if (unshare(CLONE_NEWNET) < 0)
		skip();
	maker = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (maker < 0)
		skip();
	assert_int_equal(ioctl(maker, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(maker, TUNSETPERSIST, 1), 0);
	close(maker);
	assert_int_equal(tap_open("atest0", &tap, &problem), 0);
	guest_start_with(&guest, tap.fd, TSO | VIRTIO_BIT(VIRTIO_NET_F_CSUM), RING);
	host = interface_listen("atest0");

	/* An interface that is down is a cable without an end. */
	memcpy(frame, everybody, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	transmit(&(struct virtio_net_hdr){0}, frame, sizeof(frame));
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_DROPPED_TAP_DOWN), 1);
	assert_int_equal(interface_up("atest0", true), 0);
	/* The system may have something of its own to say: all of ours are marked. */
	for (int i = 0; i < 40; i++)
		receive_offer(2000);
	guest_kick(&guest, RX);
	assert_true(recv(host, found, sizeof(found), 0) < 0);
	transmit(&(struct virtio_net_hdr){0}, frame, sizeof(frame));
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS), 1);
	assert_int_equal(recv(host, found, sizeof(found), 0), sizeof(frame));
	assert_memory_equal(found, frame, sizeof(frame));
	/* A header that only the kernel sees to be wrong. */
	transmit(&(struct virtio_net_hdr){.flags = 1, .csum_start = 199 - 2, .csum_offset = 1}, frame,
		 sizeof(frame));
	expect_used(TX, 0);
	assert_int_equal(counter(NET_COUNTER_TX_PACKETS) + counter(NET_COUNTER_TX_ERRORS), 2);

	frame[20] = 0x77;
	assert_int_equal(send(host, frame, sizeof(frame), 0), sizeof(frame));
	guest_settle(&guest);
	for (;;) {
		assert_true(guest_used(&guest, RX, &id, &length));
		address = (uint32_t)guest.rings[RX].descriptors[id].addr;
		if (length == NET_HEADER_SIZE + sizeof(frame) &&
		    guest.base[address + NET_HEADER_SIZE + 20] == 0x77)
			break;
	}
	assert_memory_equal(guest.base + address + NET_HEADER_SIZE, frame, sizeof(frame));
	close(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_modes, teardown),
		cmocka_unit_test_teardown(test_bad_modes, teardown),
		cmocka_unit_test_teardown(test_address_tables, teardown),
		cmocka_unit_test_teardown(test_bad_address_tables, teardown),
		cmocka_unit_test_teardown(test_own_address, teardown),
		cmocka_unit_test_teardown(test_vlans, teardown),
		cmocka_unit_test_teardown(test_commands_of_no_class, teardown),
		cmocka_unit_test_teardown(test_commands_without_their_feature, teardown),
		cmocka_unit_test_teardown(test_commands_in_odd_chains, teardown),
		cmocka_unit_test_teardown(test_commands_within_a_budget, teardown),
		cmocka_unit_test_teardown(test_changes_offloads, teardown),
		cmocka_unit_test_teardown(test_a_tap_that_takes_no_offloads, teardown),
		cmocka_unit_test_teardown(test_link, teardown),
		cmocka_unit_test_teardown(test_link_without_announcements, teardown),
		cmocka_unit_test_teardown(test_link_down_frees_the_ring, teardown),
		cmocka_unit_test_teardown(test_link_while_no_queue_runs, teardown),
		cmocka_unit_test_teardown(test_mtu, teardown),
		cmocka_unit_test_teardown(test_reset_forgets_the_driver, teardown),
		cmocka_unit_test_teardown(test_features_said_again, teardown),
		cmocka_unit_test_setup_teardown(test_a_successor_knows_the_driver, set_up_state,
						tear_down_state),
		cmocka_unit_test_setup_teardown(test_bad_records_are_refused, set_up_state, tear_down_state),
		cmocka_unit_test_teardown(test_queues_without_kicks, teardown),
		cmocka_unit_test_teardown(test_a_tap_that_goes, teardown),
		cmocka_unit_test(test_refuses_bad_setups),
		cmocka_unit_test_teardown(test_sessions_end, teardown),
		cmocka_unit_test_teardown(test_a_real_tap, teardown),
	};

	/* A tap does not send it. */
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
