/*
 * Opening host resources. Each function opens one kind, and says what is wrong in terms of the config's key.
 * In three steps, so that a refused VM leaves nothing and has changed nothing: what is there is opened and
 * compared with everything else that the VM uses; then what is missing is made; when the VM starts, the files
 * that consoles write are emptied.
 */
#include "supervisor/host/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/host/disk_image.h"
#include "common/host/image_lock.h"
#include "common/host/kernel_image.h"
#include "common/host/pty.h"
#include "common/host/tap.h"
#include "common/ring/state_page.h"
#include "supervisor/host/processor.h"

#define KVM_PATH "/dev/kvm"
/* Guest RAM is sparse, so it may be more than the host has; a guest that wants this many times as much would
 * be killed as soon as it used it. */
#define MEMORY_OVERCOMMIT_MAX 8

struct opening {
	const struct config_file *file;
	const struct config *config;
	const struct runtime_dir *dir;
	struct file_claims *claims;
	struct resources *resources;
	struct problems *problems;
};

/* What to do about an errno of open(2). */
static const char *open_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return "see that the path is right; it starts at the config file's folder";
	case EACCES:
	case EPERM:
		return "give this user the right to it, or run as one who has it";
	case EROFS:
		return "its file system is mounted read-only; write readonly: true, or move it";
	case EBUSY:
		return "unmount it, or end the program that uses it";
	case EISDIR:
		return "name a file";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOMEM:
		return "free some memory";
	default:
		return "see that the host can open it";
	}
}

/* What is no fault of the config's: a right that is missing, or a limit of this user's or this host's. */
static bool host_lacks(int error)
{
	return error == EACCES || error == EPERM || error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void opening_fault(struct opening *opening, const char *key, const char *path, int error)
{
	unsigned line = config_file_line(opening->file, "%s", key);

	if (host_lacks(error))
		problem_add_host(opening->problems, line, key, "%s: %s; %s", path, strerror(error),
				 open_remedy(error));
	else
		problem_add(opening->problems, line, key, "%s: %s; %s", path, strerror(error),
			    open_remedy(error));
}

/* Whether the VM may use an open file (or, with fd -1, what there is or will be at the path) for this too. */
static bool opening_claim(struct opening *opening, const char *key, const char *path, int fd,
			  enum file_use use, const char *what)
{
	const char *other = fd >= 0 ? file_claims_add_fd(opening->claims, fd, use, what)
				    : file_claims_add_path(opening->claims, path, use, what);

	if (other == NULL)
		return true;
	problem_add(opening->problems, config_file_line(opening->file, "%s", key), key,
		    "%s: the same file as %s, and it would be written over; name another", path, other);
	return false;
}

/* --- KVM and memory --- */

static void open_kvm(struct opening *opening)
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
	opening->resources->kvm_fd = fd;
}

static void check_host_memory(struct opening *opening)
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

static void check_kernel(struct opening *opening, const char *path)
{
	const struct config *config = opening->config;
	struct resources *resources = opening->resources;
	struct kernel_image image;
	struct stat initrd = {0};
	const char *problem;
	unsigned line = config_file_line(opening->file, "boot.kernel");

	if (kernel_image_probe(resources->kernel_fd, &image, &problem) < 0) {
		problem_add(opening->problems, line, "boot.kernel",
			    "%s: %s; give a Linux bzImage, or an ELF file with a PVH note", path, problem);
		return;
	}
	if (config->boot.cmdline != NULL && strlen(config->boot.cmdline) > image.cmdline_max)
		problem_add(opening->problems, config_file_line(opening->file, "boot.cmdline"),
			    "boot.cmdline", "%zu bytes, and this kernel takes %zu; make it shorter",
			    strlen(config->boot.cmdline), image.cmdline_max);
	if (resources->initrd_fd >= 0)
		fstat(resources->initrd_fd, &initrd);
	if (resources->initrd_fd >= 0 && initrd.st_size == 0)
		problem_add(opening->problems, config_file_line(opening->file, "boot.initrd"), "boot.initrd",
			    "the file is empty; give a ramdisk, or leave the key out");
	if (kernel_image_place_initrd(&image, config->memory_bytes, (uint64_t)initrd.st_size) == 0)
		problem_add(opening->problems, config_file_line(opening->file, "memory"), "memory",
			    "%" PRIu64
			    " MiB is too little for this kernel%s, which need up to address 0x%" PRIx64
			    "; write more",
			    config->memory_bytes >> 20, resources->initrd_fd >= 0 ? " and its initrd" : "",
			    image.memory_end + (uint64_t)initrd.st_size);
}

