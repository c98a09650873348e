/*
 * What of the host one device of a VM uses: its image, its tap, its terminal, its file, and the page in which its processes leave
 * their state to each other. What differs by the kind of device stands behind struct resource_kind; whoever walks the list of a VM's
 * resources (resources.h) needs to know no kind.
 *
 * A resource is made, opened and closed by itself, in three steps, so that a refused VM leaves nothing and has changed nothing: what
 * is there is opened and compared with everything else that the VM uses; then what is missing is made; when the VM starts, the
 * files that consoles write are emptied.
 */
#ifndef ATOLL_SUPERVISOR_HOST_RESOURCE_H
#define ATOLL_SUPERVISOR_HOST_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/host/disk_image.h"
#include "config/config.h"
#include "supervisor/host/console_file.h"
#include "supervisor/host/opening.h"
#include "supervisor/host/reach.h"

struct resource;

/* Each may be NULL: there is nothing to be done. */
struct resource_kind {
	/* Opens what is there, and changes nothing; adds to the problems what cannot be. */
	void (*open)(struct opening *opening, struct resource *resource);
	/* Makes what is not there; opening->dir is not NULL. */
	void (*make)(struct opening *opening, struct resource *resource);
	void (*empty)(const struct resource *resource);
	/*
	 * For who is about to start another process: if what it serves is gone from the host, takes what is there by its name now.
	 * 0, at once if it is not gone; or -errno, and nothing is changed: then lost says what it has lost, and why that is not
	 * back: "its tap t0, which was deleted: PROBLEM; REMEDY".
	 */
	int (*renew)(struct resource *resource, char *lost, size_t size);
	/* The paths that a sealed supervisor needs for it. */
	void (*reach)(const struct resource *resource, struct reach *reach);
	/* The length that its process may give to a file, in bytes; UINT64_MAX: any. NULL: 0. */
	uint64_t (*file_limit)(const struct resource *resource);
	/* What there is beside fd and state_fd. */
	void (*close)(struct resource *resource);
};

struct disk_resource {
	const struct config_disk *config;
	int witnesses[DISK_WITNESSES]; /* -1: none */
	struct disk_discard discard;
};

struct tap_resource {
	const struct config_network *config;
	unsigned interface_index;
	uint32_t mtu;
	bool link_up;
	bool gone; /* it was deleted, and that was told */
};

struct console_resource {
	const struct config_console *config;
	struct console_file file; /* where the file is, and its bound */
	char *path; /* of a listening socket outside of the runtime folder, to be unlinked; else NULL */
};

struct resource {
	TAILQ_ENTRY(resource) link;
	struct config_entry of;		  /* whose it is */
	const struct resource_kind *kind; /* never NULL */
	int fd;				  /* the image, the tap's queue, the console's output; -1: none */
	int state_fd; /* its state page (common/ring/state_page.h); -1 for `check`, and if its role has none */
	union {	      /* by of.role */
		struct disk_resource disk;
		struct tap_resource tap;
		struct console_resource console;
	};
};

TAILQ_HEAD(resource_list, resource);

/* Closes all of it; NULL: nothing. */
void resource_free(struct resource *resource);

/* The kinds' operations. */
void resource_open(struct opening *opening, struct resource *resource);
int resource_renew(struct resource *resource, char *lost, size_t size);
uint64_t resource_file_limit(const struct resource *resource);

#endif
