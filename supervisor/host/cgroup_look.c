/*
 * Whether the cgroups of a VM can be made here, and what is in their way. Nothing is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/host/cgroup_dir.h"
#include "supervisor/host/cgroup_own.h"
#include "supervisor/host/cgroup_set.h"

/* One that another VM has just made gets its mark next. */
#define SHARED_LOOKS	20
#define SHARED_PAUSE_NS 10000000L

unsigned cgroups_to_enable(const struct cgroups_making *making)
{
	return making->needed & ~cgroup_controllers_read(making->cgroups->base_fd, "cgroup.subtree_control");
}

/* Whether a process is there that is neither we nor waits for us. One of another pid namespace is 0. */
static bool others_are_here(const struct cgroups_making *making, long *pid)
{
	int fd = openat(making->cgroups->base_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	bool found = false;

	while (file != NULL && !found && fscanf(file, "%ld", pid) == 1)
		found = *pid != getpid() && *pid != making->waiting;
	if (file != NULL)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	return found;
}

static void look_for_controllers(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;
	unsigned missing = making->needed & ~cgroup_controllers_read(cgroups->base_fd, "cgroup.controllers");
	char list[64], text[160];
	long pid;

	if (missing != 0) {
		cgroup_controllers_list(missing, list, sizeof(list));
		snprintf(text, sizeof(text), "this cgroup does not have what limits need: %s", list);
		cgroups_lack(making, cgroups->base_path, text,
			     making->root ? "boot the host with control groups of version 2 alone "
					    "(systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all)"
					  : CGROUP_DELEGATE);
	} else if (!making->root && cgroups_to_enable(making) != 0 && others_are_here(making, &pid)) {
		snprintf(text, sizeof(text),
			 "others are in this cgroup (process %ld), so that it cannot be divided", pid);
		cgroups_lack(making, cgroups->base_path, text, CGROUP_DELEGATE);
	}
}

void cgroups_look_for_shared(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;
	struct timespec pause = {0, SHARED_PAUSE_NS};
	int marked = -1;

	snprintf(cgroups->parent_path, sizeof(cgroups->parent_path), "%s/" CGROUP_SHARED, cgroups->base_path);
	for (int i = 0; i < SHARED_LOOKS && marked < 0; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		marked = cgroup_dir_marked(cgroups->base_fd, CGROUP_SHARED, CGROUP_SHARED_MARK);
	}
	if (marked < 0)
		problem_add(making->problems, config_file_line(making->file, "limits"), "limits",
			    "the cgroup %s is in the way: Atoll has not made it; remove it, or limits",
			    cgroups->parent_path);
	if (marked > 0)
		cgroups->parent_fd = cgroup_dir_open(cgroups->base_fd, CGROUP_SHARED);
}

static void look_for_device(struct cgroups_making *making, unsigned disk)
{
	char key[48], device[32];

	/* That it cannot be opened has been told. */
	if (making->resources->disk_fds == NULL || making->resources->disk_fds[disk] < 0 ||
	    cgroup_image_device(making, disk, device, sizeof(device)))
		return;
	snprintf(key, sizeof(key), "disks[%u].path", disk);
	problem_add_host(making->problems, config_file_line(making->file, "%s", key), key,
			 "%s: its file system is on no block device of its own (it may be tmpfs, overlay or "
			 "btrfs), so limits.io cannot be held; move it, or remove io",
			 making->config->disks[disk].path);
}

static void look_for_devices(struct cgroups_making *making)
{
	const struct config *config = making->config;

	for (unsigned i = 0; i < config->disks_count; i++)
		if (cgroup_limits_need(config->limits) & 1u << CONTROLLER_IO ||
		    cgroup_limits_need(config->disks[i].limits) & 1u << CONTROLLER_IO)
			look_for_device(making, i);
}

void cgroups_look_around(struct cgroups_making *making)
{
	struct cgroups *cgroups = making->cgroups;
	size_t before = making->problems->count;

	if (!cgroup_own_path(cgroups->base_path, sizeof(cgroups->base_path))) {
		cgroups_lack(making, "cannot be held",
			     "no control groups of version 2 are mounted, with ours among them",
			     "mount them (\"mount -t cgroup2 none /sys/fs/cgroup\"), or remove limits");
		return;
	}
	cgroups->base_fd = open(cgroups->base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroups->base_fd < 0) {
		cgroups_lack(making, cgroups->base_path, strerror(errno), CGROUP_DELEGATE);
		return;
	}
	making->root = faccessat(cgroups->base_fd, "cgroup.type", F_OK, 0) < 0;
	if (faccessat(cgroups->base_fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ||
	    faccessat(cgroups->base_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
	    (cgroups_to_enable(making) != 0 &&
	     faccessat(cgroups->base_fd, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0))
		cgroups_lack(making, cgroups->base_path, strerror(errno), CGROUP_DELEGATE);
	if (making->problems->count == before)
		look_for_controllers(making);
	snprintf(cgroups->parent_path, sizeof(cgroups->parent_path), "%s", cgroups->base_path);
	if (making->root)
		cgroups_look_for_shared(making);
	else
		cgroups->parent_fd = fcntl(cgroups->base_fd, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 2 && cgroups->parent_fd >= 0; i++) {
		const char *name = i == 0 ? cgroups->name : cgroups->leaf;

		if (cgroup_is_ours(making, cgroups->parent_fd, name) < 0)
			cgroup_in_the_way(making, name, "Atoll has not made it for this VM");
	}
	look_for_devices(making);
}
