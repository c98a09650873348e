/*
 * The cgroups of a VM.
 */
#include "supervisor/host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/line_file.h"
#include "common/base/log.h"
#include "common/jail/jail.h"
#include "supervisor/host/reach.h"

#define MARK	  "user.atoll.vm" /* its value: the VM's name */
#define VM_PREFIX "atoll-"
/* Below the root of all cgroups, whose directory root without capabilities cannot change. A VM's group has a dash. */
#define SHARED	    "atoll"
#define SHARED_MARK "*"
/* A VM's name has no dot. */
#define LEAF_SUFFIX   ".supervisor"
#define NAME_SIZE     96
#define FILE_SIZE     4096 /* what is read of the files of a cgroup: they have a line or some */
#define CPU_PERIOD_US 100000
/* The kernel is done with a process soon after it was reaped; a dead supervisor's end when they see its end. */
#define REMOVE_US	UINT64_C(2000000)
#define REMOVE_PAUSE_US 10000
#define SHARED_LOOKS	20

enum controller {
	CONTROLLER_MEMORY,
	CONTROLLER_CPU,
	CONTROLLER_PIDS,
	CONTROLLER_IO,
	CONTROLLER_COUNT,
};

static const char *const controller_names[] = {"memory", "cpu", "pids", "io"};

struct child_group {
	char name[NAME_SIZE];
	int fd;
	const struct config_limits *limits; /* NULL: none */
	int disk;			    /* whose image its I/O is for; -1: none */
};

struct cgroups {
	int base_fd;   /* the supervisor's own, when it was started */
	int parent_fd; /* the same, or SHARED below the root of all; -1: that is not there yet */
	int vm_fd;
	char name[NAME_SIZE], leaf[NAME_SIZE];
	char base_path[PATH_MAX], parent_path[PATH_MAX + 8];
	bool moved;	  /* we are in the leaf */
	unsigned enabled; /* controllers that we gave to what is below the parent */
	struct child_group *children;
	unsigned child_count;
};

/* What looks for problems, and makes. */
struct making {
	const struct config_file *file;
	const struct config *config;
	const struct resources *resources;
	struct problems *problems;
	struct cgroups *cgroups;
	pid_t waiting;
	bool root;	   /* the root of all cgroups has no rules */
	unsigned below_vm; /* controllers that its processes need */
	unsigned needed;   /* these, and the VM's */
};

#define DELEGATE                                                                                          \
	"start it in a cgroup of its own that is delegated, as by \"systemd-run --scope -p Delegate=yes " \
	"atoll run ...\" (--user for a user), or remove limits"

static void making_lacks(struct making *making, const char *what, const char *how, const char *remedy)
{
	problem_add_host(making->problems, config_file_line(making->file, "limits"), "limits", "%s: %s; %s",
			 what, how, remedy);
}

/* --- files of a cgroup --- */

/* Which of the controllers a file names. */
static unsigned controllers_read(int directory_fd, const char *name)
{
	char text[FILE_SIZE], *rest = text, *word;
	unsigned found = 0;

	(void)line_file_read(directory_fd, name, text, sizeof(text));
	while ((word = strsep(&rest, " ")) != NULL)
		for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
			if (strcmp(word, controller_names[i]) == 0)
				found |= 1u << i;
	return found;
}

/* "+memory +io" */
static int controllers_write(int directory_fd, char sign, unsigned controllers)
{
	char text[64] = "";
	size_t used = 0;

	for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
		if (controllers & 1u << i)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%s",
						 used > 0 ? " " : "", sign, controller_names[i]);
	return controllers == 0 ? 0 : line_file_write(directory_fd, "cgroup.subtree_control", text);
}

static void controllers_list(unsigned controllers, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
		if (controllers & 1u << i && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
						 controller_names[i]);
}

/* --- where we are --- */

/* "\040" is a space. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; to++) {
		unsigned value;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &value) == 1) {
			*to = (char)value;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* Our own, as the kernel names it: "/user.slice/..."; false if there is no version 2. */
