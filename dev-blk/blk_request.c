/*
 * Requests: parsing, checking, and the steps from one host operation to the next.
 *
 * The rules on data, in one place:
 * - a short read or write is continued; nothing done where something was left (end of a file that was cut
 * under us) is an error of this request; one that would change something behind that end is refused
 * (blk_queue.c), for it would make the file grow again;
 * - in write-through mode a write finishes on the medium: by RWF_DSYNC, or by an fdatasync after it when the
 * mode changed on its way or the file system does not know the flag;
 * - a flush is an fdatasync begun after the flush was popped, so it covers every write that completed before; the
 * first ones of a successor are held until the witness has told whether data was lost before (blk_disk.h);
 * - DISCARD is a hint: a file that cannot punch holes keeps the data, and a block device is told (BLKDISCARD). WRITE_ZEROES is not: what the file
 * cannot do by itself is done by writing zeroes.
 *
 * What the guest can read is its own data alone: bytes of a failed read are not announced in the used
 * element.
 */
#include "dev-blk/blk_request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

/* Written over and over by the last method of zeroing. Never written to, so it costs no memory. */
static const uint8_t zeroes[65536];
#define ZERO_IOVS  16
#define ZERO_PIECE (ZERO_IOVS * sizeof(zeroes))
/* Discarded at once, of a block device, at most. */
#define DISCARD_PIECE (UINT64_C(64) << 20)

/* --- Ends --- */

static enum blk_step request_fail(struct blk_request *request, uint8_t status)
{
	request->status = status;
	request->written = request->type == VIRTIO_BLK_T_IN && request->data_bytes != 0 ? 0 : 1;
	return BLK_STEP_DONE;
}

static enum blk_step request_fail_host(struct blk_request *request, int error)
{
	request->error = error;
	return request_fail(request, VIRTIO_BLK_S_IOERR);
}

static enum blk_step request_succeed(struct blk_request *request, uint64_t written_data)
{
	uint64_t written = written_data + sizeof(request->status);

	request->status = VIRTIO_BLK_S_OK;
	request->written = (uint32_t)(written <= UINT32_MAX ? written : UINT32_MAX);
	return BLK_STEP_DONE;
}

void blk_request_finish(struct blk_request *request)
{
	*(volatile uint8_t *)request->status_at = request->status;
}

/* --- Next operations --- */

static enum blk_step request_sync(struct blk_request *request)
{
	request->io.kind = BLK_IO_SYNC;
	return BLK_STEP_IO;
}

static bool disk_writethrough(const struct blk_disk *disk)
{
	return atomic_load(&disk->writethrough);
}

/* What was written is stable, or need not be. */
static enum blk_step request_written(struct blk_request *request, const struct blk_disk *disk, bool stable)
{
	if (!stable && disk_writethrough(disk))
		return request_sync(request);
	return request_succeed(request, 0);
}

/* Prepares the operation for the rest of the current range of a DISCARD or WRITE_ZEROES. */
static enum blk_step request_range(struct blk_request *request);

/* --- Parsing --- */

static bool sectors_inside(const struct blk_disk *disk, uint64_t sector, uint64_t count)
{
	uint64_t capacity = disk->image.size / VIRTIO_BLK_SECTOR_SIZE;

	return sector <= capacity && count <= capacity - sector;
}

/* Points io at `size` bytes of data from `offset` on in iov[0..count). */
static int request_map(struct blk_request *request, const struct iovec *iov, size_t count, size_t offset,
		       size_t size)
{
	size_t room = count;

	request->io.iov = count <= BLK_INLINE_IOV ? request->inline_iov : request->large_iov;
	if (iovec_slice(iov, count, offset, size, request->io.iov, &room) < 0)
		return -EINVAL;
	request->io.iov_count = (unsigned)room;
	return 0;
}

static enum blk_step parse_read(struct blk_request *request, const struct virtqueue_chain *chain,
				const struct blk_disk *disk, uint64_t sector)
{
	request->data_bytes = chain->in_bytes - sizeof(request->status);
	if (request->data_bytes % VIRTIO_BLK_SECTOR_SIZE != 0 ||
	    !sectors_inside(disk, sector, request->data_bytes / VIRTIO_BLK_SECTOR_SIZE))
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	if (request->data_bytes == 0)
		return request_succeed(request, 0);
	if (request_map(request, chain->iov + chain->out_count, chain->in_count, 0, request->data_bytes) < 0)
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	request->io.kind = BLK_IO_READ;
	request->io.offset = sector * VIRTIO_BLK_SECTOR_SIZE;
	return BLK_STEP_IO;
}

