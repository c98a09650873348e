/*
 * virtio-blk, the driver's side.
 */
#include "tests/guest/lib/blk.h"

#define DATA_SEGMENTS_MAX 62

bool blk_find(unsigned nth, struct blk *blk)
{
	memset(blk, 0, sizeof(*blk));
	return virtio_find(VIRTIO_ID_BLOCK, nth, &blk->device);
}

bool blk_start(struct blk *blk, uint64_t wanted, unsigned size, bool indirect)
{
	if (!virtio_negotiate(&blk->device, wanted) || !virtqueue_setup(&blk->queue, &blk->device, 0, size))
		return false;
	if (indirect && virtio_has(&blk->device, VIRTIO_F_INDIRECT_DESC))
		virtqueue_use_indirect(&blk->queue);
	if (blk->take_vector)
		virtio_vector(&blk->device, 0, 1);
	virtio_start(&blk->device);
	virtio_config_read(&blk->device, BLK_CONFIG_CAPACITY, &blk->sectors, sizeof(blk->sectors));
	return true;
}

/* Which data the device writes follows from the type. */
static bool reads_memory(uint32_t type)
{
	return type == BLK_T_OUT || type == BLK_T_DISCARD || type == BLK_T_WRITE_ZEROES;
}

int blk_submit(struct blk *blk, struct blk_request *request, uint32_t type, uint64_t sector,
	       const struct segment *data, unsigned count)
{
	struct segment segments[DATA_SEGMENTS_MAX + 2];
	unsigned out = reads_memory(type) ? 1 + count : 1;

	if (count > DATA_SEGMENTS_MAX)
		return -1;
	request->header = (struct blk_header){.type = type, .sector = sector};
	request->status = BLK_NO_STATUS;
	segments[0] = (struct segment){&request->header, sizeof(request->header)};
	memcpy(segments + 1, data, count * sizeof(*data));
	segments[1 + count] = (struct segment){&request->status, 1};
	return virtqueue_add(&blk->queue, segments, out, 2 + count - out);
}

uint8_t blk_do_segments(struct blk *blk, uint32_t type, uint64_t sector, const struct segment *data,
			unsigned count)
{
	if (blk_submit(blk, &blk->request, type, sector, data, count) < 0)
		return BLK_NO_STATUS;
	virtqueue_kick(&blk->queue);
	if (virtqueue_wait(&blk->queue, NULL, 5) < 0)
		return BLK_NO_STATUS;
	return blk->request.status;
}

uint8_t blk_do(struct blk *blk, uint32_t type, uint64_t sector, const volatile void *data, uint32_t length)
{
	struct segment segment = {data, length};

	return blk_do_segments(blk, type, sector, &segment, length != 0);
}
