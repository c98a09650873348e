/*
 * Making the cgroups of a VM, once nothing is in their way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/line_file.h"
#include "common/jail/jail.h"
#include "supervisor/host/cgroup_dir.h"
#include "supervisor/host/cgroup_set.h"

/* Moves us, and who waits for us, out of the way. */
static int leaf_enter(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;
	int fd = cgroup_dir_make(cgroups->parent_fd, cgroups->leaf, making->config->name), result = 0;

	if (fd < 0)
		return fd;
	cgroups->moved = true;
	if (making->waiting > 0)
		result = jail_enter_cgroup(making->waiting, fd);
	if (result == 0 || result == -ESRCH)
		result = jail_enter_cgroup(getpid(), fd);
	close(fd);
	return result;
}

/* Where the VM's is to be: 0, or -errno. */
static int make_shared(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;

	if (cgroups->parent_fd >= 0)
		return 0;
	cgroups->parent_fd = cgroup_dir_make(cgroups->base_fd, CGROUP_SHARED, CGROUP_SHARED_MARK);
	/* Another VM has been quicker. */
	if (cgroups->parent_fd == -EEXIST)
		cgroups_look_for_shared(making);
	return cgroups->parent_fd < 0 ? cgroups->parent_fd : 0;
}

static int make_children(struct cgroups_making *making, const char **step)
{
	struct cgroups *cgroups = making->cgroups;
	int result = 0;

	for (unsigned i = 0; i < cgroups->child_count && result == 0; i++) {
		struct cgroup_child *child = &cgroups->children[i];

		*step = child->name;
		child->fd = cgroup_dir_make(cgroups->vm_fd, child->name, making->config->name);
		result = child->fd < 0
				 ? child->fd
				 : cgroup_limits_write(making, child->fd, child->limits, child->disk, step);
	}
	return result;
}

int cgroups_make_all(struct cgroups_making *making, const char **step)
{
	struct cgroups *cgroups = making->cgroups;
	unsigned enable = cgroups_to_enable(making);
	int result = 0;

	*step = cgroups->leaf;
	if (!making->root && enable != 0)
		result = leaf_enter(making);
	if (result == 0) {
		*step = "cgroup.subtree_control";
		result = cgroup_controllers_write(cgroups->base_fd, '+', enable);
	}
	if (result < 0)
		return result;
	cgroups->enabled = enable;
	*step = CGROUP_SHARED;
	result = make_shared(making);
	if (result == 0 && making->root) {
		*step = "cgroup.subtree_control";
		result = cgroup_controllers_write(cgroups->parent_fd, '+', making->needed);
	}
	if (result < 0)
		return result;
	*step = cgroups->name;
	cgroups->vm_fd = cgroup_dir_make(cgroups->parent_fd, cgroups->name, making->config->name);
	if (cgroups->vm_fd < 0)
		return cgroups->vm_fd;
	result = cgroup_limits_write(making, cgroups->vm_fd, making->config->limits, -1, step);
	if (result == 0) {
		*step = "cgroup.subtree_control";
		result = cgroup_controllers_write(cgroups->vm_fd, '+', making->below_vm);
	}
	return result < 0 ? result : make_children(making, step);
}
