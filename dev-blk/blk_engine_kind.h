/*
 * The choice of an engine.
 */
#ifndef ATOLL_DEV_BLK_BLK_ENGINE_KIND_H
#define ATOLL_DEV_BLK_BLK_ENGINE_KIND_H

#include "common/base/seccomp_filter.h"
#include "dev-blk/blk_engine.h"

enum blk_engine_kind {
	BLK_ENGINE_AUTO, /* io_uring, else sync */
	BLK_ENGINE_URING,
	BLK_ENGINE_SYNC,
};

/*
 * Makes an engine for up to `depth` operations at a time. wake_fd is a non-blocking eventfd, borrowed like
 * image_fd; writing it ends a wait. filter: of the policy that names the operations a ring may carry out; NULL:
 * all. Returns 0 or -errno; BLK_ENGINE_AUTO fails for lack of memory only.
 */
int blk_engine_new(enum blk_engine_kind kind, int image_fd, int wake_fd, unsigned depth,
		   const struct seccomp_filter *filter, struct blk_engine **engine);

#endif
