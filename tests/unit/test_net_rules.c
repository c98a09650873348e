/*
 * What atoll-net decides from bytes alone: the headers that drivers and taps write, the offloads that hang together,
 * the receive filter. Every kind of bad header is here once; test_net.c shows what becomes of a frame.
 */
#include <linux/if_tun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/host/tap.h"
#include "common/spec/virtio_spec.h"
#include "dev-net/net_filter.h"
#include "dev-net/net_header.h"
#include "dev-net/net_port.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CSUM  VIRTIO_BIT(VIRTIO_NET_F_CSUM)
#define TSO4  VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO4)
#define TSO6  VIRTIO_BIT(VIRTIO_NET_F_HOST_TSO6)
#define ECN   VIRTIO_BIT(VIRTIO_NET_F_HOST_ECN)
#define UFO   VIRTIO_BIT(VIRTIO_NET_F_HOST_UFO)
#define USO   VIRTIO_BIT(VIRTIO_NET_F_HOST_USO)
#define ALL   (CSUM | TSO4 | TSO6 | ECN | UFO | USO)
#define FRAME 100

#define G_CSUM VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define G_TSO4 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4)
#define G_TSO6 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6)
#define G_ECN  VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN)
#define G_UFO  VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO)
#define G_USO4 VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO4)
#define G_USO6 VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO6)

/* --- Headers of drivers --- */

/* A good segmentation request, of which each case spoils something. */
#define GSO(type_) SEGMENTS(type_, 40)
#define SEGMENTS(type_, size_)                                                                  \
	{                                                                                       \
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = (type_), .gso_size = (size_), \
		.hdr_len = 54, .csum_start = 34, .csum_offset = 16                              \
	}