static enum blk_step parse_write(struct blk_request *request, const struct virtqueue_chain *chain,
				 const struct blk_disk *disk, uint64_t sector)
{
	size_t header = sizeof(struct virtio_blk_req_header);

	request->data_bytes = chain->out_bytes - header;
	/* 5.2.6.2: "A device MUST set the status byte to VIRTIO_BLK_S_IOERR for a write request if the
	 * VIRTIO_BLK_F_RO feature if offered, and MUST NOT write any data." */
	if (disk->readonly || request->data_bytes % VIRTIO_BLK_SECTOR_SIZE != 0 ||
	    !sectors_inside(disk, sector, request->data_bytes / VIRTIO_BLK_SECTOR_SIZE))
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	if (request->data_bytes == 0)
		return request_succeed(request, 0);
	if (request_map(request, chain->iov, chain->out_count, header, request->data_bytes) < 0)
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	request->io.kind = BLK_IO_WRITE;
	request->io.offset = sector * VIRTIO_BLK_SECTOR_SIZE;
	request->io.stable = disk_writethrough(disk);
	return BLK_STEP_IO;
}

static enum blk_step parse_get_id(struct blk_request *request, const struct virtqueue_chain *chain,
				  const struct blk_disk *disk)
{
	size_t room = chain->in_bytes - sizeof(request->status);

	if (room > sizeof(disk->serial))
		room = sizeof(disk->serial);
	return request_succeed(request, virtqueue_chain_write(chain, 0, disk->serial, room));
}

/* 5.2.6.2: reserved flags, and unmap of a DISCARD, are UNSUPP; all ranges are held against the disk before
 * any is touched. */
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

static enum blk_step parse_ranges(struct blk_request *request, const struct virtqueue_chain *chain,
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
	for (uint16_t i = 0; i < request->ranges; i++) {
		uint8_t status = range_check(request, disk, &request->range_list[i]);

		if (status != VIRTIO_BLK_S_OK)
			return request_fail(request, status);
	}
	if (request_range(request) == BLK_STEP_IO)
		return BLK_STEP_IO;
	return request_succeed(request, 0);
}

/* The status is the last byte that the device may write; descriptors of no length may follow it. */
static uint8_t *chain_status(const struct virtqueue_chain *chain)
{
	for (size_t i = chain->in_count; i-- > 0;) {
		const struct iovec *iov = &chain->iov[chain->out_count + i];

		if (iov->iov_len != 0)
			return (uint8_t *)iov->iov_base + iov->iov_len - 1;
	}
	return NULL;
}

int blk_request_parse(struct blk_request *request, const struct virtqueue_chain *chain,
		      const struct blk_disk *disk)
{
	struct virtio_blk_req_header header;

	request->token = chain->token;
	request->type = UINT32_MAX;
	request->data_bytes = 0;
	request->done_bytes = 0;
	request->error = 0;
	request->ranges = 0;
	request->range = 0;
	request->method = 0;
	request->block_device = disk->image.block_device;
	request->io.stable = false;
	request->status_at = chain_status(chain);
	if (request->status_at == NULL)
		return -EPROTO;
	if (virtqueue_chain_read(chain, 0, &header, sizeof(header)) != sizeof(header))
		return request_fail(request, VIRTIO_BLK_S_IOERR);
	request->type = header.type;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		return parse_read(request, chain, disk, header.sector);
	case VIRTIO_BLK_T_OUT:
		return parse_write(request, chain, disk, header.sector);
	case VIRTIO_BLK_T_FLUSH:
		return request_sync(request);
	case VIRTIO_BLK_T_GET_ID:
		return parse_get_id(request, chain, disk);
	case VIRTIO_BLK_T_DISCARD:
		if (blk_disk_has(disk, VIRTIO_BLK_F_DISCARD) || disk->readonly)
			return parse_ranges(request, chain, disk);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (blk_disk_has(disk, VIRTIO_BLK_F_WRITE_ZEROES) || disk->readonly)
			return parse_ranges(request, chain, disk);
		break;
	}
	return request_fail(request, VIRTIO_BLK_S_UNSUPP);
}

/* --- Reads and writes --- */

/* Drops what was done from the front of io's vector. */
static void request_skip(struct blk_request *request, uint64_t bytes)
{
	struct blk_io *io = &request->io;

	io->offset += bytes;
	while (io->iov_count != 0 && bytes >= io->iov->iov_len) {
		bytes -= io->iov->iov_len;
		io->iov++;
		io->iov_count--;
	}
	if (bytes != 0) {
		io->iov->iov_base = (uint8_t *)io->iov->iov_base + bytes;
		io->iov->iov_len -= bytes;
	}
}

static enum blk_step advance_data(struct blk_request *request, struct blk_disk *disk)
{
	int64_t result = request->io.result;

