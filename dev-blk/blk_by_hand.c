/*
 * atoll-blk by hand: its options, and the image that they name, which it opens and locks.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/disk_image.h"
#include "common/host/image_lock.h"
#include "dev-blk/blk_program.h"
#include "policy/filters.h"

const struct device_option blk_options[] = {
	{"blk-file", "FILE", "the raw image or block device to serve (required)"},
	{"read-only", NULL, "refuse writes"},
	{"num-queues", "N", "queues, each with a thread of its own (1; at most 32)"},
	{"serial", "TEXT", "the serial that the guest sees, cut to 20 bytes (the file's name)"},
	{"io-engine", "NAME", "io_uring, sync, or auto: io_uring where there (auto)"},
	{0},
};

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

int blk_option(void *argument, const char *name, const char *value)
{
	struct blk_program *blk = argument;

	if (strcmp(name, "blk-file") == 0)
		blk->path = value;
	else if (strcmp(name, "read-only") == 0)
		blk->readonly = true;
	else if (strcmp(name, "serial") == 0)
		blk->serial = value;
	else if (strcmp(name, "num-queues") == 0)
		return device_option_number(name, value, "a number of queues", 1, BLK_QUEUES_MAX, "",
					    &blk->queues);
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

int blk_open_by_hand(void *argument)
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
		result = blk_device_configure(&blk->device, fd, blk->readonly, (uint16_t)blk->queues,
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
