#include "common/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/line_file.h"

pid_t proc_entry_id(const char *name)
{
	long id;

	if (name[0] < '1' || name[0] > '9' || name[strspn(name, "0123456789")] != '\0')
		return 0;
	errno = 0;
	id = strtol(name, NULL, 10);
	return errno == 0 && id <= INT_MAX ? (pid_t)id : 0;
}

int proc_comm(pid_t thread, char *name, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)thread);
	return line_file_read(AT_FDCWD, path, name, size);
}
