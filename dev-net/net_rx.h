/*
 * Receiving: frames of the tap into chains of the receive queue, with one readv(2) to where the guest wants
 * them.
 *
 * How long a frame is shows only when it has been read, so there must be room for the longest one before.
 * Chains are therefore popped ahead into a window, whose front the next frame takes; what it leaves is there
 * for the one after. The window keeps its chains between calls: each is popped once, and given back only when
 * the queue stops. They are used in the order in which they came, so a successor of this process finds all
 * that is unused from the used index on.
 *
 * When the guest has fewer buffers than the longest frame needs, frames are read into memory of ours and
 * copied: one that does not fit yet is held, and the tap is left alone until it does. So it is with a frame that is
 * longer than the longest one was, for the tap's MTU was raised. Without VIRTIO_NET_F_MRG_RXBUF a frame has one chain,
 * and is lost if that is too small.
 */
#ifndef ATOLL_DEV_NET_NET_RX_H
#define ATOLL_DEV_NET_NET_RX_H

#include "common/ring/virtqueue.h"
#include "dev-net/net_port.h"

struct net_rx_chain {
	struct virtqueue_token token;
	uint16_t iov_count;
	uint32_t bytes;
};

struct net_rx {
	struct net_port *port;
	struct virtqueue *queue; /* NULL: not running */
	bool mergeable;
	size_t wanted; /* bytes of the longest frame that may come, with its header */

	/* The window: chains[first .. first + count), and their iov[iov_first .. iov_first + iov_count). */
	struct net_rx_chain *chains;
	struct iovec *iov;
	size_t first, count;
	size_t iov_first, iov_count;
	size_t bytes;

	struct virtqueue_chain *popped; /* scratch */
	uint8_t *held;			/* a frame with its header */
	size_t held_bytes;		/* 0: none is held */
	bool too_large_logged;		/* in this session */
};

/* Memory for all times. 0 or -ENOMEM. */
int net_rx_init(struct net_rx *rx, struct net_port *port);
void net_rx_free(struct net_rx *rx);

void net_rx_start(struct net_rx *rx, struct virtqueue *queue);
/* Gives the window back to the ring. */
void net_rx_stop(struct net_rx *rx);
/* Forgets a held frame. */
void net_rx_drop_held(struct net_rx *rx);

/*
 * Receives at most *budget frames, which it counts down, and completes what it received. IDLE: the tap is
 * empty; BLOCKED: a frame waits, here or in the tap, and the guest has no room for it. After MORE nothing is
 * held.
 */
enum net_progress net_rx_run(struct net_rx *rx, unsigned *budget);

#endif
