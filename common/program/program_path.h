/*
 * Where the programs of the family are, which no shell looks for.
 */
#ifndef ATOLL_COMMON_PROGRAM_PROGRAM_PATH_H
#define ATOLL_COMMON_PROGRAM_PROGRAM_PATH_H

#include <stddef.h>

#define PROGRAM_FOLDER_ENV "ATOLL_LIBEXEC_DIR"
/* What helps when one is not there. */
#define PROGRAM_MISSING_REMEDY "install Atoll as a whole, or set " PROGRAM_FOLDER_ENV

/* Of a program, "atoll-blk": in $ATOLL_LIBEXEC_DIR, else where it was installed. */
void program_path(const char *program, char *path, size_t size);

#endif
