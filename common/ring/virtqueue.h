/*
 * The split virtqueue, device side, over guest memory.
 *
 * The ring is hostile: indices and descriptors are read once into locals, checked, and used from there; a
 * chain has at most as many descriptors as the queue (2.7.5.3.1), or VIRTQUEUE_IOV_MAX in an indirect table,
 * which drivers fill beyond the queue's size; indirect tables are honoured once, never nested. A ring that
 * breaks the rules makes every further call return -EPROTO for this queue, and no other queue notices.
 *
 * One thread at a time uses a queue. It is made and freed by the vhost-user session (vhost_user_backend.h),
 * which stops the device's use of it before it changes anything underneath.
 *
 * Source: virtio 1.2, 2.7 "Split Virtqueues".
 */
#ifndef ATOLL_COMMON_RING_VIRTQUEUE_H
#define ATOLL_COMMON_RING_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/ring/guest_memory.h"
#include "common/spec/vhost_user_spec.h"
#include "common/spec/virtio_spec.h"

/* The iovecs of one chain at most; a chain that needs more is a broken ring. */
#define VIRTQUEUE_IOV_MAX 1024
/* The extents that are noted of one chain at most; what a longer one has beyond them goes into the last, as one. */
#define VIRTQUEUE_EXTENTS_MAX 256

/*
 * Which chain it is: what virtqueue_pop() hands out, and virtqueue_push() and virtqueue_rewind() take back. A device
 * keeps it by value for as long as the chain is out, and never looks into it: what is in it is for the files of this
 * folder, and for their tests. So what the ring's layout is, and what is noted of a chain beside its memory, is the
 * queue's alone.
 */
struct virtqueue_token {
	uint64_t number; /* virtqueue_taken() before it was popped */
	/* What its used element names it by: the index of its first descriptor; in a packed ring its buffer ID. */
	uint16_t head;
	uint16_t length;  /* entries of the ring that it took: 1; in a packed ring its descriptors */
	uint16_t extents; /* how many virtqueue_writable() has of it; they lie in the queue, by head */
	bool wrap_counter; /* a packed ring's, when it was popped (2.8.1); true in a split ring, which has none */
};

/* Guest memory, by its guest-physical address. */
struct virtqueue_extent {
	uint64_t address;
	uint64_t size; /* bytes, never 0 */
};

/* A chain popped from the available ring. The caller owns the struct; the memory the iovecs name is the
 * guest's. */
struct virtqueue_chain {
	struct virtqueue_token token;
	size_t out_count; /* iovecs the device reads: iov[0 .. out_count) */
	size_t in_count;  /* iovecs the device writes: iov[out_count .. out_count + in_count) */
	size_t out_bytes;
	size_t in_bytes;
	struct iovec iov[VIRTQUEUE_IOV_MAX];
};

struct virtqueue;

/* What a queue is made of; addresses are our pointers, already checked to lie in guest memory as a whole. */
struct virtqueue_setup {
	const struct guest_memory *memory; /* outlives the queue */
	uint16_t size;			   /* descriptors; a power of two, 1 .. VIRTQUEUE_SIZE_MAX */
	void *descriptor_table;		   /* 16 bytes each, aligned 16 */
	void *available_ring;		   /* aligned 2 */
	void *used_ring;		   /* aligned 4 */
	uint16_t next_available;	   /* vhost-user's vring base */
	uint64_t features;		   /* VIRTIO_RING_F_* as acked */
	int kick_fd;			   /* eventfds, borrowed; -1: none (poll) */
	int call_fd;
	/* This queue's part of the inflight region (inflight.h), or NULL. With it next_available does not count: a
	 * predecessor's unfinished chains are popped first, and then what comes behind all that were ever popped. */
	struct vhost_user_inflight_queue *inflight;
};

/* Returns 0, -EINVAL (sizes, alignment), -EBADMSG (what stands in the inflight region cannot be) or -ENOMEM. */
int virtqueue_new(const struct virtqueue_setup *setup, struct virtqueue **queue);
/* With every chain pushed and published, the inflight region is left as new. */
void virtqueue_free(struct virtqueue *queue);

