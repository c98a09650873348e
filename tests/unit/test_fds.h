/*
 * For tests that look for leaks of descriptors.
 */
#ifndef ATOLL_TESTS_UNIT_TEST_FDS_H
#define ATOLL_TESTS_UNIT_TEST_FDS_H

#include <dirent.h>

/* How many this process has open, and a few more that are the same each time. */
static inline unsigned count_open_fds(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");

	assert_non_null(directory);
	while (readdir(directory) != NULL)
		count++;
	closedir(directory);
	return count;
}

#endif
