/*
 * The cgroups of a VM: looking for problems, making, and what is taken of them.
 */
#include "supervisor/host/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "common/jail/jail.h"
#include "supervisor/host/cgroup_set.h"
#include "supervisor/host/reach.h"

void cgroups_look(const struct config_file *file, const struct resources *resources, pid_t waiting,
		  struct problems *problems)
{
	struct cgroups_making making;

	if (!file->config->limited || !cgroups_begin(&making, file, resources, waiting, problems))
		return;
	cgroups_look_around(&making);
	cgroups_free(making.cgroups);
}

struct cgroups *cgroups_make(const struct config_file *file, const struct resources *resources, pid_t waiting,
			     struct problems *problems)
{
	struct cgroups_making making;
	size_t before = problems->count;
	const char *step = "";
	char text[160];
	int result;

	if (!file->config->limited || !cgroups_begin(&making, file, resources, waiting, problems))
		return NULL;
	cgroups_look_around(&making);
	if (problems->count == before)
		cgroups_remove_leftovers(&making);
	if (problems->count > before) {
		cgroups_free(making.cgroups);
		return NULL;
	}
	result = cgroups_make_all(&making, &step);
	if (result == 0)
		return making.cgroups;
	snprintf(text, sizeof(text), "cannot make or set %.90s below it: %s", step, strerror(-result));
	cgroups_lack(&making, making.cgroups->parent_path, text, CGROUP_DELEGATE);
	cgroups_remove(making.cgroups);
	return NULL;
}

int cgroups_fd(const struct cgroups *cgroups, enum child_role role, const char *id)
{
	const struct cgroup_child *child = cgroups_child(cgroups, role, id);

	return child != NULL ? child->fd : -1;
}

const struct config_limits *cgroups_limits(const struct cgroups *cgroups, enum child_role role,
					   const char *id)
{
	const struct cgroup_child *child = cgroups_child(cgroups, role, id);

	return child != NULL ? child->limits : NULL;
}

void cgroups_reach(const struct cgroups *cgroups, struct reach *reach)
{
	if (cgroups == NULL)
		return;
	reach_add_fd(reach, cgroups->parent_fd, JAIL_PATH_REMOVE_DIR);
	if (!cgroups->moved)
		return;
	/* What leaving the leaf takes (cgroup_remove.c). */
	reach_add_path(reach, cgroups->parent_fd, cgroups->leaf, JAIL_PATH_READ_DIR | JAIL_PATH_READ_FILE);
	reach_add_path(reach, cgroups->parent_fd, "cgroup.procs", JAIL_PATH_WRITE_FILE);
	reach_add_path(reach, cgroups->parent_fd, "cgroup.subtree_control", JAIL_PATH_WRITE_FILE);
}
