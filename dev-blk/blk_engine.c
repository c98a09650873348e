/* What the engines share: an operation as plain system calls. */
#include "dev-blk/blk_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

void blk_engine_finish(struct blk_engine *engine, struct blk_io *io)
{
	STAILQ_INSERT_TAIL(&engine->finished, io, link);
}

void blk_io_execute(int image_fd, struct blk_io *io)
{
	do {
		switch (io->kind) {
		case BLK_IO_READ:
			io->result = preadv2(image_fd, io->iov, (int)io->iov_count, (off_t)io->offset, 0);
			break;
		case BLK_IO_WRITE:
			io->result = pwritev2(image_fd, io->iov, (int)io->iov_count, (off_t)io->offset,
					      io->stable ? RWF_DSYNC : 0);
			break;
		case BLK_IO_SYNC:
			io->result = fdatasync(image_fd);
			break;
		case BLK_IO_WITNESS:
			io->result = fdatasync(io->fd);
			break;
		case BLK_IO_ALLOCATE:
			io->result = fallocate(image_fd, io->mode, (off_t)io->offset, (off_t)io->length);
			break;
		case BLK_IO_DISCARD:
			io->result = ioctl(image_fd, BLKDISCARD, (uint64_t[]){io->offset, io->length});
			break;
		}
		if (io->result < 0)
			io->result = -errno;
	} while (io->result == -EINTR);
}
