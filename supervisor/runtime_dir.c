/*
 * The runtime directory. The lock file is the truth; everything else below NAME/ is worth as much as the lock
 * on it.
 */
#include "supervisor/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/config_value.h"

#define LOCK_FILE "pid"
/* Attempts to lock a file that others may be removing at the same time. */
#define LOCK_ATTEMPTS 100

int runtime_base_path(char *path, size_t size)
{
	const char *own = getenv("ATOLL_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	int length;

	if (own != NULL && own[0] != '\0')
		length = snprintf(path, size, "%s", own);
	else if (geteuid() == 0)
		length = snprintf(path, size, "/run/atoll");
	else if (xdg != NULL && xdg[0] != '\0')
		length = snprintf(path, size, "%s/atoll", xdg);
	else
		return -ENOENT;
	return (size_t)length < size ? 0 : -ENAMETOOLONG;
}

int runtime_base_open(int *base_fd, int create)
{
	char path[PATH_MAX];
	int result = runtime_base_path(path, sizeof(path));

	if (result < 0)
		return result;
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	*base_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *base_fd < 0 ? -errno : 0;
}

/* --- the lock --- */

static pid_t lock_read_pid(int lock_fd)
{
	char text[16] = "";
	ssize_t size = pread(lock_fd, text, sizeof(text) - 1, 0);
	long pid;

	if (size <= 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* Whether the locked file is still the one that stands in the directory: another may have removed it between
 * our open and our lock. */
static bool lock_is_current(int directory_fd, int lock_fd)
{
	struct stat opened, present;

	return fstat(lock_fd, &opened) == 0 &&
	       fstatat(directory_fd, LOCK_FILE, &present, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_dev == present.st_dev && opened.st_ino == present.st_ino;
}

/* Opens NAME/ and locks NAME/pid. -EBUSY with *holder; -ENOENT when it must exist and does not. */
static int lock_take(int base_fd, const char *name, bool create, int *directory_fd, int *lock_fd,
		     pid_t *holder)
{
	int result = -EAGAIN;

	*holder = 0;
	for (int attempt = 0; attempt < LOCK_ATTEMPTS && result == -EAGAIN; attempt++) {
		if (create && mkdirat(base_fd, name, 0700) < 0 && errno != EEXIST)
			return -errno;
		*directory_fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (*directory_fd < 0) {
			if (errno == ENOENT && create)
				continue;
			return -errno;
		}
		*lock_fd =
			openat(*directory_fd, LOCK_FILE,
			       O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (create ? O_CREAT : 0), 0600);
		if (*lock_fd < 0) {
			/* The directory was removed under us. */
			result = errno == ENOENT && create ? -EAGAIN : -errno;
			close(*directory_fd);
			continue;
		}
		if (flock(*lock_fd, LOCK_EX | LOCK_NB) < 0) {
			result = errno == EWOULDBLOCK ? -EBUSY : -errno;
			*holder = lock_read_pid(*lock_fd);
		} else if (lock_is_current(*directory_fd, *lock_fd)) {
			return 0;
		}
		close(*lock_fd);
		close(*directory_fd);
	}
	return result;
}

static void directory_empty(int directory_fd)
{
	int list_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct dirent *entry;

	if (list == NULL) {
		if (list_fd >= 0)
			close(list_fd);
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, LOCK_FILE) != 0)
			unlinkat(directory_fd, entry->d_name, 0);
	}
	closedir(list);
}

/* The lock file goes last: as long as it stands, the directory is ours. */
static void directory_remove(int base_fd, const char *name, int directory_fd)
{
	directory_empty(directory_fd);
	unlinkat(directory_fd, LOCK_FILE, 0);
	unlinkat(base_fd, name, AT_REMOVEDIR);
}

int runtime_dir_take(const char *name, struct runtime_dir *dir, pid_t *holder)
{
	char base[PATH_MAX];
	int result;

	*holder = 0;
	dir->fd = dir->lock_fd = -1;
	result = runtime_base_path(base, sizeof(base));
	if (result == 0)
		result = runtime_base_open(&dir->base_fd, 1);
	if (result < 0)
		return result;
	result = lock_take(dir->base_fd, name, true, &dir->fd, &dir->lock_fd, holder);
	if (result == 0) {
		snprintf(dir->name, sizeof(dir->name), "%s", name);
		snprintf(dir->path, sizeof(dir->path), "%.*s/%s", PATH_MAX - 70, base, name);
		directory_empty(dir->fd);
		if (ftruncate(dir->lock_fd, 0) < 0 || dprintf(dir->lock_fd, "%d\n", (int)getpid()) < 0) {
			result = -errno;
			runtime_dir_remove(dir);
		}
		return result;
	}
	close(dir->base_fd);
	dir->fd = dir->lock_fd = dir->base_fd = -1;
	return result;
}

void runtime_dir_remove(struct runtime_dir *dir)
{
	if (dir->fd < 0)
		return;
	directory_remove(dir->base_fd, dir->name, dir->fd);
	close(dir->lock_fd);
	close(dir->fd);
	close(dir->base_fd);
	dir->fd = dir->lock_fd = dir->base_fd = -1;
}

/* --- entries --- */

static int socket_address_at(struct sockaddr_un *address, int directory_fd, const char *entry)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", directory_fd,
			entry) < (int)sizeof(address->sun_path)
		       ? 0
		       : -ENAMETOOLONG;
}

int socket_bind_at(int socket_fd, int directory_fd, const char *entry)
{
	struct sockaddr_un address;
	int result = socket_address_at(&address, directory_fd, entry);

	if (result == 0 && bind(socket_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		result = -errno;
	return result;
}

int socket_connect_at(int socket_fd, int directory_fd, const char *entry)
{
	struct sockaddr_un address;
	int result = socket_address_at(&address, directory_fd, entry);

	if (result == 0 && connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		result = -errno;
	return result;
}

int runtime_dir_listen(const struct runtime_dir *dir, const char *entry, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result;

	if (fd < 0)
		return -errno;
	result = socket_bind_at(fd, dir->fd, entry);
	if (result == 0 && listen(fd, 16) < 0)
		result = -errno;
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

int runtime_dir_link(const struct runtime_dir *dir, const char *target, const char *entry)
{
	return symlinkat(target, dir->fd, entry) < 0 ? -errno : 0;
}

/* --- other processes' VMs --- */

int runtime_vm_find(int base_fd, const char *name, pid_t *pid)
{
	int directory_fd, lock_fd, result;

	if (value_check_name(name) != NULL)
		return 0;
	result = lock_take(base_fd, name, false, &directory_fd, &lock_fd, pid);
	if (result == -EBUSY)
		return 1;
	if (result == -ENOENT || result == -ENOTDIR)
		return 0;
	if (result < 0)
		return result;
	/* We hold the lock, so its owner is dead. */
	directory_remove(base_fd, name, directory_fd);
	close(lock_fd);
	close(directory_fd);
	return 0;
}

int runtime_vm_connect(int base_fd, const char *name)
{
	int directory_fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), fd, result;

	if (directory_fd < 0)
		return -errno;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	result = fd < 0 ? -errno : socket_connect_at(fd, directory_fd, RUNTIME_CONTROL_SOCKET);
	close(directory_fd);
	if (result < 0 && fd >= 0)
		close(fd);
	return result < 0 ? result : fd;
}
