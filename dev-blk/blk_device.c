/* The block device as a whole: see blk_device.h. What a front end asks arrives here through
 * vhost_user_backend.h. */
#include "dev-blk/blk_device.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"

static int device_set_features(void *argument, uint64_t features)
{
	struct blk_device *device = argument;

	blk_disk_negotiate(&device->disk, features);
	return 0;
}

static void device_get_config(void *argument, uint8_t *config)
{
	struct blk_device *device = argument;
	struct virtio_blk_config values;

	blk_disk_config(&device->disk, &values);
	memcpy(config, &values, sizeof(values));
}

/* writeback is the only field that a driver may write. */
static int device_set_config(void *argument, uint32_t offset, const uint8_t *data, uint32_t size)
{
	struct blk_device *device = argument;

	int result;

	if (offset != offsetof(struct virtio_blk_config, writeback) || size != 1)
		return -EINVAL;
	result = blk_disk_set_writeback(&device->disk, data[0] != 0);
	/* The driver waits until it is done: without this it could stop flushing too early. */
	if (result == 0 && data[0] == 0)
		blk_queue_sync(device->queues[0]);
	return result;
}

static bool device_settled(void *argument)
{
	struct blk_device *device = argument;

	return blk_queue_synced(device->queues[0]);
}

static bool device_quiesce(void *argument, uint16_t index)
{
	struct blk_device *device = argument;

	return blk_queue_quiesce(device->queues[index]);
}

/* A queue's thread. */
static void device_queue_settled(void *argument)
{
	struct blk_device *device = argument;

	if (device->loop != NULL)
		loop_wake(device->loop);
}

/* A queue's thread. All that may be woken are there: none runs before, or when one of them is freed. */
static void device_witnessed(void *argument)
{
	struct blk_device *device = argument;

	for (uint16_t i = 0; i < device->disk.queues; i++)
		blk_queue_wake(device->queues[i]);
}

static void device_woken(void *argument)
{
	struct blk_device *device = argument;

	if (device->session != NULL)
		vhost_user_backend_resume(device->session);
}

static int device_start_queue(void *argument, uint16_t index, struct virtqueue *virtqueue)
{
	struct blk_device *device = argument;

	if (index >= device->disk.queues)
		return -EINVAL;
	blk_queue_start(device->queues[index], virtqueue);
	return 0;
}

static void device_stop_queue(void *argument, uint16_t index)
{
	struct blk_device *device = argument;

	blk_queue_stop(device->queues[index]);
}

static void device_reset(void *argument)
{
	struct blk_device *device = argument;

	blk_disk_negotiate(&device->disk, 0);
}

static void device_session_end(void *argument, int error)
{
	struct blk_device *device = argument;

	blk_device_session_stop(device);
	device->session_ended(device->argument, error);
}

/* A queue's thread. The session stops the queue before it ends. */
static void device_queue_broken(void *argument, uint16_t index)
{
	struct blk_device *device = argument;

	if (device->session != NULL)
		vhost_user_backend_queue_broken(device->session, index);
}

void blk_device_init(struct blk_device *device)
{
	*device = (struct blk_device){.disk.fd = -1, .state_fd = -1};
}

int blk_device_configure(struct blk_device *device, int image_fd, bool readonly, uint16_t queues,
			 const char *serial, const char **problem)
{
	int result;

	if (queues == 0 || queues > BLK_QUEUES_MAX) {
		*problem = "the number of queues must be 1 to 32; change it";
		return -EINVAL;
	}
	result = blk_disk_init(&device->disk, image_fd, readonly, queues, serial, problem);
	if (result < 0)
		return result;
	device->ops = (struct vhost_user_device_ops){
		.device_features = blk_disk_features(&device->disk),
		.queue_max = queues,
		.config_size = sizeof(struct virtio_blk_config),
		.track_inflight = true,
		.set_features = device_set_features,
		.get_config = device_get_config,
		.set_config = device_set_config,
		.start_queue = device_start_queue,
		.stop_queue = device_stop_queue,
		.quiesce = device_quiesce,
		.settled = device_settled,
		.reset = device_reset,
		.session_end = device_session_end,
	};
	return 0;
}

void blk_device_set_discard(struct blk_device *device, const struct disk_discard *discard)
{
	blk_disk_set_discard(&device->disk, discard);
	device->ops.device_features = blk_disk_features(&device->disk);
}

void blk_device_set_state(struct blk_device *device, int state_fd, bool successor)
{
	device->state_fd = state_fd;
	device->successor = successor;
}

void blk_device_set_witnesses(struct blk_device *device, const int fds[DISK_WITNESSES])
{
	blk_disk_set_witnesses(&device->disk, fds);
}

