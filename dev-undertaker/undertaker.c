/*
 * The undertaker of a failed virtio device: the table of its type says what becomes of each queue's chains.
 */
#include "dev-undertaker/undertaker.h"

#include <errno.h>

/* VIRTIO_BLK_S_IOERR (5.2.6) and VIRTIO_NET_ERR (5.1.6.5). */
#define REFUSED 1

/* Every bit of a device type, for it is the front end that knows what the driver was promised (6). */
#define FEATURES_OF_DEVICES (((UINT64_C(1) << 24) - 1) | (((UINT64_C(1) << 14) - 1) << 50))

static enum device_rite undertaker_rite(const struct undertaker *undertaker, uint16_t queue)
{
	return undertaker->type->rites[queue % undertaker->type->rite_count];
}

static bool undertaker_serves(const void *argument, uint16_t queue)
{
	return undertaker_rite(argument, queue) != DEVICE_RITE_LEAVE;
}

static int undertaker_serve(void *argument, uint16_t queue, const struct virtqueue_chain *chain,
			    uint32_t *written, const char **problem)
{
	static const uint8_t refused = REFUSED;
	struct undertaker *undertaker = argument;
	enum device_rite rite = undertaker_rite(undertaker, queue);
	bool first = rite == DEVICE_RITE_REFUSE_FIRST;

	if (rite == DEVICE_RITE_DROP) {
		undertaker->dropped++;
		return 0;
	}
	if (chain->in_bytes == 0) {
		*problem = "a request has no room for its status";
		return -EPROTO;
	}
	virtqueue_chain_write(chain, first ? 0 : chain->in_bytes - 1, &refused, sizeof(refused));
	/* What the device has written counts from the beginning (2.7.8.2): nothing before the status is. */
	*written = first || chain->in_bytes == 1 ? 1 : 0;
	undertaker->refused++;
	return 0;
}

int undertaker_init(struct undertaker *undertaker, const struct device_type *type, unsigned queues)
{
	unsigned count = type->queues != 0 ? type->queues : queues;

	if (count == 0 || count > UNDERTAKER_QUEUES_MAX)
		return -EINVAL;
	*undertaker = (struct undertaker){
		.type = type,
		.virtio =
			{
				.features = FEATURES_OF_DEVICES,
				.queue_count = (uint16_t)count,
				/* Requests that its predecessors took and did not give back are failed too. */
				.track_inflight = type->tracks_inflight,
				.serve = undertaker_serve,
				.serves = undertaker_serves,
			},
	};
	return 0;
}
