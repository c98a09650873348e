/*
 * Files that one VM uses, each by what it is and not by its name: an image, a console's file and the log may be one
 * file under two names, and then one of them would be lost.
 *
 * A file is its device and inode; a block device, the device that it stands for; a file that is not there yet, its
 * folder and the name in it. What any number of programs can write without harm (a terminal, /dev/null, a fifo) is
 * nobody's.
 */
#ifndef ATOLL_SUPERVISOR_HOST_FILE_CLAIMS_H
#define ATOLL_SUPERVISOR_HOST_FILE_CLAIMS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum file_use {
	FILE_READ,   /* any number of uses of a file may read it */
	FILE_LOG,    /* appended to; others that append too do no harm */
	FILE_WRITTEN /* by one, and read by nobody else of the VM */
};

struct file_claim {
	enum file_use use;
	dev_t device;
	ino_t inode;		    /* 0: a block device */
	char missing[NAME_MAX + 1]; /* the name, if the inode is that of the folder; else "" */
	char what[64];		    /* "the disk \"root\"" */
};

struct file_claims {
	struct file_claim *list;
	size_t count;
};

/*
 * Notes that `what` uses the open file, or the one at the path, which need not be there. Returns what uses the same
 * file already, in a way that does not go together (a string of *claims); NULL if nothing does. Either way it is noted.
 */
const char *file_claims_add_fd(struct file_claims *claims, int fd, enum file_use use, const char *what);
const char *file_claims_add_path(struct file_claims *claims, const char *path, enum file_use use,
				 const char *what);
void file_claims_clear(struct file_claims *claims);

#endif
