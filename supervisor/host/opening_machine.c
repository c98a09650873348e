/* What the machine itself needs of the host; see opening_machine.h. */
#include "supervisor/host/opening_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/host/kernel_image.h"
#include "supervisor/host/processor.h"

#define KVM_PATH "/dev/kvm"
/* Guest RAM is sparse, so it may be more than the host has; a guest that wants this many times as much would
 * be killed as soon as it used it. */
#define MEMORY_OVERCOMMIT_MAX 8

/* --- KVM and memory --- */

void opening_open_kvm(struct opening *opening, int *kvm_fd)
{
	int fd = open(KVM_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		int error = errno;

		problem_add_host(opening->problems, 1, "host", KVM_PATH ": %s%s", strerror(error),
				 processor_kvm_remedy(error, processor_look_up(PROCESSOR_PATH)));
		return;
	}
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		problem_add_host(opening->problems, 1, "host",
				 KVM_PATH
				 ": is not KVM, or not its stable interface; see that it is the character "
				 "device 10:232");
		close(fd);
		return;
	}
	*kvm_fd = fd;
}

void opening_check_memory(struct opening *opening)
{
	struct sysinfo info;
	uint64_t host;

	if (sysinfo(&info) < 0)
		return;
	host = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
	if (opening->config->memory_bytes / MEMORY_OVERCOMMIT_MAX > host)
		problem_add_host(opening->problems, config_file_line(opening->file, "memory"), "memory",
				 "%s is more than %d times what this host has (%" PRIu64
				 " MiB with swap); write less",
				 opening->config->memory, MEMORY_OVERCOMMIT_MAX, host >> 20);
}

/* --- what boots --- */

static int open_boot_file(struct opening *opening, const char *key, const char *name, char **path)
{
	struct stat status;
	int fd;

	*path = config_file_path(opening->file, name);
	if (*path == NULL) {
		opening_fault(opening, key, name, ENOMEM);
		return -1;
	}
	/* Non-blocking: a fifo would make us wait for its writer. */
	fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode)) {
		problem_add(opening->problems, config_file_line(opening->file, "%s", key), key,
			    "%s: not a regular file; name a file", *path);
		close(fd);
		return -1;
	}
	if (fd < 0)
		opening_fault(opening, key, *path, errno);
	else if (!opening_claim(opening, key, *path, fd, FILE_READ, key)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void check_kernel(struct opening *opening, const char *path, int kernel_fd, int initrd_fd)
{
	const struct config *config = opening->config;
	struct kernel_image image;
	struct stat initrd = {0};
	const char *problem;
	unsigned line = config_file_line(opening->file, "boot.kernel");

	if (kernel_image_probe(kernel_fd, &image, &problem) < 0) {
		problem_add(opening->problems, line, "boot.kernel",
			    "%s: %s; give a Linux bzImage, or an ELF file with a PVH note", path, problem);
		return;
	}
	if (config->boot.cmdline != NULL && strlen(config->boot.cmdline) > image.cmdline_max)
		problem_add(opening->problems, config_file_line(opening->file, "boot.cmdline"),
			    "boot.cmdline", "%zu bytes, and this kernel takes %zu; make it shorter",
			    strlen(config->boot.cmdline), image.cmdline_max);
	if (initrd_fd >= 0)
		fstat(initrd_fd, &initrd);
	if (initrd_fd >= 0 && initrd.st_size == 0)
		problem_add(opening->problems, config_file_line(opening->file, "boot.initrd"), "boot.initrd",
			    "the file is empty; give a ramdisk, or leave the key out");
	if (kernel_image_place_initrd(&image, config->memory_bytes, (uint64_t)initrd.st_size) == 0)
		problem_add(opening->problems, config_file_line(opening->file, "memory"), "memory",
			    "%" PRIu64
			    " MiB is too little for this kernel%s, which need up to address 0x%" PRIx64
			    "; write more",
			    config->memory_bytes >> 20, initrd_fd >= 0 ? " and its initrd" : "",
			    image.memory_end + (uint64_t)initrd.st_size);
}

void opening_open_boot(struct opening *opening, int *kernel_fd, int *initrd_fd)
{
	const struct config_boot *boot = &opening->config->boot;
	char *kernel_path, *initrd_path = NULL;

	*kernel_fd = open_boot_file(opening, "boot.kernel", boot->kernel, &kernel_path);
	if (boot->initrd != NULL)
		*initrd_fd = open_boot_file(opening, "boot.initrd", boot->initrd, &initrd_path);
	if (*kernel_fd >= 0)
		check_kernel(opening, kernel_path, *kernel_fd, *initrd_fd);
	free(kernel_path);
	free(initrd_path);
}
