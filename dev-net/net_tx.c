/* Sending: see net_tx.h. */
#include "dev-net/net_tx.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/log.h"
#include "dev-net/net_header.h"

int net_tx_init(struct net_tx *tx, struct net_port *port)
{
	*tx = (struct net_tx){
		.port = port,
		.chain = malloc(sizeof(*tx->chain)),
		.iov = malloc(IOV_MAX * sizeof(*tx->iov)),
	};
	return tx->chain != NULL && tx->iov != NULL ? 0 : -ENOMEM;
}

void net_tx_free(struct net_tx *tx)
{
	free(tx->chain);
	free(tx->iov);
	*tx = (struct net_tx){0};
}

/* What the tap said to a frame: 0 when the frame is done with, one way or another, or -EAGAIN. */
static int tx_judge_write(struct net_tx *tx, ssize_t written, size_t frame_bytes)
{
	int error = written < 0 ? errno : 0;

	switch (error) {
	case 0:
		net_count(tx->port, NET_COUNTER_TX_PACKETS, 1);
		net_count(tx->port, NET_COUNTER_TX_BYTES, frame_bytes);
		return 0;
	case EAGAIN:
		net_count(tx->port, NET_COUNTER_TX_BLOCKED, 1);
		return -EAGAIN;
	case EIO:
		/* The interface is down: a cable that is plugged in at one end. */
		net_count(tx->port, NET_COUNTER_TX_DROPPED_TAP_DOWN, 1);
		return 0;
	default:
		net_count(tx->port, NET_COUNTER_TX_ERRORS, 1);
		if (!tx->error_logged)
			log_warning("the tap refused a frame of %zu bytes: %s; others are only counted",
				    frame_bytes, strerror(error));
		tx->error_logged = true;
		return 0;
	}
}

/* Sends the frame of a chain, or drops it for a reason that is counted. 0 or -EAGAIN. */
static int tx_send(struct net_tx *tx)
{
	const struct virtqueue_chain *chain = tx->chain;
	struct net_port *port = tx->port;
	struct virtio_net_hdr header;
	size_t count = IOV_MAX - 1;
	size_t frame_bytes;
	ssize_t written;

	if (chain->out_bytes < NET_HEADER_SIZE + NET_FRAME_MIN ||
	    chain->out_bytes > NET_HEADER_SIZE + NET_FRAME_MAX) {
		net_count(port, NET_COUNTER_TX_DROPPED_SIZE, 1);
		return 0;
	}
	frame_bytes = chain->out_bytes - NET_HEADER_SIZE;
	if (!port->link_up) {
		net_count(port, NET_COUNTER_TX_DROPPED_LINK_DOWN, 1);
		return 0;
	}
	virtqueue_chain_read(chain, 0, &header, sizeof(header));
	if (!net_header_from_driver(port->features, frame_bytes, &header)) {
		net_count(port, NET_COUNTER_TX_DROPPED_HEADER, 1);
		return 0;
	}
	/* A frame in more pieces than one system call takes: nobody's driver does that. */
	if (iovec_slice(chain->iov, chain->out_count, NET_HEADER_SIZE, frame_bytes, tx->iov + 1, &count) <
	    0) {
		net_count(port, NET_COUNTER_TX_DROPPED_SIZE, 1);
		return 0;
	}
	tx->iov[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof(header)};
	do {
		written = writev(port->tap_fd, tx->iov, (int)count + 1);
	} while (written < 0 && errno == EINTR);
	return tx_judge_write(tx, written, frame_bytes);
}

enum net_progress net_tx_run(struct net_tx *tx, unsigned *budget)
{
	enum net_progress progress = NET_PROGRESS_MORE;

	while (*budget > 0) {
		int result = virtqueue_pop(tx->queue, tx->chain);

		if (result <= 0) {
			progress = result < 0 ? NET_PROGRESS_BROKEN : NET_PROGRESS_IDLE;
			break;
		}
		if (tx_send(tx) == -EAGAIN) {
			virtqueue_rewind(tx->queue, &tx->chain->token);
			progress = NET_PROGRESS_BLOCKED;
			break;
		}
		virtqueue_push(tx->queue, &tx->chain->token, 0);
		(*budget)--;
	}
	if (virtqueue_complete(tx->queue))
		net_count(tx->port, NET_COUNTER_TX_INTERRUPTS, 1);
	return progress;
}
