/*
 * How a request ends, and the steps that its kinds share: for blk_request_*.c alone.
 *
 * The functions that take a request a step on say what comes next (enum blk_step), as blk_request_advance() does.
 */
#ifndef ATOLL_DEV_BLK_BLK_REQUEST_STEPS_H
#define ATOLL_DEV_BLK_BLK_REQUEST_STEPS_H

#include <stdbool.h>
#include <stdint.h>

#include "dev-blk/blk_request.h"

static inline enum blk_step request_fail(struct blk_request *request, uint8_t status)
{
	request->status = status;
	request->written = request->type == VIRTIO_BLK_T_IN && request->data_bytes != 0 ? 0 : 1;
	return BLK_STEP_DONE;
}

static inline enum blk_step request_fail_host(struct blk_request *request, int error)
{
	request->error = error;
	return request_fail(request, VIRTIO_BLK_S_IOERR);
}

static inline enum blk_step request_succeed(struct blk_request *request, uint64_t written_data)
{
	uint64_t written = written_data + sizeof(request->status);

	request->status = VIRTIO_BLK_S_OK;
	request->written = (uint32_t)(written <= UINT32_MAX ? written : UINT32_MAX);
	return BLK_STEP_DONE;
}

static inline enum blk_step request_sync(struct blk_request *request)
{
	request->io.kind = BLK_IO_SYNC;
	return BLK_STEP_IO;
}

static inline bool disk_writethrough(const struct blk_disk *disk)
{
	return atomic_load(&disk->writethrough);
}

/* What was written is stable, or need not be. */
static inline enum blk_step request_written(struct blk_request *request, const struct blk_disk *disk,
					    bool stable)
{
	if (!stable && disk_writethrough(disk))
		return request_sync(request);
	return request_succeed(request, 0);
}

static inline bool sectors_inside(const struct blk_disk *disk, uint64_t sector, uint64_t count)
{
	uint64_t capacity = disk->image.size / VIRTIO_BLK_SECTOR_SIZE;

	return sector <= capacity && count <= capacity - sector;
}

/* --- DISCARD and WRITE_ZEROES: blk_request_range.c --- */

enum blk_step blk_range_parse(struct blk_request *request, const struct virtqueue_chain *chain,
			      const struct blk_disk *disk);
enum blk_step blk_range_advance(struct blk_request *request, struct blk_disk *disk);

#endif
