/* The disk that a guest sees: see blk_disk.h. */
#include "dev-blk/blk_disk.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "common/vhost-user/vhost_user_backend.h"

int blk_disk_init(struct blk_disk *disk, int fd, bool readonly, uint16_t queues, const char *serial,
		  const char **problem)
{
	size_t length = strlen(serial);
	struct disk_image image;
	int result = disk_image_probe(fd, readonly, &image, problem);

	if (result < 0)
		return result;
	*disk = (struct blk_disk){.fd = fd, .readonly = readonly, .queues = queues, .image = image};
	for (size_t i = 0; i < DISK_WITNESSES; i++)
		disk->witness_fds[i] = -1;
	atomic_store(&disk->witnessed, true);
	pthread_mutex_init(&disk->state_lock, NULL);
	if (length > sizeof(disk->serial))
		length = sizeof(disk->serial);
	memcpy(disk->serial, serial, length);
	if (!readonly && !image.block_device)
		disk->discard_sectors = BLK_DISCARD_SECTORS_MAX;
	blk_disk_negotiate(disk, 0);
	return 0;
}

void blk_disk_set_discard(struct blk_disk *disk, const struct disk_discard *discard)
{
	struct disk_image *image = &disk->image;
	uint64_t most = discard->max;

	if (!image->block_device || disk->readonly)
		return;
	/*
	 * The granularity is at least a block (sysfs-block). One that is not a whole number of blocks is not believed.
	 */
	if (discard->granularity >= image->logical_block_size &&
	    discard->granularity % image->logical_block_size == 0)
		image->discard_granularity = discard->granularity;
	if (most > (uint64_t)BLK_DISCARD_SECTORS_MAX * VIRTIO_BLK_SECTOR_SIZE)
		most = (uint64_t)BLK_DISCARD_SECTORS_MAX * VIRTIO_BLK_SECTOR_SIZE;
	/* Whole units, so that a driver that splits at the most splits at a unit. */
	if (most >= image->discard_granularity)
		most -= most % image->discard_granularity;
	disk->discard_sectors =
		(uint32_t)((most - most % image->logical_block_size) / VIRTIO_BLK_SECTOR_SIZE);
}

void blk_disk_set_witnesses(struct blk_disk *disk, const int fds[DISK_WITNESSES])
{
	memcpy(disk->witness_fds, fds, sizeof(disk->witness_fds));
	atomic_store(&disk->witnessed, false);
}

/* No flush waits for them any more. */
static void disk_dismiss_witnesses(struct blk_disk *disk)
{
	for (size_t i = 0; i < DISK_WITNESSES; i++) {
		if (disk->witness_fds[i] >= 0)
			close(disk->witness_fds[i]);
		disk->witness_fds[i] = -1;
	}
	atomic_store_explicit(&disk->witnessed, true, memory_order_release);
}

void blk_disk_close(struct blk_disk *disk)
{
	disk_dismiss_witnesses(disk);
	if (disk->fd >= 0)
		close(disk->fd);
	disk->fd = -1;
	device_state_close(&disk->state);
}

uint64_t blk_disk_features(const struct blk_disk *disk)
{
	uint64_t features = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
			    VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |
			    VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);

	if (disk->queues > 1)
		features |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	if (disk->readonly)
		features |= VIRTIO_BIT(VIRTIO_BLK_F_RO);
	else
		features |= VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	if (disk->discard_sectors != 0)
		features |= VIRTIO_BIT(VIRTIO_BLK_F_DISCARD);
	return features;
}

bool blk_disk_has(const struct blk_disk *disk, unsigned feature_bit)
{
	return atomic_load_explicit(&disk->features, memory_order_relaxed) & VIRTIO_BIT(feature_bit);
}

/*
 * 5.2.6.2: a completed write is stable when neither FLUSH nor CONFIG_WCE was negotiated, or when CONFIG_WCE
 * was and writeback was 0 all the time.
 */
static void disk_update_writethrough(struct blk_disk *disk)
{
	bool writethrough;

	if (blk_disk_has(disk, VIRTIO_BLK_F_CONFIG_WCE))
		writethrough = !atomic_load(&disk->writeback);
	else
		writethrough = !blk_disk_has(disk, VIRTIO_BLK_F_FLUSH);
	atomic_store(&disk->writethrough, writethrough);
}

/* --- For a successor --- */

static struct blk_record disk_record(const struct blk_disk *disk)
{
	return (struct blk_record){
		.features = atomic_load(&disk->features),
		.lost = atomic_load(&disk->lost),
		.writeback = atomic_load(&disk->writeback),
		.asked = disk->asked,
	};
}

static void disk_commit(struct blk_disk *disk)
{
	struct blk_record record;

	pthread_mutex_lock(&disk->state_lock);
	record = disk_record(disk);
	device_state_commit(&disk->state, &record);
	pthread_mutex_unlock(&disk->state_lock);
}

static void disk_take_over(struct blk_disk *disk, const struct blk_record *record, bool successor)
{
	if (successor) {
		atomic_store(&disk->features, record->features);
		atomic_store(&disk->writeback, record->writeback != 0);
		disk_update_writethrough(disk);
	}
	atomic_store(&disk->lost, record->lost);
	disk->asked = record->asked;
	/* Each died with the answer. */
	if (record->lost == 0 && record->asked == DISK_WITNESSES && !blk_disk_witnessed(disk)) {
		atomic_store(&disk->lost, -EIO);
		log_error("%d processes ended while they asked the kernel whether data was lost: it is taken "
			  "to be lost",
			  DISK_WITNESSES);
	}
	if (atomic_load(&disk->lost) != 0) {
		log_error("data was lost before this process served (%s): no flush will succeed",
			  strerror(-atomic_load(&disk->lost)));
		disk_dismiss_witnesses(disk);
	}
	/* Without the driver that was before, if it is gone. */
	disk_commit(disk);
}

