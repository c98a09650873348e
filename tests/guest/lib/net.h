/*
 * virtio-net, the driver's side: frames out, frames in, the control queue.
 */
#ifndef ATOLL_TESTS_GUEST_NET_H
#define ATOLL_TESTS_GUEST_NET_H

#include "tests/guest/lib/virtio.h"

/* 5.1.3 Feature bits */
#define NET_F_CSUM	    0
#define NET_F_GUEST_CSUM    1
#define NET_F_MTU	    3
#define NET_F_MAC	    5
#define NET_F_GUEST_TSO4    7
#define NET_F_GUEST_TSO6    8
#define NET_F_HOST_TSO4	    11
#define NET_F_HOST_TSO6	    12
#define NET_F_MRG_RXBUF	    15
#define NET_F_STATUS	    16
#define NET_F_CTRL_VQ	    17
#define NET_F_CTRL_RX	    18
#define NET_F_CTRL_VLAN	    19
#define NET_F_CTRL_MAC_ADDR 23

#define NET_F_CTRL_GUEST_OFFLOADS 2

/* 5.1.4 Device configuration layout: offsets */
#define NET_CONFIG_MAC	  0
#define NET_CONFIG_STATUS 6
#define NET_CONFIG_MTU	  10
#define NET_S_LINK_UP	  1

/* 5.1.6 Device Operation */
struct net_header {
	uint8_t flags, gso_type;
	uint16_t header_length, gso_size, csum_start, csum_offset, num_buffers;
};
#define NET_HDR_F_NEEDS_CSUM 1
#define NET_HDR_F_DATA_VALID 2
#define NET_HDR_GSO_TCPV4    1

/* 5.1.6.5 Control Virtqueue */
#define NET_CTRL_RX	    0
#define NET_CTRL_RX_PROMISC 0
#define NET_CTRL_MAC	    1
#define NET_CTRL_MAC_TABLE  0
#define NET_CTRL_MAC_SET    1
#define NET_CTRL_VLAN	    2
#define NET_CTRL_VLAN_ADD   0
#define NET_CTRL_VLAN_DEL   1
#define NET_OK		    0
#define NET_NO_ACK	    0xff /* ours: nobody wrote it */

#define NET_CTRL_OFFLOADS     5
#define NET_CTRL_OFFLOADS_SET 0

#define NET_RX_BUFFERS 128
#define NET_FRAME_MAX  65550u

struct net {
	struct virtio_device device;
	struct virtqueue rx, tx, control;
	uint8_t mac[6];
	uint8_t *rx_memory; /* NET_RX_BUFFERS of rx_size bytes */
	uint32_t rx_size, rx_room;
	int rx_buffer[VIRTQUEUE_SIZE_MAX]; /* which buffer a head stands for */
	uint8_t *tx_memory;
	/* The frame that net_receive() returned. */
	struct net_header header;
	uint8_t *frame;
	uint32_t length;
	unsigned buffers; /* receive buffers that it took */
};

bool net_find(unsigned nth, struct net *net);
/* Reset, features, all three queues, receive buffers of rx_size bytes (header included), DRIVER_OK. */
bool net_start(struct net *net, uint64_t wanted, uint32_t rx_size);
/* Sends one frame in `parts` segments and waits until the device took it. False: it did not within 2 s. */
bool net_send(struct net *net, const struct net_header *header, const void *frame, uint32_t length,
	      unsigned parts);
/* The next frame, within so many milliseconds; false: none. Gives the buffers back to the device. */
bool net_receive(struct net *net, unsigned milliseconds);
uint8_t net_control(struct net *net, uint8_t class, uint8_t command, const void *data, uint32_t length);

#endif