static void device_close_state_fd(struct blk_device *device)
{
	if (device->state_fd >= 0)
		close(device->state_fd);
	device->state_fd = -1;
}

int blk_device_prepare(struct blk_device *device)
{
	int opened = blk_disk_open_state(&device->disk, vhost_user_backend_offers(&device->ops),
					 device->state_fd, device->successor);

	/* The page is mapped, and its descriptor of no more use. */
	device_close_state_fd(device);
	if (opened < 0)
		return opened;
	for (uint16_t i = 0; i < device->disk.queues; i++) {
		int result =
			blk_queue_new(&device->disk, i, device->engine, device->filter, &device->queues[i]);

		if (result < 0) {
			log_error("queue %u cannot be made: %s", i, strerror(-result));
			return result;
		}
		blk_queue_on_broken(device->queues[i], device_queue_broken, device);
		blk_queue_on_settled(device->queues[i], device_queue_settled, device);
		blk_queue_on_witnessed(device->queues[i], device_witnessed, device);
	}
	log_info("%llu bytes%s, %u queues, engine %s", (unsigned long long)device->disk.image.size,
		 device->disk.readonly ? " read-only" : "", device->disk.queues,
		 blk_queue_engine_name(device->queues[0]));
	return 0;
}

int blk_device_seal(struct blk_device *device)
{
	int result = 0;

	for (uint16_t i = 0; i < device->disk.queues && result == 0; i++)
		result = blk_queue_seal(device->queues[i]);
	return result;
}

int blk_device_session_start(struct blk_device *device, struct loop *loop, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument)
{
	/* Started by hand, the device serves one front end after the other: a new one has a driver of its own. */
	if (device->served)
		device_reset(device);
	device->served = true;
	device->session_ended = session_ended;
	device->argument = argument;
	device->loop = loop;
	loop_on_wake(loop, device_woken, device);
	return vhost_user_backend_new(loop, socket_fd, &device->ops, device, &device->session);
}

void blk_device_session_stop(struct blk_device *device)
{
	if (device->session == NULL)
		return;
	vhost_user_backend_free(device->session);
	device->session = NULL;
}

void blk_device_count(const struct blk_device *device, uint64_t *totals)
{
	memset(totals, 0, BLK_COUNTERS * sizeof(*totals));
	for (size_t i = 0; i < BLK_QUEUES_MAX; i++) {
		if (device->queues[i] != NULL)
			blk_queue_count(device->queues[i], totals);
	}
}

void blk_device_count_ring(const struct blk_device *device, uint64_t *totals)
{
	memset(totals, 0, BLK_RING_OPERATIONS * sizeof(*totals));
	for (size_t i = 0; i < BLK_QUEUES_MAX; i++) {
		if (device->queues[i] != NULL)
			blk_queue_count_ring(device->queues[i], totals);
	}
}

const char *blk_ring_operation_name(enum blk_ring_operation operation)
{
	static const char *const names[BLK_RING_OPERATIONS] = {
		[BLK_RING_READV] = "ring-READV",       [BLK_RING_WRITEV] = "ring-WRITEV",
		[BLK_RING_FSYNC] = "ring-FSYNC",       [BLK_RING_FALLOCATE] = "ring-FALLOCATE",
		[BLK_RING_POLL_ADD] = "ring-POLL_ADD", [BLK_RING_POLL_REMOVE] = "ring-POLL_REMOVE",
	};

	return names[operation];
}

const char *blk_counter_name(enum blk_counter counter)
{
	static const char *const names[BLK_COUNTERS] = {
		[BLK_COUNTER_READS] = "reads",
		[BLK_COUNTER_WRITES] = "writes",
		[BLK_COUNTER_FLUSHES] = "flushes",
		[BLK_COUNTER_DISCARDS] = "discards",
		[BLK_COUNTER_WRITE_ZEROES] = "write-zeroes",
		[BLK_COUNTER_READ_BYTES] = "read-bytes",
		[BLK_COUNTER_WRITTEN_BYTES] = "written-bytes",
		[BLK_COUNTER_ERRORS] = "errors",
		[BLK_COUNTER_KICKS] = "kicks",
		[BLK_COUNTER_INTERRUPTS] = "interrupts",
		[BLK_COUNTER_BATCHES] = "batches",
	};

	return names[counter];
}

void blk_device_close(struct blk_device *device)
{
	blk_device_session_stop(device);
	for (size_t i = 0; i < BLK_QUEUES_MAX; i++) {
		blk_queue_free(device->queues[i]);
		device->queues[i] = NULL;
	}
	blk_disk_close(&device->disk);
	device_close_state_fd(device);
}