static bool own_name(char *name, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t capacity = 0;
	bool found = false;

	while (file != NULL && !found && getline(&line, &capacity, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "0::/", 4) == 0 && (size_t)snprintf(name, size, "%s", line + 3) < size;
	}
	free(line);
	if (file != NULL)
		fclose(file);
	return found;
}

/* Where it is seen, from a line of mountinfo. False: not there. */
static bool mount_shows(char *line, const char *own, char *path, size_t size)
{
	char *root = NULL, *point = NULL, *rest = strstr(line, " - cgroup2 "), *word;
	size_t length;

	if (rest == NULL)
		return false;
	for (int i = 0; i < 5 && (word = strsep(&line, " ")) != NULL; i++) {
		if (i == 3)
			root = word;
		else if (i == 4)
			point = word;
	}
	if (root == NULL || point == NULL)
		return false;
	unescape(root);
	unescape(point);
	length = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(own, root, length) != 0 || own[length] != '/')
		if (strcmp(own, root) != 0)
			return false;
	return (size_t)snprintf(path, size, "%s%s", point,
				strcmp(own + length, "/") == 0 ? "" : own + length) < size;
}

/* The last of the mounts, which is the one that can be seen if they are at the same place. */
static bool own_path(char *path, size_t size)
{
	char own[PATH_MAX], *line = NULL;
	size_t capacity = 0;
	FILE *file;
	bool found = false;

	/* "/..": above our cgroup namespace. */
	if (!own_name(own, sizeof(own)) || strncmp(own, "/..", 3) == 0)
		return false;
	file = fopen("/proc/self/mountinfo", "re");
	while (file != NULL && getline(&line, &capacity, file) > 0)
		found |= mount_shows(line, own, path, size);
	free(line);
	if (file != NULL)
		fclose(file);
	return found;
}

/* --- what is needed --- */

static unsigned limits_need(const struct config_limits *limits)
{
	unsigned needed = 0;

	if (limits == NULL)
		return 0;
	if (limits->memory_bytes != 0)
		needed |= 1u << CONTROLLER_MEMORY;
	if (limits->cpu_percent != 0)
		needed |= 1u << CONTROLLER_CPU;
	if (limits->pids != 0)
		needed |= 1u << CONTROLLER_PIDS;
	if (limits->io != NULL)
		needed |= 1u << CONTROLLER_IO;
	return needed;
}

static void child_name(enum child_role role, const char *id, char *name)
{
	if (role == CHILD_ROLE_CORE)
		snprintf(name, NAME_SIZE, "core");
	else
		snprintf(name, NAME_SIZE, "%s-%.64s", role == CHILD_ROLE_UNDERTAKER ? "undertaker" : "device",
			 id);
}

static void children_add(struct making *making, enum child_role role, const char *id,
			 const struct config_limits *limits, int disk)
{
	struct cgroups *cgroups = making->cgroups;
	struct child_group *child = &cgroups->children[cgroups->child_count++];

	*child = (struct child_group){.fd = -1, .limits = limits, .disk = disk};
	child_name(role, id, child->name);
	making->below_vm |= limits_need(limits);
}

static void children_add_device(struct making *making, enum child_role role, const char *id,
				const struct config_limits *limits, int disk)
{
	children_add(making, role, id, limits, disk);
	/* It is there to answer when the device cannot: not under what ended that. */
	children_add(making, CHILD_ROLE_UNDERTAKER, id, NULL, -1);
}

static bool children_new(struct making *making)
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
	making->needed = making->below_vm | limits_need(config->limits);
	return true;
}

/* --- block devices --- */

/* The whole disk that holds an image, as "8:0". False: there is none that the kernel could limit. */
static bool image_device(const struct making *making, unsigned disk, char *device, size_t size)
{
	int fd = making->resources->disk_fds != NULL ? making->resources->disk_fds[disk] : -1;
	char path[64];
	struct stat status;
	dev_t number;

	if (fd < 0 || fstat(fd, &status) < 0)
		return false;
	number = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
	if (major(number) == 0)
		return false;
	snprintf(device, size, "%u:%u", major(number), minor(number));
	snprintf(path, sizeof(path), "/sys/dev/block/%s/partition", device);
	if (access(path, F_OK) == 0) {
		snprintf(path, sizeof(path), "/sys/dev/block/%s/../dev", device);
		(void)line_file_read(AT_FDCWD, path, device, size);
	}
	return device[0] != '\0';
}

