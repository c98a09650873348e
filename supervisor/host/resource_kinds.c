/* Which kind a device's resource is of; see resource_kinds.h. */
#include "supervisor/host/resource_kinds.h"

#include <stdlib.h>

/* Of a device that has nothing of the host's. */
static const struct resource_kind resource_none;

struct resource *resource_new(const struct config *config, const struct config_entry *of)
{
	struct resource *resource = calloc(1, sizeof(*resource));

	if (resource == NULL)
		return NULL;
	resource->of = *of;
	resource->fd = resource->state_fd = -1;
	switch (of->role) {
	case CHILD_ROLE_BLK:
		resource_disk_init(resource, &config->disks[of->index]);
		break;
	case CHILD_ROLE_NET:
		resource_tap_init(resource, &config->networks[of->index]);
		break;
	case CHILD_ROLE_CONSOLE:
		resource_console_init(resource, &config->consoles[of->index]);
		break;
	default:
		resource->kind = &resource_none;
		break;
	}
	return resource;
}
