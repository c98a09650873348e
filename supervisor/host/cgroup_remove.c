/*
 * Removing the cgroups of a VM: its own at its end, and before it starts those that a killed supervisor has left.
 */
#include "supervisor/host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/line_file.h"
#include "common/base/log.h"
#include "supervisor/host/cgroup_dir.h"
#include "supervisor/host/cgroup_set.h"

/* The kernel is done with a process soon after it was reaped; a dead supervisor's end when they see its end. */
#define REMOVE_US UINT64_C(2000000)
#define LIST_SIZE 4096 /* what is read of a list of processes, of which the first line counts */

/* What a supervisor that was killed has left of this VM, though its devices may have been others. */
static void leftovers_remove_children(struct cgroups_making *making, uint64_t until_us)
{
	int fd = cgroup_dir_open(making->cgroups->parent_fd, making->cgroups->name);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL && fd >= 0)
		close(fd);
	while (list != NULL && (entry = readdir(list)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    cgroup_is_ours(making, dirfd(list), entry->d_name) > 0)
			cgroup_dir_remove(dirfd(list), entry->d_name, until_us);
	if (list != NULL)
		closedir(list);
}

void cgroups_remove_leftovers(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;
	uint64_t until_us = clock_us(CLOCK_MONOTONIC) + REMOVE_US;

	if (cgroups->parent_fd < 0)
		return;
	if (cgroup_is_ours(making, cgroups->parent_fd, cgroups->name) > 0) {
		log_info("removing the cgroup %s/%s, which a supervisor that was killed has left",
			 cgroups->parent_path, cgroups->name);
		leftovers_remove_children(making, until_us);
		if (cgroup_dir_remove(cgroups->parent_fd, cgroups->name, until_us) < 0)
			cgroup_in_the_way(making, cgroups->name,
					  "it is left of this VM, and processes or other cgroups are in it");
	}
	if (cgroup_is_ours(making, cgroups->parent_fd, cgroups->leaf) > 0 &&
	    cgroup_dir_remove(cgroups->parent_fd, cgroups->leaf, until_us) < 0)
		cgroup_in_the_way(making, cgroups->leaf, "it is left of this VM, and processes are in it");
}

/* Whoever is in the leaf goes back to where we were started, which can have processes only when nothing below has
 * controllers. */
static void leaf_leave(struct cgroups *cgroups)
{
	int fd = cgroup_dir_open(cgroups->parent_fd, cgroups->leaf);
	char text[LIST_SIZE];
	int result = cgroup_controllers_write(cgroups->parent_fd, '-', cgroups->enabled);

	/* One after the other: the list is another then. */
	for (unsigned i = 0; i < 2 && fd >= 0 && result == 0; i++) {
		(void)line_file_read(fd, "cgroup.procs", text, sizeof(text));
		if (text[0] == '\0')
			break;
		result = line_file_write(cgroups->parent_fd, "cgroup.procs", text);
		if (result == -ESRCH)
			result = 0;
	}
	if (fd >= 0)
		close(fd);
	if (result == 0)
		result = cgroup_dir_remove(cgroups->parent_fd, cgroups->leaf,
					   clock_us(CLOCK_MONOTONIC) + REMOVE_US);
	if (result < 0)
		log_warning("the cgroup %s/%s cannot be removed: %s", cgroups->parent_path, cgroups->leaf,
			    strerror(-result));
}

void cgroups_remove(struct cgroups *cgroups)
{
	uint64_t until_us = clock_us(CLOCK_MONOTONIC) + REMOVE_US;
	int result = 0;

	if (cgroups == NULL)
		return;
	for (unsigned i = 0; i < cgroups->child_count && cgroups->vm_fd >= 0; i++)
		if (cgroups->children[i].fd >= 0)
			cgroup_dir_remove(cgroups->vm_fd, cgroups->children[i].name, until_us);
	if (cgroups->vm_fd >= 0)
		result = cgroup_dir_remove(cgroups->parent_fd, cgroups->name, until_us);
	if (result < 0)
		log_warning("the cgroup %s/%s stays: %s; remove what is in it that is not Atoll's",
			    cgroups->parent_path, cgroups->name, strerror(-result));
	if (cgroups->moved)
		leaf_leave(cgroups);
	cgroups_free(cgroups);
}
