/*
 * The runtime directory. The mark says that NAME/ is a VM's, the lock whether the VM lives; everything else below
 * NAME/ is worth as much as these two.
 */
#include "common/host/runtime_dir.h"

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

#include "common/base/log.h"
#include "common/base/names.h"

#define LOCK_FILE "pid"
/* The mark: made as soon as the lock is held, removed just before the lock file, or kept where something of others'
 * keeps NAME/ in place. */
#define MARK_FILE      "atoll-vm"
#define CONSOLE_PREFIX "console-"
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

const char *runtime_strerror(int result)
{
	switch (-result) {
	case RUNTIME_ERROR_OWNER:
		return "it is another user's";
	case RUNTIME_ERROR_MODE:
		return "its group or others can write it (chmod go-w)";
	case RUNTIME_ERROR_FOREIGN:
		return "it holds files and is not a VM's";
	default:
		return strerror(-result);
	}
}

int runtime_base_open(int *base_fd, int create)
{
	char path[PATH_MAX];
	struct stat status;
	int fd, result = runtime_base_path(path, sizeof(path));

	if (result < 0)
		return result;
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/*
	 * Who else can write it can put anything in our way, between any two of our steps. Root may look at a user's
	 * VMs.
	 */
	if (fstat(fd, &status) < 0)
		result = -errno;
	else if (status.st_uid != geteuid() && status.st_uid != 0 && (create || geteuid() != 0))
		result = -RUNTIME_ERROR_OWNER;
	else if (status.st_mode & (S_IWGRP | S_IWOTH))
		result = -RUNTIME_ERROR_MODE;
	if (result < 0)
		close(fd);
	else
		*base_fd = fd;
	return result;
}

/* --- what is ours in NAME/ --- */

/* Whether an entry is one that we make, by its name and its kind. */
static bool entry_is_ours(const char *name, mode_t mode)
{
	if (strcmp(name, LOCK_FILE) == 0 || strcmp(name, MARK_FILE) == 0)
		return S_ISREG(mode);
	if (strcmp(name, RUNTIME_LOG) == 0)
		return S_ISREG(mode) || S_ISLNK(mode);
	if (strcmp(name, RUNTIME_CONTROL_SOCKET) == 0)
		return S_ISSOCK(mode);
	return strncmp(name, CONSOLE_PREFIX, strlen(CONSOLE_PREFIX)) == 0 &&
	       (S_ISSOCK(mode) || S_ISLNK(mode));
}

static DIR *directory_list(int directory_fd)
{
	int list_fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);

	if (list == NULL && list_fd >= 0)
		close(list_fd);
	return list;
}

