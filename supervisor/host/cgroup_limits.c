/*
 * What a cgroup's processes are held to: which controllers that takes, and what is written into its files.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/line_file.h"
#include "supervisor/host/cgroup_dir.h"
#include "supervisor/host/cgroup_set.h"

#define CPU_PERIOD_US 100000

unsigned cgroup_limits_need(const struct config_limits *limits)
{
	unsigned needed = 0;

	if (limits == NULL)
		return 0;
	if (limits->memory_bytes != 0)
		needed |= 1u << CONTROLLER_MEMORY;
	if (limits->cpu_percent != 0)
		needed |= 1u << CONTROLLER_CPU;
	if (limits->pids != 0)
		needed |= 1u << CONTROLLER_PIDS;
	if (limits->io != NULL)
		needed |= 1u << CONTROLLER_IO;
	return needed;
}

bool cgroup_image_device(const struct cgroups_making *making, unsigned disk, char *device, size_t size)
{
	int fd = making->resources->disk_fds != NULL ? making->resources->disk_fds[disk] : -1;
	char path[64];
	struct stat status;
	dev_t number;

	if (fd < 0 || fstat(fd, &status) < 0)
		return false;
	number = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
	if (major(number) == 0)
		return false;
	snprintf(device, size, "%u:%u", major(number), minor(number));
	snprintf(path, sizeof(path), "/sys/dev/block/%s/partition", device);
	if (access(path, F_OK) == 0) {
		snprintf(path, sizeof(path), "/sys/dev/block/%s/../dev", device);
		(void)line_file_read(AT_FDCWD, path, device, size);
	}
	return device[0] != '\0';
}

static int io_limit(int directory_fd, const char *device, const struct config_io *io)
{
	const uint64_t values[] = {io->read_bytes, io->write_bytes, io->read_iops, io->write_iops};
	static const char *const keys[] = {"rbps", "wbps", "riops", "wiops"};
	char text[160];
	int used = snprintf(text, sizeof(text), "%s", device);

	for (unsigned i = 0; i < 4; i++)
		if (values[i] != 0)
			used += snprintf(text + used, sizeof(text) - (size_t)used, " %s=%" PRIu64, keys[i],
					 values[i]);
	return line_file_write(directory_fd, "io.max", text);
}

int cgroup_limits_write(const struct cgroups_making *making, int directory_fd,
			const struct config_limits *limits, int disk, const char **step)
{
	char text[64];
	int result = 0;

	if (limits != NULL && limits->memory_bytes != 0) {
		*step = "memory.max";
		snprintf(text, sizeof(text), "%" PRIu64, limits->memory_bytes);
		result = line_file_write(directory_fd, *step, text);
	}
	if (limits != NULL && limits->cpu_percent != 0 && result == 0) {
		*step = "cpu.max";
		snprintf(text, sizeof(text), "%" PRIu64 " %d",
			 (uint64_t)limits->cpu_percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
		result = line_file_write(directory_fd, *step, text);
	}
	if (limits != NULL && limits->pids != 0 && result == 0) {
		*step = "pids.max";
		snprintf(text, sizeof(text), "%u", limits->pids);
		result = line_file_write(directory_fd, *step, text);
	}
	for (unsigned i = 0;
	     limits != NULL && limits->io != NULL && result == 0 && i < making->config->disks_count; i++) {
		if (disk >= 0 && i != (unsigned)disk)
			continue;
		*step = "io.max";
		result = cgroup_image_device(making, i, text, sizeof(text))
				 ? io_limit(directory_fd, text, limits->io)
				 : -ENODEV;
	}
	return result;
}
