/*
 * The io_uring engine.
 *
 * What it costs decides the shape. A ring operation that need not wait is carried out inside
 * io_uring_enter(2), many with one call; one that must wait on the page cache of a file without RWF_NOWAIT
 * support is handed to a kernel worker, which costs some 80 us at depth 1 where the system call itself
 * takes 2. No file system of Linux 6.1 supports it for all buffered writes, tmpfs not even for reads. So such
 * reads and writes are carried out here, in the queue's thread, as long as that is quick, which it is
 * whenever memory takes them; once one slept long (dirty limits, a cold block, a network file system), the
 * following ones go to the workers for a while, and the queue stays responsive. Everything that waits for the
 * medium by nature (flush, stable writes, fallocate) always goes to the workers.
 *
 * Long by the clock alone may also mean that this thread did not get a processor, which workers would not get either.
 * So an operation counts as one that waited only if the thread gave its processor up by itself meanwhile (ru_nvcsw).
 * That costs a system call, and so it is looked at for a while after an operation that took long; the first such is let
 * pass.
 *
 * Operations used on the ring: READV, WRITEV, FSYNC, FALLOCATE, POLL_ADD, POLL_REMOVE. The descriptors polled
 * are the kick eventfd and the wake eventfd. The kick eventfd is polled in multishot mode and never read: its
 * count grows, and each write to it is told. The ring is made by the thread that uses it, before the process
 * seals itself, and restricted to these operations.
 */
#include "dev-blk/blk_engine_uring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/eventfd_wire.h"
#include "common/base/log.h"

/* An operation in this thread that took this long may have waited for something; how long we then look closer; how long
 * we leave it to workers, if it had. */
#define INLINE_SLOW_NS	1000000
#define INLINE_WATCH_NS 2000000000
#define INLINE_PAUSE_NS 500000000

/* Completions that are not an operation's. A blk_io is aligned, so no pointer is one of these. */
enum uring_tag {
	TAG_KICK = 1,
	TAG_WAKE,
	TAG_REMOVED,
};

struct uring_engine {
	struct blk_engine base;
	struct io_uring ring;
	bool reads_nowait; /* the file supports RWF_NOWAIT reads: the ring does not need a worker for a hit */
	bool wake_polled;
	bool kick_polled;
	bool removing;	     /* a POLL_REMOVE is under way */
	int64_t inline_from; /* CLOCK_MONOTONIC: until then nothing is carried out in this thread */
	int64_t watch_until; /* until then it is counted how often this thread sleeps in an operation */
	int64_t clock;	     /* a recent time, while operations are carried out here; 0: must be read */
};

static struct uring_engine *uring_of(struct blk_engine *engine)
{
	return (struct uring_engine *)engine;
}