static void look_for_device(struct making *making, unsigned disk)
{
	char key[48], device[32];

	/* That it cannot be opened has been told. */
	if (making->resources->disk_fds == NULL || making->resources->disk_fds[disk] < 0 ||
	    image_device(making, disk, device, sizeof(device)))
		return;
	snprintf(key, sizeof(key), "disks[%u].path", disk);
	problem_add_host(making->problems, config_file_line(making->file, "%s", key), key,
			 "%s: its file system is on no block device of its own (it may be tmpfs, overlay or "
			 "btrfs), so "
			 "limits.io cannot be held; move it, or remove io",
			 making->config->disks[disk].path);
}

static void look_for_devices(struct making *making)
{
	const struct config *config = making->config;

	for (unsigned i = 0; i < config->disks_count; i++)
		if (limits_need(config->limits) & 1u << CONTROLLER_IO ||
		    limits_need(config->disks[i].limits) & 1u << CONTROLLER_IO)
			look_for_device(making, i);
}

/* --- looking --- */

/* Whether a process is there that is neither we nor waits for us. One of another pid namespace is 0. */
static bool others_are_here(const struct making *making, long *pid)
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

static unsigned controllers_to_enable(const struct making *making)
{
	return making->needed & ~controllers_read(making->cgroups->base_fd, "cgroup.subtree_control");
}

static void look_for_controllers(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;
	unsigned missing = making->needed & ~controllers_read(cgroups->base_fd, "cgroup.controllers");
	char list[64], text[160];
	long pid;

	if (missing != 0) {
		controllers_list(missing, list, sizeof(list));
		snprintf(text, sizeof(text), "this cgroup does not have what limits need: %s", list);
		making_lacks(making, cgroups->base_path, text,
			     making->root ? "boot the host with control groups of version 2 alone "
					    "(systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all)"
					  : DELEGATE);
	} else if (!making->root && controllers_to_enable(making) != 0 && others_are_here(making, &pid)) {
		snprintf(text, sizeof(text),
			 "others are in this cgroup (process %ld), so that it cannot be divided", pid);
		making_lacks(making, cgroups->base_path, text, DELEGATE);
	}
}

/* 1: it is a cgroup with this mark, 0: it is not there, -1: it is somebody else's. */
static int group_is_marked(int directory_fd, const char *name, const char *mark)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char value[NAME_SIZE];
	struct stat status;
	ssize_t length;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	length = fgetxattr(fd, MARK, value, sizeof(value));
	if (fstat(fd, &status) < 0 || status.st_uid != geteuid() || length != (ssize_t)strlen(mark) ||
	    memcmp(value, mark, (size_t)length) != 0)
		length = -1;
	close(fd);
	return length < 0 ? -1 : 1;
}

static int group_is_ours(const struct making *making, int directory_fd, const char *name)
{
	return group_is_marked(directory_fd, name, making->config->name);
}

static void group_in_the_way(struct making *making, const char *name, const char *why)
{
	problem_add(making->problems, config_file_line(making->file, "name"), "name",
		    "the cgroup %s/%s is in the way: %s; remove it, or choose another name",
		    making->cgroups->parent_path, name, why);
}

