/* All that a VM uses of the host; see resources.h. What differs by the kind of device is in resource_*.c. */
#include "supervisor/host/resources.h"

#include <unistd.h>

#include "supervisor/host/opening_machine.h"
#include "supervisor/host/resource_kinds.h"

void resources_init(struct resources *resources)
{
	*resources = (struct resources){.kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1};
	TAILQ_INIT(&resources->devices);
}

bool resources_allocate(struct resources *resources, const struct config *config)
{
	struct config_entry entry = {0};

	resources_init(resources);
	while (config_next_device(config, &entry)) {
		struct resource *resource = resource_new(config, &entry);

		if (resource == NULL)
			return false;
		TAILQ_INSERT_TAIL(&resources->devices, resource, link);
	}
	return true;
}

void resources_open(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems)
{
	struct opening opening = {file, file->config, dir, claims, problems};
	struct resource *resource;

	if (!resources_allocate(resources, file->config)) {
		problem_add_host(problems, 1, "host", "out of memory; free some, and try again");
		return;
	}
	/* Its own file is read no more, and would be lost all the same. */
	if (file->path != NULL)
		file_claims_add_path(claims, file->path, FILE_READ, "the config file");
	if (dir != NULL)
		file_claims_add_fd(claims, dir->lock_fd, FILE_WRITTEN,
				   "the runtime directory's file \"pid\"");
	opening_open_kvm(&opening, &resources->kvm_fd);
	opening_check_memory(&opening);
	opening_open_boot(&opening, &resources->kernel_fd, &resources->initrd_fd);
	TAILQ_FOREACH (resource, &resources->devices, link)
		resource_open(&opening, resource);
}

void resources_make(const struct config_file *file, const struct runtime_dir *dir, struct file_claims *claims,
		    struct resources *resources, struct problems *problems)
{
	struct opening opening = {file, file->config, dir, claims, problems};
	struct resource *resource;

	TAILQ_FOREACH (resource, &resources->devices, link)
		if (resource->kind->make != NULL && problems->count == 0)
			resource->kind->make(&opening, resource);
}

void resources_empty(const struct resources *resources)
{
	struct resource *resource;

	TAILQ_FOREACH (resource, &resources->devices, link)
		if (resource->kind->empty != NULL)
			resource->kind->empty(resource);
}

void resources_reach(const struct resources *resources, struct reach *reach)
{
	struct resource *resource;

	TAILQ_FOREACH (resource, &resources->devices, link)
		if (resource->kind->reach != NULL)
			resource->kind->reach(resource, reach);
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void resources_close(struct resources *resources)
{
	struct resource *resource;

	fd_close(resources->kvm_fd);
	fd_close(resources->kernel_fd);
	fd_close(resources->initrd_fd);
	while ((resource = TAILQ_FIRST(&resources->devices)) != NULL) {
		TAILQ_REMOVE(&resources->devices, resource, link);
		resource_free(resource);
	}
	resources_init(resources);
}
