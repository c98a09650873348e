/*
 * The block device as a whole: a disk, its queues, and the vhost-user session of the moment. Knows no
 * process: main.c makes a program of it, the tests drive it over a socketpair.
 *
 * All functions are the main thread's.
 */
#ifndef ATOLL_DEV_BLK_BLK_DEVICE_H
#define ATOLL_DEV_BLK_BLK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/vhost-user/vhost_user_backend.h"
#include "dev-blk/blk_disk.h"
#include "dev-blk/blk_queue.h"

struct blk_device {
	struct blk_disk disk;
	enum blk_engine_kind engine;		  /* which one the queues are to use */
	const struct seccomp_filter *filter;	  /* of the queues' threads; NULL: none */
	struct blk_queue *queues[BLK_QUEUES_MAX]; /* disk.queues of them once prepared */
	int state_fd;				  /* the state page, until it is mapped; -1: none */
	bool successor;

	struct vhost_user_device_ops ops;
	struct vhost_user_backend *session; /* NULL: none */
	struct loop *loop;		    /* of the session; NULL before the first */
	bool served;			    /* a session was there */
	void (*session_ended)(void *argument, int error);
	void *argument;
};

/* What a device is before it has a disk; blk_device_close() may be called from then on. */
void blk_device_init(struct blk_device *device);

/*
 * Gives it its disk. image_fd becomes the device's on success. queues: 1 .. BLK_QUEUES_MAX. Returns 0, or
 * -errno with *problem as from disk_image_probe().
 */
int blk_device_configure(struct blk_device *device, int image_fd, bool readonly, uint16_t queues,
			 const char *serial, const char **problem);

/* What a block device can discard (disk_image_discard()). After blk_device_configure(). */
void blk_device_set_discard(struct blk_device *device, const struct disk_discard *discard);

/*
 * The page (common/ring/state_page.h) in which it keeps what a successor must know; the descriptor becomes the
 * device's. successor: a process of this disk served before, and its driver is there. Before blk_device_prepare().
 */
void blk_device_set_state(struct blk_device *device, int state_fd, bool successor);

/* Witnesses of the image (blk_disk.h), which become the device's. Before blk_device_prepare(). */
void blk_device_set_witnesses(struct blk_device *device, const int fds[DISK_WITNESSES]);

/*
 * Takes over what a predecessor left, makes threads, engines and memory. After it nothing is opened or created. 0 or
 * -errno.
 */
int blk_device_prepare(struct blk_device *device);
/* The process has its filter: the queues' threads put on theirs. 0 or -errno (logged). */
int blk_device_seal(struct blk_device *device);

/*
 * Serves a front end on a connected socket, which becomes the device's on success. When the front end ends
 * the session, session_ended() is called, with the session already freed. 0 or -errno.
 */
int blk_device_session_start(struct blk_device *device, struct loop *loop, int socket_fd,
			     void (*session_ended)(void *argument, int error), void *argument);
/* Ends the session, if there is one: accepted requests are completed first. */
void blk_device_session_stop(struct blk_device *device);

/* Fills totals[BLK_COUNTERS] from all queues. */
void blk_device_count(const struct blk_device *device, uint64_t *totals);
/* Fills totals[BLK_RING_OPERATIONS] from all queues. */
void blk_device_count_ring(const struct blk_device *device, uint64_t *totals);
/* "ring-READV", ... */
const char *blk_ring_operation_name(enum blk_ring_operation operation);
/* "reads", "writes", ... */
const char *blk_counter_name(enum blk_counter counter);

void blk_device_close(struct blk_device *device);

#endif
