/*
 * What of the tree of files a sealed supervisor still reaches: the paths of its Landlock ruleset, each with the rights
 * that its part of the work takes. Everything else that it uses is open by then.
 *
 * A right to a directory is one to all below it; so what is only removed or renamed gives no right to read or to write.
 */
#ifndef ATOLL_SUPERVISOR_HOST_REACH_H
#define ATOLL_SUPERVISOR_HOST_REACH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/host/runtime_dir.h"
#include "common/jail/jail.h"
#include "supervisor/host/log_file.h"

struct reach {
	struct jail_path *paths;
	size_t count;
	int error; /* the first -errno */
};

/* A descriptor that is open already; it is duplicated. */
void reach_add_fd(struct reach *reach, int fd, unsigned rights);
/* A path below an open directory, or AT_FDCWD. One that is not there is left out. */
void reach_add_path(struct reach *reach, int dir_fd, const char *path, unsigned rights);
/* The folder of a path, which is absolute. */
void reach_add_folder(struct reach *reach, const char *path, unsigned rights);

/* --- The parts --- */

/* Entries of NAME/ are removed at the end, and it itself. */
void reach_add_runtime_dir(struct reach *reach, const struct runtime_dir *dir);
/* It is opened again, and one of ours moved when it is full. One that is not open: nothing. */
void reach_add_log(struct reach *reach, const struct log_file *log);
void reach_clear(struct reach *reach);

#endif