	if (result == -EOPNOTSUPP && request->io.stable) {
		request->io.stable = false;
		return BLK_STEP_IO;
	}
	if (result <= 0) {
		if (result < 0 && request->io.stable)
			blk_disk_lost(disk, (int)result);
		return request_fail_host(request, result < 0 ? (int)result : -ENODATA);
	}
	request->done_bytes += (uint64_t)result;
	if (request->done_bytes < request->data_bytes) {
		request_skip(request, (uint64_t)result);
		return BLK_STEP_IO;
	}
	if (request->io.kind == BLK_IO_READ)
		return request_succeed(request, request->data_bytes);
	return request_written(request, disk, request->io.stable);
}

static enum blk_step advance_sync(struct blk_request *request, struct blk_disk *disk)
{
	int lost;

	if (request->io.result < 0)
		blk_disk_lost(disk, (int)request->io.result);
	/* What a predecessor was told, this fdatasync was not. */
	if (!blk_disk_witnessed(disk))
		return BLK_STEP_HELD;
	/* Looked at after our own fdatasync: an error of an earlier one was told to that one alone. */
	lost = atomic_load(&disk->lost);
	if (lost != 0)
		return request_fail_host(request, lost);
	return request_succeed(request, 0);
}

/* --- Ranges --- */

enum zero_method {
	ZERO_METHOD_PUNCH, /* frees the space; needs the driver's leave */
	ZERO_METHOD_RANGE,
	ZERO_METHOD_WRITE,
};

static void range_write_zeroes(struct blk_request *request, uint64_t left)
{
	unsigned count = 0;

	request->io.kind = BLK_IO_WRITE;
	/* The ranges occupy the inline vector. */
	request->io.iov = request->large_iov;
	for (; left != 0 && count < ZERO_IOVS; count++) {
		size_t size = left < sizeof(zeroes) ? left : sizeof(zeroes);

		request->io.iov[count] =
			(struct iovec){.iov_base = (void *)(uintptr_t)zeroes, .iov_len = size};
		left -= size;
	}
	request->io.iov_count = count;
}

/* Moves on to the next range that has something left; ranges of no length are none, fallocate(2) would refuse
 * them. */
static bool request_next_range(struct blk_request *request)
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

static enum blk_step request_range(struct blk_request *request)
{
	const struct virtio_blk_discard_write_zeroes *range;
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (!request_next_range(request))
		return BLK_STEP_DONE;
	range = &request->range_list[request->range];
	request->io.offset = range->sector * VIRTIO_BLK_SECTOR_SIZE + request->done_bytes;
	/* 5.2.6.2: without unmap the sectors must not be deallocated. */
	if (zero && request->method == ZERO_METHOD_PUNCH &&
	    !(range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		request->method = ZERO_METHOD_RANGE;
	if (zero && request->method == ZERO_METHOD_WRITE) {
		range_write_zeroes(request, request->io.length);
		return BLK_STEP_IO;
	}
	/* A hole in a block device is zeroes; what can discard need not be able to do that. */
	if (!zero && request->block_device) {
		request->io.kind = BLK_IO_DISCARD;
		if (request->io.length > DISCARD_PIECE)
			request->io.length = DISCARD_PIECE;
		return BLK_STEP_IO;
	}
	request->io.kind = BLK_IO_ALLOCATE;
	request->io.mode =
		FALLOC_FL_KEEP_SIZE |
		(zero && request->method == ZERO_METHOD_RANGE ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
	return BLK_STEP_IO;
}

static enum blk_step advance_range(struct blk_request *request, struct blk_disk *disk)
{
	int64_t result = request->io.result;
	bool zero = request->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (result == -EOPNOTSUPP && zero && request->method < ZERO_METHOD_WRITE)
		request->method++;
	else if (result == -EOPNOTSUPP && !zero)
		request->done_bytes += request->io.length;
	else if (result < 0 || (result == 0 && request->io.kind == BLK_IO_WRITE))
		return request_fail_host(request, result < 0 ? (int)result : -ENODATA);
	else
		request->done_bytes +=
			request->io.kind == BLK_IO_WRITE ? (uint64_t)result : request->io.length;
	if (request_range(request) == BLK_STEP_IO)
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

uint64_t blk_request_changes_up_to(const struct blk_request *request)
{
	if (request->io.kind == BLK_IO_READ || request->io.kind == BLK_IO_SYNC)
		return 0;
	return request->io.offset +
	       (request->ranges != 0 ? request->io.length : request->data_bytes - request->done_bytes);
}

void blk_request_refuse(struct blk_request *request, int error)
{
	request_fail_host(request, error);
}

enum blk_step blk_request_advance(struct blk_request *request, struct blk_disk *disk)
{
	if (request->io.kind == BLK_IO_SYNC)
		return advance_sync(request, disk);
	if (request->ranges != 0)
		return advance_range(request, disk);
	return advance_data(request, disk);
}