static void open_boot(struct opening *opening)
{
	const struct config_boot *boot = &opening->config->boot;
	char *kernel_path, *initrd_path = NULL;

	opening->resources->kernel_fd = open_boot_file(opening, "boot.kernel", boot->kernel, &kernel_path);
	if (boot->initrd != NULL)
		opening->resources->initrd_fd =
			open_boot_file(opening, "boot.initrd", boot->initrd, &initrd_path);
	if (opening->resources->kernel_fd >= 0)
		check_kernel(opening, kernel_path);
	free(kernel_path);
	free(initrd_path);
}

/* --- disks --- */

static void open_witnesses(struct opening *opening, unsigned index, const char *key, const char *path)
{
	for (int i = 0; i < DISK_WITNESSES && !opening->config->disks[index].readonly; i++) {
		int result = disk_image_witness(opening->resources->disk_fds[index],
						&opening->resources->disk_witnesses[index][i]);

		if (result < 0) {
			opening_fault(opening, key, path, -result);
			return;
		}
	}
}

static void open_disk(struct opening *opening, unsigned index)
{
	const struct config_disk *disk = &opening->config->disks[index];
	struct image_lock_holder holder = {0};
	struct disk_image image;
	const char *problem, *container;
	char key[64], holder_text[IMAGE_LOCK_TEXT_MAX], what[64];
	unsigned line;
	char *path = config_file_path(opening->file, disk->path);
	int fd, result;

	snprintf(key, sizeof(key), "disks[%u].path", index);
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
	snprintf(what, sizeof(what), "the disk \"%s\"", disk->id);
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
		opening->resources->disk_fds[index] = fd;
		open_witnesses(opening, index, key, path);
		disk_image_discard(fd, &opening->resources->disk_discards[index]);
		goto free_path;
	}
close_image:
	close(fd);
free_path:
	free(path);
}

/* --- networks --- */

static void open_network(struct opening *opening, unsigned index)
{
	const char *name = opening->config->networks[index].tap;
	struct network_resource *network = &opening->resources->networks[index];
	const char *problem = NULL;
	struct tap tap;
	char key[64];
	unsigned line;
	int result;

	snprintf(key, sizeof(key), "networks[%u].tap", index);
	line = config_file_line(opening->file, "%s", key);
	result = tap_open(name, &tap, &problem);
	/* -ENOENT: it is the host that lacks /dev/net/tun; an interface that is not there is another error. */
	if (result == -ENOENT || host_lacks(-result)) {
		problem_add_host(opening->problems, line, key, "%s: %s", name, problem);
	} else if (result < 0) {
		problem_add(opening->problems, line, key, "%s: %s", name, problem);
	} else {
		network->fd = tap.fd;
		network->interface_index = tap.index;
		network->mtu = tap.mtu;
		network->link_up = tap.up;
	}
}

int resources_renew_tap(struct network_resource *network, const char *name, const char **problem)
{
	struct tap tap;
	int result;

	if (!tap_gone(network->fd))
		return 0;
	result = tap_open(name, &tap, problem);
	if (result < 0)
		return result;
	close(network->fd);
	network->fd = tap.fd;
	network->interface_index = tap.index;
	network->mtu = tap.mtu;
	network->link_up = tap.up;
	network->gone = false;
	return 0;
}

/* --- consoles --- */

static int open_pty(struct opening *opening, const struct config_console *console, int *console_fd)
{
	char slave[64], entry[64];
	int fd = pty_open(slave, sizeof(slave)), result;

	if (fd < 0)
		return fd;
	snprintf(entry, sizeof(entry), "console-%s", console->id);
	result = opening->dir != NULL ? runtime_dir_link(opening->dir, slave, entry) : 0;
	if (result < 0)
		close(fd);
	else
		*console_fd = fd;
	return result;
}