static void test_driver_headers(void **state)
{
	static const struct {
		const char *what;
		uint64_t features;
		struct virtio_net_hdr header;
		bool good;
	} cases[] = {
		{"nothing asked", 0, {0}, true},
		{"a checksum", CSUM, {.flags = 1, .csum_start = 34, .csum_offset = 16}, true},
		{"a checksum, not negotiated",
		 ALL & ~CSUM,
		 {.flags = 1, .csum_start = 34, .csum_offset = 16},
		 false},
		{"the last two bytes", CSUM, {.flags = 1, .csum_start = FRAME - 2}, true},
		{"one byte beyond", CSUM, {.flags = 1, .csum_start = FRAME - 1}, false},
		{"the offset beyond", CSUM, {.flags = 1, .csum_offset = FRAME - 1}, false},
		{"a sum that would wrap",
		 CSUM,
		 {.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff},
		 false},
		{"TSO4", CSUM | TSO4, GSO(VIRTIO_NET_HDR_GSO_TCPV4), true},
		{"TSO4, not negotiated", ALL & ~TSO4, GSO(VIRTIO_NET_HDR_GSO_TCPV4), false},
		{"TSO4 with ECN", CSUM | TSO4 | ECN, GSO(VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN),
		 true},
		{"TSO4, ECN not negotiated", ALL & ~ECN,
		 GSO(VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN), false},
		{"TSO6", CSUM | TSO6, GSO(VIRTIO_NET_HDR_GSO_TCPV6), true},
		{"TSO6, not negotiated", ALL & ~TSO6, GSO(VIRTIO_NET_HDR_GSO_TCPV6), false},
		{"TSO6 with ECN", CSUM | TSO6 | ECN, GSO(VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN),
		 true},
		{"TSO6, ECN not negotiated", ALL & ~ECN,
		 GSO(VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN), false},
		{"UFO", CSUM | UFO, GSO(VIRTIO_NET_HDR_GSO_UDP), true},
		{"UFO, not negotiated", ALL & ~UFO, GSO(VIRTIO_NET_HDR_GSO_UDP), false},
		{"UFO with ECN", ALL, GSO(VIRTIO_NET_HDR_GSO_UDP | VIRTIO_NET_HDR_GSO_ECN), false},
		{"USO", CSUM | USO, GSO(VIRTIO_NET_HDR_GSO_UDP_L4), true},
		{"USO, not negotiated", ALL & ~USO, GSO(VIRTIO_NET_HDR_GSO_UDP_L4), false},
		{"USO with ECN", ALL, GSO(VIRTIO_NET_HDR_GSO_UDP_L4 | VIRTIO_NET_HDR_GSO_ECN), false},
		{"ECN alone", ALL, GSO(VIRTIO_NET_HDR_GSO_ECN), false},
		{"an unknown type", ALL, GSO(2), false},
		{"another one", ALL, GSO(0x7f), false},
		{"segments of no size", ALL, SEGMENTS(VIRTIO_NET_HDR_GSO_TCPV4, 0), false},
		{"segments without a checksum",
		 ALL,
		 {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 40},
		 false},
		{"DATA_VALID is none of the driver's",
		 ALL,
		 {.flags = 2, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 40},
		 false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct virtio_net_hdr header = cases[i].header;

		if (net_header_from_driver(cases[i].features, FRAME, &header) != cases[i].good)
			fail_msg("%s", cases[i].what);
	}
}

/* The tap sees of a header what was judged, and nothing else. */
static void test_driver_headers_are_stripped(void **state)
{
	struct virtio_net_hdr header;

	(void)state;
	memset(&header, 0xff, sizeof(header));
	header.flags = 0xff & ~VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_true(net_header_from_driver(ALL, FRAME, &header));
	assert_memory_equal(&header, &(struct virtio_net_hdr){0}, sizeof(header));

	header = (struct virtio_net_hdr)GSO(VIRTIO_NET_HDR_GSO_TCPV4);
	header.flags = 0xff;
	header.num_buffers = 7;
	header.hdr_len = FRAME + 1;
	assert_true(net_header_from_driver(ALL, FRAME, &header));
	assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(header.num_buffers, 0);
	assert_int_equal(header.hdr_len, FRAME);
	assert_int_equal(header.gso_size, 40);
	assert_int_equal(header.csum_start, 34);
	assert_int_equal(header.csum_offset, 16);

	header.hdr_len = FRAME - 1;
	assert_true(net_header_from_driver(ALL, FRAME, &header));
	assert_int_equal(header.hdr_len, FRAME - 1);
}

/* --- Headers of taps --- */

static void test_tap_headers(void **state)
{
	static const struct {
		uint8_t type;
		uint64_t needs;
	} types[] = {
		{VIRTIO_NET_HDR_GSO_TCPV4, G_TSO4},  {VIRTIO_NET_HDR_GSO_TCPV6, G_TSO6},
		{VIRTIO_NET_HDR_GSO_UDP, G_UFO},     {VIRTIO_NET_HDR_GSO_UDP_L4, G_USO4},
		{VIRTIO_NET_HDR_GSO_UDP_L4, G_USO6},
	};
	struct virtio_net_hdr header = {0};

	(void)state;
	assert_true(net_header_from_tap(0, &header));
	header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	assert_true(net_header_from_tap(G_CSUM, &header));
	assert_int_equal(header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_false(net_header_from_tap(net_guest_offloads & ~G_CSUM, &header));
	/* "Valid" is a hint that a driver without the feature must not see. */
	header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	assert_true(net_header_from_tap(G_CSUM, &header));
	assert_int_equal(header.flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_true(net_header_from_tap(0, &header));
	assert_int_equal(header.flags, 0);

	for (size_t i = 0; i < COUNT(types); i++) {
		bool tcp = (types[i].needs & (G_TSO4 | G_TSO6)) != 0;

		header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						 .gso_type = types[i].type};
		assert_true(net_header_from_tap(G_CSUM | types[i].needs, &header));
		assert_false(net_header_from_tap(types[i].needs, &header));
		assert_false(net_header_from_tap(G_CSUM, &header));
		header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		assert_int_equal(net_header_from_tap(G_CSUM | types[i].needs | G_ECN, &header), tcp);
		assert_false(net_header_from_tap(net_guest_offloads & ~G_ECN, &header));
	}
	for (unsigned type = 0; type < 256; type++) {
		header = (struct virtio_net_hdr){.gso_type = (uint8_t)type};
		assert_int_equal(net_header_from_tap(net_guest_offloads, &header),
				 type <= 5 ? type != 2 : type == 0x81 || type == 0x84);
	}
}

/* --- Offloads --- */

static void test_offloads_hang_together(void **state)
{
	(void)state;
	assert_int_equal(net_offloads_usable(~0ull), net_guest_offloads);
	assert_int_equal(net_offloads_usable(~G_CSUM), 0);
	assert_int_equal(net_offloads_usable(G_CSUM | CSUM | TSO4), G_CSUM);
	assert_int_equal(net_offloads_usable(G_CSUM | G_ECN), G_CSUM);
	assert_int_equal(net_offloads_usable(G_CSUM | G_ECN | G_TSO6), G_CSUM | G_ECN | G_TSO6);
	assert_int_equal(net_offloads_usable(G_CSUM | G_USO4), G_CSUM);
	assert_int_equal(net_offloads_usable(G_CSUM | G_USO6), G_CSUM);
	assert_int_equal(net_offloads_usable(G_CSUM | G_USO4 | G_USO6), G_CSUM | G_USO4 | G_USO6);

	assert_int_equal(net_offloads_tap_flags(0), 0);
	assert_int_equal(net_offloads_tap_flags(G_CSUM), TUN_F_CSUM);
	assert_int_equal(net_offloads_tap_flags(net_guest_offloads),
			 TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | TAP_OFFLOAD_USO4 |
				 TAP_OFFLOAD_USO6);
}

/* --- The filter --- */

static const uint8_t own[] = {0x52, 0x54, 0, 0, 0, 1};
static const uint8_t other[] = {0x52, 0x54, 0, 0, 0, 2};
static const uint8_t group[] = {0x01, 0x00, 0x5e, 0, 0, 1};
static const uint8_t everybody[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* Which of the four kinds of frame the filter lets through. */
enum passes {
	OWN = 1,
	OTHER = 2,
	GROUP = 4,
	BROADCAST = 8,
};

static unsigned passing(const struct net_filter *filter)
{
	static const struct {
		const uint8_t *address;
		unsigned bit;
	} kinds[] = {{own, OWN}, {other, OTHER}, {group, GROUP}, {everybody, BROADCAST}};
	unsigned result = 0;

	for (size_t i = 0; i < COUNT(kinds); i++) {
		uint8_t frame[14] = {0};

		memcpy(frame, kinds[i].address, 6);
		if (net_filter_accepts(filter, frame, sizeof(frame)))
			result |= kinds[i].bit;
	}
	/* What needs no look must not be refused by looking. */
	if (net_filter_open(filter))
		assert_int_equal(result, OWN | OTHER | GROUP | BROADCAST);
	return result;
}

static void test_filter_modes(void **state)
{
	struct net_filter filter;

	(void)state;
	net_filter_reset(&filter, own);
	assert_true(net_filter_open(&filter));
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
	filter.any_address = false;
	assert_false(net_filter_open(&filter));
	assert_int_equal(passing(&filter), OWN | BROADCAST);
	filter.all_multicast = true;
	assert_int_equal(passing(&filter), OWN | GROUP | BROADCAST);
	filter.all_unicast = true;
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
	filter.no_multicast = true;
	assert_int_equal(passing(&filter), OWN | OTHER | BROADCAST);
	filter.no_unicast = true;
	assert_int_equal(passing(&filter), BROADCAST);
	filter.no_broadcast = true;
	assert_int_equal(passing(&filter), 0);
	filter.promiscuous = true;
	assert_true(net_filter_open(&filter));
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
	net_filter_reset(&filter, other);
	filter.any_address = false;
	assert_int_equal(passing(&filter), OTHER | BROADCAST);
	/* Each of the refusals closes a filter that nobody has set otherwise. */
	net_filter_reset(&filter, own);
	filter.no_unicast = true;
	assert_int_equal(passing(&filter), GROUP | BROADCAST);
	net_filter_reset(&filter, own);
	filter.no_multicast = true;
	assert_int_equal(passing(&filter), OWN | OTHER | BROADCAST);
	net_filter_reset(&filter, own);
	filter.no_broadcast = true;
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP);
}

static void test_filter_lists(void **state)
{
	struct net_filter filter;

	(void)state;
	net_filter_reset(&filter, own);
	filter.any_address = false;
	filter.unicast.count = NET_FILTER_ADDRESSES;
	filter.multicast.count = NET_FILTER_ADDRESSES;
	assert_int_equal(passing(&filter), OWN | BROADCAST);
	memcpy(filter.unicast.addresses[NET_FILTER_ADDRESSES - 1], other, 6);
	assert_int_equal(passing(&filter), OWN | OTHER | BROADCAST);
	memcpy(filter.multicast.addresses[0], group, 6);
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
	filter.unicast.count = NET_FILTER_ADDRESSES - 1;
	filter.multicast.count = 0;
	assert_int_equal(passing(&filter), OWN | BROADCAST);
	filter.unicast.overflow = true;
	assert_int_equal(passing(&filter), OWN | OTHER | BROADCAST);
	filter.multicast.overflow = true;
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
}

static bool tag_passes(const struct net_filter *filter, uint16_t tag, size_t length)
{
	uint8_t frame[NET_FILTER_LOOK] = {[12] = 0x81, [14] = (uint8_t)(tag >> 8), [15] = (uint8_t)tag};

	memcpy(frame, own, sizeof(own));
	return net_filter_accepts(filter, frame, length);
}

static void test_filter_vlans(void **state)
{
	struct net_filter filter;

	(void)state;
	net_filter_reset(&filter, own);
	assert_true(tag_passes(&filter, 5, 18));
	filter.vlan_filtering = true;
	assert_false(net_filter_open(&filter));
	assert_false(tag_passes(&filter, 5, 18));
	/* No tag at all, a priority's tag, and a frame that ends within its tag. */
	assert_int_equal(passing(&filter), OWN | OTHER | GROUP | BROADCAST);
	assert_true(tag_passes(&filter, 0, 18));
	assert_true(tag_passes(&filter, 0xf000, 18));
	assert_true(tag_passes(&filter, 5, 17));
	for (uint16_t id = 1; id < NET_FILTER_VLANS; id += 1021) {
		net_filter_set_vlan(&filter, id, true);
		assert_true(tag_passes(&filter, id, 18));
		assert_true(tag_passes(&filter, 0xf000 | id, 18));
		assert_false(tag_passes(&filter, id + 1, 18));
		assert_false(tag_passes(&filter, id ^ 8, 18));
		net_filter_set_vlan(&filter, id, false);
		assert_false(tag_passes(&filter, id, 18));
	}
	net_filter_set_vlan(&filter, 4095, true);
	assert_true(tag_passes(&filter, 4095, 18));
	/* Membership is one condition, the address another. */
	filter.no_unicast = true;
	assert_false(tag_passes(&filter, 4095, 18));
	filter.promiscuous = true;
	assert_true(tag_passes(&filter, 6, 18));
}

static void test_counter_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NET_COUNTERS; i++) {
		assert_non_null(net_counter_name((enum net_counter)i));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(net_counter_name((enum net_counter)i),
						net_counter_name((enum net_counter)j));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_driver_headers), cmocka_unit_test(test_driver_headers_are_stripped),
		cmocka_unit_test(test_tap_headers),    cmocka_unit_test(test_offloads_hang_together),
		cmocka_unit_test(test_filter_modes),   cmocka_unit_test(test_filter_lists),
		cmocka_unit_test(test_filter_vlans),   cmocka_unit_test(test_counter_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
