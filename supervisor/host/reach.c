/*
 * The paths of the supervisor's Landlock ruleset.
 */
#include "supervisor/host/reach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void reach_take(struct reach *reach, int fd, unsigned rights)
{
	struct jail_path *larger = reallocarray(reach->paths, reach->count + 1, sizeof(*larger));

	if (larger == NULL) {
		close(fd);
		reach->error = -ENOMEM;
		return;
	}
	reach->paths = larger;
	larger[reach->count++] = (struct jail_path){fd, rights};
}

void reach_add_fd(struct reach *reach, int fd, unsigned rights)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0)
		reach->error = -errno;
	else
		reach_take(reach, copy, rights);
}

void reach_add_path(struct reach *reach, int dir_fd, const char *path, unsigned rights)
{
	int fd = openat(dir_fd, path, O_PATH | O_CLOEXEC);

	if (fd >= 0)
		reach_take(reach, fd, rights);
	else if (errno != ENOENT)
		reach->error = -errno;
}

void reach_add_folder(struct reach *reach, const char *path, unsigned rights)
{
	char folder[PATH_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	slash[slash == folder ? 1 : 0] = '\0';
	reach_add_path(reach, AT_FDCWD, folder, rights);
}

void reach_add_runtime_dir(struct reach *reach, const struct runtime_dir *dir)
{
	reach_add_fd(reach, dir->base_fd, JAIL_PATH_REMOVE_DIR);
	reach_add_fd(reach, dir->fd, JAIL_PATH_READ_DIR | JAIL_PATH_REMOVE_FILE);
}

/* Where a log that the operator has moved away is made again: at its name, or where that leads to. */
void reach_add_log(struct reach *reach, const struct log_file *log)
{
	unsigned rights = JAIL_PATH_WRITE_FILE | JAIL_PATH_MAKE_REG;
	char real[PATH_MAX];
	struct stat status;

	if (log->fd < 0)
		return;
	if (fstat(log->fd, &status) == 0 && !S_ISREG(status.st_mode)) {
		reach_add_path(reach, AT_FDCWD, log->path, JAIL_PATH_WRITE_FILE);
		return;
	}
	if (!log->named)
		rights |= JAIL_PATH_REMOVE_FILE | JAIL_PATH_TRUNCATE;
	reach_add_folder(reach, log->path, rights);
	if (realpath(log->path, real) != NULL && strcmp(real, log->path) != 0)
		reach_add_folder(reach, real, rights);
}

void reach_clear(struct reach *reach)
{
	for (size_t i = 0; i < reach->count; i++)
		close(reach->paths[i].fd);
	free(reach->paths);
	*reach = (struct reach){0};
}
