/*
 * Locks on disk images, and who has them. See image_lock.h for the rules.
 *
 * QEMU's scheme (its block/file-posix.c, and docs/system/qemu-block-drivers "Image locking"): permission
 * number p is held by a shared lock on byte 100 + p; that others may not hold it, by a shared lock on byte
 * 200 + p. One first takes its own bytes, then tests those that would contradict: of two that come at the
 * same moment, at most one stays.
 */
#include "common/host/image_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/escape.h"
#include "common/base/proc.h"

/* QEMU's numbers for permissions on an image. */
enum qemu_permission {
	QEMU_CONSISTENT_READ,
	QEMU_WRITE,
	QEMU_WRITE_UNCHANGED,
	QEMU_RESIZE,
	QEMU_PERMISSIONS,
};
#define QEMU_HELD_BASE	 100 /* + permission: somebody has it */
#define QEMU_DENIED_BASE 200 /* + permission: somebody does not let others have it */

static void image_lock_find_holder(int fd, struct image_lock_holder *holder);

/* --- Byte locks --- */

static int byte_lock_set(int fd, off_t start, off_t length, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Whether another holds any lock on the byte: -EBUSY. */
static int byte_lock_test(int fd, off_t start)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -errno;
	return lock.l_type == F_UNLCK ? 0 : -EBUSY;
}

static void byte_locks_drop(int fd)
{
	byte_lock_set(fd, QEMU_HELD_BASE, QEMU_PERMISSIONS, F_UNLCK);
	byte_lock_set(fd, QEMU_DENIED_BASE, QEMU_PERMISSIONS, F_UNLCK);
}

/* Bit sets of permissions: what we have, and what we let nobody else have. */
static int byte_locks_take(int fd, unsigned held, unsigned denied)
{
	int result = 0;

	for (int p = 0; p < QEMU_PERMISSIONS && result == 0; p++) {
		if (held & 1u << p)
			result = byte_lock_set(fd, QEMU_HELD_BASE + p, 1, F_RDLCK);
		if (result == 0 && (denied & 1u << p))
			result = byte_lock_set(fd, QEMU_DENIED_BASE + p, 1, F_RDLCK);
	}
	/* Shared locks contradict nobody who keeps to the scheme; a program that took the whole file does
	 * not. */
	if (result == -EAGAIN || result == -EACCES)
		result = -EBUSY;
	for (int p = 0; p < QEMU_PERMISSIONS && result == 0; p++) {
		if (held & 1u << p)
			result = byte_lock_test(fd, QEMU_DENIED_BASE + p);
		if (result == 0 && (denied & 1u << p))
			result = byte_lock_test(fd, QEMU_HELD_BASE + p);
	}
	if (result < 0)
		byte_locks_drop(fd);
	return result;
}