/* A socket file that nobody listens on is what a killed program left; one that somebody does is refused. */
static int clear_stale_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat status;
	int fd, result;

	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(status.st_mode))
		return -EEXIST;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	result = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	close(fd);
	return result == -ECONNREFUSED ? 0 : -EADDRINUSE;
}

/* Whether something can be made at the path. */
static int check_folder(const char *path)
{
	char folder[PATH_MAX];

	if (snprintf(folder, sizeof(folder), "%s", path) >= (int)sizeof(folder))
		return -ENAMETOOLONG;
	return access(dirname(folder), W_OK | X_OK) < 0 ? -errno : 0;
}

/* A listening socket at a path of the operator's choice, and the link to it where others look. */
static int make_socket_at(struct opening *opening, unsigned index, const char *path, const char *entry,
			  int *console_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char absolute[PATH_MAX];
	int fd, result = clear_stale_socket(path);

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	strcpy(address.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		result = -errno;
		close(fd);
		return result;
	}
	/* Absolute: a detached supervisor leaves its folder. */
	if (realpath(path, absolute) == NULL)
		result = -errno;
	else
		opening->resources->console_paths[index] = strdup(absolute);
	if (result < 0 || listen(fd, 16) < 0) {
		result = -errno;
		unlink(path);
	} else {
		result = runtime_dir_link(opening->dir, absolute, entry);
	}
	if (result < 0) {
		close(fd);
		return result;
	}
	*console_fd = fd;
	return 0;
}

static int look_for_socket_at(const char *path)
{
	struct sockaddr_un address;
	int result = clear_stale_socket(path);

	if (result == 0 && strlen(path) >= sizeof(address.sun_path))
		result = -ENAMETOOLONG;
	return result == 0 ? check_folder(path) : result;
}

/* Opens the file if it is there; else it can be made. */
static int open_output_file(const char *path, int *console_fd)
{
	*console_fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*console_fd >= 0)
		return 0;
	return errno == ENOENT ? check_folder(path) : -errno;
}

static int make_output_file(struct opening *opening, const char *key, const char *path, int *console_fd)
{
	if (*console_fd >= 0)
		return 0;
	*console_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (*console_fd < 0)
		return -errno;
	/* What was not there by that name may be there by another: the end of a link, made a moment ago. */
	opening_claim(opening, key, path, *console_fd, FILE_WRITTEN, key);
	return 0;
}

/* The file has a bound: where its former part will be is its place too. fd: the file; -1: it is not there yet. */
static void check_former_part(struct opening *opening, unsigned index, const char *key, const char *path,
			      int fd)
{
	char resolved[PATH_MAX], former[PATH_MAX + sizeof(CONSOLE_FILE_BEFORE)], what[80];
	const struct config_console *console = &opening->config->consoles[index];
	const char *problem = console_file_check(path, fd);
	struct stat status;

	if (console->max_bytes == 0 || (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))))
		return;
	if (problem != NULL) {
		problem_add(opening->problems, config_file_line(opening->file, "%s", key), key, "%s: %s",
			    path, problem);
		return;
	}
	snprintf(former, sizeof(former), "%s" CONSOLE_FILE_BEFORE,
		 realpath(path, resolved) != NULL ? resolved : path);
	snprintf(what, sizeof(what), "the former part of the console \"%s\"", console->id);
	opening_claim(opening, key, former, -1, FILE_WRITTEN, what);
}

static void console_fault(struct opening *opening, const char *key, const char *path, bool pty, int error)
{
	unsigned line = config_file_line(opening->file, "%s", key);

	if (error == EADDRINUSE)
		problem_add(opening->problems, line, key,
			    "%s: another program listens there; end it, or choose another path", path);
	else if (error == EEXIST)
		problem_add(opening->problems, line, key,
			    "%s: there is a file that is no socket; remove it, or choose another path", path);
	else if (pty)
		problem_add_host(
			opening->problems, line, key,
			"no pseudo-terminal can be had: %s; see that /dev/ptmx is there and devpts is "
			"mounted on /dev/pts",
			strerror(error));
	else
		opening_fault(opening, key, path, error);
}

