/*
 * Policies from a folder.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/policy.h"
#include "policy/policy_memory.h"
#include "policy/policy_union.h"

#define SUFFIX ".policy"

/* --- Files --- */

static int file_read(const struct policy_source *source, const char *name, char **file, char **text,
		     size_t *size)
{
	char *path, *buffer;
	ssize_t count;
	int fd;

	if (asprintf(&path, "%s/%s", source->directory, name) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		free(path);
		return -errno;
	}
	/* One byte more than may be there, so that a longer file is seen to be longer. */
	buffer = policy_resize(NULL, POLICY_TEXT_MAX + 2, 1);
	*size = 0;
	do {
		count = read(fd, buffer + *size, POLICY_TEXT_MAX + 1 - *size);
		if (count > 0)
			*size += (size_t)count;
	} while (count > 0 || (count < 0 && errno == EINTR));
	if (count < 0) {
		int error = errno;

		close(fd);
		free(buffer);
		free(path);
		return -error;
	}
	close(fd);
	buffer[*size] = '\0';
	*text = buffer;
	*file = path;
	return 0;
}

int policy_load(struct policy *policy, const char *directory, const char *name,
		struct policy_problems *problems)
{
	struct policy_source source = {.read = file_read, .directory = directory};

	return policy_parse(policy, name, &source, problems);
}

int policy_load_any(struct policy *policy, const char *directory, const char *name,
		    struct policy_problems *problems)
{
	size_t length = strlen(name), suffix = strlen(POLICY_PROCESS);

	if (length > suffix && strcmp(name + length - suffix, POLICY_PROCESS) == 0)
		return policy_union(policy, directory, name, problems);
	return policy_load(policy, directory, name, problems);
}

/* --- What there is --- */

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The length of "core." in "core.main". */
static size_t role_length(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot != NULL ? (size_t)(dot - name) + 1 : 0;
}

int policy_list(const char *directory, char ***names)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char **list = NULL;
	int count = 0, files;

	if (dir == NULL)
		return -errno;
	while ((entry = readdir(dir)) != NULL) {
		size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

		if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0 ||
		    memchr(entry->d_name, '.', length - suffix) == NULL || entry->d_name[0] == '.')
			continue;
		list = policy_resize(list, (size_t)count + 1, sizeof(*list));
		list[count++] = policy_copy_text(entry->d_name, length - suffix);
	}
	closedir(dir);
	qsort(list, (size_t)count, list != NULL ? sizeof(*list) : 1, name_compare);
	files = count;
	for (int i = 1; i < files; i++) {
		size_t role = role_length(list[i]);
		char *process;

		/* At the second thread of each role. */
		if (strncmp(list[i], list[i - 1], role) != 0 ||
		    (i > 1 && strncmp(list[i], list[i - 2], role) == 0))
			continue;
		process = policy_resize(NULL, role + strlen(POLICY_PROCESS), 1);
		stpcpy((char *)mempcpy(process, list[i], role), &POLICY_PROCESS[1]);
		list = policy_resize(list, (size_t)count + 1, sizeof(*list));
		list[count++] = process;
	}
	qsort(list, (size_t)count, list != NULL ? sizeof(*list) : 1, name_compare);
	*names = list;
	return count;
}

void policy_list_free(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
