/* The choice of an engine; see blk_engine_kind.h. */
#include "dev-blk/blk_engine_kind.h"

#include <string.h>

#include "common/base/log.h"
#include "dev-blk/blk_engine_sync.h"
#include "dev-blk/blk_engine_uring.h"

int blk_engine_new(enum blk_engine_kind kind, int image_fd, int wake_fd, unsigned depth,
		   const struct seccomp_filter *filter, struct blk_engine **engine)
{
	int result;

	if (kind != BLK_ENGINE_SYNC) {
		result = blk_engine_uring_new(image_fd, wake_fd, depth, filter, engine);
		if (result == 0 || kind == BLK_ENGINE_URING)
			return result;
		log_info("io_uring is not available: %s; using plain system calls", strerror(-result));
	}
	return blk_engine_sync_new(image_fd, wake_fd, engine);
}