/* make: what is missing is made; otherwise it is seen whether it could be. */
static void open_console(struct opening *opening, unsigned index, bool make)
{
	const struct config_console *console = &opening->config->consoles[index];
	char *path = console->path != NULL ? config_file_path(opening->file, console->path) : NULL;
	int *fd = &opening->resources->console_fds[index];
	char key[64], entry[64], what[64];
	int result = 0;

	snprintf(entry, sizeof(entry), "console-%s", console->id);
	snprintf(what, sizeof(what), "the console \"%s\"", console->id);
	snprintf(key, sizeof(key), "consoles[%u].%s", index, path != NULL ? "path" : "output");
	switch (console->output) {
	case CONFIG_OUTPUT_PTY:
		result = make ? 0 : open_pty(opening, console, fd);
		break;
	case CONFIG_OUTPUT_FILE:
		/* Without a path there is a problem already. */
		if (path != NULL && make)
			result = make_output_file(opening, key, path, fd);
		if (path != NULL && make && result == 0)
			result = console_file_open(&opening->resources->console_files[index], path, *fd,
						   console->max_bytes);
		else if (path != NULL)
			result = open_output_file(path, fd);
		break;
	case CONFIG_OUTPUT_SOCKET:
		if (path != NULL)
			result = make ? make_socket_at(opening, index, path, entry, fd)
				      : look_for_socket_at(path);
		else if (make)
			*fd = result = runtime_dir_listen(opening->dir, entry, SOCK_STREAM);
		break;
	case CONFIG_OUTPUT_STDIO:
	case CONFIG_OUTPUT_NULL:
		break;
	}
	if (result < 0)
		console_fault(opening, key, path != NULL ? path : entry, console->output == CONFIG_OUTPUT_PTY,
			      -result);
	else if (!make && path != NULL && opening_claim(opening, key, path, *fd, FILE_WRITTEN, what) &&
		 console->output == CONFIG_OUTPUT_FILE)
		check_former_part(opening, index, key, path, *fd);
	free(path);
}

/* --- state --- */

/* What a device's processes leave to each other. */
static void open_state(struct opening *opening, int *fd)
{
	int result = state_page_create(fd);

	if (result < 0)
		problem_add_host(opening->problems, 1, "host",
				 "no memory can be had for a device's state: %s; %s", strerror(-result),
				 open_remedy(-result));
}

static void open_states(struct opening *opening)
{
	struct resources *resources = opening->resources;

	for (unsigned i = 0; i < resources->disk_count; i++)
		open_state(opening, &resources->disk_states[i]);
	for (unsigned i = 0; i < resources->network_count; i++)
		open_state(opening, &resources->networks[i].state_fd);
	for (unsigned i = 0; i < resources->console_count; i++)
		open_state(opening, &resources->console_states[i]);
}

/* --- all of them --- */

