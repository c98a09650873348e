/*
 * The file that is a VM's memory; see vm_memory.h. Its seals, without which the core would refuse it, keep every process that
 * maps it from pulling pages away from under the others.
 */
#include "supervisor/vm/vm_memory.h"

#include <string.h>
#include <unistd.h>

#include "common/base/report.h"
#include "common/base/sealed_memfd.h"
#include "common/ring/guest_memory.h"

uint64_t vm_memory_size(const struct config *config)
{
	/* Nothing can be added yet. */
	return config->memory_bytes;
}

int vm_memory_renew(const struct config *config, int *fd)
{
	uint64_t size = vm_memory_size(config);
	int result;

	vm_memory_close(fd);
	result = sealed_memfd_create(GUEST_MEMORY_NAME, size, fd);
	if (result < 0)
		report_error("%s: memory: cannot make a file of %llu MiB for it: %s; lower \"memory\"",
			     config->name, (unsigned long long)(size >> 20), strerror(-result));
	return result;
}

void vm_memory_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
