/* The engine of io_uring. */
#ifndef ATOLL_DEV_BLK_BLK_ENGINE_URING_H
#define ATOLL_DEV_BLK_BLK_ENGINE_URING_H

#include "common/base/seccomp_filter.h"
#include "dev-blk/blk_engine.h"

/* As blk_engine_new() (blk_engine_kind.h). 0 or -errno: this kernel, or the policy, has no io_uring. */
int blk_engine_uring_new(int image_fd, int wake_fd, unsigned depth, const struct seccomp_filter *filter,
			 struct blk_engine **engine);

#endif
