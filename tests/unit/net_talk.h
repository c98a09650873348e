/*
 * What the tests of atoll-net say as its guest and as its tap, and what they expect to hear. A frame is told from
 * others by its mark. There is one guest at a time.
 */
#ifndef ATOLL_TESTS_UNIT_NET_TALK_H
#define ATOLL_TESTS_UNIT_NET_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "tests/unit/net_guest.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RX	     VIRTIO_NET_QUEUE_RX
#define TX	     VIRTIO_NET_QUEUE_TX
#define CONTROL	     VIRTIO_NET_QUEUE_CONTROL

/* Sets of features. */
#define MERGED VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define CSUM   VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define TSO    (CSUM | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO6))
#define CHOICE (VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
#define RULES                                                                  \
	(VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) | \
	 VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define VLANS	 (VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VLAN))
#define ANNOUNCE (VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE))

#define RING 64

extern struct net_guest guest;
extern uint8_t wire[NET_HEADER_SIZE + NET_FRAME_MAX + 64]; /* what wire_receive() found */
extern uint8_t sent[NET_FRAME_MAX + 64];		   /* what frame_make() made */

extern const uint8_t own[6], other[6], group[6], everybody[6];

uint64_t counter(enum net_counter which);
/* For cmocka: ends the guest, if there is one. */
int teardown(void **state);

/* A frame of this size, in sent[]. */
const uint8_t *frame_make(const uint8_t *address, size_t size, uint8_t mark);

/* --- The tap's side --- */

void wire_send(const struct virtio_net_hdr *header, const void *frame, size_t size);
/* With no header's wishes, and the device's turn after it. */
void wire_send_plain(const uint8_t *address, size_t size, uint8_t mark);
/* The next frame that the device wrote, with its header, into wire[]; -1 when there is none. */
ssize_t wire_receive(void);
void expect_on_wire(const uint8_t *address, size_t size, uint8_t mark);
void expect_silence(void);

/* --- The guest's side --- */

/* Makes a frame available; transmit() kicks, and the device has its turn. */
void transmit_offer(const struct virtio_net_hdr *header, const void *frame, uint32_t size);
void transmit(const struct virtio_net_hdr *header, const void *frame, uint32_t size);
void transmit_plain(const uint8_t *address, uint32_t size, uint8_t mark);
void expect_used(uint16_t queue, uint32_t length);
void expect_nothing_used(uint16_t queue);
/* A receive buffer of this many bytes; returns its address. */
uint32_t receive_offer(uint32_t size);
uint32_t receive_offer_now(uint32_t size);
/* The frame arrived in the one buffer at address. */
void expect_received(uint32_t address, const uint8_t *destination, size_t size, uint8_t mark);
/* A command, and whether the device took it. */
bool command(uint8_t class, uint8_t number, const void *data, uint32_t size);
bool mode(uint8_t number, uint8_t on);
struct virtio_net_config config(void);

#endif
