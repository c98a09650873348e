/*
 * A driver of atoll-net in memory: three rings and buffers in a memfd, chains built descriptor by descriptor, and a
 * net_device in a loop that the test turns. The device is driven through the same ops as the vhost-user session drives
 * it. In place of the tap stands a SEQPACKET socket, which keeps frames apart as a tap does, or a real tap.
 */
#ifndef ATOLL_TESTS_UNIT_NET_GUEST_H
#define ATOLL_TESTS_UNIT_NET_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ring/virtqueue.h"
#include "common/spec/virtio_spec.h"
#include "dev-net/net_device.h"
#include "dev-net/virtio_net_spec.h"

/* Guest memory is two regions, adjacent in the guest's view and apart in ours: a buffer may lie across. */
#define GUEST_REGION_BYTES (4u << 20)
#define GUEST_MEMORY_BYTES (2 * GUEST_REGION_BYTES)
/* Where buffers may be; below it are the rings. */
#define GUEST_DATA 0x40000u

struct net_ring {
	uint16_t index;
	uint16_t size;
	struct virtq_desc *descriptors;
	struct virtq_avail *available;
	struct virtq_used *used;
	struct virtqueue *queue; /* NULL: not running */
	int kick_fd, call_fd;
	bool polled; /* the device gets no kick eventfd */
	uint16_t next_descriptor;
	uint16_t chain_head;
	bool chain_open;
	uint16_t published;
	uint16_t seen;
};

struct net_guest {
	struct net_device device;
	struct loop *loop;
	struct guest_memory memory;
	int memory_fd;
	uint8_t *base; /* all of guest memory, in one piece */
	int wire;      /* the other end of the tap's socket; -1 with a real tap */
	uint64_t features;
	struct net_ring rings[VIRTIO_NET_QUEUES];
	uint32_t next_buffer; /* for guest_buffer() */
};

/*
 * The flags of TUNSETOFFLOAD as last set while a socket is in the tap's place, and what the next attempt is answered.
 */
extern unsigned guest_offload_flags;
extern int guest_offload_result;

/*
 * Of the devices that are made from now on: the state page, borrowed (-1: none), and whether what stands there counts.
 */
extern int guest_state_fd;
extern bool guest_resume;

/* Makes a device with a socket for a tap, and starts its queues. Ends the test program on failure. */
void guest_start(struct net_guest *guest, uint64_t features, uint16_t ring_size);
/* The same with a tap's descriptor, which the device takes. */
void guest_start_with(struct net_guest *guest, int tap_fd, uint64_t features, uint16_t ring_size);
/* Does nothing to a guest that has not been started, or is stopped. */
void guest_stop(struct net_guest *guest);

/* One queue with fresh rings; returns what the device's op says. */
int guest_start_queue(struct net_guest *guest, uint16_t index);
/* Returns the index that the device would have read next. */
uint16_t guest_stop_queue(struct net_guest *guest, uint16_t index);

/* Adds a descriptor to the ring's chain under construction; the first one opens it. Returns the buffer. */
void *guest_out(struct net_guest *guest, uint16_t index, uint32_t address, uint32_t length);
void *guest_in(struct net_guest *guest, uint16_t index, uint32_t address, uint32_t length);
/* Makes the chain available, without a kick. Returns its head. */
uint16_t guest_offer(struct net_guest *guest, uint16_t index);
void guest_kick(struct net_guest *guest, uint16_t index);

/* Fresh guest memory for a buffer. */
uint32_t guest_buffer(struct net_guest *guest, uint32_t length);

/* Turns the loop until it has nothing to do. */
void guest_settle(struct net_guest *guest);

/* The next used element, if there is one. */
bool guest_used(struct net_guest *guest, uint16_t index, uint32_t *id, uint32_t *length);
/* How many interrupts came since the last call. */
uint64_t guest_interrupts(struct net_guest *guest, uint16_t index);

#endif
