/*
 * One cgroup: its directory, the mark that says that it is ours, its controllers.
 *
 * Names are relative to an open directory, as for openat(2), and links are not followed. Before the supervisor seals
 * itself, and at its end. Source: the kernel's Documentation/admin-guide/cgroup-v2.rst.
 */
#ifndef ATOLL_SUPERVISOR_HOST_CGROUP_DIR_H
#define ATOLL_SUPERVISOR_HOST_CGROUP_DIR_H

#include <stddef.h>
#include <stdint.h>

/* Of which sets are bits: 1u << CONTROLLER_IO. */
enum cgroup_controller {
	CONTROLLER_MEMORY,
	CONTROLLER_CPU,
	CONTROLLER_PIDS,
	CONTROLLER_IO,
	CONTROLLER_COUNT,
};

/* A descriptor that is the caller's, or -1 with errno. */
int cgroup_dir_open(int directory_fd, const char *name);

/* 1: it is a cgroup of this user's with this mark, 0: it is not there, -1: it is somebody else's. */
int cgroup_dir_marked(int directory_fd, const char *name, const char *mark);

/* Makes one with this mark. Its descriptor, the caller's, or -errno, and nothing is left. */
int cgroup_dir_make(int directory_fd, const char *name, const char *mark);

/*
 * Removes an empty one; that it is not there is no error. Waits for processes in it that are ending, at most until
 * until_us of the monotonic clock. 0 or -errno.
 */
int cgroup_dir_remove(int directory_fd, const char *name, uint64_t until_us);

/* Which of the controllers a file of a cgroup names; none if it cannot be read. */
unsigned cgroup_controllers_read(int directory_fd, const char *name);

/* sign: '+' gives them to what is below, '-' takes them. 0 or -errno. */
int cgroup_controllers_write(int directory_fd, char sign, unsigned controllers);

/* "memory, io" */
void cgroup_controllers_list(unsigned controllers, char *text, size_t size);

#endif
