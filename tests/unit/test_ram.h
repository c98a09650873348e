/*
 * Guest RAM for tests of the core's parts: the file that the supervisor makes, and its mapping.
 */
#ifndef ATOLL_TESTS_UNIT_TEST_RAM_H
#define ATOLL_TESTS_UNIT_TEST_RAM_H

#include <unistd.h>

#include "common/base/sealed_memfd.h"
#include "common/ring/guest_memory.h"
#include "vmm-core/machine/guest_ram.h"

/* 0 or -errno. */
static inline int test_ram_create(uint64_t size, struct guest_ram *ram)
{
	int fd, result = sealed_memfd_create(GUEST_MEMORY_NAME, size, &fd);

	if (result < 0)
		return result;
	result = guest_ram_map(fd, size, ram);
	if (result < 0)
		close(fd);
	return result;
}

#endif
