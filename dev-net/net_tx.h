/*
 * Sending: chains of the transmit queue, each a header and a frame, into the tap with one writev(2) from
 * where the guest has them. The header alone is copied: what was judged is what is sent.
 */
#ifndef ATOLL_DEV_NET_NET_TX_H
#define ATOLL_DEV_NET_NET_TX_H

#include "common/ring/virtqueue.h"
#include "dev-net/net_port.h"

struct net_tx {
	struct net_port *port;
	struct virtqueue *queue;       /* NULL: not running */
	struct virtqueue_chain *chain; /* scratch */
	struct iovec *iov;	       /* scratch: the header's copy, then the frame */
	bool error_logged;
};

/* Memory for all times. 0 or -ENOMEM. */
int net_tx_init(struct net_tx *tx, struct net_port *port);
void net_tx_free(struct net_tx *tx);

/*
 * Sends at most *budget frames, which it counts down, and completes what it sent. IDLE: the ring is empty;
 * BLOCKED: the tap has no room, and the frame stays in the ring.
 */
enum net_progress net_tx_run(struct net_tx *tx, unsigned *budget);

#endif
