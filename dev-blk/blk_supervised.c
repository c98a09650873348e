/*
 * atoll-blk under the supervisor: what it is told of its disk, and what it answers.
 */
#include <errno.h>

#include "common/base/log.h"
#include "common/host/disk_image.h"
#include "dev-blk/blk_program.h"

int blk_configure(void *argument, struct device_configuration *configuration)
{
	struct blk_program *blk = argument;
	const Atoll__Control__BlkConfigure *configure = configuration->message->blk;
	const char *problem;
	int result;

	if (configuration->fd_count != 1 && configuration->fd_count != 1 + DISK_WITNESSES) {
		log_error("the first message does not bring the descriptors of a disk");
		return -EPROTO;
	}
	result = blk_device_configure(&blk->device, configuration->fds[0], configure->readonly,
				      (uint16_t)(configure->queues <= BLK_QUEUES_MAX ? configure->queues : 0),
				      configuration->message->id, &problem);
	if (result < 0) {
		log_error("the image: %s", problem);
		return result;
	}
	configuration->fds[0] = -1;
	blk_device_set_discard(&blk->device,
			       &(struct disk_discard){.max = configure->discard_max,
						      .granularity = configure->discard_granularity});
	blk_device_set_state(&blk->device, configuration->state_fd, configuration->message->resume);
	configuration->state_fd = -1;
	if (configuration->fd_count > 1) {
		blk_device_set_witnesses(&blk->device, configuration->fds + 1);
		for (int i = 0; i < DISK_WITNESSES; i++)
			configuration->fds[1 + i] = -1;
	}
	return 0;
}

void blk_statistics(void *argument, struct child *child)
{
	struct blk_program *blk = argument;
	uint64_t totals[BLK_COUNTERS], ring[BLK_RING_OPERATIONS];

	blk_device_count(&blk->device, totals);
	for (size_t i = 0; i < BLK_COUNTERS; i++)
		child_counter(child, blk_counter_name((enum blk_counter)i), totals[i]);
	blk_device_count_ring(&blk->device, ring);
	for (size_t i = 0; i < BLK_RING_OPERATIONS; i++)
		child_counter(child, blk_ring_operation_name((enum blk_ring_operation)i), ring[i]);
}

void blk_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
{
	struct blk_program *blk = argument;
	struct blk_heartbeat heartbeat = {0};

	for (size_t i = 0; i < BLK_QUEUES_MAX && blk->device.queues[i] != NULL; i++)
		blk_queue_heartbeat(blk->device.queues[i], &heartbeat);
	reply->accepted = heartbeat.accepted;
	reply->completed = heartbeat.completed;
	reply->kicked = heartbeat.kicked;
	reply->host_io = heartbeat.host_io;
}
