/*
 * The engine of a queue thread: carries out host I/O on the image, and sleeps until there is something to do.
 *
 * Two engines with the same face. "io_uring" has many operations under way and submits a batch with one
 * system call. "sync" carries out each operation when it is started; it is for kernels or policies without
 * io_uring. Which one it is, is decided when the engine is made, before the process seals itself; nothing is
 * opened later.
 *
 * An engine belongs to the thread that made it.
 */
#ifndef ATOLL_DEV_BLK_BLK_ENGINE_H
#define ATOLL_DEV_BLK_BLK_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

enum blk_io_kind {
	BLK_IO_READ,
	BLK_IO_WRITE,
	BLK_IO_SYNC,	 /* fdatasync */
	BLK_IO_WITNESS,	 /* the same of `fd` instead of the image */
	BLK_IO_ALLOCATE, /* fallocate with `mode` */
	BLK_IO_DISCARD,	 /* BLKDISCARD, of a block device */
};

/* One host operation. Part of a request, which owns it; not to be touched between start and finish. */
struct blk_io {
	enum blk_io_kind kind;
	int mode;	    /* FALLOC_FL_* */
	int fd;		    /* of WITNESS */
	bool stable;	    /* of a write: on the medium when it finishes (RWF_DSYNC) */
	unsigned iov_count; /* at most IOV_MAX */
	struct iovec *iov;
	uint64_t offset; /* bytes */
	uint64_t length; /* bytes; of ALLOCATE and DISCARD */
	int64_t result;	 /* once finished: bytes, 0, or -errno */
	STAILQ_ENTRY(blk_io) link;
};
STAILQ_HEAD(blk_io_list, blk_io);

enum blk_engine_events {
	BLK_EVENT_KICK = 1 << 0, /* the driver kicked */
	BLK_EVENT_WAKE = 1 << 1, /* wake_fd was written; it has been emptied */
};

/* What a ring was asked to do; named as io_uring's operations, which the policy of the thread lists. */
enum blk_ring_operation {
	BLK_RING_READV,
	BLK_RING_WRITEV,
	BLK_RING_FSYNC,
	BLK_RING_FALLOCATE,
	BLK_RING_POLL_ADD,
	BLK_RING_POLL_REMOVE,
	BLK_RING_OPERATIONS,
};

struct blk_engine;

struct blk_engine_ops {
	const char *name;
	void (*free)(struct blk_engine *engine);
	int (*watch)(struct blk_engine *engine, int kick_fd);
	void (*unwatch)(struct blk_engine *engine);
	void (*start)(struct blk_engine *engine, struct blk_io *io);
	unsigned (*wait)(struct blk_engine *engine, int64_t timeout_ns);
	bool (*ready)(const struct blk_engine *engine);
};

/* What both have; treat as private outside the engines. */
struct blk_engine {
	const struct blk_engine_ops *ops;
	int image_fd;
	int wake_fd;
	int kick_fd;					       /* -1: none is watched */
	unsigned in_flight;				       /* started, and not in `finished` */
	struct blk_io_list finished;			       /* to be taken by blk_engine_finished() */
	_Atomic uint64_t ring_operations[BLK_RING_OPERATIONS]; /* written by its thread alone */
};

/* No operation may be in flight. */
static inline void blk_engine_free(struct blk_engine *engine)
{
	engine->ops->free(engine);
}

/* Watches a queue's kick eventfd; whether it is emptied is the engine's matter. 0 or -errno. */
static inline int blk_engine_watch(struct blk_engine *engine, int kick_fd)
{
	return engine->ops->watch(engine, kick_fd);
}

static inline void blk_engine_unwatch(struct blk_engine *engine)
{
	if (engine->kick_fd >= 0)
		engine->ops->unwatch(engine);
}

/* Starts an operation. It may wait for the next blk_engine_wait() to be submitted, and it may have finished
 * already. */
static inline void blk_engine_start(struct blk_engine *engine, struct blk_io *io)
{
	engine->ops->start(engine, io);
}

/*
 * Submits what was started, then waits until an operation finished or an event came, or timeout_ns passed (0:
 * does not wait; -1: for ever). Returns the events.
 */
static inline unsigned blk_engine_wait(struct blk_engine *engine, int64_t timeout_ns)
{
	return engine->ops->wait(engine, timeout_ns);
}

/* Takes the next finished operation, or NULL. */
static inline struct blk_io *blk_engine_finished(struct blk_engine *engine)
{
	struct blk_io *io = STAILQ_FIRST(&engine->finished);

	if (io != NULL)
		STAILQ_REMOVE_HEAD(&engine->finished, link);
	return io;
}

/* Whether blk_engine_wait() would find something at once; costs no system call. */
static inline bool blk_engine_ready(const struct blk_engine *engine)
{
	return engine->ops->ready(engine);
}

static inline unsigned blk_engine_in_flight(const struct blk_engine *engine)
{
	return engine->in_flight;
}

/* --- For the engines --- */

/* Carries an operation out by a system call of this thread, at whatever price. Sets io->result. */
void blk_io_execute(int image_fd, struct blk_io *io);
void blk_engine_finish(struct blk_engine *engine, struct blk_io *io);

#endif
