/*
 * What those share that open the host's things for a VM: what of the config's they are for, and where what is wrong is told. For
 * resources.c and the kinds of resources beside it; others see resources.h.
 */
#ifndef ATOLL_SUPERVISOR_HOST_OPENING_H
#define ATOLL_SUPERVISOR_HOST_OPENING_H

#include <stdbool.h>

#include "common/host/runtime_dir.h"
#include "config/config.h"
#include "config/problem.h"
#include "supervisor/host/file_claims.h"

struct opening {
	const struct config_file *file;
	const struct config *config;
	const struct runtime_dir *dir; /* NULL: for `check` */
	struct file_claims *claims;
	struct problems *problems;
};

/* What is no fault of the config's: a right that is missing, or a limit of this user's or this host's. error: an errno. */
bool opening_host_lacks(int error);
/* What to do about an errno of open(2). */
const char *opening_remedy(int error);
/* The path that the key names cannot be opened. */
void opening_fault(struct opening *opening, const char *key, const char *path, int error);
/*
 * Whether the VM may use an open file (or, with fd -1, what there is or will be at the path) for this too; if not, that is a
 * problem of the key's.
 */
bool opening_claim(struct opening *opening, const char *key, const char *path, int fd, enum file_use use,
		   const char *what);

#endif
