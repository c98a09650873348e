/*
 * The disk that a guest sees: an open image, what of it is negotiated, and how it fares. One for all queues.
 *
 * Made and configured by the main thread. What queue threads read while the guest may change it is atomic.
 */
#ifndef ATOLL_DEV_BLK_BLK_DISK_H
#define ATOLL_DEV_BLK_BLK_DISK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/host/disk_image.h"
#include "dev-blk/blk_state.h"
#include "dev-blk/virtio_blk_spec.h"

#define BLK_QUEUES_MAX 32

/* Segments of data in a request at most, as the config space tells the driver: 1 MiB in pages, less a bit. */
#define BLK_SEG_MAX 254
/* Ranges in a DISCARD or WRITE_ZEROES. */
#define BLK_RANGES_MAX 16
/* A range at most: large enough to be few, small enough that zeroes written by hand do not take for ever. */
#define BLK_DISCARD_SECTORS_MAX	     (1u << 21) /* 1 GiB */
#define BLK_WRITE_ZEROES_SECTORS_MAX (1u << 18) /* 128 MiB */

struct blk_disk {
	int fd; /* owned */
	bool readonly;
	uint16_t queues;
	struct disk_image image;
	uint32_t discard_sectors;	  /* in a range at most; 0: DISCARD is not offered */
	char serial[VIRTIO_BLK_ID_BYTES]; /* padded with zeroes */

	_Atomic uint64_t features; /* negotiated; 0: no driver */
	atomic_bool writeback;	   /* the config field of that name */
	/* Whether a write must be on the medium before it completes. Follows from the two above. */
	atomic_bool writethrough;
	/*
	 * Negative errno once the medium lost data that had been written: after a failed write-back the
	 * kernel calls the pages clean, so a later fdatasync would succeed without them. From then on no
	 * flush may succeed.
	 */
	atomic_int lost;
	/*
	 * What the kernel told a predecessor that died before it could note it. The kernel tells each open file
	 * description once that data could not be written back, and the image's own was asked by that process. So there
	 * are witnesses: descriptions of the same image from before the guest ran, that no process asks but one that
	 * takes another's place, before the first flush that it completes. Who dies between question and note leaves
	 * the next witness.
	 */
	int witness_fds[DISK_WITNESSES]; /* owned; -1: none, or no more */
	uint8_t asked;			 /* as in the record; under state_lock */
	atomic_bool witness_taken;	 /* one of the queues asks */
	atomic_bool witnessed;		 /* it is known what they have to say, or there is nothing to ask */
	atomic_bool cut;		 /* the image was found to end before its capacity */
	/*
	 * What a successor is to know of the above: committed before it can be seen from outside of this process, by
	 * one thread at a time.
	 */
	pthread_mutex_t state_lock;
	struct device_state state;
};

/* Takes fd over on success. serial is cut to what fits. 0, or disk_image_probe()'s error and *problem. */
int blk_disk_init(struct blk_disk *disk, int fd, bool readonly, uint16_t queues, const char *serial,
		  const char **problem);
/* Descriptors of the witnesses, which become the disk's. Before blk_disk_open_state(). */
void blk_disk_set_witnesses(struct blk_disk *disk, const int fds[DISK_WITNESSES]);
/* Of a block device, which discards nothing before it is told. Before the driver is there. */
void blk_disk_set_discard(struct blk_disk *disk, const struct disk_discard *discard);
void blk_disk_close(struct blk_disk *disk);

/* Feature bits that the disk offers. */
uint64_t blk_disk_features(const struct blk_disk *disk);
/*
 * The state page (common/ring/state_page.h), borrowed; -1: none, and no successor either. successor: a process of this
 * disk served the driver that there is now, so that what it left of the driver counts. That data was lost counts in any
 * case. offered: what the session offers. Before any queue runs. 0 or -errno (logged).
 */
int blk_disk_open_state(struct blk_disk *disk, uint64_t offered, int fd, bool successor);

/*
 * The driver's choice, which also sets the write cache to how it is at first. 0: the driver is gone. What the same
 * driver has set counts on when its choice is told again (vhost_user_backend_same_driver()).
 */
void blk_disk_negotiate(struct blk_disk *disk, uint64_t features);
void blk_disk_config(const struct blk_disk *disk, struct virtio_blk_config *config);
/*
 * The driver chose a cache mode. Writes in flight look at it when they end, and make themselves stable
 * (blk_request_advance.c); those that ended before are still to be synced when it is write-through. 0, or -EINVAL when
 * the field is not the driver's to write.
 */
int blk_disk_set_writeback(struct blk_disk *disk, bool writeback);

bool blk_disk_has(const struct blk_disk *disk, unsigned feature_bit);

/* An fdatasync or a synchronous write failed with this error: nothing is certain any more. Logged the first
 * time. */
void blk_disk_lost(struct blk_disk *disk, int error);

/* Whether a flush may complete. Any thread. */
static inline bool blk_disk_witnessed(const struct blk_disk *disk)
{
	return atomic_load_explicit(&disk->witnessed, memory_order_acquire);
}

/*
 * Returns the descriptor of the witness for whoever calls first, who makes an fdatasync of it and then calls
 * blk_disk_witness_told(); for all others -1. Any thread.
 */
int blk_disk_ask_witness(struct blk_disk *disk);
/* result: of the fdatasync. Closes the witnesses. */
void blk_disk_witness_told(struct blk_disk *disk, int result);

/* A request was for what lies behind the end of the image, which has become shorter. Logged the first time. */
void blk_disk_cut(struct blk_disk *disk);

#endif
