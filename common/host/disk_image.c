/* Disk images: see disk_image.h. Nothing here keeps state; the descriptors are the callers'. */
#include "common/host/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/line_file.h"

/* What a file system is assumed to write at once when it does not say, or says more. */
#define PHYSICAL_BLOCK_DEFAULT 4096

int disk_image_open(const char *path, bool readonly, int *fd)
{
	int flags = (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat status;
	int image_fd;
	int result = 0;

	/* O_NONBLOCK: a FIFO, or a drive without a medium, must not stop us here. It means nothing to what we
	 * keep. */
	image_fd = open(path, flags | O_NONBLOCK | O_NOCTTY);
	if (image_fd < 0)
		return -errno;
	if (fstat(image_fd, &status) < 0)
		result = -errno;
	else if (S_ISDIR(status.st_mode))
		result = -EISDIR;
	else if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		result = -EINVAL;
	else if (S_ISREG(status.st_mode) && fcntl(image_fd, F_SETFL, 0) < 0)
		result = -errno;
	if (result == 0 && S_ISBLK(status.st_mode)) {
		char self[32];
		int claimed_fd;

		/* Through the descriptor: what was looked at is what is opened. O_EXCL is defined for block
		 * devices. */
		snprintf(self, sizeof(self), "/proc/self/fd/%d", image_fd);
		claimed_fd = open(self, flags | (readonly ? 0 : O_EXCL));
		if (claimed_fd < 0) {
			result = -errno;
		} else {
			close(image_fd);
			image_fd = claimed_fd;
		}
	}
	if (result < 0) {
		close(image_fd);
		return result;
	}
	*fd = image_fd;
	return 0;
}

int disk_image_witness(int image_fd, int *fd)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", image_fd);
	*fd = open(self, O_RDWR | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

static bool is_power_of_two(uint32_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static void file_geometry(const struct stat *status, struct disk_image *image)
{
	uint32_t block = (uint32_t)status->st_blksize;

	image->size = (uint64_t)status->st_size;
	image->logical_block_size = DISK_SECTOR_SIZE;
	/* st_blksize of a network file system can be its transfer size: no unit to tell a guest. */
	if (!is_power_of_two(block) || block < DISK_SECTOR_SIZE || block > 65536)
		block = PHYSICAL_BLOCK_DEFAULT;
	image->physical_block_size = block;
	image->discard_granularity = block;
}

static int device_geometry(int fd, struct disk_image *image)
{
	int logical = 0;
	unsigned physical = 0, optimal = 0;

	if (ioctl(fd, BLKGETSIZE64, &image->size) < 0 || ioctl(fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(fd, BLKPBSZGET, &physical) < 0)
		return -errno;
	image->logical_block_size = (uint32_t)logical;
	image->physical_block_size = physical;
	if (ioctl(fd, BLKIOOPT, &optimal) == 0)
		image->optimal_io_size = optimal;
	if (!is_power_of_two(image->logical_block_size) || image->logical_block_size < DISK_SECTOR_SIZE)
		return -ENOTSUP;
	if (!is_power_of_two(physical) || physical < image->logical_block_size)
		image->physical_block_size = image->logical_block_size;
	image->discard_granularity = image->physical_block_size;
	return 0;
}

/* /sys/dev/block/MAJ:MIN is the disk's folder, or its partition's in the disk's, which has the queue. */
static uint64_t queue_attribute(dev_t device, const char *name)
{
	static const char *const folders[] = {"", "/.."};
	unsigned long long value = 0;
	char path[96], text[32];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/%s", major(device), minor(device),
			 folders[i], name);
		if (line_file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
			continue;
		return sscanf(text, "%llu", &value) == 1 ? value : 0;
	}
	return 0;
}

void disk_image_discard(int fd, struct disk_discard *discard)
{
	uint64_t granularity;
	struct stat status;

	*discard = (struct disk_discard){0};
	if (fstat(fd, &status) < 0 || !S_ISBLK(status.st_mode))
		return;
	granularity = queue_attribute(status.st_rdev, "discard_granularity");
	discard->granularity = granularity <= UINT32_MAX ? (uint32_t)granularity : 0;
	discard->max = queue_attribute(status.st_rdev, "discard_max_bytes");
}

int disk_image_probe(int fd, bool readonly, struct disk_image *image, const char **problem)
{
	struct disk_image found = {0};
	struct stat status;
	int flags = fcntl(fd, F_GETFL);
	int result;

	*problem = "its descriptor cannot be used; see that the file can be opened";
	if (flags < 0 || fstat(fd, &status) < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_WRONLY || (!readonly && (flags & O_ACCMODE) != O_RDWR)) {
		*problem = "its descriptor is not open for what is asked; open it for reading and writing";
		return -EBADF;
	}
	if (S_ISREG(status.st_mode)) {
		file_geometry(&status, &found);
	} else if (S_ISBLK(status.st_mode)) {
		found.block_device = true;
		result = device_geometry(fd, &found);
		if (result < 0) {
			*problem = "the block device does not tell its size; see that it has a medium";
			return result;
		}
	} else {
		*problem = "neither a regular file nor a block device; name a raw disk image";
		return -EINVAL;
	}
	if (found.size == 0) {
		*problem = "the image is empty; give it a size, for instance with truncate(1)";
		return -ENODATA;
	}
	if (found.size % found.logical_block_size != 0) {
		*problem = found.block_device
				   ? "the device's size is not a multiple of its block size; use another one"
				   : "the size is not a multiple of 512 bytes; is it a raw image? then pad "
				     "it with truncate(1)";
		return -ERANGE;
	}
	*image = found;
	*problem = NULL;
	return 0;
}

const char *disk_image_container(int fd)
{
	/* Sources: QEMU's docs/interop/qcow2.txt; VMware's "Virtual Disk Format 5.0"; VirtualBox's VDICore.h;
	 * MS-VHDX 2.2.1; Microsoft's "Virtual Hard Disk Image Format Specification" (a dynamic one begins with a
	 * copy of its footer). */
	static const struct {
		const char *name;
		size_t offset;
		const char *magic;
		size_t size;
	} containers[] = {{"qcow2", 0, "QFI\xfb", 4},
			  {"VMDK", 0, "KDMV", 4},
			  {"VMDK", 0, "# Disk DescriptorFile", 21},
			  {"VDI", 64, "\x7f\x10\xda\xbe", 4},
			  {"VHDX", 0, "vhdxfile", 8},
			  {"VHD", 0, "conectix", 8}};
	char head[512] = {0};
	ssize_t size = pread(fd, head, sizeof(head), 0);

	for (size_t i = 0; size > 0 && i < sizeof(containers) / sizeof(containers[0]); i++)
		if (memcmp(head + containers[i].offset, containers[i].magic, containers[i].size) == 0)
			return containers[i].name;
	return NULL;
}
