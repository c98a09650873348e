/* One device's resources, of whatever kind; see resource.h. */
#include "supervisor/host/resource.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ring/state_page.h"

/* What a device's processes leave to each other. */
static void resource_open_state(struct opening *opening, struct resource *resource)
{
	int result = state_page_create(&resource->state_fd);

	if (result < 0)
		problem_add_host(opening->problems, 1, "host",
				 "no memory can be had for a device's state: %s; %s", strerror(-result),
				 opening_remedy(-result));
}

void resource_open(struct opening *opening, struct resource *resource)
{
	if (resource->kind->open != NULL)
		resource->kind->open(opening, resource);
	if (opening->dir != NULL && role_of(resource->of.role)->has_state)
		resource_open_state(opening, resource);
}

int resource_renew(struct resource *resource, char *lost, size_t size)
{
	return resource->kind->renew != NULL ? resource->kind->renew(resource, lost, size) : 0;
}

uint64_t resource_file_limit(const struct resource *resource)
{
	return resource->kind->file_limit != NULL ? resource->kind->file_limit(resource) : 0;
}

void resource_free(struct resource *resource)
{
	if (resource == NULL)
		return;
	if (resource->kind->close != NULL)
		resource->kind->close(resource);
	if (resource->fd >= 0)
		close(resource->fd);
	if (resource->state_fd >= 0)
		close(resource->state_fd);
	free(resource);
}
