/*
 * Which cgroups a VM has: its own, and one for each of its processes.
 */
#include "supervisor/host/cgroup_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/host/cgroup_dir.h"

#define VM_PREFIX "atoll-"
/* A VM's name has no dot. */
#define LEAF_SUFFIX ".supervisor"

static void child_name(enum child_role role, const char *id, char *name)
{
	if (role == CHILD_ROLE_CORE)
		snprintf(name, CGROUP_NAME_SIZE, "core");
	else
		snprintf(name, CGROUP_NAME_SIZE, "%s-%.64s",
			 role == CHILD_ROLE_UNDERTAKER ? "undertaker" : "device", id);
}

static void children_add(struct cgroups_making *making, enum child_role role, const char *id,
			 const struct config_limits *limits, int disk)
{
	struct cgroups *cgroups = making->cgroups;
	struct cgroup_child *child = &cgroups->children[cgroups->child_count++];

	*child = (struct cgroup_child){.fd = -1, .limits = limits, .disk = disk};
	child_name(role, id, child->name);
	making->below_vm |= cgroup_limits_need(limits);
}

static void children_add_device(struct cgroups_making *making, enum child_role role, const char *id,
				const struct config_limits *limits, int disk)
{
	children_add(making, role, id, limits, disk);
	/* It is there to answer when the device cannot: not under what ended that. */
	children_add(making, CHILD_ROLE_UNDERTAKER, id, NULL, -1);
}

static bool children_new(struct cgroups_making *making)
{
	const struct config *config = making->config;
	unsigned devices = config->consoles_count + config->disks_count + config->networks_count;

	making->cgroups->children = calloc(1 + 2 * (size_t)devices, sizeof(*making->cgroups->children));
	if (making->cgroups->children == NULL)
		return false;
	children_add(making, CHILD_ROLE_CORE, "", config->core != NULL ? config->core->limits : NULL, -1);
	for (unsigned i = 0; i < config->consoles_count; i++)
		children_add_device(making, CHILD_ROLE_CONSOLE, config->consoles[i].id,
				    config->consoles[i].limits, -1);
	for (unsigned i = 0; i < config->disks_count; i++)
		children_add_device(making, CHILD_ROLE_BLK, config->disks[i].id, config->disks[i].limits,
				    (int)i);
	for (unsigned i = 0; i < config->networks_count; i++)
		children_add_device(making, CHILD_ROLE_NET, config->networks[i].id,
				    config->networks[i].limits, -1);
	making->needed = making->below_vm | cgroup_limits_need(config->limits);
	return true;
}

bool cgroups_begin(struct cgroups_making *making, const struct config_file *file,
		   const struct resources *resources, pid_t waiting, struct problems *problems)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));

	*making = (struct cgroups_making){.file = file,
					  .config = file->config,
					  .resources = resources,
					  .problems = problems,
					  .cgroups = cgroups,
					  .waiting = waiting};
	if (cgroups != NULL) {
		cgroups->base_fd = cgroups->parent_fd = cgroups->vm_fd = -1;
		snprintf(cgroups->name, sizeof(cgroups->name), VM_PREFIX "%.64s", making->config->name);
		snprintf(cgroups->leaf, sizeof(cgroups->leaf), "%.80s" LEAF_SUFFIX, cgroups->name);
		if (children_new(making))
			return true;
		cgroups_free(cgroups);
	}
	cgroups_lack(making, "cannot be held", strerror(ENOMEM), "free some memory");
	return false;
}

void cgroups_free(struct cgroups *cgroups)
{
	for (unsigned i = 0; i < cgroups->child_count; i++)
		if (cgroups->children[i].fd >= 0)
			close(cgroups->children[i].fd);
	free(cgroups->children);
	if (cgroups->vm_fd >= 0)
		close(cgroups->vm_fd);
	if (cgroups->parent_fd >= 0)
		close(cgroups->parent_fd);
	if (cgroups->base_fd >= 0)
		close(cgroups->base_fd);
	free(cgroups);
}

const struct cgroup_child *cgroups_child(const struct cgroups *cgroups, enum child_role role, const char *id)
{
	char name[CGROUP_NAME_SIZE];

	child_name(role, id, name);
	for (unsigned i = 0; cgroups != NULL && i < cgroups->child_count; i++)
		if (strcmp(cgroups->children[i].name, name) == 0)
			return &cgroups->children[i];
	return NULL;
}

void cgroups_lack(struct cgroups_making *making, const char *what, const char *how, const char *remedy)
{
	problem_add_host(making->problems, config_file_line(making->file, "limits"), "limits", "%s: %s; %s",
			 what, how, remedy);
}

int cgroup_is_ours(const struct cgroups_making *making, int directory_fd, const char *name)
{
	return cgroup_dir_marked(directory_fd, name, making->config->name);
}

void cgroup_in_the_way(struct cgroups_making *making, const char *name, const char *why)
{
	problem_add(making->problems, config_file_line(making->file, "name"), "name",
		    "the cgroup %s/%s is in the way: %s; remove it, or choose another name",
		    making->cgroups->parent_path, name, why);
}
