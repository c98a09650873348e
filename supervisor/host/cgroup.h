/*
 * The cgroups of a VM (version 2), which hold it and each of its processes to the `limits` of the config.
 *
 * They are made below the supervisor's own cgroup, and only if the config asks for limits. If that is the root of all,
 * below atoll/ in there, which stays and which the VMs share: a sealed supervisor could remove nothing from the root.
 *
 *   atoll-NAME/                 the VM's limits
 *   atoll-NAME/core             the core's process
 *   atoll-NAME/device-ID        a device's, one after the other
 *   atoll-NAME/undertaker-ID    that which answers for it when it has failed
 *   atoll-NAME.supervisor/      the supervisor, only if it was in the way: see below
 *
 * The kernel gives controllers to cgroups below one that has no process itself (but for the root of all), so the
 * supervisor moves out of its own, if nobody else is in there. It is never under the VM's limits, so that it can always
 * act.
 *
 * Each of these directories is marked, by an extended attribute; what is not is the operator's, and is neither used nor
 * removed. A killed supervisor leaves them; the next run of this name in the same cgroup removes them.
 *
 * Within: cgroup_set.h says what is known of them, cgroup_look.c looks for problems, cgroup_make.c makes,
 * cgroup_remove.c removes, cgroup_limits.c writes the limits; cgroup_dir.h is one directory, cgroup_own.h finds ours.
 *
 * Source: the kernel's Documentation/admin-guide/cgroup-v2.rst. All paths are taken before the supervisor seals itself;
 * from then on only descriptors are used.
 */
#ifndef ATOLL_SUPERVISOR_HOST_CGROUP_H
#define ATOLL_SUPERVISOR_HOST_CGROUP_H

#include <sys/types.h>

#include "common/roles/role.h"
#include "config/config.h"
#include "config/problem.h"
#include "supervisor/host/resources.h"

struct cgroups;
struct reach;

/*
 * Adds to *problems why the limits of the config could not be held here; changes nothing. For a config without limits:
 * nothing. waiting: the command that was typed and waits for us, which may be moved with us; 0: there is none.
 */
void cgroups_look(const struct config_file *file, const struct resources *resources, pid_t waiting,
		  struct problems *problems);

/*
 * Makes them, once nothing else is in the VM's way; the name is ours (runtime_dir_take()). Returns them, or NULL: there
 * are no limits, or with problems, and nothing is left.
 */
struct cgroups *cgroups_make(const struct config_file *file, const struct resources *resources, pid_t waiting,
			     struct problems *problems);

/* The directory of a process's cgroup, which stays ours; id: of its device. -1: it has none (also for NULL). */
int cgroups_fd(const struct cgroups *cgroups, enum child_role role, const char *id);

/* What a process is held to in its cgroup; NULL: nothing, or there is no such cgroup. The config's. */
const struct config_limits *cgroups_limits(const struct cgroups *cgroups, enum child_role role,
					   const char *id);

/* Adds the paths that cgroups_remove() needs (reach.h). NULL: nothing. */
void cgroups_reach(const struct cgroups *cgroups, struct reach *reach);

/* When no process of the VM is left. NULL: nothing. What cannot be removed is warned of. */
void cgroups_remove(struct cgroups *cgroups);

#endif
