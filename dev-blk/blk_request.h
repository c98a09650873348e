/*
 * A request: from a chain of the ring to host operations, and from their results to a status.
 *
 * No I/O happens here, and no ring is touched but through the chain: the queue (blk_queue.h) moves a request
 * along. A request whose blk_request_parse() or blk_request_advance() returns BLK_STEP_IO has its next
 * operation in `io`; at BLK_STEP_DONE it is to be completed with blk_request_finish() and given back to the
 * ring.
 */
#ifndef ATOLL_DEV_BLK_BLK_REQUEST_H
#define ATOLL_DEV_BLK_BLK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "common/ring/virtqueue.h"
#include "dev-blk/blk_disk.h"
#include "dev-blk/blk_engine.h"
#include "dev-blk/virtio_blk_spec.h"

/* Up to here a request's iovecs lie in the request; longer ones go to its share of a large array. */
#define BLK_INLINE_IOV 16

enum blk_step {
	BLK_STEP_DONE,
	BLK_STEP_IO,
	BLK_STEP_HELD, /* blk_request_advance() once more when blk_disk_witnessed() */
};

struct blk_request {
	struct blk_io io;
	STAILQ_ENTRY(blk_request) link;

	struct virtqueue_token token;
	uint32_t type;	     /* VIRTIO_BLK_T_* */
	uint8_t status;	     /* VIRTIO_BLK_S_* */
	uint8_t *status_at;  /* in guest memory */
	uint64_t data_bytes; /* of IN and OUT: what was asked for */
	uint64_t done_bytes; /* of those; of the current range otherwise */
	uint32_t written;    /* for the used element */
	int error;	     /* the host's, if that is why it failed; else 0 */

	uint16_t ranges; /* of DISCARD and WRITE_ZEROES */
	uint16_t range;	 /* the current one */
	uint8_t method;	 /* of zeroing it */
	bool block_device;

	struct iovec *large_iov; /* VIRTQUEUE_IOV_MAX of them, for this request alone */
	union {
		struct iovec inline_iov[BLK_INLINE_IOV];
		struct virtio_blk_discard_write_zeroes range_list[BLK_RANGES_MAX];
	};
};
STAILQ_HEAD(blk_request_list, blk_request);

/*
 * Reads a chain's request and checks it against the disk. Returns an enum blk_step, or -EPROTO for a chain
 * that has no room for a status: there is nothing that could be answered. request->large_iov must be set.
 */
int blk_request_parse(struct blk_request *request, const struct virtqueue_chain *chain,
		      const struct blk_disk *disk);

/* Bytes of the next operation, if it is one of the pieces in which a range is zeroed or discarded; else 0. */
uint64_t blk_request_piece(const struct blk_request *request);

/* The byte behind the last one that the next operation and those that follow it would change; 0: none. */
uint64_t blk_request_changes_up_to(const struct blk_request *request);
/* The next operation is not to be done, for this reason (-errno): the request is done. */
void blk_request_refuse(struct blk_request *request, int error);

/* Takes io.result in, and says what is next. */
enum blk_step blk_request_advance(struct blk_request *request, struct blk_disk *disk);

/* Writes the status into guest memory; request->token and ->written are then ready for the ring. */
void blk_request_finish(struct blk_request *request);

#endif
