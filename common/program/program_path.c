#include "common/program/program_path.h"

#include <stdio.h>
#include <stdlib.h>

void program_path(const char *program, char *path, size_t size)
{
	const char *folder = getenv(PROGRAM_FOLDER_ENV);

	snprintf(path, size, "%s/%s", folder != NULL && folder[0] != '\0' ? folder : ATOLL_LIBEXECDIR,
		 program);
}
