/*
 * What /proc tells of a process's root, descriptors and memory.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_proc.h"
#include "audit/audit_proc_text.h"
#include "common/base/escape.h"

#define ROOT_ENTRIES_MAX 64

/* --- its root --- */

/* Whether a comma-separated list has this word. */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (; list != NULL; list = strchr(list, ',')) {
		list += *list == ',';
		if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
			return true;
	}
	return false;
}

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER */
static int mount_take(struct proc_mounts *mounts, char *line)
{
	char *words[6], *word, *separator;

	for (unsigned i = 0; i < 6; i++) {
		words[i] = proc_next_word(&line);
		if (words[i] == NULL)
			return -EPROTO;
	}
	while ((separator = proc_next_word(&line)) != NULL && strcmp(separator, "-") != 0)
		;
	word = proc_next_word(&line);
	if (separator == NULL || word == NULL)
		return -EPROTO;
	/* Several file systems may be mounted on "/": the last covers the others. */
	if (strcmp(words[4], "/") == 0) {
		escape_text(word, strlen(word), ESCAPE_NAME, mounts->root_type, sizeof(mounts->root_type));
		mounts->root_readonly = list_has(words[5], "ro");
	}
	if (mounts->count < 2)
		escape_text(words[4], strlen(words[4]), ESCAPE_NAME,
			    mounts->count == 0 ? mounts->first : mounts->second, PROC_NAME_MAX);
	mounts->count++;
	return 0;
}

int proc_read_mounts(int dir_fd, struct proc_mounts *mounts)
{
	struct proc_mounts read = {0};
	char *text, *cursor, *line;
	int result = proc_read_text(dir_fd, "mountinfo", &text);

	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (line = proc_next_line(&cursor)) != NULL)
		result = mount_take(&read, line);
	free(text);
	if (result == 0)
		*mounts = read;
	return result;
}

