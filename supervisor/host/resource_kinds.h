/*
 * The kinds of resources that there are, and how a new one of each begins.
 */
#ifndef ATOLL_SUPERVISOR_HOST_RESOURCE_KINDS_H
#define ATOLL_SUPERVISOR_HOST_RESOURCE_KINDS_H

#include "supervisor/host/resource.h"

/* With nothing open yet. The config is to live as long. NULL: no memory is left. */
struct resource *resource_new(const struct config *config, const struct config_entry *of);

/* Set what of the kind's is not zero. */
void resource_disk_init(struct resource *resource, const struct config_disk *disk);
void resource_tap_init(struct resource *resource, const struct config_network *network);
void resource_console_init(struct resource *resource, const struct config_console *console);

#endif
