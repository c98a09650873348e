/*
 * The names of system calls. The table has holes, where numbers are reserved.
 */
#include "common/base/syscall_names.h"

#include <errno.h>
#include <linux/version.h>
#include <stddef.h>
#include <string.h>

static const char *const syscall_table[] = {
#include "common/base/syscall_table.h"
};

#define SYSCALL_LIMIT (sizeof(syscall_table) / sizeof(syscall_table[0]))

const char *syscall_name(unsigned number)
{
	return number < SYSCALL_LIMIT ? syscall_table[number] : NULL;
}

int syscall_number(const char *name)
{
	for (size_t i = 0; i < SYSCALL_LIMIT; i++)
		if (syscall_table[i] != NULL && strcmp(syscall_table[i], name) == 0)
			return (int)i;
	return -ENOENT;
}

#define TEXT(number)	TEXT_OF(number)
#define TEXT_OF(number) #number

const char *syscall_headers(void)
{
	return "Linux " TEXT(LINUX_VERSION_MAJOR) "." TEXT(LINUX_VERSION_PATCHLEVEL);
}

unsigned syscall_limit(void)
{
	return SYSCALL_LIMIT;
}
