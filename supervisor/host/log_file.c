/*
 * The log file of a detached VM. After log_file_take() there is no descriptor but the standard error.
 */
#include "supervisor/host/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "supervisor/host/log_output.h"

/* The folder of logs: $ATOLL_LOG_DIR, /var/log/atoll for root, else atoll in the user's state directory. */
static int log_directory(char *path, size_t size)
{
	const char *own = getenv("ATOLL_LOG_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int length;

	if (own != NULL && own[0] != '\0')
		length = snprintf(path, size, "%s", own);
	else if (geteuid() == 0)
		length = snprintf(path, size, "/var/log/atoll");
	else if (state != NULL && state[0] == '/')
		length = snprintf(path, size, "%s/atoll", state);
	else if (home != NULL && home[0] == '/')
		length = snprintf(path, size, "%s/.local/state/atoll", home);
	else
		return -ENOENT;
	return (size_t)length < size ? 0 : -ENAMETOOLONG;
}

/* The supervisor will leave its folder. */
static int log_set_path(struct log_file *log, const char *path)
{
	char folder[PATH_MAX] = "";

	if (path[0] != '/' && getcwd(folder, sizeof(folder)) == NULL)
		return -errno;
	return snprintf(log->path, sizeof(log->path), "%s%s%s", folder, path[0] != '/' ? "/" : "", path) <
			       (int)sizeof(log->path)
		       ? 0
		       : -ENAMETOOLONG;
}

int log_file_choose(struct log_file *log, const char *option, const char *vm)
{
	char folder[PATH_MAX], path[PATH_MAX + 80];
	int result;

	*log = (struct log_file){.fd = -1, .named = option != NULL};
	if (option != NULL)
		return log_set_path(log, option);
	result = log_directory(folder, sizeof(folder));
	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "%s/%s.log", folder, vm);
	return log_set_path(log, path);
}

/* Makes the folder of a path, and those above it. */
static int log_make_folder(const char *path)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

/* Whether the folder of our own logs is one in which nobody else makes files. */
static int log_check_folder(const char *path)
{
	char folder[PATH_MAX];
	struct stat status;

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (stat(folder, &status) < 0)
		return -errno;
	return (status.st_uid == geteuid() || status.st_uid == 0) && !(status.st_mode & (S_IWGRP | S_IWOTH))
		       ? 0
		       : -EPERM;
}

static int log_open_path(const struct log_file *log)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
	struct stat status;
	int fd = open(log->path, log->named ? flags : flags | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	if (!log->named && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

int log_file_open(struct log_file *log, const struct runtime_dir *dir)
{
	int result = log->path[0] == '\0' ? -ENOENT : 0;

	if (result == 0 && !log->named)
		result = log_make_folder(log->path);
	if (result == 0 && !log->named)
		result = log_check_folder(log->path);
	if (result == 0)
		result = log_open_path(log);
	if (result >= 0) {
		log->fd = result;
		return runtime_dir_link(dir, log->path, RUNTIME_LOG);
	}
	if (log->named)
		return result;
	log_warning(
		"the log is kept no longer than the VM runs: %s: %s; set ATOLL_LOG_DIR, or give --log-file",
		log->path[0] != '\0' ? log->path : "neither HOME nor XDG_STATE_HOME is set",
		strerror(-result));
	result = log_set_path(log, dir->path);
	if (result == 0 && strlen(log->path) + sizeof("/" RUNTIME_LOG) > sizeof(log->path))
		result = -ENAMETOOLONG;
	if (result < 0)
		return result;
	strcat(log->path, "/" RUNTIME_LOG);
	log->fd = log_open_path(log);
	return log->fd < 0 ? log->fd : 0;
}

void log_file_take(struct log_file *log)
{
	if (log->fd < 0)
		return;
	log_output_become(log->fd);
	close(log->fd);
	log->fd = -1;
}

void log_file_reopen(struct log_file *log)
{
	int fd = log_open_path(log);

	if (fd < 0) {
		log_warning("the log file %s cannot be opened again: %s; the one before goes on", log->path,
			    strerror(-fd));
		return;
	}
	log->fd = fd;
	log_file_take(log);
}

void log_file_bound(struct log_file *log)
{
	char before[PATH_MAX + 2];
	struct stat status;

	if (log->named || fstat(STDERR_FILENO, &status) < 0 || status.st_size < LOG_FILE_MAX)
		return;
	snprintf(before, sizeof(before), "%s.1", log->path);
	/* If it cannot be moved, it begins anew where it is. */
	if (rename(log->path, before) < 0 && ftruncate(STDERR_FILENO, 0) < 0)
		return;
	log_file_reopen(log);
}
