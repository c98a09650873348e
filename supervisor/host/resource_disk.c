/* A disk's image, locked, and its witnesses; see resource.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/image_lock.h"
#include "supervisor/host/resource_kinds.h"

static void open_witnesses(struct opening *opening, struct resource *resource, const char *key,
			   const char *path)
{
	for (int i = 0; i < DISK_WITNESSES && !resource->disk.config->readonly; i++) {
		int result = disk_image_witness(resource->fd, &resource->disk.witnesses[i]);

		if (result < 0) {
			opening_fault(opening, key, path, -result);
			return;
		}
	}
}

static void disk_open(struct opening *opening, struct resource *resource)
{
	const struct config_disk *disk = resource->disk.config;
	struct image_lock_holder holder = {0};
	struct disk_image image;
	const char *problem, *container;
	char key[64], holder_text[IMAGE_LOCK_TEXT_MAX], what[64];
	unsigned line;
	char *path = config_file_path(opening->file, disk->path);
	int fd, result;

	snprintf(key, sizeof(key), "%s.path", resource->of.key);
	line = config_file_line(opening->file, "%s", key);
	if (path == NULL) {
		opening_fault(opening, key, disk->path, ENOMEM);
		return;
	}
	result = disk_image_open(path, disk->readonly, &fd);
	if (result < 0) {
		opening_fault(opening, key, path, -result);
		goto free_path;
	}
	/* Before its size, which is odd in many of these. */
	container = disk->format == CONFIG_FORMAT_AUTO ? disk_image_container(fd) : NULL;
	if (container != NULL) {
		problem_add(opening->problems, line, key,
			    "%s: looks like a %s image, and a guest would write over what makes it one; "
			    "convert it "
			    "(qemu-img convert -O raw), or write format: raw",
			    path, container);
		goto close_image;
	}
	if (disk_image_probe(fd, disk->readonly, &image, &problem) < 0) {
		problem_add(opening->problems, line, key, "%s: %s", path, problem);
		goto close_image;
	}
	/* Before the lock: our own would be in the way, and say less. */
	snprintf(what, sizeof(what), "the disk \"%s\"", disk->device.id);
	if (!opening_claim(opening, key, path, fd, disk->readonly ? FILE_READ : FILE_WRITTEN, what))
		goto close_image;
	result = image_lock(fd, disk->readonly ? IMAGE_LOCK_READ : IMAGE_LOCK_WRITE, &holder);
	if (result == -EBUSY) {
		image_lock_describe(&holder, holder_text, sizeof(holder_text));
		problem_add(opening->problems, line, key, "%s: %s", path, holder_text);
	} else if (result < 0) {
		problem_add(opening->problems, line, key,
			    "%s: cannot lock it: %s; move it to a file system with locks", path,
			    strerror(-result));
	} else {
		resource->fd = fd;
		open_witnesses(opening, resource, key, path);
		disk_image_discard(fd, &resource->disk.discard);
		goto free_path;
	}
close_image:
	close(fd);
free_path:
	free(path);
}

/* Its process cannot make the image larger than it was found. */
static uint64_t disk_file_limit(const struct resource *resource)
{
	struct stat status;

	if (fstat(resource->fd, &status) == 0 && S_ISREG(status.st_mode))
		return (uint64_t)status.st_size;
	return UINT64_MAX; /* a block device has the size that it has */
}

static void disk_close(struct resource *resource)
{
	for (int i = 0; i < DISK_WITNESSES; i++)
		if (resource->disk.witnesses[i] >= 0)
			close(resource->disk.witnesses[i]);
}

static const struct resource_kind disk_kind = {
	.open = disk_open, .file_limit = disk_file_limit, .close = disk_close};

void resource_disk_init(struct resource *resource, const struct config_disk *disk)
{
	resource->kind = &disk_kind;
	resource->disk.config = disk;
	for (int i = 0; i < DISK_WITNESSES; i++)
		resource->disk.witnesses[i] = -1;
}
