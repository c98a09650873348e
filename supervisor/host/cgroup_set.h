/*
 * Which cgroups a VM has, and what is known while they are looked for and made. For cgroup*.c alone; cgroup.h is what
 * others see, and tells what the directories are.
 */
#ifndef ATOLL_SUPERVISOR_HOST_CGROUP_SET_H
#define ATOLL_SUPERVISOR_HOST_CGROUP_SET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/roles/role.h"
#include "config/config.h"
#include "config/problem.h"
#include "supervisor/host/resources.h"

/* Below the root of all cgroups, whose directory root without capabilities cannot change. A VM's group has a dash. */
#define CGROUP_SHARED	   "atoll"
#define CGROUP_SHARED_MARK "*"
#define CGROUP_NAME_SIZE   96

#define CGROUP_DELEGATE                                                                                   \
	"start it in a cgroup of its own that is delegated, as by \"systemd-run --scope -p Delegate=yes " \
	"atoll run ...\" (--user for a user), or remove limits"

struct cgroup_child {
	char name[CGROUP_NAME_SIZE];
	int fd;
	const struct config_limits *limits; /* NULL: none */
	int disk;			    /* whose image its I/O is for; -1: none */
};

struct cgroups {
	int base_fd;   /* the supervisor's own, when it was started */
	int parent_fd; /* the same, or CGROUP_SHARED below the root of all; -1: that is not there yet */
	int vm_fd;
	char name[CGROUP_NAME_SIZE], leaf[CGROUP_NAME_SIZE];
	char base_path[PATH_MAX], parent_path[PATH_MAX + 8];
	bool moved;	  /* we are in the leaf */
	unsigned enabled; /* controllers that we gave to what is below the parent */
	struct cgroup_child *children;
	unsigned child_count;
};

/* What looks for problems, and makes. */
struct cgroups_making {
	const struct config_file *file;
	const struct config *config;
	const struct resources *resources;
	struct problems *problems;
	struct cgroups *cgroups;
	pid_t waiting;	   /* the command that waits for us; 0: none */
	bool root;	   /* the root of all cgroups has no rules */
	unsigned below_vm; /* controllers that its processes need */
	unsigned needed;   /* these, and the VM's */
};

/* Begins with the names of what is to be there; nothing is opened. False, and a problem: there is no memory. */
bool cgroups_begin(struct cgroups_making *making, const struct config_file *file,
		   const struct resources *resources, pid_t waiting, struct problems *problems);
void cgroups_free(struct cgroups *cgroups);

/* That of a process, id: of its device. NULL: it has none (also without cgroups). */
const struct cgroup_child *cgroups_child(const struct cgroups *cgroups, enum child_role role, const char *id);

/* As cgroup_dir_marked(), with the mark of this VM. */
int cgroup_is_ours(const struct cgroups_making *making, int directory_fd, const char *name);

/* Problems: the limits cannot be held; a cgroup below the parent is not this VM's. */
void cgroups_lack(struct cgroups_making *making, const char *what, const char *how, const char *remedy);
void cgroup_in_the_way(struct cgroups_making *making, const char *name, const char *why);

/* cgroup_look.c: opens base and parent, and adds to the problems what is in the way. Changes nothing. */
void cgroups_look_around(struct cgroups_making *making);
/* Opens CGROUP_SHARED as the parent, if it is there. */
void cgroups_look_for_shared(struct cgroups_making *making);
/* The controllers that what is below our own does not have yet. */
unsigned cgroups_to_enable(const struct cgroups_making *making);

/* cgroup_make.c: 0, or -errno with the file or directory at which it failed. */
int cgroups_make_all(struct cgroups_making *making, const char **step);

/* cgroup_remove.c: what a supervisor of this VM that was killed has left. What stays is a problem. */
void cgroups_remove_leftovers(struct cgroups_making *making);

/* cgroup_limits.c: the controllers that limits need (NULL: none). */
unsigned cgroup_limits_need(const struct config_limits *limits);
/* disk: whose device I/O is limited on; -1: all of them. 0, or -errno with the file at which it failed. */
int cgroup_limits_write(const struct cgroups_making *making, int directory_fd,
			const struct config_limits *limits, int disk, const char **step);
/* The whole block device that holds a disk's image, as "8:0". False: there is none that the kernel could limit. */
bool cgroup_image_device(const struct cgroups_making *making, unsigned disk, char *device, size_t size);

#endif
