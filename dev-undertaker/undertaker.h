/*
 * The undertaker of a virtio device whose process has failed for good: it completes what the driver asks for with
 * the error that its class has for it, so that no driver waits for ever, resets and removals work, and a guest boots
 * past the device. It has nothing of the host's.
 *
 *     disk      each request has the status VIRTIO_BLK_S_IOERR (virtio 1.2, 5.2.6)
 *     network   frames are taken and dropped, none come; commands are answered VIRTIO_NET_ERR (5.1.6.5)
 *     console   output is taken and dropped, no input comes (5.3.6)
 *
 * Its queues are served by virtio_server.h, in the loop's thread.
 */
#ifndef ATOLL_DEV_UNDERTAKER_UNDERTAKER_H
#define ATOLL_DEV_UNDERTAKER_UNDERTAKER_H

#include <stdint.h>

#include "common/program/virtio_server.h"
#include "common/roles/device_type.h"

#define UNDERTAKER_QUEUES_MAX 256

struct undertaker {
	struct virtio_device virtio; /* what it serves, with itself as the device */
	const struct device_type *type;
	uint64_t refused, dropped; /* chains */
};

/* queues: of a type that has as many as it is given, 1 or more; of others it does not count. 0 or -EINVAL. */
int undertaker_init(struct undertaker *undertaker, const struct device_type *type, unsigned queues);

#endif