/* Below the root. One that another VM has just made gets its mark next. */
static void look_for_shared(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;
	struct timespec pause = {0, REMOVE_PAUSE_US * 1000L};
	int marked = -1;

	snprintf(cgroups->parent_path, sizeof(cgroups->parent_path), "%s/" SHARED, cgroups->base_path);
	for (int i = 0; i < SHARED_LOOKS && marked < 0; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		marked = group_is_marked(cgroups->base_fd, SHARED, SHARED_MARK);
	}
	if (marked < 0)
		problem_add(making->problems, config_file_line(making->file, "limits"), "limits",
			    "the cgroup %s is in the way: Atoll has not made it; remove it, or limits",
			    cgroups->parent_path);
	if (marked > 0)
		cgroups->parent_fd =
			openat(cgroups->base_fd, SHARED, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void look_around(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;
	size_t before = making->problems->count;

	if (!own_path(cgroups->base_path, sizeof(cgroups->base_path))) {
		making_lacks(making, "cannot be held",
			     "no control groups of version 2 are mounted, with ours among them",
			     "mount them (\"mount -t cgroup2 none /sys/fs/cgroup\"), or remove limits");
		return;
	}
	cgroups->base_fd = open(cgroups->base_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroups->base_fd < 0) {
		making_lacks(making, cgroups->base_path, strerror(errno), DELEGATE);
		return;
	}
	making->root = faccessat(cgroups->base_fd, "cgroup.type", F_OK, 0) < 0;
	if (faccessat(cgroups->base_fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ||
	    faccessat(cgroups->base_fd, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
	    (controllers_to_enable(making) != 0 &&
	     faccessat(cgroups->base_fd, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0))
		making_lacks(making, cgroups->base_path, strerror(errno), DELEGATE);
	if (making->problems->count == before)
		look_for_controllers(making);
	snprintf(cgroups->parent_path, sizeof(cgroups->parent_path), "%s", cgroups->base_path);
	if (making->root)
		look_for_shared(making);
	else
		cgroups->parent_fd = fcntl(cgroups->base_fd, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < 2 && cgroups->parent_fd >= 0; i++) {
		const char *name = i == 0 ? cgroups->name : cgroups->leaf;

		if (group_is_ours(making, cgroups->parent_fd, name) < 0)
			group_in_the_way(making, name, "Atoll has not made it for this VM");
	}
	look_for_devices(making);
}

static void cgroups_free(struct cgroups *cgroups)
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

/* Tells it if there is no memory. */
static bool making_begin(struct making *making, const struct config_file *file,
			 const struct resources *resources, pid_t waiting, struct problems *problems)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));

	*making = (struct making){.file = file,
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
	making_lacks(making, "cannot be held", strerror(ENOMEM), "free some memory");
	return false;
}

void cgroups_look(const struct config_file *file, const struct resources *resources, pid_t waiting,
		  struct problems *problems)
{
	struct making making;

	if (!file->config->limited || !making_begin(&making, file, resources, waiting, problems))
		return;
	look_around(&making);
	cgroups_free(making.cgroups);
}

/* --- removing --- */

/* Removes an empty one; waits until *until_us at most for processes in it that are ending. 0 or -errno. */
static int group_remove(int directory_fd, const char *name, uint64_t until_us)
{
	struct timespec pause = {0, REMOVE_PAUSE_US * 1000L};

	while (unlinkat(directory_fd, name, AT_REMOVEDIR) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || clock_us(CLOCK_MONOTONIC) >= until_us)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* What a supervisor that was killed has left of this VM, though its devices may have been others. */
static void leftovers_remove_children(struct making *making, uint64_t until_us)
{
	int fd = openat(making->cgroups->parent_fd, making->cgroups->name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL && fd >= 0)
		close(fd);
	while (list != NULL && (entry = readdir(list)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
		    group_is_ours(making, dirfd(list), entry->d_name) > 0)
			group_remove(dirfd(list), entry->d_name, until_us);
	if (list != NULL)
		closedir(list);
}

static void leftovers_remove(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;
	uint64_t until_us = clock_us(CLOCK_MONOTONIC) + REMOVE_US;

	if (cgroups->parent_fd < 0)
		return;
	if (group_is_ours(making, cgroups->parent_fd, cgroups->name) > 0) {
		log_info("removing the cgroup %s/%s, which a supervisor that was killed has left",
			 cgroups->parent_path, cgroups->name);
		leftovers_remove_children(making, until_us);
		if (group_remove(cgroups->parent_fd, cgroups->name, until_us) < 0)
			group_in_the_way(making, cgroups->name,
					 "it is left of this VM, and processes or other cgroups are in it");
	}
	if (group_is_ours(making, cgroups->parent_fd, cgroups->leaf) > 0 &&
	    group_remove(cgroups->parent_fd, cgroups->leaf, until_us) < 0)
		group_in_the_way(making, cgroups->leaf, "it is left of this VM, and processes are in it");
}

/* Whoever is in the leaf goes back to where we were started, which can have processes only when nothing below has
 * controllers. */
static void leaf_leave(struct cgroups *cgroups)
{
	int fd = openat(cgroups->parent_fd, cgroups->leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char text[FILE_SIZE];
	int result = controllers_write(cgroups->parent_fd, '-', cgroups->enabled);

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
		result = group_remove(cgroups->parent_fd, cgroups->leaf,
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
			group_remove(cgroups->vm_fd, cgroups->children[i].name, until_us);
	if (cgroups->vm_fd >= 0)
		result = group_remove(cgroups->parent_fd, cgroups->name, until_us);
	if (result < 0)
		log_warning("the cgroup %s/%s stays: %s; remove what is in it that is not Atoll's",
			    cgroups->parent_path, cgroups->name, strerror(-result));
	if (cgroups->moved)
		leaf_leave(cgroups);
	cgroups_free(cgroups);
}

/* --- making --- */

/* An open directory, or -errno. */
static int group_make(int directory_fd, const char *name, const char *mark)
{
	int fd, result;

	if (mkdirat(directory_fd, name, 0755) < 0)
		return -errno;
	fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && fsetxattr(fd, MARK, mark, strlen(mark), 0) == 0)
		return fd;
	result = -errno;
	if (fd >= 0)
		close(fd);
	unlinkat(directory_fd, name, AT_REMOVEDIR);
	return result;
}

/* Moves us, and who waits for us, out of the way. */
static int leaf_enter(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;
	int fd = group_make(cgroups->parent_fd, cgroups->leaf, making->config->name), result = 0;

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

static int io_limit(int directory_fd, const char *device, const struct config_io *io)
{
	const uint64_t values[] = {io->read_bytes, io->write_bytes, io->read_iops, io->write_iops};
	static const char *const keys[] = {"rbps", "wbps", "riops", "wiops"};
	char text[160];
	int used = snprintf(text, sizeof(text), "%s", device);

	for (unsigned i = 0; i < 4; i++)
		if (values[i] != 0)
			used += snprintf(text + used, sizeof(text) - (size_t)used, " %s=%" PRIu64, keys[i],
					 values[i]);
	return line_file_write(directory_fd, "io.max", text);
}

/* disk: whose device I/O is limited on; -1: all of them. *step: what failed. */
static int limits_write(struct making *making, int directory_fd, const struct config_limits *limits, int disk,
			const char **step)
{
	char text[64];
	int result = 0;

	if (limits != NULL && limits->memory_bytes != 0) {
		*step = "memory.max";
		snprintf(text, sizeof(text), "%" PRIu64, limits->memory_bytes);
		result = line_file_write(directory_fd, *step, text);
	}
	if (limits != NULL && limits->cpu_percent != 0 && result == 0) {
		*step = "cpu.max";
		snprintf(text, sizeof(text), "%" PRIu64 " %d",
			 (uint64_t)limits->cpu_percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
		result = line_file_write(directory_fd, *step, text);
	}
	if (limits != NULL && limits->pids != 0 && result == 0) {
		*step = "pids.max";
		snprintf(text, sizeof(text), "%u", limits->pids);
		result = line_file_write(directory_fd, *step, text);
	}
	for (unsigned i = 0;
	     limits != NULL && limits->io != NULL && result == 0 && i < making->config->disks_count; i++) {
		if (disk >= 0 && i != (unsigned)disk)
			continue;
		*step = "io.max";
		result = image_device(making, i, text, sizeof(text))
				 ? io_limit(directory_fd, text, limits->io)
				 : -ENODEV;
	}
	return result;
}

static int make_children(struct making *making, const char **step)
{
	struct cgroups *cgroups = making->cgroups;
	int result = 0;

	for (unsigned i = 0; i < cgroups->child_count && result == 0; i++) {
		struct child_group *child = &cgroups->children[i];

		*step = child->name;
		child->fd = group_make(cgroups->vm_fd, child->name, making->config->name);
		result = child->fd < 0 ? child->fd
				       : limits_write(making, child->fd, child->limits, child->disk, step);
	}
	return result;
}

/* Where the VM's is to be: 0, or -errno. */
static int make_shared(struct making *making)
{
	struct cgroups *cgroups = making->cgroups;

	if (cgroups->parent_fd >= 0)
		return 0;
	cgroups->parent_fd = group_make(cgroups->base_fd, SHARED, SHARED_MARK);
	/* Another VM has been quicker. */
	if (cgroups->parent_fd == -EEXIST)
		look_for_shared(making);
	return cgroups->parent_fd < 0 ? cgroups->parent_fd : 0;
}

/* 0, or -errno with the file or directory at which it failed. */
static int make_all(struct making *making, const char **step)
{
	struct cgroups *cgroups = making->cgroups;
	unsigned enable = controllers_to_enable(making);
	int result = 0;

	*step = cgroups->leaf;
	if (!making->root && enable != 0)
		result = leaf_enter(making);
	if (result == 0) {
		*step = "cgroup.subtree_control";
		result = controllers_write(cgroups->base_fd, '+', enable);
	}
	if (result < 0)
		return result;
	cgroups->enabled = enable;
	*step = SHARED;
	result = make_shared(making);
	if (result == 0 && making->root) {
		*step = "cgroup.subtree_control";
		result = controllers_write(cgroups->parent_fd, '+', making->needed);
	}
	if (result < 0)
		return result;
	*step = cgroups->name;
	cgroups->vm_fd = group_make(cgroups->parent_fd, cgroups->name, making->config->name);
	if (cgroups->vm_fd < 0)
		return cgroups->vm_fd;
	result = limits_write(making, cgroups->vm_fd, making->config->limits, -1, step);
	if (result == 0) {
		*step = "cgroup.subtree_control";
		result = controllers_write(cgroups->vm_fd, '+', making->below_vm);
	}
	return result < 0 ? result : make_children(making, step);
}

struct cgroups *cgroups_make(const struct config_file *file, const struct resources *resources, pid_t waiting,
			     struct problems *problems)
{
	struct making making;
	size_t before = problems->count;
	const char *step = "";
	char text[160];
	int result;

	if (!file->config->limited || !making_begin(&making, file, resources, waiting, problems))
		return NULL;
	look_around(&making);
	if (problems->count == before)
		leftovers_remove(&making);
	if (problems->count > before) {
		cgroups_free(making.cgroups);
		return NULL;
	}
	result = make_all(&making, &step);
	if (result == 0)
		return making.cgroups;
	snprintf(text, sizeof(text), "cannot make or set %.90s below it: %s", step, strerror(-result));
	making_lacks(&making, making.cgroups->parent_path, text, DELEGATE);
	cgroups_remove(making.cgroups);
	return NULL;
}

static const struct child_group *group_of(const struct cgroups *cgroups, enum child_role role, const char *id)
{
	char name[NAME_SIZE];

	child_name(role, id, name);
	for (unsigned i = 0; cgroups != NULL && i < cgroups->child_count; i++)
		if (strcmp(cgroups->children[i].name, name) == 0)
			return &cgroups->children[i];
	return NULL;
}

int cgroups_fd(const struct cgroups *cgroups, enum child_role role, const char *id)
{
	const struct child_group *group = group_of(cgroups, role, id);

	return group != NULL ? group->fd : -1;
}

const struct config_limits *cgroups_limits(const struct cgroups *cgroups, enum child_role role,
					   const char *id)
{
	const struct child_group *group = group_of(cgroups, role, id);

	return group != NULL ? group->limits : NULL;
}

void cgroups_reach(const struct cgroups *cgroups, struct reach *reach)
{
	if (cgroups == NULL)
		return;
	reach_add_fd(reach, cgroups->parent_fd, JAIL_PATH_REMOVE_DIR);
	if (!cgroups->moved)
		return;
	/* leaf_leave() */
	reach_add_path(reach, cgroups->parent_fd, cgroups->leaf, JAIL_PATH_READ_DIR | JAIL_PATH_READ_FILE);
	reach_add_path(reach, cgroups->parent_fd, "cgroup.procs", JAIL_PATH_WRITE_FILE);
	reach_add_path(reach, cgroups->parent_fd, "cgroup.subtree_control", JAIL_PATH_WRITE_FILE);
}