int image_lock(int fd, enum image_lock_mode mode, struct image_lock_holder *holder)
{
	bool writing = mode == IMAGE_LOCK_WRITE;
	unsigned held = 1u << QEMU_CONSISTENT_READ | (writing ? 1u << QEMU_WRITE : 0);
	int result;

	if (flock(fd, (writing ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		result = errno == EWOULDBLOCK ? -EBUSY : -errno;
	} else {
		result = byte_locks_take(fd, held, 1u << QEMU_WRITE | 1u << QEMU_RESIZE);
		if (result < 0)
			flock(fd, LOCK_UN);
	}
	if (result == -EBUSY)
		image_lock_find_holder(fd, holder);
	return result;
}

void image_lock_describe(const struct image_lock_holder *holder, char *text, size_t size)
{
	if (holder->pid == getpid())
		snprintf(text, size, "already in use by this process; name each image once");
	else if (holder->pid == 0)
		snprintf(text, size,
			 "in use by another process, which cannot be seen from here; end that program, or "
			 "use a copy of "
			 "the image");
	else
		snprintf(text, size, "in use by pid %ld%s%s%s; end that program, or use a copy of the image",
			 (long)holder->pid, holder->program[0] != '\0' ? " (" : "", holder->program,
			 holder->program[0] != '\0' ? ")" : "");
}

/* --- The holder --- */

/*
 * The kernel tells a flock's taker in /proc/locks, but names the file by its superblock's device, which is
 * not everywhere what stat says (overlayfs, btrfs), and tells no pid for byte locks. So first the open
 * descriptors of all processes that we may see are searched for our file with a lock on it, and /proc/locks
 * is the second source.
 */
static pid_t find_in_descriptors(int fd, const struct stat *image);
static pid_t find_in_proc_locks(const struct stat *image);

static void image_lock_find_holder(int fd, struct image_lock_holder *holder)
{
	struct stat image;
	char comm[32];

	*holder = (struct image_lock_holder){0};
	if (fstat(fd, &image) < 0)
		return;
	holder->pid = find_in_descriptors(fd, &image);
	if (holder->pid == 0)
		holder->pid = find_in_proc_locks(&image);
	if (holder->pid == 0)
		return;
	/* A process chooses its name; it goes to a terminal. */
	(void)proc_comm(holder->pid, comm, sizeof(comm));
	escape_text(comm, strlen(comm), ESCAPE_TEXT, holder->program, sizeof(holder->program));
}

/* What a lock held through a descriptor tells of its taker. */
enum fdinfo_lock {
	FDINFO_LOCK_NONE,
	FDINFO_LOCK_HELD,  /* by a byte lock, which names nobody, or by a flock that another process took */
	FDINFO_LOCK_TAKEN, /* by a flock that `process` took itself */
};

static enum fdinfo_lock fdinfo_read_lock(const char *path, pid_t process)
{
	FILE *file = fopen(path, "re");
	enum fdinfo_lock found = FDINFO_LOCK_NONE;
	char line[256];

	if (file == NULL)
		return found;
	while (found != FDINFO_LOCK_TAKEN && fgets(line, sizeof(line), file) != NULL) {
		char kind[16];
		long taker;

		/* "lock:	1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF" */
		if (sscanf(line, "lock: %*d: %15s %*s %*s %ld", kind, &taker) != 2 ||
		    strcmp(kind, "LEASE") == 0 || strcmp(kind, "DELEG") == 0)
			continue;
		found = taker == process ? FDINFO_LOCK_TAKEN : FDINFO_LOCK_HELD;
	}
	fclose(file);
	return found;
}

static enum fdinfo_lock process_lock(pid_t process, int own_fd, const struct stat *image)
{
	enum fdinfo_lock best = FDINFO_LOCK_NONE;
	char path[320];
	struct dirent *entry;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%ld/fd", (long)process);
	fds = opendir(path);
	if (fds == NULL)
		return best;
	while (best != FDINFO_LOCK_TAKEN && (entry = readdir(fds)) != NULL) {
		enum fdinfo_lock found;
		struct stat status;

		if (entry->d_name[0] == '.')
			continue;
		/* A lock of ours on the attempt's own description would not have been refused. */
		if (process == getpid() && strtol(entry->d_name, NULL, 10) == own_fd)
			continue;
		/* Follows the link to the open file itself, not to a path of its name. */
		if (fstatat(dirfd(fds), entry->d_name, &status, 0) < 0 || status.st_dev != image->st_dev ||
		    status.st_ino != image->st_ino || (status.st_mode & S_IFMT) != (image->st_mode & S_IFMT))
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/fdinfo/%s", (long)process, entry->d_name);
		found = fdinfo_read_lock(path, process);
		if (found > best)
			best = found;
	}
	closedir(fds);
	return best;
}

/*
 * The process that took the lock, if it lives, else one that has its description: a lock outlives its taker,
 * whose number may be another program's by now.
 */
static pid_t find_in_descriptors(int fd, const struct stat *image)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t taker = 0, holder = 0;

	if (proc == NULL)
		return 0;
	while (taker == 0 && (entry = readdir(proc)) != NULL) {
		pid_t process = proc_entry_id(entry->d_name);
		enum fdinfo_lock found;

		if (process == 0)
			continue;
		found = process_lock(process, fd, image);
		if (found == FDINFO_LOCK_TAKEN)
			taker = process;
		else if (found == FDINFO_LOCK_HELD && holder == 0)
			holder = process;
	}
	closedir(proc);
	return taker != 0 ? taker : holder;
}

static pid_t find_in_proc_locks(const struct stat *image)
{
	FILE *file = fopen("/proc/locks", "re");
	char line[256];
	pid_t pid = 0;

	if (file == NULL)
		return 0;
	while (pid == 0 && fgets(line, sizeof(line), file) != NULL) {
		unsigned device_major, device_minor;
		unsigned long inode;
		long taker;

		/* "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF"; a waiter's line has "->" and does not
		 * match. */
		if (sscanf(line, "%*d: %*s %*s %*s %ld %x:%x:%lu", &taker, &device_major, &device_minor,
			   &inode) == 4 &&
		    taker > 0 && inode == image->st_ino && device_major == major(image->st_dev) &&
		    device_minor == minor(image->st_dev))
			pid = (pid_t)taker;
	}
	fclose(file);
	return pid;
}
