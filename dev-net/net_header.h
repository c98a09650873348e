/*
 * The virtio-net header in front of a frame: what a driver may ask of us, and what we may ask of it.
 *
 * Source: virtio 1.2, 5.1.6.2 (transmission) and 5.1.6.4 (receiving).
 */
#ifndef ATOLL_DEV_NET_NET_HEADER_H
#define ATOLL_DEV_NET_NET_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dev-net/virtio_net_spec.h"

/* The longest frame that is carried: an IPv6 packet without jumbo payload, behind two VLAN tags. */
#define NET_FRAME_MAX (14 + 2 * 4 + 40 + 65535)
/* The shortest: an Ethernet header. */
#define NET_FRAME_MIN 14
/* What stands in front of each frame, towards the guest and towards the tap alike. */
#define NET_HEADER_SIZE 12

/* All feature bits that are about what the driver does with received frames. */
extern const uint64_t net_guest_offloads;

/*
 * Judges a header that a driver wrote, for a frame of this many bytes, and strips it of what the tap must not
 * see: flags that are not the driver's, num_buffers, a header length beyond the frame. False: the frame is to
 * be dropped.
 */
bool net_header_from_driver(uint64_t features, size_t frame_bytes, struct virtio_net_hdr *header);

/*
 * Judges a header that the tap wrote. A frame may have waited in the tap since other offloads were in force;
 * false: the driver would not understand it.
 */
bool net_header_from_tap(uint64_t offloads, struct virtio_net_hdr *header);

/* The offloads of `wanted` that hang together: none without checksums, ECN only with TSO, USO only for both
 * versions. */
uint64_t net_offloads_usable(uint64_t wanted);

/* The same as flags of TUNSETOFFLOAD. */
unsigned net_offloads_tap_flags(uint64_t offloads);

#endif
