/*
 * Requests: a chain is read and checked against the disk, and its first operation on the host is prepared.
 */
#include <errno.h>
#include <string.h>

#include "dev-blk/blk_request_steps.h"

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

/* Nothing of the request that was here before is left but its room. */
static void request_begin(struct blk_request *request, const struct virtqueue_chain *chain,
			  const struct blk_disk *disk)
{
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
}

int blk_request_parse(struct blk_request *request, const struct virtqueue_chain *chain,
		      const struct blk_disk *disk)
{
	struct virtio_blk_req_header header;

	request_begin(request, chain, disk);
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
			return blk_range_parse(request, chain, disk);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (blk_disk_has(disk, VIRTIO_BLK_F_WRITE_ZEROES) || disk->readonly)
			return blk_range_parse(request, chain, disk);
		break;
	}
	return request_fail(request, VIRTIO_BLK_S_UNSUPP);
}
