/* The engine of plain system calls: an operation is finished when it has been started. */
#include "dev-blk/blk_engine_sync.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/eventfd_wire.h"

static void sync_free(struct blk_engine *engine)
{
	free(engine);
}

static int sync_watch(struct blk_engine *engine, int kick_fd)
{
	engine->kick_fd = kick_fd;
	return 0;
}

static void sync_unwatch(struct blk_engine *engine)
{
	engine->kick_fd = -1;
}

static void sync_start(struct blk_engine *engine, struct blk_io *io)
{
	blk_io_execute(engine->image_fd, io);
	blk_engine_finish(engine, io);
}

static unsigned sync_wait(struct blk_engine *engine, int64_t timeout_ns)
{
	struct pollfd watched[2] = {
		{.fd = engine->wake_fd, .events = POLLIN},
		{.fd = engine->kick_fd, .events = POLLIN},
	};
	struct timespec timeout = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
	unsigned events = 0;

	if (!STAILQ_EMPTY(&engine->finished) || timeout_ns == 0)
		return 0;
	/* poll(2) skips negative descriptors. EINTR is a wait that ended early. */
	if (ppoll(watched, 2, timeout_ns < 0 ? NULL : &timeout, NULL) <= 0)
		return 0;
	if (watched[0].revents != 0) {
		(void)eventfd_drain(engine->wake_fd);
		events |= BLK_EVENT_WAKE;
	}
	if (watched[1].revents != 0) {
		/* poll(2) tells a level: without reading, it would tell the same kick again. The front end could
		 * have emptied it in between. */
		(void)eventfd_drain(engine->kick_fd);
		events |= BLK_EVENT_KICK;
	}
	return events;
}

static bool sync_ready(const struct blk_engine *engine)
{
	return !STAILQ_EMPTY(&engine->finished);
}

static const struct blk_engine_ops sync_ops = {
	.name = "sync",
	.free = sync_free,
	.watch = sync_watch,
	.unwatch = sync_unwatch,
	.start = sync_start,
	.wait = sync_wait,
	.ready = sync_ready,
};

int blk_engine_sync_new(int image_fd, int wake_fd, struct blk_engine **engine)
{
	struct blk_engine *sync = calloc(1, sizeof(*sync));

	if (sync == NULL)
		return -ENOMEM;
	sync->ops = &sync_ops;
	sync->image_fd = image_fd;
	sync->wake_fd = wake_fd;
	sync->kick_fd = -1;
	STAILQ_INIT(&sync->finished);
	*engine = sync;
	return 0;
}