int blk_disk_open_state(struct blk_disk *disk, uint64_t offered, int fd, bool successor)
{
	struct blk_record record = disk_record(disk);
	const char *problem = NULL;
	int result = blk_state_open(&disk->state, fd);

	if (result < 0)
		return result;
	/* There was no predecessor that the kernel could have told of lost data. */
	if (device_state_empty(&disk->state) && !successor) {
		disk_dismiss_witnesses(disk);
		device_state_begin(&disk->state, &record);
		return 0;
	}
	problem = blk_state_take(&disk->state, offered, &record);
	if (problem != NULL) {
		device_state_refused(problem);
		device_state_begin(&disk->state, &record);
		return 0;
	}
	disk_take_over(disk, &record, successor);
	return 0;
}

/* --- What the driver chooses --- */

void blk_disk_negotiate(struct blk_disk *disk, uint64_t features)
{
	if (vhost_user_backend_same_driver(atomic_load(&disk->features), features))
		return;
	atomic_store(&disk->features, features);
	/* 5.2.5.2: "If VIRTIO_BLK_F_CONFIG_WCE is negotiated but VIRTIO_BLK_F_FLUSH is not, the device MUST
	 * initialize writeback to 0." */
	atomic_store(&disk->writeback,
		     !blk_disk_has(disk, VIRTIO_BLK_F_CONFIG_WCE) || blk_disk_has(disk, VIRTIO_BLK_F_FLUSH));
	disk_update_writethrough(disk);
	disk_commit(disk);
}

static uint8_t log2_of(uint32_t power_of_two)
{
	return (uint8_t)__builtin_ctz(power_of_two);
}

void blk_disk_config(const struct blk_disk *disk, struct virtio_blk_config *config)
{
	const struct disk_image *image = &disk->image;
	uint32_t minimum = image->physical_block_size / image->logical_block_size;

	*config = (struct virtio_blk_config){
		.capacity = image->size / VIRTIO_BLK_SECTOR_SIZE,
		.seg_max = BLK_SEG_MAX,
		.blk_size = image->logical_block_size,
		.topology =
			{
				.physical_block_exp = log2_of(image->physical_block_size) -
						      log2_of(image->logical_block_size),
				.min_io_size = (uint16_t)(minimum <= UINT16_MAX ? minimum : 1),
				.opt_io_size = image->optimal_io_size / image->logical_block_size,
			},
		.writeback = atomic_load(&disk->writeback),
		.num_queues = disk->queues,
	};
	if (disk->readonly)
		return;
	if (disk->discard_sectors != 0) {
		config->max_discard_sectors = disk->discard_sectors;
		config->max_discard_seg = BLK_RANGES_MAX;
		config->discard_sector_alignment = image->discard_granularity / VIRTIO_BLK_SECTOR_SIZE;
	}
	config->max_write_zeroes_sectors = BLK_WRITE_ZEROES_SECTORS_MAX;
	config->max_write_zeroes_seg = BLK_RANGES_MAX;
	config->write_zeroes_may_unmap = 1;
}

int blk_disk_set_writeback(struct blk_disk *disk, bool writeback)
{
	if (!blk_disk_has(disk, VIRTIO_BLK_F_CONFIG_WCE))
		return -EINVAL;
	atomic_store(&disk->writeback, writeback);
	disk_update_writethrough(disk);
	disk_commit(disk);
	return 0;
}

void blk_disk_lost(struct blk_disk *disk, int error)
{
	struct blk_record record;
	bool first;

	pthread_mutex_lock(&disk->state_lock);
	record = disk_record(disk);
	first = record.lost == 0;
	if (first) {
		/* In this order: who sees it here may tell the driver, and then a successor must know it, too. */
		record.lost = error;
		device_state_commit(&disk->state, &record);
		atomic_store(&disk->lost, error);
	}
	pthread_mutex_unlock(&disk->state_lock);
	if (first)
		log_error("writing the image back failed: %s; data may be lost: no flush will succeed from "
			  "now on",
			  strerror(-error));
}

int blk_disk_ask_witness(struct blk_disk *disk)
{
	int fd;

	if (atomic_exchange(&disk->witness_taken, true))
		return -1;
	pthread_mutex_lock(&disk->state_lock);
	fd = disk->witness_fds[disk->asked < DISK_WITNESSES ? disk->asked : DISK_WITNESSES - 1];
	disk->asked++;
	pthread_mutex_unlock(&disk->state_lock);
	/* Before the kernel is asked: it may be the last thing that we do. */
	disk_commit(disk);
	return fd;
}

void blk_disk_witness_told(struct blk_disk *disk, int result)
{
	if (result < 0)
		blk_disk_lost(disk, result);
	pthread_mutex_lock(&disk->state_lock);
	disk->asked = 0;
	pthread_mutex_unlock(&disk->state_lock);
	disk_commit(disk);
	disk_dismiss_witnesses(disk);
}

void blk_disk_cut(struct blk_disk *disk)
{
	if (!atomic_exchange(&disk->cut, true))
		log_error("the image has become shorter than the disk of %llu bytes that the guest has: what "
			  "lies "
			  "behind its end can be neither read nor written; give the image its size back",
			  (unsigned long long)disk->image.size);
}
