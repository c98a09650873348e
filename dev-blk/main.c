/*
 * atoll-blk: one disk of one VM, behind vhost-user.
 *
 * Under the supervisor it gets the image and its wire as descriptors and opens nothing (blk_supervised.c). By hand it opens
 * and locks the image that --blk-file names (blk_by_hand.c). The device itself is blk_device.c's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/crash_point.h"
#include "dev-blk/blk_program.h"
#include "policy/filters.h"

static int blk_prepare(void *argument, struct loop *loop)
{
	struct blk_program *blk = argument;

	(void)loop;
	return blk_device_prepare(&blk->device);
}

static int blk_seal(void *argument)
{
	struct blk_program *blk = argument;

	return blk_device_seal(&blk->device);
}

static int blk_session_start(void *argument, struct loop *loop, int socket_fd, device_session_ended_fn ended,
			     void *ended_argument)
{
	struct blk_program *blk = argument;

	return blk_device_session_start(&blk->device, loop, socket_fd, ended, ended_argument);
}

static void blk_session_stop(void *argument)
{
	struct blk_program *blk = argument;

	blk_device_session_stop(&blk->device);
}

static void blk_close(void *argument)
{
	struct blk_program *blk = argument;

	blk_device_close(&blk->device);
}

static const struct device_program program = {
	.name = "atoll-blk",
	.summary = "Serve a raw disk image or a block device as a virtio-blk device over vhost-user.",
	/* The block back end's features of QEMU's docs/interop/vhost-user.rst. */
	.capabilities = "{\n  \"type\": \"block\",\n  \"features\": [\n    \"read-only\",\n    "
			"\"blk-file\"\n  ]\n}\n",
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK,
	.has_state = true,
	.filter = &filter_blk_process,
	.main_filter = &filter_blk_main,
	.hand_filter = &filter_blk_hand_process,
	.hand_main_filter = &filter_blk_hand_main,
	.tasks = true, /* of io_uring */
	.options = blk_options,
	.option = blk_option,
	.open_by_hand = blk_open_by_hand,
	.configure = blk_configure,
	.statistics = blk_statistics,
	.heartbeat = blk_heartbeat,
	.prepare = blk_prepare,
	.seal = blk_seal,
	.session_start = blk_session_start,
	.session_stop = blk_session_stop,
	.close = blk_close,
};

int main(int argc, char **argv)
{
	static struct blk_program blk = {.queues = 1};

#ifdef ENABLE_CRASH_POINTS
	if (crash_point_choose(getenv(CRASH_POINT_ENV)) < 0) {
		fprintf(stderr, "atoll-blk: %s: no such crash point\n", getenv(CRASH_POINT_ENV));
		return 2;
	}
#endif
	blk_device_init(&blk.device);
	blk.device.filter = &filter_blk_queue;
	return device_program_main(argc, argv, &program, &blk);
}
