#include "supervisor/host/inherited.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

void inherited_note(struct inherited *inherited)
{
	DIR *list = opendir("/proc/self/fd");
	struct dirent *entry;

	*inherited = (struct inherited){0};
	while (list != NULL && (entry = readdir(list)) != NULL) {
		int fd = atoi(entry->d_name), *larger;

		if (fd <= STDERR_FILENO || fd == dirfd(list))
			continue;
		larger = realloc(inherited->fds, (inherited->count + 1) * sizeof(*larger));
		if (larger == NULL)
			break;
		inherited->fds = larger;
		larger[inherited->count++] = fd;
	}
	if (list != NULL)
		closedir(list);
}

void inherited_close(struct inherited *inherited)
{
	for (size_t i = 0; i < inherited->count; i++)
		close(inherited->fds[i]);
	free(inherited->fds);
	*inherited = (struct inherited){0};
}
