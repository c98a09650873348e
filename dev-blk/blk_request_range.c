/*
 * Requests: DISCARD and WRITE_ZEROES, which name ranges of sectors. One operation on the host at a time, each for as
 * much of the current range as it takes; a way to zero that the file does not know gives way to the next one.
 */
#include <errno.h>
#include <fcntl.h>

#include "dev-blk/blk_request_steps.h"

/* Written over and over by the last way to zero. Never written to, so it costs no memory. */
static const uint8_t zeroes[65536];
#define ZERO_IOVS  16
#define ZERO_PIECE (ZERO_IOVS * sizeof(zeroes))
/* Discarded at once, of a block device, at most. */
#define DISCARD_PIECE (UINT64_C(64) << 20)

enum zero_method {
	ZERO_METHOD_PUNCH, /* frees the space; needs the driver's leave */
	ZERO_METHOD_RANGE,
	ZERO_METHOD_WRITE,
};

/* A status. 5.2.6.2: reserved flags, and unmap of a DISCARD, are UNSUPP. */
static uint8_t range_check(const struct blk_request *request, const struct blk_disk *disk,
			   const struct virtio_blk_discard_write_zeroes *range)
{
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t most = zero ? BLK_WRITE_ZEROES_SECTORS_MAX : disk->discard_sectors;

	if (range->flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0))
		return VIRTIO_BLK_S_UNSUPP;
	if (range->num_sectors > most || !sectors_inside(disk, range->sector, range->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* Prepares a write of zeroes over the beginning of what is left. */
static void range_write_zeroes(struct blk_request *request)
{
	uint64_t left = request->io.length;
	unsigned count = 0;

	request->io.kind = BLK_IO_WRITE;
	/* The inline vector is where the ranges are. */
	request->io.iov = request->large_iov;
	for (; left != 0 && count < ZERO_IOVS; count++) {
		size_t size = left < sizeof(zeroes) ? left : sizeof(zeroes);

		request->io.iov[count] =
			(struct iovec){.iov_base = (void *)(uintptr_t)zeroes, .iov_len = size};
		left -= size;
	}
	request->io.iov_count = count;
}

static void range_allocate(struct blk_request *request, int mode)
{
	request->io.kind = BLK_IO_ALLOCATE;
	request->io.mode = FALLOC_FL_KEEP_SIZE | mode;
}

static void range_zero(struct blk_request *request)
{
	bool may_free = (request->range_list[request->range].flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;

	/* 5.2.6.2: without unmap the sectors must not be deallocated. */
	if (request->method == ZERO_METHOD_PUNCH && !may_free)
		request->method = ZERO_METHOD_RANGE;
	if (request->method == ZERO_METHOD_WRITE)
		range_write_zeroes(request);
	else
		range_allocate(request, request->method == ZERO_METHOD_RANGE ? FALLOC_FL_ZERO_RANGE
									     : FALLOC_FL_PUNCH_HOLE);
}

static void range_discard(struct blk_request *request)
{
	if (!request->block_device) {
		range_allocate(request, FALLOC_FL_PUNCH_HOLE);
		return;
	}
	/* Not by punching: a hole in a block device is zeroes, and one that can discard need not be able to do that. */
	request->io.kind = BLK_IO_DISCARD;
	if (request->io.length > DISCARD_PIECE)
		request->io.length = DISCARD_PIECE;
}

/* Moves on to the next range that has something left. fallocate(2) would refuse a length of 0. */
static bool range_find(struct blk_request *request)
{
	while (request->range < request->ranges) {
		uint64_t size =
			(uint64_t)request->range_list[request->range].num_sectors * VIRTIO_BLK_SECTOR_SIZE;

		request->io.length = size - request->done_bytes;
		if (request->io.length != 0)
			return true;
		request->range++;
		request->done_bytes = 0;
		request->method = ZERO_METHOD_PUNCH;
	}
	return false;
}

/* Prepares the operation for the rest of the current range. DONE: no range has anything left. */
static enum blk_step blk_range_next(struct blk_request *request)
{
	if (!range_find(request))
		return BLK_STEP_DONE;
	request->io.offset =
		request->range_list[request->range].sector * VIRTIO_BLK_SECTOR_SIZE + request->done_bytes;
	if (request->type == VIRTIO_BLK_T_WRITE_ZEROES)
		range_zero(request);
	else
		range_discard(request);
	return BLK_STEP_IO;
}

enum blk_step blk_range_parse(struct blk_request *request, const struct virtqueue_chain *chain,
			      const struct blk_disk *disk)
{
	size_t header = sizeof(struct virtio_blk_req_header);
	size_t size = chain->out_bytes - header;

	if (disk->readonly || size == 0 || size % sizeof(request->range_list[0]) != 0 ||
	    size > sizeof(request->range_list))
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	/* A copy: the guest may change its own while we work. */
	if (virtqueue_chain_read(chain, header, request->range_list, size) != size)
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	request->ranges = (uint16_t)(size / sizeof(request->range_list[0]));
	/* All are held against the disk before any is touched. */
	for (uint16_t i = 0; i < request->ranges; i++) {
		uint8_t status = range_check(request, disk, &request->range_list[i]);

		if (status != VIRTIO_BLK_S_OK)
			return request_fail(request, status);
	}
	if (blk_range_next(request) == BLK_STEP_IO)
		return BLK_STEP_IO;
	return request_succeed(request, 0);
}

enum blk_step blk_range_advance(struct blk_request *request, struct blk_disk *disk)
{
	int64_t result = request->io.result;
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;
	bool by_writing = request->io.kind == BLK_IO_WRITE;

	if (result == -EOPNOTSUPP && zero && request->method < ZERO_METHOD_WRITE)
		request->method++;
	else if (result == -EOPNOTSUPP && !zero)
		request->done_bytes += request->io.length; /* a hint that is not taken */
	else if (result < 0)
		return request_fail_host(request, (int)result);
	else if (result == 0 && by_writing)
		return request_fail_host(request, -ENODATA);
	else
		request->done_bytes += by_writing ? (uint64_t)result : request->io.length;
	if (blk_range_next(request) == BLK_STEP_IO)
		return BLK_STEP_IO;
	return zero ? request_written(request, disk, false) : request_succeed(request, 0);
}

uint64_t blk_request_piece(const struct blk_request *request)
{
	/* However short, it is done in the queue's thread: one a round. */
	if (request->io.kind == BLK_IO_DISCARD && request->ranges != 0)
		return DISCARD_PIECE;
	if (request->ranges == 0 || request->io.kind != BLK_IO_WRITE)
		return 0;
	return request->io.length < ZERO_PIECE ? request->io.length : ZERO_PIECE;
}
