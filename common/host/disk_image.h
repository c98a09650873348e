/*
 * Disk images: opening one, and what it is.
 *
 * A raw image is a regular file or a block device whose size is a whole number of 512-byte sectors. Used by
 * the supervisor (run and check) and by atoll-blk when it is run by hand; a supervised atoll-blk probes the
 * descriptor that it is given, again.
 */
#ifndef ATOLL_COMMON_HOST_DISK_IMAGE_H
#define ATOLL_COMMON_HOST_DISK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

/* The unit of virtio-blk's addresses and of an image's size. */
#define DISK_SECTOR_SIZE 512

struct disk_image {
	uint64_t size;		     /* bytes, a multiple of logical_block_size */
	uint32_t logical_block_size; /* bytes, a power of two from 512 on: the unit that the guest should use
				      */
	uint32_t physical_block_size;
	uint32_t optimal_io_size;     /* bytes; 0: nothing to say */
	uint32_t discard_granularity; /* bytes, at least logical_block_size */
	bool block_device;
};

/* What a block device can discard, in bytes. */
struct disk_discard {
	uint64_t max; /* at once; 0: it cannot */
	uint32_t granularity;
};

/*
 * Opens an image close-on-exec for reading, or reading and writing. A block device that is to be written is
 * claimed exclusively, so that one with a mounted file system is refused (-EBUSY). Does not lock: see
 * image_lock.h. Returns 0 or -errno: open's errors, -EISDIR, or -EINVAL for what is neither file nor block
 * device.
 */
int disk_image_open(const char *path, bool readonly, int *fd);

/* Witnesses of an image that is written (dev-blk/blk_disk.h): how many the supervisor makes. */
#define DISK_WITNESSES 2
/*
 * Opens the image once more, as a description of its own, without a lock and without a claim; before anything is
 * written. The kernel tells each description once that data could not be written back to the medium. 0 or -errno.
 */
int disk_image_witness(int image_fd, int *fd);

/*
 * Probes an open image. Returns 0, or -errno with *problem a static "WHY; REMEDY" for the operator: -EINVAL
 * when it is neither a regular file nor a block device, -ENODATA when it is empty, -ERANGE when its size is
 * odd, -EBADF when the descriptor is not open for what is asked.
 */
int disk_image_probe(int fd, bool readonly, struct disk_image *image, const char **problem);

/*
 * Reads what a block device can discard, from sysfs (Documentation/ABI/stable/sysfs-block), for there is no ioctl that
 * tells it; so not in a jail. Nothing, where sysfs does not tell, and for a file, which is asked by fallocate(2).
 */
void disk_image_discard(int fd, struct disk_discard *discard);

/*
 * What an image's first bytes say that it is, if it is the container of another program and no raw image: "qcow2",
 * "VMDK", ...; else NULL. A guest can write such bytes to a raw image, so this says what a file seems to be, at a time
 * at which somebody can be asked.
 */
const char *disk_image_container(int fd);

#endif
