/*
 * The lock on a disk image: one writer, or any number of readers.
 *
 * The lock belongs to the open file description: it goes with the descriptor when that is passed on, outlives
 * the process that took it, and ends with the description's last descriptor. So a device that is replaced
 * under a running guest keeps it, and nothing has to be cleaned up after a crash.
 *
 * Two locks are taken. flock(2) keeps the family's own programs apart (and udev's probing from a block
 * device), and tells the holder. Byte locks as QEMU's take part in QEMU's own scheme, so that neither QEMU
 * nor qemu-nbd nor qemu-storage-daemon opens an image under us, nor we under them.
 *
 * Used by the supervisor for each disk, and by atoll-blk when it is run by hand.
 */
#ifndef ATOLL_COMMON_HOST_IMAGE_LOCK_H
#define ATOLL_COMMON_HOST_IMAGE_LOCK_H

#include <stddef.h>
#include <sys/types.h>

enum image_lock_mode {
	IMAGE_LOCK_READ,  /* others may read, none may write */
	IMAGE_LOCK_WRITE, /* no other may read or write */
};

/* Who has an image. */
struct image_lock_holder {
	pid_t pid;	  /* 0: unknown (a process that we may not look at, or of another pid namespace) */
	char program[32]; /* its command name, or "" */
};

/* Room for image_lock_describe(). */
#define IMAGE_LOCK_TEXT_MAX 160

/*
 * Locks the image; fd must be open for reading, and for writing when mode is IMAGE_LOCK_WRITE. Never waits.
 * Returns 0, -EBUSY with *holder filled when another has it, or another -errno (-ENOLCK or -EOPNOTSUPP from a
 * file system without locks). On failure no lock is left. Reads /proc when the image is busy.
 */
int image_lock(int fd, enum image_lock_mode mode, struct image_lock_holder *holder);

/* "in use by pid 4711 (qemu-system-x86); end that program, or use a copy of the image" for an error message.
 */
void image_lock_describe(const struct image_lock_holder *holder, char *text, size_t size);

#endif