int proc_read_root(int dir_fd, struct proc_root *root)
{
	int fd = openat(dir_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct proc_root read = {0};
	struct stat root_status, working_status;
	struct dirent *entry;

	if (directory == NULL) {
		result = proc_error(errno);
		if (fd >= 0)
			close(fd);
		return result;
	}
	while (read.entries < ROOT_ENTRIES_MAX && (errno = 0, entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (read.entries++ == 0)
			escape_text(entry->d_name, strlen(entry->d_name), ESCAPE_NAME, read.first,
				    sizeof(read.first));
	}
	if (errno != 0 || fstat(fd, &root_status) < 0 || fstatat(dir_fd, "cwd", &working_status, 0) < 0)
		result = proc_error(errno);
	closedir(directory);
	if (result < 0)
		return result;
	read.is_working_directory =
		root_status.st_dev == working_status.st_dev && root_status.st_ino == working_status.st_ino;
	*root = read;
	return 0;
}

/* --- descriptors --- */

int proc_read_fd_target(int dir_fd, int fd, char *target, size_t size)
{
	char path[32], raw[4096];
	ssize_t length;

	snprintf(path, sizeof(path), "fd/%d", fd);
	length = readlinkat(dir_fd, path, raw, sizeof(raw));
	if (length < 0)
		return proc_error(errno);
	escape_text(raw, (size_t)length, ESCAPE_NAME, target, size);
	return 0;
}

static void fdinfo_take(struct proc_fd *fd, const char *key, char *value)
{
	uint64_t number;
	char *word;

	value += strspn(value, " \t");
	if (strcmp(key, "iff") == 0) {
		escape_text(value, strlen(value), ESCAPE_NAME, fd->interface, sizeof(fd->interface));
		return;
	}
	word = proc_next_word(&value);
	if (strcmp(key, "flags") == 0 && proc_parse_number(word, 8, &number) == 0)
		fd->flags = (unsigned)number;
	else if (strcmp(key, "mnt_id") == 0 && proc_parse_number(word, 10, &number) == 0)
		fd->mount = (unsigned)number;
	else if (strcmp(key, "ino") == 0 && proc_parse_number(word, 10, &number) == 0)
		fd->inode = number;
	else if (strcmp(key, "eventfd-id") == 0 && proc_parse_number(word, 10, &number) == 0)
		fd->eventfd = (int)number;
	else if (strcmp(key, "scm_fds") == 0 && proc_parse_number(word, 10, &number) == 0)
		fd->in_flight = number > INT_MAX ? INT_MAX : (int)number;
	else if (strcmp(key, "UserFiles") == 0 && proc_parse_number(word, 10, &number) == 0)
		fd->registered = number > INT_MAX ? INT_MAX : (int)number;
}

int proc_read_fd(int dir_fd, int number, struct proc_fd *out)
{
	struct proc_fd fd = {.fd = number, .eventfd = -1, .in_flight = -1};
	char path[32], *text, *cursor, *line;
	int result = proc_read_fd_target(dir_fd, number, fd.target, sizeof(fd.target));

	if (result < 0)
		return result;
	snprintf(path, sizeof(path), "fdinfo/%d", number);
	result = proc_read_text(dir_fd, path, &text);
	if (result < 0)
		return result;
	cursor = text;
	while ((line = proc_next_line(&cursor)) != NULL) {
		char *value = strchr(line, ':');

		if (value == NULL)
			continue;
		*value++ = '\0';
		fdinfo_take(&fd, line, value);
	}
	free(text);
	*out = fd;
	return 0;
}

static int fd_compare(const void *a, const void *b)
{
	return ((const struct proc_fd *)a)->fd - ((const struct proc_fd *)b)->fd;
}

static int fds_add(struct proc_fds *fds, const struct proc_fd *fd)
{
	struct proc_fd *larger;

	if (fds->count == PROC_COUNT_MAX)
		return -EFBIG;
	if ((fds->count & (fds->count - 1)) == 0) {
		larger = realloc(fds->fds, (fds->count == 0 ? 1 : fds->count * 2) * sizeof(*larger));
		if (larger == NULL)
			return -ENOMEM;
		fds->fds = larger;
	}
	fds->fds[fds->count++] = *fd;
	return 0;
}

void proc_fds_free(struct proc_fds *fds)
{
	free(fds->fds);
	*fds = (struct proc_fds){0};
}

int proc_read_fds(int dir_fd, struct proc_fds *fds)
{
	int list_fd = openat(dir_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *directory = list_fd < 0 ? NULL : fdopendir(list_fd);
	struct proc_fds read = {0};
	struct dirent *entry;

	if (directory == NULL) {
		result = proc_error(errno);
		if (list_fd >= 0)
			close(list_fd);
		return result;
	}
	while (result == 0 && (errno = 0, entry = readdir(directory)) != NULL) {
		struct proc_fd fd;
		uint64_t number;

		if (proc_parse_number(entry->d_name, 10, &number) < 0)
			continue;
		result = proc_read_fd(dir_fd, (int)number, &fd);
		if (result == 0)
			result = fds_add(&read, &fd);
		else if (result == -ESRCH)
			result = 0; /* closed meanwhile */
		errno = 0;
	}
	if (result == 0 && errno != 0)
		result = proc_error(errno);
	closedir(directory);
	if (result < 0) {
		proc_fds_free(&read);
		return result;
	}
	if (read.count > 0)
		qsort(read.fds, read.count, sizeof(*read.fds), fd_compare);
	*fds = read;
	return 0;
}

int proc_read_seals(int dir_fd, int fd, unsigned *seals)
{
	char path[32], target[PROC_NAME_MAX];
	int own_fd, result = proc_read_fd_target(dir_fd, fd, target, sizeof(target));

	if (result < 0)
		return result;
	/* A file of that name would be opened too, and asked; neither can make us wait. */
	if (strncmp(target, "/memfd:", 7) != 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "fd/%d", fd);
	own_fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (own_fd < 0)
		return proc_error(errno);
	result = fcntl(own_fd, F_GET_SEALS);
	if (result >= 0)
		*seals = (unsigned)result;
	else
		result = -errno;
	close(own_fd);
	return result < 0 ? result : 0;
}

/* --- memory --- */

static int file_map_add(struct proc_maps *maps, const struct proc_map *map)
{
	struct proc_map *larger;

	for (size_t i = 0; i < maps->file_count; i++) {
		const struct proc_map *other = &maps->files[i];

		if (map->inode == other->inode && map->shared == other->shared &&
		    map->writable == other->writable && map->executable == other->executable &&
		    strcmp(map->device, other->device) == 0 && strcmp(map->name, other->name) == 0)
			return 0;
	}
	if (maps->file_count == PROC_COUNT_MAX)
		return -EFBIG;
	larger = realloc(maps->files, (maps->file_count + 1) * sizeof(*larger));
	if (larger == NULL)
		return -ENOMEM;
	maps->files = larger;
	larger[maps->file_count++] = *map;
	return 0;
}

/* What has an inode. words: as map_take() has them. */
static int file_map_take(struct proc_maps *maps, char *const *words, const char *name)
{
	struct proc_map map = {.writable = words[1][1] == 'w',
			       .executable = words[1][2] == 'x',
			       .shared = words[1][3] == 's'};

	if (proc_parse_number(words[4], 10, &map.inode) < 0 || strlen(words[3]) >= sizeof(map.device))
		return -EPROTO;
	if (map.inode == 0)
		return 0;
	strcpy(map.device, words[3]);
	escape_text(name, strlen(name), ESCAPE_NAME, map.name, sizeof(map.name));
	return file_map_add(maps, &map);
}

/* START-END PERMISSIONS OFFSET DEVICE INODE [NAME] */
static int map_take(struct proc_maps *maps, char *line)
{
	char whole[PROC_NAME_MAX], *words[5], *name;
	bool writable, executable, ours;
	int result;

	escape_text(line, strlen(line), ESCAPE_NAME, whole, sizeof(whole));
	for (unsigned i = 0; i < 5; i++) {
		words[i] = proc_next_word(&line);
		if (words[i] == NULL)
			return -EPROTO;
	}
	if (strlen(words[1]) != 4)
		return -EPROTO;
	name = line + strspn(line, " ");
	result = file_map_take(maps, words, name);
	if (result < 0)
		return result;
	maps->count++;
	writable = words[1][1] == 'w';
	executable = words[1][2] == 'x';
	if (!executable)
		return 0;
	/* The kernel's own; a file of that name would have an inode. A memfd has one too, and is no program. */
	ours = strcmp(words[4], "0") != 0 && strncmp(name, "/memfd:", 7) != 0 &&
	       strncmp(name, "/dev/zero", 9) != 0 && strncmp(name, "/SYSV", 5) != 0;
	if (!ours && strcmp(words[4], "0") == 0)
		ours = strcmp(name, "[vdso]") == 0 || strcmp(name, "[vsyscall]") == 0 ||
		       strcmp(name, "[uprobes]") == 0;
	if (writable)
		maps->writable_executable++;
	else if (!ours)
		maps->anonymous_executable++;
	if ((writable || !ours) && maps->first[0] == '\0')
		memcpy(maps->first, whole, sizeof(whole));
	return 0;
}

int proc_read_maps(int dir_fd, struct proc_maps *maps)
{
	struct proc_maps read = {0};
	char *text, *cursor, *line;
	int result = proc_read_text(dir_fd, "maps", &text);

	if (result < 0)
		return result;
	cursor = text;
	while (result == 0 && (line = proc_next_line(&cursor)) != NULL)
		result = map_take(&read, line);
	free(text);
	if (result == 0)
		*maps = read;
	else
		proc_maps_free(&read);
	return result;
}

void proc_maps_free(struct proc_maps *maps)
{
	free(maps->files);
	*maps = (struct proc_maps){0};
}
