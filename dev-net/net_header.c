/* Virtio-net headers: see net_header.h. */
#include "dev-net/net_header.h"

#include <linux/if_tun.h>

#include "common/host/tap.h"
#include "common/spec/virtio_spec.h"

#define GUEST_TSO (VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6))
#define GUEST_USO (VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_USO6))

const uint64_t net_guest_offloads = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | GUEST_TSO |
				    VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_UFO) |
				    GUEST_USO;

static bool has(uint64_t features, unsigned bit)
{
	return (features & VIRTIO_BIT(bit)) != 0;
}

/* 5.1.6.2.1: a driver must not ask for segmentation that was not negotiated, nor without a checksum to be
 * filled in. */
static bool driver_gso_valid(uint64_t features, const struct virtio_net_hdr *header)
{
	bool ecn = (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;

	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (header->gso_size == 0 || (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0)
		return false;
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(features, VIRTIO_NET_F_HOST_TSO4) &&
		       (!ecn || has(features, VIRTIO_NET_F_HOST_ECN));
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(features, VIRTIO_NET_F_HOST_TSO6) &&
		       (!ecn || has(features, VIRTIO_NET_F_HOST_ECN));
	case VIRTIO_NET_HDR_GSO_UDP:
		return has(features, VIRTIO_NET_F_HOST_UFO) && !ecn;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return has(features, VIRTIO_NET_F_HOST_USO) && !ecn;
	default:
		return false;
	}
}

bool net_header_from_driver(uint64_t features, size_t frame_bytes, struct virtio_net_hdr *header)
{
	/* "The device MUST ignore flag bits that it does not recognize." */
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->num_buffers = 0;
	if (header->flags != 0) {
		if (!has(features, VIRTIO_NET_F_CSUM) ||
		    (size_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > frame_bytes)
			return false;
	} else {
		header->csum_start = 0;
		header->csum_offset = 0;
	}
	if (!driver_gso_valid(features, header))
		return false;
	/* "The device MUST NOT rely on hdr_len to be correct": it is a hint, which the kernel would refuse.
	 */
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		header->gso_size = 0;
		header->hdr_len = 0;
	} else if (header->hdr_len > frame_bytes) {
		header->hdr_len = (uint16_t)frame_bytes;
	}
	return true;
}

bool net_header_from_tap(uint64_t offloads, struct virtio_net_hdr *header)
{
	bool ecn = (header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
	bool ecn_taken = !ecn || has(offloads, VIRTIO_NET_F_GUEST_ECN);

	if (!has(offloads, VIRTIO_NET_F_GUEST_CSUM)) {
		if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
			return false;
		header->flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID;
	}
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return !ecn;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(offloads, VIRTIO_NET_F_GUEST_TSO4) && ecn_taken;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(offloads, VIRTIO_NET_F_GUEST_TSO6) && ecn_taken;
	case VIRTIO_NET_HDR_GSO_UDP:
		return has(offloads, VIRTIO_NET_F_GUEST_UFO) && !ecn;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return (offloads & GUEST_USO) != 0 && !ecn;
	default:
		return false;
	}
}

uint64_t net_offloads_usable(uint64_t wanted)
{
	uint64_t usable = wanted & net_guest_offloads;

	if (!has(usable, VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	if ((usable & GUEST_TSO) == 0)
		usable &= ~VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN);
	if ((usable & GUEST_USO) != GUEST_USO)
		usable &= ~GUEST_USO;
	return usable;
}

unsigned net_offloads_tap_flags(uint64_t offloads)
{
	static const struct {
		unsigned bit, flag;
	} flags[] = {
		{VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM},	     {VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4},
		{VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6},	     {VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN},
		{VIRTIO_NET_F_GUEST_UFO, TUN_F_UFO},	     {VIRTIO_NET_F_GUEST_USO4, TAP_OFFLOAD_USO4},
		{VIRTIO_NET_F_GUEST_USO6, TAP_OFFLOAD_USO6},
	};
	unsigned result = 0;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (has(offloads, flags[i].bit))
			result |= flags[i].flag;
	}
	return result;
}
