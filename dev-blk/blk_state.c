/* What a disk's process leaves to its successor: see blk_state.h. */
#include "dev-blk/blk_state.h"

#include <string.h>

#include "common/spec/virtio_spec.h"
#include "dev-blk/virtio_blk_spec.h"

/* The kernel's error numbers. */
#define ERRNO_MAX 4095

int blk_state_open(struct device_state *state, int fd)
{
	static const struct device_state_layout layout = {BLK_STATE_VERSION, sizeof(struct blk_record),
							  sizeof(struct blk_record)};

	return device_state_open(state, DEVICE_STATE_BLK, &layout, fd);
}

/* NULL, or what cannot be. */
static const char *record_problem(const struct blk_record *record, uint64_t offered)
{
	static const uint8_t zero[sizeof(record->reserved)];
	bool chooses = (record->features & VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE)) != 0;

	if ((record->features & ~offered) != 0)
		return "its driver uses features that are not offered";
	if (record->lost > 0 || record->lost < -ERRNO_MAX)
		return "data was lost for no reason that there is";
	if (record->writeback > 1 || (record->writeback == 0 && !chooses))
		return "its write cache is in a mode that it cannot be in";
	if (record->asked > DISK_WITNESSES)
		return "more witnesses were asked than there are";
	if (memcmp(record->reserved, zero, sizeof(zero)) != 0)
		return "it has something where there is nothing";
	return NULL;
}

const char *blk_state_take(struct device_state *state, uint64_t offered, struct blk_record *record)
{
	struct blk_record taken = {0};
	const char *problem = device_state_take(state, &taken);

	if (problem == NULL)
		problem = record_problem(&taken, offered);
	if (problem == NULL)
		*record = taken;
	return problem;
}