/* The next entry but "." and "..", with its kind; NULL at the end. */
static const char *directory_next(DIR *list, mode_t *mode)
{
	struct dirent *entry;
	struct stat status;

	while ((entry = readdir(list)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(list), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*mode = status.st_mode;
		return entry->d_name;
	}
	return NULL;
}

/* Something that is not ours, if there is any: its name. One that cannot be looked through counts as such. */
static bool directory_has_foreign(int directory_fd, char *name, size_t size)
{
	DIR *list = directory_list(directory_fd);
	const char *entry;
	mode_t mode;

	snprintf(name, size, "?");
	if (list == NULL)
		return true;
	while ((entry = directory_next(list, &mode)) != NULL && entry_is_ours(entry, mode))
		;
	if (entry != NULL)
		snprintf(name, size, "%s", entry);
	closedir(list);
	return entry != NULL;
}

static bool directory_is_marked(int directory_fd)
{
	struct stat status;

	return fstatat(directory_fd, MARK_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode);
}

/* Whether NAME/ can become a VM's: it has the mark, or nothing but what somebody has who is about to set it. */
static bool directory_is_free(int directory_fd)
{
	DIR *list;
	const char *entry;
	struct stat status;
	mode_t mode;

	if (fstat(directory_fd, &status) < 0 || status.st_uid != geteuid() ||
	    (status.st_mode & (S_IWGRP | S_IWOTH)))
		return false;
	if (directory_is_marked(directory_fd))
		return true;
	list = directory_list(directory_fd);
	if (list == NULL)
		return false;
	while ((entry = directory_next(list, &mode)) != NULL && strcmp(entry, LOCK_FILE) == 0 &&
	       fstatat(directory_fd, LOCK_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(mode) &&
	       status.st_size == 0)
		;
	closedir(list);
	/* Another may have marked and filled it while we looked. */
	return entry == NULL || directory_is_marked(directory_fd);
}

static int directory_mark(int directory_fd)
{
	int fd = openat(directory_fd, MARK_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* Unlinks what is ours but the lock file and the mark. */
static void directory_empty(int directory_fd)
{
	DIR *list = directory_list(directory_fd);
	const char *entry;
	mode_t mode;

	if (list == NULL)
		return;
	while ((entry = directory_next(list, &mode)) != NULL) {
		if (entry_is_ours(entry, mode) && strcmp(entry, LOCK_FILE) != 0 &&
		    strcmp(entry, MARK_FILE) != 0)
			unlinkat(directory_fd, entry, 0);
	}
	closedir(list);
}

/* The lock file goes last: as long as it stands, the directory is ours. */
static void directory_remove(int base_fd, const char *name, int directory_fd)
{
	char foreign[NAME_MAX + 1];

	directory_empty(directory_fd);
	if (directory_has_foreign(directory_fd, foreign, sizeof(foreign))) {
		/* Still marked, so that the next VM of the name can have it. */
		log_warning("the folder %s in the runtime directory stays, because something is in it that "
			    "is not "
			    "Atoll's: \"%s\"; move it away",
			    name, foreign);
		unlinkat(directory_fd, LOCK_FILE, 0);
		return;
	}
	unlinkat(directory_fd, MARK_FILE, 0);
	unlinkat(directory_fd, LOCK_FILE, 0);
	unlinkat(base_fd, name, AT_REMOVEDIR);
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
		if (create ? !directory_is_free(*directory_fd) : !directory_is_marked(*directory_fd)) {
			close(*directory_fd);
			return create ? -RUNTIME_ERROR_FOREIGN : -ENOENT;
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
		result = directory_mark(dir->fd);
		directory_empty(dir->fd);
		if (result == 0 &&
		    (ftruncate(dir->lock_fd, 0) < 0 || dprintf(dir->lock_fd, "%d\n", (int)getpid()) < 0))
			result = -errno;
		if (result < 0)
			runtime_dir_remove(dir);
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

static bool directory_is_own(int directory_fd)
{
	struct stat status;

	return fstat(directory_fd, &status) == 0 && status.st_uid == geteuid();
}

int runtime_vm_find(int base_fd, const char *name, pid_t *pid)
{
	int directory_fd, lock_fd, result;
	char foreign[NAME_MAX + 1];

	if (name_check_vm(name) != NULL)
		return 0;
	result = lock_take(base_fd, name, false, &directory_fd, &lock_fd, pid);
	if (result == -EBUSY)
		return 1;
	if (result == -ENOENT || result == -ENOTDIR)
		return 0;
	if (result < 0)
		return result;
	/* We hold the lock, so its owner is dead. Who only looks deletes nothing where others have something. */
	if (directory_is_own(directory_fd) && !directory_has_foreign(directory_fd, foreign, sizeof(foreign)))
		directory_remove(base_fd, name, directory_fd);
	close(lock_fd);
	close(directory_fd);
	return 0;
}

int runtime_dir_look(int base_fd, const char *name, pid_t *holder)
{
	int result = runtime_vm_find(base_fd, name, holder), directory_fd;

	if (result != 0)
		return result == 1 ? -EBUSY : result;
	directory_fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (directory_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!directory_is_free(directory_fd))
		result = -RUNTIME_ERROR_FOREIGN;
	close(directory_fd);
	return result;
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
