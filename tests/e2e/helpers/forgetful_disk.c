/*
 * Linked with --wrap=blk_disk_lost: a disk's process that ends between what the kernel tells a request, once, and the
 * note of it. Its witness tells behind this wrapper (dev-blk/blk_disk.c).
 */
#include "dev-blk/blk_disk.h"

__typeof__(blk_disk_lost) __wrap_blk_disk_lost;

void __wrap_blk_disk_lost(struct blk_disk *disk, int error)
{
	(void)disk;
	(void)error;
	__builtin_trap();
}
