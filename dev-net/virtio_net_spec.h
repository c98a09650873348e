/*
 * Virtio 1.2, 5.1 Network Device. Names and numbers are the specification's, and so are those of the features
 * that came after it (5.1.3 of virtio 1.3).
 */
#ifndef ATOLL_DEV_NET_VIRTIO_NET_SPEC_H
#define ATOLL_DEV_NET_VIRTIO_NET_SPEC_H

#include <stdint.h>

/* 5.1.2 Virtqueues, without VIRTIO_NET_F_MQ */
#define VIRTIO_NET_QUEUE_RX	 0
#define VIRTIO_NET_QUEUE_TX	 1
#define VIRTIO_NET_QUEUE_CONTROL 2
#define VIRTIO_NET_QUEUES	 3

/* 5.1.3 Feature bits */
#define VIRTIO_NET_F_CSUM		 0
#define VIRTIO_NET_F_GUEST_CSUM		 1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU		 3
#define VIRTIO_NET_F_MAC		 5
#define VIRTIO_NET_F_GUEST_TSO4		 7
#define VIRTIO_NET_F_GUEST_TSO6		 8
#define VIRTIO_NET_F_GUEST_ECN		 9
#define VIRTIO_NET_F_GUEST_UFO		 10
#define VIRTIO_NET_F_HOST_TSO4		 11
#define VIRTIO_NET_F_HOST_TSO6		 12
#define VIRTIO_NET_F_HOST_ECN		 13
#define VIRTIO_NET_F_HOST_UFO		 14
#define VIRTIO_NET_F_MRG_RXBUF		 15
#define VIRTIO_NET_F_STATUS		 16
#define VIRTIO_NET_F_CTRL_VQ		 17
#define VIRTIO_NET_F_CTRL_RX		 18
#define VIRTIO_NET_F_CTRL_VLAN		 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA	 20
#define VIRTIO_NET_F_GUEST_ANNOUNCE	 21
#define VIRTIO_NET_F_CTRL_MAC_ADDR	 23
#define VIRTIO_NET_F_GUEST_USO4		 54
#define VIRTIO_NET_F_GUEST_USO6		 55
#define VIRTIO_NET_F_HOST_USO		 56

/* 5.1.4 Device configuration layout, as far as the features that are offered reach */
struct virtio_net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
#define VIRTIO_NET_S_LINK_UP  1u
#define VIRTIO_NET_S_ANNOUNCE 2u

/* 5.1.4.1: the smallest MTU that may be told */
#define VIRTIO_NET_MTU_MIN 68

/* 5.1.6 Device Operation: the header in front of each frame; num_buffers is there since VIRTIO_F_VERSION_1.
 */
struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u

#define VIRTIO_NET_HDR_GSO_NONE	  0u
#define VIRTIO_NET_HDR_GSO_TCPV4  1u
#define VIRTIO_NET_HDR_GSO_UDP	  3u
#define VIRTIO_NET_HDR_GSO_TCPV6  4u
#define VIRTIO_NET_HDR_GSO_UDP_L4 5u
#define VIRTIO_NET_HDR_GSO_ECN	  0x80u

/* 5.1.6.5 Control Virtqueue: class and command, command-specific data; the device writes one byte. */
struct virtio_net_ctrl {
	uint8_t class;
	uint8_t command;
};
#define VIRTIO_NET_OK  0
#define VIRTIO_NET_ERR 1

/* 5.1.6.5.1 Packet Receive Filtering: one byte of data, 0 or 1 */
#define VIRTIO_NET_CTRL_RX	    0
#define VIRTIO_NET_CTRL_RX_PROMISC  0
#define VIRTIO_NET_CTRL_RX_ALLMULTI 1
#define VIRTIO_NET_CTRL_RX_ALLUNI   2
#define VIRTIO_NET_CTRL_RX_NOMULTI  3
#define VIRTIO_NET_CTRL_RX_NOUNI    4
#define VIRTIO_NET_CTRL_RX_NOBCAST  5

/* 5.1.6.5.2 Setting MAC Address Filtering */
#define VIRTIO_NET_CTRL_MAC	      1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET 0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET  1

/* 5.1.6.5.3 VLAN Filtering: the id as le16 */
#define VIRTIO_NET_CTRL_VLAN	 2
#define VIRTIO_NET_CTRL_VLAN_ADD 0
#define VIRTIO_NET_CTRL_VLAN_DEL 1

/* 5.1.6.5.4 Gratuitous Packet Sending */
#define VIRTIO_NET_CTRL_ANNOUNCE     3
#define VIRTIO_NET_CTRL_ANNOUNCE_ACK 0

/* 5.1.6.5.6 Offloads State Configuration: le64 of feature bits */
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS	   5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0

#endif
