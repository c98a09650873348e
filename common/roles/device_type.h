/*
 * The types of virtio devices that there are: what the core's transport, and who answers for a failed one, must know of each. A
 * part of the row of a role (role.h); what a device does is its own program's.
 *
 * Source: virtio 1.2, 5; PCI Code and ID Assignment 1.11 (classes).
 */
#ifndef ATOLL_COMMON_ROLES_DEVICE_TYPE_H
#define ATOLL_COMMON_ROLES_DEVICE_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of the chains of a queue whose device has failed. */
enum device_rite {
	DEVICE_RITE_LEAVE,	  /* buffers for what never comes stay where they are */
	DEVICE_RITE_DROP,	  /* completed, as if it had been carried out */
	DEVICE_RITE_REFUSE_LAST,  /* completed with a 1 in the last byte that the device writes */
	DEVICE_RITE_REFUSE_FIRST, /* ... in the first */
};

#define DEVICE_TYPE_RITES_MAX 4

struct device_type {
	const char *name; /* "blk" */
	uint16_t virtio_id;
	uint32_t pci_class;   /* 24 bits */
	uint32_t config_size; /* bytes of its configuration (5.x.4); no more is asked of a back end */
	uint8_t queues_min;   /* what it cannot do without */
	uint8_t queues;	      /* how many it has at most; 0: as many as it is given */
	bool queue_pairs; /* 5.1.2: there is one pair; back ends differ in what they count, queues or pairs */
	bool config_acts; /* 5.3.4: what is written to its configuration is no setting, but done at once */
	bool tracks_inflight; /* requests that a process took and did not give back are carried out again, or failed */
	/* Of its queues, from the first on, and then again from the first one of these. */
	uint8_t rite_count;
	enum device_rite rites[DEVICE_TYPE_RITES_MAX];
};

/* Each returns NULL where there is no such type. */
const struct device_type *device_type_of(uint32_t virtio_id);
const struct device_type *device_type_named(const char *name);

/* "blk, net or console", cut where there is no room for more; returns text. */
const char *device_type_names(char *text, size_t size);

#endif
