/* The types of virtio devices; see device_type.h. */
#include "common/roles/device_type.h"

#include <stdio.h>
#include <string.h>

#include "common/spec/virtio_spec.h"

static const struct device_type types[] = {
	{
		.name = "blk",
		.virtio_id = VIRTIO_ID_BLOCK,
		.pci_class = 0x010000,
		.config_size = 60,
		.queues_min = 1,
		.tracks_inflight = true,
		.rite_count = 1,
		.rites = {DEVICE_RITE_REFUSE_LAST},
	},
	{
		.name = "net",
		.virtio_id = VIRTIO_ID_NET,
		.pci_class = 0x020000,
		.config_size = 24,
		.queues_min = 2,
		.queues = 3,
		.queue_pairs = true,
		/* receiveq1, transmitq1, controlq. */
		.rite_count = 3,
		.rites = {DEVICE_RITE_LEAVE, DEVICE_RITE_DROP, DEVICE_RITE_REFUSE_FIRST},
	},
	{
		.name = "console",
		.virtio_id = VIRTIO_ID_CONSOLE,
		.pci_class = 0x078000,
		.config_size = 12,
		.queues_min = 2,
		.queues = 4,
		.config_acts = true,
		/* 5.3.2: receiveq(port0), transmitq(port0), and the same of control messages. */
		.rite_count = 2,
		.rites = {DEVICE_RITE_LEAVE, DEVICE_RITE_DROP},
	},
};

#define TYPES_COUNT (sizeof(types) / sizeof(types[0]))

const struct device_type *device_type_of(uint32_t virtio_id)
{
	for (size_t i = 0; i < TYPES_COUNT; i++)
		if (types[i].virtio_id == virtio_id)
			return &types[i];
	return NULL;
}

const struct device_type *device_type_named(const char *name)
{
	for (size_t i = 0; i < TYPES_COUNT; i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

const char *device_type_names(char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < TYPES_COUNT && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i == 0			? ""
					 : i + 1 == TYPES_COUNT ? " or "
								: ", ",
					 types[i].name);
	return text;
}