bool resources_allocate(struct resources *resources, const struct config *config)
{
	*resources = (struct resources){.kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1};
	resources->disk_fds = malloc((config->disks_count + 1) * sizeof(*resources->disk_fds));
	resources->disk_witnesses = malloc((config->disks_count + 1) * sizeof(*resources->disk_witnesses));
	resources->disk_states = malloc((config->disks_count + 1) * sizeof(*resources->disk_states));
	resources->disk_discards = calloc(config->disks_count + 1, sizeof(*resources->disk_discards));
	resources->networks = calloc(config->networks_count + 1, sizeof(*resources->networks));
	resources->console_fds = malloc((config->consoles_count + 1) * sizeof(*resources->console_fds));
	resources->console_states = malloc((config->consoles_count + 1) * sizeof(*resources->console_states));
	resources->console_paths = calloc(config->consoles_count + 1, sizeof(*resources->console_paths));
	resources->console_files = calloc(config->consoles_count + 1, sizeof(*resources->console_files));
	if (resources->disk_fds == NULL || resources->disk_witnesses == NULL ||
	    resources->disk_states == NULL || resources->disk_discards == NULL ||
	    resources->networks == NULL || resources->console_fds == NULL ||
	    resources->console_states == NULL || resources->console_paths == NULL ||
	    resources->console_files == NULL)
		return false;
	resources->disk_count = config->disks_count;
	resources->network_count = config->networks_count;
	resources->console_count = config->consoles_count;
	for (unsigned i = 0; i < config->disks_count; i++)
		resources->disk_fds[i] = resources->disk_states[i] = resources->disk_witnesses[i][0] =
			resources->disk_witnesses[i][1] = -1;
	for (unsigned i = 0; i < config->networks_count; i++)
		resources->networks[i].fd = resources->networks[i].state_fd = -1;
	for (unsigned i = 0; i < config->consoles_count; i++) {
		resources->console_fds[i] = resources->console_states[i] = -1;
		resources->console_files[i] = (struct console_file){.folder_fd = -1, .spare_fd = -1};
	}
	return true;
}

void resources_open(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems)
{
	struct opening opening = {file, file->config, dir, claims, resources, problems};

	if (!resources_allocate(resources, file->config)) {
		problem_add_host(problems, 1, "host", "out of memory; free some, and try again");
		return;
	}
	/* Its own file is read no more, and would be lost all the same. */
	if (file->path != NULL)
		file_claims_add_path(claims, file->path, FILE_READ, "the config file");
	if (dir != NULL)
		file_claims_add_fd(claims, dir->lock_fd, FILE_WRITTEN,
				   "the runtime directory's file \"pid\"");
	open_kvm(&opening);
	check_host_memory(&opening);
	open_boot(&opening);
	for (unsigned i = 0; i < resources->disk_count; i++)
		open_disk(&opening, i);
	for (unsigned i = 0; i < resources->network_count; i++)
		open_network(&opening, i);
	for (unsigned i = 0; i < resources->console_count; i++)
		open_console(&opening, i, false);
	if (dir != NULL)
		open_states(&opening);
}

void resources_make(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems)
{
	struct opening opening = {file, file->config, dir, claims, resources, problems};

	for (unsigned i = 0; i < resources->console_count && problems->count == 0; i++)
		open_console(&opening, i, true);
}

void resources_empty(const struct config *config, const struct resources *resources)
{
	for (unsigned i = 0; i < resources->console_count; i++)
		/* What has no length, a fifo or a device, has nothing to be emptied. */
		if (config->consoles[i].output == CONFIG_OUTPUT_FILE &&
		    ftruncate(resources->console_fds[i], 0) < 0 && errno != EINVAL)
			log_warning("console %s: its file cannot be emptied: %s", config->consoles[i].id,
				    strerror(errno));
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void resources_close(struct resources *resources)
{
	fd_close(resources->kvm_fd);
	fd_close(resources->kernel_fd);
	fd_close(resources->initrd_fd);
	for (unsigned i = 0; i < resources->disk_count; i++) {
		fd_close(resources->disk_fds[i]);
		for (int k = 0; k < DISK_WITNESSES; k++)
			fd_close(resources->disk_witnesses[i][k]);
		fd_close(resources->disk_states[i]);
	}
	for (unsigned i = 0; i < resources->network_count; i++) {
		fd_close(resources->networks[i].fd);
		fd_close(resources->networks[i].state_fd);
	}
	for (unsigned i = 0; i < resources->console_count; i++) {
		fd_close(resources->console_fds[i]);
		fd_close(resources->console_states[i]);
		console_file_close(&resources->console_files[i]);
		if (resources->console_paths[i] != NULL)
			unlink(resources->console_paths[i]);
		free(resources->console_paths[i]);
	}
	free(resources->disk_fds);
	free(resources->disk_witnesses);
	free(resources->disk_states);
	free(resources->disk_discards);
	free(resources->networks);
	free(resources->console_fds);
	free(resources->console_states);
	free(resources->console_paths);
	free(resources->console_files);
	*resources = (struct resources){.kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1};
}
