/*
 * Where our own cgroup is seen.
 */
#include "supervisor/host/cgroup_own.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool cgroup_own_path(char *path, size_t size)
{
	char own[PATH_MAX], *line = NULL;
	size_t capacity = 0;
	FILE *file;
	bool found = false;

	/* "/..": above our cgroup namespace. */
	if (!own_name(own, sizeof(own)) || strncmp(own, "/..", 3) == 0)
		return false;
	file = fopen("/proc/self/mountinfo", "re");
	/* The last of the mounts is the one that can be seen if they are at the same place. */
	while (file != NULL && getline(&line, &capacity, file) > 0)
		found |= mount_shows(line, own, path, size);
	free(line);
	if (file != NULL)
		fclose(file);
	return found;
}