/*
 * Takes the next available chain. Returns 1 with *chain filled, 0 when the ring is empty, -EPROTO when the
 * ring is broken (now or earlier). Acquires what the driver wrote before it published the index.
 *
 * Never more than virtqueue_size() chains are out at a time, popped and not yet pushed or rewound. A hostile
 * driver may have one head out twice, though: two tokens that are out may name one head.
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *chain);

/* Gives the chain that was popped last back, as if never popped; then that before it is the last one. */
void virtqueue_rewind(struct virtqueue *queue, const struct virtqueue_token *token);

/*
 * Writes a used element; not visible to the driver before virtqueue_publish(). written: bytes the device
 * wrote into the chain's writable part, all of which it has written by now.
 */
void virtqueue_push(struct virtqueue *queue, const struct virtqueue_token *token, uint32_t written);

/* Publishes all pushed elements with one release store of the used index. */
void virtqueue_publish(struct virtqueue *queue);

/*
 * virtqueue_publish(), then an interrupt if the driver asked for one (2.7.7.2, with or without EVENT_IDX).
 * Returns whether it did, for the device's counters.
 */
bool virtqueue_complete(struct virtqueue *queue);

/*
 * The guest memory that the device may write of a chain that is out: *extent is the nth piece of it, in the chain's
 * order, as it was checked when the chain was popped. False behind the last. They hold all of it, and from the 256th on
 * perhaps what lies between, be it guest memory or none. A driver that has one head out twice mixes up what is said of
 * its own memory.
 */
bool virtqueue_writable(const struct virtqueue *queue, const struct virtqueue_token *token, uint16_t n,
			struct virtqueue_extent *extent);

/*
 * The chains that were taken from this ring, by us and by predecessors, without those that were rewound, and those that
 * a predecessor left undone and that were not popped again yet. 64 bits, which do not wrap around. A new queue knows as
 * much of it as the ring says: the base or, with an inflight region, the used index, of 16 bits in a split ring.
 */
uint64_t virtqueue_taken(const struct virtqueue *queue);

/*
 * Before the first pop, for a device that keeps virtqueue_taken() in its state: the queue counts on from there. `taken`
 * is what was kept last; where the ring stands may be less than 32,768 chains away from that, before it or behind it.
 */
void virtqueue_count_on(struct virtqueue *queue, uint64_t taken);

/* Whether another device used this ring before the queue was made: an interrupt of a predecessor's may be missing. */
bool virtqueue_served_before(const struct virtqueue *queue);

/* Signals the call eventfd regardless of suppression. */
void virtqueue_interrupt(struct virtqueue *queue);

/* Hints the driver that kicks are not needed while the device works (2.7.10). */
void virtqueue_disable_kicks(struct virtqueue *queue);

/*
 * Asks for kicks again, then looks once more: true when chains arrived meanwhile and the caller must go on
 * popping instead of sleeping. The full barrier between the two is here.
 */
bool virtqueue_enable_kicks(struct virtqueue *queue);

/* Whether a chain waits; cheap, for polling loops. */
bool virtqueue_ready(const struct virtqueue *queue);

/* Empties the kick eventfd's count; to be called when it polls readable. */
void virtqueue_kick_drain(struct virtqueue *queue);

int virtqueue_kick_fd(const struct virtqueue *queue);
uint16_t virtqueue_size(const struct virtqueue *queue);
/* The value GET_VRING_BASE reports: the next available index the device would read. */
uint16_t virtqueue_next_available(const struct virtqueue *queue);
/* Whether the ring broke the rules, and the reason in words for the log (static string), else NULL. */
const char *virtqueue_broken(const struct virtqueue *queue);
/* Lets a device declare a request malformed beyond an error status of its own: breaks the queue with a
 * reason. */
void virtqueue_break(struct virtqueue *queue, const char *reason);

/* --- Helpers over chains --- */

/* Copies up to `size` bytes from the device-readable part, starting at byte `offset` of it; returns the
 * count. */
size_t virtqueue_chain_read(const struct virtqueue_chain *chain, size_t offset, void *data, size_t size);
/* Copies into the device-writable part likewise. */
size_t virtqueue_chain_write(const struct virtqueue_chain *chain, size_t offset, const void *data,
			     size_t size);
/*
 * Slices [offset, offset + size) of the iovecs iov[0..count) into out[0..*out_count); on entry *out_count is
 * the room. Returns 0, or -ENOSPC when it does not fit, -ERANGE when the range is outside.
 */
int iovec_slice(const struct iovec *iov, size_t count, size_t offset, size_t size, struct iovec *out,
		size_t *out_count);

#endif
