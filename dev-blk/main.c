/*
 * atoll-blk: one disk of one VM, behind vhost-user.
 *
 * Under the supervisor it gets the image and its wire as descriptors and opens nothing. By hand it opens and
 * locks the image that --blk-file names. The device itself is blk_device.c's.
 */
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/host/disk_image.h"
#include "common/host/image_lock.h"
#include "common/program/device_program.h"
#include "dev-blk/blk_device.h"
#include "policy/filters.h"

struct blk_program {
	struct blk_device device;
	struct device_program *program;
	/* Options by hand. */
	const char *path;
	const char *serial;
	bool readonly;
	uint16_t queues;
};

/* --- By hand --- */

static const struct device_option blk_options[] = {
	{"blk-file", "FILE", "the raw image or block device to serve (required)"},
	{"read-only", NULL, "refuse writes"},
	{"num-queues", "N", "queues, each with a thread of its own (1; at most 32)"},
	{"serial", "TEXT", "the serial that the guest sees, cut to 20 bytes (the file's name)"},
	{"io-engine", "NAME", "io_uring, sync, or auto: io_uring where there (auto)"},
	{0},
};

static int blk_parse_queues(const char *text, uint16_t *queues)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 1 || value > BLK_QUEUES_MAX) {
		log_error("--num-queues=%s: not a number of queues; give 1 to %d", text, BLK_QUEUES_MAX);
		return -EINVAL;
	}
	*queues = (uint16_t)value;
	return 0;
}

static int blk_parse_engine(const char *text, enum blk_engine_kind *engine)
{
	static const char *const names[] = {
		[BLK_ENGINE_AUTO] = "auto",
		[BLK_ENGINE_URING] = "io_uring",
		[BLK_ENGINE_SYNC] = "sync",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*engine = (enum blk_engine_kind)i;
			return 0;
		}
	}
	log_error("--io-engine=%s: unknown; give auto, io_uring or sync", text);
	return -EINVAL;
}

static int blk_option(void *argument, const char *name, const char *value)
{
	struct blk_program *blk = argument;

	if (strcmp(name, "blk-file") == 0)
		blk->path = value;
	else if (strcmp(name, "read-only") == 0)
		blk->readonly = true;
	else if (strcmp(name, "serial") == 0)
		blk->serial = value;
	else if (strcmp(name, "num-queues") == 0)
		return blk_parse_queues(value, &blk->queues);
	else if (strcmp(name, "io-engine") == 0)
		return blk_parse_engine(value, &blk->device.engine);
	return 0;
}

static int blk_lock(const struct blk_program *blk, int fd)
{
	struct image_lock_holder holder;
	char text[IMAGE_LOCK_TEXT_MAX];
	int result = image_lock(fd, blk->readonly ? IMAGE_LOCK_READ : IMAGE_LOCK_WRITE, &holder);

	if (result == -EBUSY) {
		image_lock_describe(&holder, text, sizeof(text));
		log_error("%s: %s", blk->path, text);
	} else if (result < 0) {
		log_error("%s: cannot lock: %s; keep the image on a file system with locks", blk->path,
			  strerror(-result));
	}
	return result;
}

static const char *blk_open_remedy(const struct blk_program *blk, int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return blk->readonly ? "get the right to read it"
				     : "get the right to write it, or add --read-only";
	case -EBUSY:
		return "unmount it, or stop what uses it";
	default:
		return "give the path of a raw image or a block device";
	}
}

