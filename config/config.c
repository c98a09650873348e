/* What a config file says, and where it says it; see config.h. */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device of a role that stands at `index` of its list; NULL: there is no such. */
static const struct config_device *device_at(const struct config *config, enum child_role role,
					     unsigned index)
{
	switch (role) {
	case CHILD_ROLE_BLK:
		return index < config->disks_count ? &config->disks[index].device : NULL;
	case CHILD_ROLE_NET:
		return index < config->networks_count ? &config->networks[index].device : NULL;
	case CHILD_ROLE_CONSOLE:
		return index < config->consoles_count ? &config->consoles[index].device : NULL;
	case CHILD_ROLE_CORE:
	case CHILD_ROLE_UNDERTAKER:
		return NULL;
	default:
		return index == 0 && config->simples[role - CHILD_ROLE_SIMPLE].on
			       ? &config->simples[role - CHILD_ROLE_SIMPLE].device
			       : NULL;
	}
}

bool config_next_device(const struct config *config, struct config_entry *entry)
{
	const struct config_device *device = NULL;
	const char *list;

	if (entry->count > 0)
		entry->index++;
	while (entry->role < role_count()) {
		device = device_at(config, entry->role, entry->index);
		if (device != NULL)
			break;
		entry->role++;
		entry->index = 0;
	}
	if (device == NULL)
		return false;
	list = role_of(entry->role)->config_list;
	if (list != NULL)
		snprintf(entry->key, sizeof(entry->key), "%s[%u]", list, entry->index);
	else
		snprintf(entry->key, sizeof(entry->key), "%s", device->id);
	entry->device = device;
	entry->count++;
	return true;
}

unsigned config_device_count(const struct config *config)
{
	struct config_entry entry = {0};

	while (config_next_device(config, &entry))
		continue;
	return entry.count;
}

struct config_simple *config_simple_of(struct config *config, enum child_role role)
{
	return role >= CHILD_ROLE_SIMPLE && role < role_count() ? &config->simples[role - CHILD_ROLE_SIMPLE]
								: NULL;
}

unsigned config_file_line(const struct config_file *file, const char *format, ...)
{
	char path[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	return config_lines_find(&file->lines, path);
}

char *config_file_path(const struct config_file *file, const char *path)
{
	const char *slash = file->path != NULL ? strrchr(file->path, '/') : NULL;
	char *result;

	if (path[0] == '/' || slash == NULL)
		return strdup(path);
	return asprintf(&result, "%.*s/%s", (int)(slash - file->path), file->path, path) < 0 ? NULL : result;
}