static void uring_count(struct uring_engine *uring, enum blk_ring_operation operation)
{
	_Atomic uint64_t *counter = &uring->base.ring_operations[operation];

	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* The ring has room for every operation and poll that can be under way, but one batch may bring
 * continuations. */
static struct io_uring_sqe *uring_sqe(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	while (sqe == NULL) {
		io_uring_submit(&uring->ring);
		sqe = io_uring_get_sqe(&uring->ring);
	}
	return sqe;
}

static void uring_poll(struct uring_engine *uring, int fd, enum uring_tag tag)
{
	struct io_uring_sqe *sqe = uring_sqe(uring);

	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	uring_count(uring, BLK_RING_POLL_ADD);
	io_uring_sqe_set_data64(sqe, tag);
}

/* --- Operations --- */

static bool uring_inline(struct uring_engine *uring, const struct blk_io *io)
{
	bool candidate = (io->kind == BLK_IO_READ && !uring->reads_nowait) ||
			 (io->kind == BLK_IO_WRITE && !io->stable);

	if (!candidate)
		return false;
	if (uring->clock == 0)
		uring->clock = (int64_t)clock_ns(CLOCK_MONOTONIC);
	return uring->clock >= uring->inline_from;
}

/* How often this thread gave its processor up by itself. */
static long sleeps_now(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

static void uring_execute_inline(struct uring_engine *uring, struct blk_io *io)
{
	int64_t begin = uring->clock;
	bool watched = begin < uring->watch_until;
	long sleeps = watched ? sleeps_now() : 0;

	blk_io_execute(uring->base.image_fd, io);
	uring->clock = (int64_t)clock_ns(CLOCK_MONOTONIC);
	if (uring->clock - begin > INLINE_SLOW_NS) {
		uring->watch_until = uring->clock + INLINE_WATCH_NS;
		if (watched && sleeps_now() != sleeps)
			uring->inline_from = uring->clock + INLINE_PAUSE_NS;
	}
	blk_engine_finish(&uring->base, io);
}

static void uring_start(struct blk_engine *engine, struct blk_io *io)
{
	struct uring_engine *uring = uring_of(engine);
	struct io_uring_sqe *sqe;

	if (uring_inline(uring, io)) {
		uring_execute_inline(uring, io);
		return;
	}
	/* No ring knew it before Linux 6.12. In pieces (blk_request_range.c), and no matter for the clock of writes. */
	if (io->kind == BLK_IO_DISCARD) {
		blk_io_execute(engine->image_fd, io);
		uring->clock = 0;
		blk_engine_finish(engine, io);
		return;
	}
	sqe = uring_sqe(uring);
	switch (io->kind) {
	case BLK_IO_READ:
		uring_count(uring, BLK_RING_READV);
		io_uring_prep_readv(sqe, engine->image_fd, io->iov, io->iov_count, io->offset);
		break;
	case BLK_IO_WRITE:
		uring_count(uring, BLK_RING_WRITEV);
		io_uring_prep_writev(sqe, engine->image_fd, io->iov, io->iov_count, io->offset);
		sqe->rw_flags = io->stable ? RWF_DSYNC : 0;
		break;
	case BLK_IO_SYNC:
		uring_count(uring, BLK_RING_FSYNC);
		io_uring_prep_fsync(sqe, engine->image_fd, IORING_FSYNC_DATASYNC);
		break;
	case BLK_IO_WITNESS:
		uring_count(uring, BLK_RING_FSYNC);
		io_uring_prep_fsync(sqe, io->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLK_IO_ALLOCATE:
		uring_count(uring, BLK_RING_FALLOCATE);
		io_uring_prep_fallocate(sqe, engine->image_fd, io->mode, (off_t)io->offset,
					(off_t)io->length);
		break;
	case BLK_IO_DISCARD:
		break;
	}
	io_uring_sqe_set_data(sqe, io);
	engine->in_flight++;
}

/* --- Waiting --- */

static void uring_finish(struct uring_engine *uring, struct blk_io *io, int result)
{
	uring->base.in_flight--;
	io->result = result;
	/* Interrupted by a signal or a stop of this thread's task work: nothing was done. Do it here, to an
	 * end. */
	if (result == -EINTR || result == -EAGAIN || result == -ECANCELED)
		blk_io_execute(uring->base.image_fd, io);
	blk_engine_finish(&uring->base, io);
}

static unsigned uring_event(struct uring_engine *uring, enum uring_tag tag, const struct io_uring_cqe *cqe)
{
	bool ended = (cqe->flags & IORING_CQE_F_MORE) == 0;

	switch (tag) {
	case TAG_KICK:
		uring->kick_polled = !ended;
		if (ended && cqe->res >= 0 && uring->base.kick_fd >= 0 && !uring->removing) {
			uring_poll(uring, uring->base.kick_fd, TAG_KICK);
			uring->kick_polled = true;
		}
		if (cqe->res < 0 && cqe->res != -ECANCELED)
			log_warning("cannot poll the kick eventfd: %s; the queue stalls",
				    strerror(-cqe->res));
		return cqe->res > 0 ? BLK_EVENT_KICK : 0;
	case TAG_WAKE:
		if (ended)
			uring_poll(uring, uring->base.wake_fd, TAG_WAKE);
		(void)eventfd_drain(uring->base.wake_fd);
		return BLK_EVENT_WAKE;
	case TAG_REMOVED:
		uring->removing = false;
		return 0;
	}
	return 0;
}

static unsigned uring_reap(struct uring_engine *uring)
{
	unsigned events = 0, head, seen = 0;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&uring->ring, head, cqe)
	{
		uint64_t data = io_uring_cqe_get_data64(cqe);

		seen++;
		if (data <= TAG_REMOVED)
			events |= uring_event(uring, (enum uring_tag)data, cqe);
		else
			uring_finish(uring, (struct blk_io *)(uintptr_t)data, cqe->res);
	}
	io_uring_cq_advance(&uring->ring, seen);
	return events;
}

static bool uring_ready(const struct blk_engine *engine)
{
	const struct uring_engine *uring = (const struct uring_engine *)engine;

	return !STAILQ_EMPTY(&engine->finished) || io_uring_cq_ready(&uring->ring) != 0 ||
	       (__atomic_load_n(uring->ring.sq.kflags, __ATOMIC_RELAXED) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static unsigned uring_wait(struct blk_engine *engine, int64_t timeout_ns)
{
	struct uring_engine *uring = uring_of(engine);
	struct io_uring_cqe *cqe;

	if (!STAILQ_EMPTY(&engine->finished) || io_uring_cq_ready(&uring->ring) != 0)
		timeout_ns = 0;
	/* An interrupted or timed-out wait is a wait that ended early; a submission that could not be made
	 * now (-EAGAIN, -EBUSY) stays in the queue for the next call. */
	if (timeout_ns == 0) {
		if (io_uring_sq_ready(&uring->ring) != 0 || uring_ready(engine))
			io_uring_submit(&uring->ring);
	} else if (timeout_ns < 0) {
		io_uring_submit_and_wait(&uring->ring, 1);
	} else {
		struct __kernel_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
						    .tv_nsec = timeout_ns % 1000000000};

		io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &timeout, NULL);
	}
	uring->clock = 0;
	return uring_reap(uring);
}

/* --- The kick --- */

static int uring_watch(struct blk_engine *engine, int kick_fd)
{
	struct uring_engine *uring = uring_of(engine);

	engine->kick_fd = kick_fd;
	uring_poll(uring, kick_fd, TAG_KICK);
	uring->kick_polled = true;
	return 0;
}

static void uring_remove_kick_poll(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe = uring_sqe(uring);

	uring_count(uring, BLK_RING_POLL_REMOVE);
	io_uring_prep_poll_remove(sqe, TAG_KICK);
	io_uring_sqe_set_data64(sqe, TAG_REMOVED);
	uring->removing = true;
}

/*
 * Returns when the ring has let go of the eventfd: the session is about to close it, or to give us another
 * one. A poll that is just telling a kick refuses to be removed (-EALREADY), so it is tried until the poll's
 * last completion came.
 */
static void uring_unwatch(struct blk_engine *engine)
{
	struct uring_engine *uring = uring_of(engine);

	while (uring->removing || uring->kick_polled) {
		if (!uring->removing)
			uring_remove_kick_poll(uring);
		uring_wait(engine, -1);
	}
	engine->kick_fd = -1;
}

/* --- The ring --- */

static void uring_free(struct blk_engine *engine)
{
	struct uring_engine *uring = uring_of(engine);

	io_uring_queue_exit(&uring->ring);
	free(uring);
}

static const struct blk_engine_ops uring_ops = {
	.name = "io_uring",
	.free = uring_free,
	.watch = uring_watch,
	.unwatch = uring_unwatch,
	.start = uring_start,
	.wait = uring_wait,
	.ready = uring_ready,
};

/* From the newest way of running completions to the oldest; each needs a newer kernel than the next
 * (6.1, 5.19, 5.1). */
static const unsigned uring_setups[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
	0,
};

/* By the system call: liburing 2.3 forgot to export its two functions for this. */
static int uring_register(struct io_uring *ring, unsigned what, const void *argument, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, argument, count) < 0 ? -errno : 0;
}

/*
 * A ring bypasses seccomp. Until it is enabled it takes nothing but its restrictions, and behind those it carries out
 * what the policy names and cannot be given anything else (Linux 5.10).
 */
static int uring_restrict(struct io_uring *ring, const struct seccomp_filter *filter)
{
	struct io_uring_restriction restrictions[IORING_OP_LAST] = {0};
	unsigned count = (unsigned)filter->ring_opcode_count;
	int result;

	if (filter->ring_opcode_count > IORING_OP_LAST)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		restrictions[i].opcode = IORING_RESTRICTION_SQE_OP;
		restrictions[i].sqe_op = filter->ring_opcodes[i];
	}
	result = uring_register(ring, IORING_REGISTER_RESTRICTIONS, restrictions, count);
	return result < 0 ? result : uring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int uring_open(struct io_uring *ring, unsigned entries, const struct seccomp_filter *filter)
{
	unsigned disabled = filter != NULL ? IORING_SETUP_R_DISABLED : 0;
	int result = -EINVAL;

	/* The policy has no ring. */
	if (filter != NULL && filter->ring_opcodes == NULL)
		return -EPERM;

	for (size_t i = 0; i < sizeof(uring_setups) / sizeof(uring_setups[0]) && result == -EINVAL; i++) {
		struct io_uring_params parameters = {.flags = uring_setups[i] | disabled};

		result = io_uring_queue_init_params(entries, ring, &parameters);
		/* 5.11: waiting with a time-out without an operation for it; 5.13: multishot polls, 5.5: none
		 * lost. */
		if (result == 0 && (~parameters.features &
				    (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS))) {
			io_uring_queue_exit(ring);
			return -ENOSYS;
		}
	}
	if (result == 0 && filter != NULL) {
		result = uring_restrict(ring, filter);
		if (result < 0)
			io_uring_queue_exit(ring);
	}
	return result;
}

static bool file_reads_nowait(int fd)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

int blk_engine_uring_new(int image_fd, int wake_fd, unsigned depth, const struct seccomp_filter *filter,
			 struct blk_engine **engine)
{
	struct uring_engine *uring = calloc(1, sizeof(*uring));
	int result;

	if (uring == NULL)
		return -ENOMEM;
	result = uring_open(&uring->ring, depth, filter);
	if (result < 0) {
		free(uring);
		return result;
	}
	uring->base.ops = &uring_ops;
	uring->base.image_fd = image_fd;
	uring->base.wake_fd = wake_fd;
	uring->base.kick_fd = -1;
	STAILQ_INIT(&uring->base.finished);
	uring->reads_nowait = file_reads_nowait(image_fd);
	uring_poll(uring, wake_fd, TAG_WAKE);
	*engine = &uring->base;
	return 0;
}