static int blk_open_by_hand(void *argument)
{
	struct blk_program *blk = argument;
	const char *problem, *container;
	struct disk_discard discard;
	char name[256];
	int fd, result;

	blk->device.filter = &filter_blk_hand_queue;
	if (blk->path == NULL) {
		log_error("no image; give --blk-file=FILE");
		return -EINVAL;
	}
	result = disk_image_open(blk->path, blk->readonly, &fd);
	if (result < 0) {
		log_error("%s: cannot open: %s; %s", blk->path,
			  result == -EINVAL ? "neither a regular file nor a block device" : strerror(-result),
			  blk_open_remedy(blk, result));
		/* Only what was typed wrongly is bad usage. */
		return result == -EINVAL ? -ENOTBLK : result;
	}
	container = disk_image_container(fd);
	if (container != NULL)
		log_warning("%s looks like a %s image; it is served as a raw one, and the guest will see the "
			    "container",
			    blk->path, container);
	result = blk_lock(blk, fd);
	if (result == 0) {
		snprintf(name, sizeof(name), "%s", blk->path);
		result = blk_device_configure(&blk->device, fd, blk->readonly, blk->queues,
					      blk->serial != NULL ? blk->serial : basename(name), &problem);
		if (result < 0)
			log_error("%s: %s", blk->path, problem);
	}
	if (result == 0) {
		disk_image_discard(fd, &discard);
		blk_device_set_discard(&blk->device, &discard);
	}
	if (result < 0)
		close(fd);
	return result;
}

/* --- Supervised --- */

static int blk_configure(void *argument, struct device_configuration *configuration)
{
	struct blk_program *blk = argument;
	const Atoll__Control__BlkConfigure *configure = configuration->message->blk;
	const char *problem;
	int result;

	if (configuration->state_fd < 0 ||
	    (configuration->fd_count != 1 && configuration->fd_count != 1 + DISK_WITNESSES)) {
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

/* --- Both --- */

static int blk_prepare(void *argument, struct loop *loop)
{
	struct blk_program *blk = argument;

	(void)loop;
	/* A file size limit is an error of the write that hits it, not our death. */
	signal(SIGXFSZ, SIG_IGN);
	return blk_device_prepare(&blk->device);
}

static int blk_seal(void *argument)
{
	struct blk_program *blk = argument;

	return blk_device_seal(&blk->device);
}

static void blk_session_ended(void *argument, int error)
{
	struct blk_program *blk = argument;

	device_program_session_ended(blk->program, error);
}

static int blk_session_start(void *argument, struct device_program *program, int socket_fd)
{
	struct blk_program *blk = argument;

	blk->program = program;
	return blk_device_session_start(&blk->device, device_program_loop(program), socket_fd,
					blk_session_ended, blk);
}

static void blk_session_stop(void *argument)
{
	struct blk_program *blk = argument;

	blk_device_session_stop(&blk->device);
}

static void blk_statistics(void *argument, struct child *child)
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

static void blk_heartbeat(void *argument, Atoll__Control__HeartbeatReply *reply)
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

static void blk_close(void *argument)
{
	struct blk_program *blk = argument;

	blk_device_close(&blk->device);
}

static const struct device_program_ops blk_ops = {
	.program = "atoll-blk",
	.summary = "Serve a raw disk image or a block device as a virtio-blk device over vhost-user.",
	/* The block back end's features of QEMU's docs/interop/vhost-user.rst. */
	.capabilities = "{\n  \"type\": \"block\",\n  \"features\": [\n    \"read-only\",\n    "
			"\"blk-file\"\n  ]\n}\n",
	.options = blk_options,
	.option = blk_option,
	.open_by_hand = blk_open_by_hand,
	.kind = ATOLL__CONTROL__DEVICE_CONFIGURE__DEVICE_BLK,
	.configure = blk_configure,
	.prepare = blk_prepare,
	.filter = &filter_blk_process,
	.main_filter = &filter_blk_main,
	.hand_filter = &filter_blk_hand_process,
	.hand_main_filter = &filter_blk_hand_main,
	.tasks = true, /* of io_uring */
	.seal = blk_seal,
	.session_start = blk_session_start,
	.session_stop = blk_session_stop,
	.statistics = blk_statistics,
	.heartbeat = blk_heartbeat,
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
	return device_program_main(argc, argv, &blk_ops, &blk);
}
