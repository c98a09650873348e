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
#include <stdint.h>

#include "common/host/disk_image.h"
#include "common/host/runtime_dir.h"
#include "config/config.h"
#include "config/problem.h"
#include "supervisor/host/console_file.h"
#include "supervisor/host/file_claims.h"

struct network_resource {
	int fd;	      /* the tap's queue */
	int state_fd; /* its state page */
	unsigned interface_index;
	uint32_t mtu;
	bool link_up;
	bool gone; /* it was deleted, and that was told */
};

struct resources {
	int kvm_fd;
	int kernel_fd;
	int initrd_fd; /* -1: none */
	int *disk_fds;
	int (*disk_witnesses)[DISK_WITNESSES];
	struct disk_discard *disk_discards;
	int *disk_states; /* state pages (common/ring/state_page.h); -1 for `check`, as each */
	struct network_resource *networks;
	int *console_fds; /* the pty's master, the file or the listening socket; -1: none */
	int *console_states;
	struct console_file *console_files; /* where the files are, and their bounds */
	char **console_paths; /* of a listening socket outside of the runtime folder, to be unlinked; else
				 NULL */
	unsigned disk_count, network_count, console_count;
};

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
void resources_empty(const struct config *config, const struct resources *resources);
void resources_close(struct resources *resources);

/*
 * For who is about to start a process of this network anew: if the tap was deleted, opens the one that has its name now. 0, at
 * once as long as the tap is there; or as tap_open(), with *problem, and nothing is changed.
 */
int resources_renew_tap(struct network_resource *network, const char *name, const char **problem);

#endif
