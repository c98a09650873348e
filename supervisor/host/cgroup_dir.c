/*
 * One cgroup: its directory, its mark, its controllers.
 */
#include "supervisor/host/cgroup_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/line_file.h"

#define MARK		"user.atoll.vm"
#define MARK_SIZE	96
#define LINE_SIZE	4096 /* what is read of a list of controllers */
#define REMOVE_PAUSE_NS 10000000L

static const char *const controller_names[] = {"memory", "cpu", "pids", "io"};

int cgroup_dir_open(int directory_fd, const char *name)
{
	return openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int cgroup_dir_marked(int directory_fd, const char *name, const char *mark)
{
	int fd = cgroup_dir_open(directory_fd, name);
	char value[MARK_SIZE];
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

int cgroup_dir_make(int directory_fd, const char *name, const char *mark)
{
	int fd, result;

	if (mkdirat(directory_fd, name, 0755) < 0)
		return -errno;
	fd = cgroup_dir_open(directory_fd, name);
	if (fd >= 0 && fsetxattr(fd, MARK, mark, strlen(mark), 0) == 0)
		return fd;
	result = -errno;
	if (fd >= 0)
		close(fd);
	unlinkat(directory_fd, name, AT_REMOVEDIR);
	return result;
}

int cgroup_dir_remove(int directory_fd, const char *name, uint64_t until_us)
{
	struct timespec pause = {0, REMOVE_PAUSE_NS};

	while (unlinkat(directory_fd, name, AT_REMOVEDIR) < 0) {
		if (errno == ENOENT)
			return 0;
		if (errno != EBUSY || clock_us(CLOCK_MONOTONIC) >= until_us)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

unsigned cgroup_controllers_read(int directory_fd, const char *name)
{
	char text[LINE_SIZE], *rest = text, *word;
	unsigned found = 0;

	(void)line_file_read(directory_fd, name, text, sizeof(text));
	while ((word = strsep(&rest, " ")) != NULL)
		for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
			if (strcmp(word, controller_names[i]) == 0)
				found |= 1u << i;
	return found;
}

int cgroup_controllers_write(int directory_fd, char sign, unsigned controllers)
{
	char text[64] = ""; /* "+memory +io" */
	size_t used = 0;

	for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
		if (controllers & 1u << i)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%c%s",
						 used > 0 ? " " : "", sign, controller_names[i]);
	return controllers == 0 ? 0 : line_file_write(directory_fd, "cgroup.subtree_control", text);
}

void cgroup_controllers_list(unsigned controllers, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < CONTROLLER_COUNT; i++)
		if (controllers & 1u << i && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "",
						 controller_names[i]);
}
