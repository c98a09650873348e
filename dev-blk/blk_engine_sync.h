/* The engine of plain system calls. */
#ifndef ATOLL_DEV_BLK_BLK_ENGINE_SYNC_H
#define ATOLL_DEV_BLK_BLK_ENGINE_SYNC_H

#include "dev-blk/blk_engine.h"

/* 0 or -ENOMEM. */
int blk_engine_sync_new(int image_fd, int wake_fd, struct blk_engine **engine);

#endif
