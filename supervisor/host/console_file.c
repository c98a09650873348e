/*
 * The file of a console, and its bound.
 */
#include "supervisor/host/console_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/host/image_lock.h"

#define FILE_FLAGS (O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW)

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether PATH.1 may be emptied, if `file` is PATH. */
static bool is_ours(const struct stat *before, const struct stat *file)
{
	return S_ISREG(before->st_mode) && before->st_nlink == 1 &&
	       (before->st_uid == geteuid() || before->st_uid == file->st_uid);
}

const char *console_file_check(const char *path, int fd)
{
	struct stat file = {.st_uid = geteuid()}, before;
	char resolved[PATH_MAX], name[PATH_MAX + sizeof(CONSOLE_FILE_BEFORE)];

	if (fd >= 0 && (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode)))
		return NULL;
	snprintf(name, sizeof(name), "%s" CONSOLE_FILE_BEFORE,
		 realpath(path, resolved) != NULL ? resolved : path);
	if (lstat(name, &before) < 0 || is_ours(&before, &file))
		return NULL;
	return "its first part is kept under this name with .1 behind it when it is full, and there is "
	       "something else; remove that, or write max-size: unlimited";
}

static const char *file_name(const struct console_file *file)
{
	return strrchr(file->path, '/') + 1;
}

/* Checked when it was opened. */
static void file_name_before(const struct console_file *file, char name[NAME_MAX + 1])
{
	snprintf(name, NAME_MAX + 1, "%s" CONSOLE_FILE_BEFORE, file_name(file));
}

int console_file_open(struct console_file *file, const char *path, int fd, uint64_t max)
{
	char folder[PATH_MAX];
	struct stat status;
	char *slash;

	*file = (struct console_file){.folder_fd = -1, .spare_fd = -1};
	if (max == 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return 0;
	if (realpath(path, file->path) == NULL)
		return -errno;
	if (strlen(file_name(file)) + sizeof(CONSOLE_FILE_BEFORE) > NAME_MAX + 1)
		return -ENAMETOOLONG;
	strcpy(folder, file->path);
	slash = strrchr(folder, '/');
	slash[slash == folder ? 1 : 0] = '\0';
	file->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->folder_fd < 0)
		return -errno;
	file->max = max;
	return 0;
}

void console_file_close(struct console_file *file)
{
	if (file->folder_fd >= 0)
		close(file->folder_fd);
	if (file->spare_fd >= 0)
		close(file->spare_fd);
	*file = (struct console_file){.folder_fd = -1, .spare_fd = -1};
}

bool console_file_is_full(const struct console_file *file, int fd)
{
	struct stat status;

	if (file->max == 0)
		return false;
	/* One that somebody else has emptied meanwhile is written to behind its end. */
	return (fstat(fd, &status) == 0 && (uint64_t)status.st_size >= file->max) ||
	       lseek(fd, 0, SEEK_CUR) >= (off_t)file->max;
}

static int spare_make(struct console_file *file, const char *name, mode_t mode, const char **problem)
{
	/* A sealed supervisor changes the rights of no file. */
	mode_t mask = umask(0);
	int fd = openat(file->folder_fd, name, FILE_FLAGS | O_CREAT | O_EXCL, mode & 0777);
	int result = fd < 0 ? -errno : 0;

	umask(mask);
	if (result < 0) {
		*problem = "a second file beside it, with .1 behind its name, cannot be made";
		return result;
	}
	/* The one before, if any, is where somebody put it, or nowhere. */
	if (file->spare_fd >= 0)
		close(file->spare_fd);
	file->spare_fd = fd;
	return 0;
}

/* Whether somebody's disk is at the name: who writes to one has it locked. */
static int spare_look_for_lock(const struct console_file *file, const char *name)
{
	int fd = openat(file->folder_fd, name, (FILE_FLAGS & ~O_ACCMODE) | O_RDWR);
	struct image_lock_holder holder;
	int result = fd < 0 ? -errno : image_lock(fd, IMAGE_LOCK_WRITE, &holder);

	if (fd >= 0)
		close(fd);
	/* A file system without locks has no disks that are locked. */
	return result == -ENOLCK || result == -EOPNOTSUPP ? 0 : result;
}

/* PATH.1 of an earlier run. */
static int spare_open(struct console_file *file, const char *name, const struct stat *named)
{
	int result = spare_look_for_lock(file, name);
	struct stat status;
	int fd;

	if (result < 0)
		return result;
	fd = openat(file->folder_fd, name, FILE_FLAGS);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0 || !same_file(&status, named)) {
		close(fd);
		return -ESTALE;
	}
	file->spare_fd = fd;
	return 0;
}

/* Sees to it that PATH.1 is an empty file of ours. current: PATH. */
static int spare_prepare(struct console_file *file, const char *name, const struct stat *current,
			 const char **problem)
{
	struct stat named, spare;
	int result = 0;

	if (fstatat(file->folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0) {
		*problem = "its folder cannot be read";
		return errno == ENOENT ? spare_make(file, name, current->st_mode, problem) : -errno;
	}
	*problem = "what has its name with .1 behind it is not its former part, and is left alone";
	if (!is_ours(&named, current) || same_file(&named, current))
		return -EEXIST;
	if (file->spare_fd < 0)
		result = spare_open(file, name, &named);
	else if (fstat(file->spare_fd, &spare) < 0 || !same_file(&spare, &named))
		result = -EEXIST;
	if (result == 0 && (ftruncate(file->spare_fd, 0) < 0 || lseek(file->spare_fd, 0, SEEK_SET) < 0)) {
		*problem = "its former part, with .1 behind its name, cannot be emptied";
		result = -errno;
	}
	return result;
}

int console_file_rotate(struct console_file *file, int *fd, const char **problem)
{
	char before[NAME_MAX + 1];
	const char *name = file_name(file);
	struct stat current, named, spare;
	int result, was = *fd;

	file_name_before(file, before);
	*problem = "it is not where it was any more";
	if (fstat(*fd, &current) < 0 || fstatat(file->folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!same_file(&current, &named))
		return -ESTALE;
	result = spare_prepare(file, before, &current, problem);
	if (result < 0)
		return result;
	*problem = "names cannot be exchanged there";
	if (renameat2(file->folder_fd, before, file->folder_fd, name, RENAME_EXCHANGE) < 0)
		return -errno;
	/* What was put there in the last moment goes back, whatever it is. */
	if (fstat(file->spare_fd, &spare) < 0 ||
	    fstatat(file->folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0 || !same_file(&spare, &named)) {
		renameat2(file->folder_fd, before, file->folder_fd, name, RENAME_EXCHANGE);
		*problem = "another program puts files into their places";
		return -ESTALE;
	}
	*fd = file->spare_fd;
	file->spare_fd = was;
	return 0;
}
