/*
 * Host resources: everything of the host that a VM uses, opened here and by nobody else.
 *
 * They are opened once, before any process of the VM exists, live as long as the supervisor, and travel to
 * the processes as descriptors; a process that is started again gets the same ones. But a tap may be deleted while the VM
 * runs, and be made again.
 */
#ifndef ATOLL_SUPERVISOR_HOST_RESOURCES_H
#define ATOLL_SUPERVISOR_HOST_RESOURCES_H

#include <stdbool.h>

#include "common/host/runtime_dir.h"
#include "config/config.h"
#include "config/problem.h"
#include "supervisor/host/file_claims.h"
#include "supervisor/host/reach.h"
#include "supervisor/host/resource.h"

struct resources {
	int kvm_fd;
	int kernel_fd;
	int initrd_fd;		      /* -1: none */
	struct resource_list devices; /* in the order of config_next_device() */
};

/* Nothing is open, and there is none of a device. It is not to be moved from here on. */
void resources_init(struct resources *resources);
/* Room for all that the config names, with nothing open yet; resources_open() begins with it. False: no memory is left. */
bool resources_allocate(struct resources *resources, const struct config *config);

/*
 * Opens what the config names, and changes nothing of it; adds to *problems what cannot be. dir: where sockets and
 * links of consoles go; NULL: for `check`. claims: the VM's other files so far; those of the config are added, and
 * one that is used twice is a problem. Call resources_close() afterwards in any case.
 */
void resources_open(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems);
/* For `run`, when nothing is in its way: makes files and sockets of consoles that are not there. */
void resources_make(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems);
/* When the VM starts: empties the files that consoles write. */
void resources_empty(const struct resources *resources);
/* Files of consoles are exchanged with their former parts, their sockets are removed, a tap is opened anew. */
void resources_reach(const struct resources *resources, struct reach *reach);
/* Leaves it as resources_init() does. */
void resources_close(struct resources *resources);

#endif
