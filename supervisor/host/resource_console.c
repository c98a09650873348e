/* Where a console's output goes: a pty, a file with its bound, a listening socket; see resource.h. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/socket_path.h"
#include "common/host/pty.h"
#include "supervisor/host/resource_kinds.h"

static int open_pty(struct opening *opening, const struct config_console *console, int *console_fd)
{
	char slave[64], entry[64];
	int fd = pty_open(slave, sizeof(slave)), result;

	if (fd < 0)
		return fd;
	snprintf(entry, sizeof(entry), "console-%s", console->device.id);
	result = opening->dir != NULL ? runtime_dir_link(opening->dir, slave, entry) : 0;
	if (result < 0)
		close(fd);
	else
		*console_fd = fd;
	return result;
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
static int make_socket_at(struct opening *opening, struct resource *resource, const char *path,
			  const char *entry)
{
	struct sockaddr_un address;
	char absolute[PATH_MAX];
	int fd, result = socket_path_look(path, &address);

	if (result < 0)
		return result;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
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
		resource->console.path = strdup(absolute);
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
	resource->fd = fd;
	return 0;
}

static int look_for_socket_at(const char *path)
{
	struct sockaddr_un address;
	int result = socket_path_look(path, &address);

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
static void check_former_part(struct opening *opening, const struct config_console *console, const char *key,
			      const char *path, int fd)
{
	char resolved[PATH_MAX], former[PATH_MAX + sizeof(CONSOLE_FILE_BEFORE)], what[80];
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
	snprintf(what, sizeof(what), "the former part of the console \"%s\"", console->device.id);
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

static void console_open(struct opening *opening, struct resource *resource)
{
	const struct config_console *console = resource->console.config;
	char *path = console->path != NULL ? config_file_path(opening->file, console->path) : NULL;
	bool pty = console->output == CONFIG_OUTPUT_PTY;
	char key[64], entry[64], what[64];
	int result = 0;

	snprintf(entry, sizeof(entry), "console-%s", console->device.id);
	snprintf(what, sizeof(what), "the console \"%s\"", console->device.id);
	snprintf(key, sizeof(key), "%s.%s", resource->of.key, path != NULL ? "path" : "output");
	if (pty)
		result = open_pty(opening, console, &resource->fd);
	else if (console->output == CONFIG_OUTPUT_FILE && path != NULL)
		/* Without a path there is a problem already. */
		result = open_output_file(path, &resource->fd);
	else if (console->output == CONFIG_OUTPUT_SOCKET && path != NULL)
		result = look_for_socket_at(path);
	if (result < 0)
		console_fault(opening, key, path != NULL ? path : entry, pty, -result);
	else if (path != NULL && opening_claim(opening, key, path, resource->fd, FILE_WRITTEN, what) &&
		 console->output == CONFIG_OUTPUT_FILE)
		check_former_part(opening, console, key, path, resource->fd);
	free(path);
}

/* What was not there, and what is at the console's name in the runtime directory. */
static void console_make(struct opening *opening, struct resource *resource)
{
	const struct config_console *console = resource->console.config;
	char *path = console->path != NULL ? config_file_path(opening->file, console->path) : NULL;
	char key[64], entry[64];
	int result = 0;

	snprintf(entry, sizeof(entry), "console-%s", console->device.id);
	snprintf(key, sizeof(key), "%s.%s", resource->of.key, path != NULL ? "path" : "output");
	if (console->output == CONFIG_OUTPUT_FILE && path != NULL) {
		result = make_output_file(opening, key, path, &resource->fd);
		if (result == 0)
			result = console_file_open(&resource->console.file, path, resource->fd,
						   console->max_bytes);
	} else if (console->output == CONFIG_OUTPUT_SOCKET && path != NULL) {
		result = make_socket_at(opening, resource, path, entry);
	} else if (console->output == CONFIG_OUTPUT_SOCKET) {
		resource->fd = result = runtime_dir_listen(opening->dir, entry, SOCK_STREAM);
	}
	if (result < 0)
		console_fault(opening, key, path != NULL ? path : entry, false, -result);
	free(path);
}

static void console_empty(const struct resource *resource)
{
	/* What has no length, a fifo or a device, has nothing to be emptied. */
	if (resource->console.config->output == CONFIG_OUTPUT_FILE && ftruncate(resource->fd, 0) < 0 &&
	    errno != EINVAL)
		log_warning("console %s: its file cannot be emptied: %s", resource->of.device->id,
			    strerror(errno));
}

static void console_reach(const struct resource *resource, struct reach *reach)
{
	const struct console_resource *console = &resource->console;

	if (console->file.max > 0)
		reach_add_fd(reach, console->file.folder_fd,
			     JAIL_PATH_READ_FILE | JAIL_PATH_WRITE_FILE | JAIL_PATH_TRUNCATE |
				     JAIL_PATH_MAKE_REG | JAIL_PATH_REMOVE_FILE);
	if (console->path != NULL)
		reach_add_folder(reach, console->path, JAIL_PATH_REMOVE_FILE);
}

static uint64_t console_file_limit(const struct resource *resource)
{
	if (resource->console.config->output != CONFIG_OUTPUT_FILE)
		return 0;
	return resource->console.file.max > 0 ? resource->console.file.max : UINT64_MAX;
}

static void console_close(struct resource *resource)
{
	console_file_close(&resource->console.file);
	if (resource->console.path != NULL)
		unlink(resource->console.path);
	free(resource->console.path);
}

static const struct resource_kind console_kind = {
	.open = console_open,
	.make = console_make,
	.empty = console_empty,
	.reach = console_reach,
	.file_limit = console_file_limit,
	.close = console_close,
};

void resource_console_init(struct resource *resource, const struct config_console *console)
{
	resource->kind = &console_kind;
	resource->console.config = console;
	resource->console.file = (struct console_file){.folder_fd = -1, .spare_fd = -1};
}
