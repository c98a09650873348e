/*
 * Requests: from one operation on the host to the next, and to the end.
 *
 * The rules on data, in one place:
 * - a short read or write is continued; nothing done where something was left (end of a file that was cut
 *   under us) is an error of this request; one that would change something behind that end is refused
 *   (blk_queue_round.c), for it would make the file grow again;
 * - in write-through mode a write finishes on the medium: by RWF_DSYNC, or by an fdatasync after it when the
 *   mode changed on its way or the file system does not know the flag;
 * - a flush is an fdatasync begun after the flush was popped, so it covers every write that completed before; the
 *   first ones of a successor are held until the witness has told whether data was lost before (blk_disk.h);
 * - DISCARD is a hint: a file that cannot punch holes keeps the data, and a block device is told (BLKDISCARD).
 *   WRITE_ZEROES is not: what the file cannot do by itself is done by writing zeroes (blk_request_range.c).
 *
 * What the guest can read is its own data alone: bytes of a failed read are not announced in the used
 * element.
 */
#include <errno.h>

#include "dev-blk/blk_request_steps.h"

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
	/* The kernel tells an error once: a predecessor may have been told what this fdatasync was not. */
	if (!blk_disk_witnessed(disk))
		return BLK_STEP_HELD;
	/* Looked at after our own fdatasync: an error of an earlier one was told to that one alone. */
	lost = atomic_load(&disk->lost);
	if (lost != 0)
		return request_fail_host(request, lost);
	return request_succeed(request, 0);
}

enum blk_step blk_request_advance(struct blk_request *request, struct blk_disk *disk)
{
	if (request->io.kind == BLK_IO_SYNC)
		return advance_sync(request, disk);
	if (request->ranges != 0)
		return blk_range_advance(request, disk);
	return advance_data(request, disk);
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

void blk_request_finish(struct blk_request *request)
{
	*(volatile uint8_t *)request->status_at = request->status;
}
