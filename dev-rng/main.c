/*
 * atoll-rng: an entropy source of one VM, behind vhost-user: what the guest asks for, it gets from the host's generator. It has
 * nothing of the host's but that call.
 *
 * Source: virtio 1.2, 5.4.
 */
#include <errno.h>
#include <sys/random.h>

#include "common/program/device_program.h"
#include "policy/filters.h"

/* Of one request: up to these the kernel gives all at once (random(7)); a driver takes less than it has asked for (5.4.6.1). */
#define RNG_BYTES_MAX 256

struct rng {
	uint64_t requests, bytes;
};

static int rng_serve(void *device, uint16_t queue, const struct virtqueue_chain *chain, uint32_t *written,
		     const char **problem)
{
	struct rng *rng = device;
	uint8_t bytes[RNG_BYTES_MAX];
	size_t size = chain->in_bytes < sizeof(bytes) ? chain->in_bytes : sizeof(bytes);

	(void)queue;
	if (size == 0 || chain->out_bytes > 0) {
		*problem = size == 0 ? "a request has no room for what it asks for"
				     : "a request has something to be read";
		return -EPROTO;
	}
	if (getrandom(bytes, size, 0) != (ssize_t)size)
		return -EIO;
	*written = (uint32_t)virtqueue_chain_write(chain, 0, bytes, size);
	rng->requests++;
	rng->bytes += size;
	return 0;
}

static void rng_statistics(void *device, struct child *child)
{
	const struct rng *rng = device;

	child_counter(child, "requests", rng->requests);
	child_counter(child, "bytes", rng->bytes);
}

static const struct virtio_device rng_device = {
	.queue_count = 1,
	.serve = rng_serve,
};

static const struct device_program program = {
	.name = "atoll-rng",
	.summary = "Serve random bytes of the host's as a virtio entropy source over vhost-user.",
	.capabilities = "{\n  \"type\": \"rng\",\n  \"features\": [\n  ]\n}\n",
	.virtio = &rng_device,
	.filter = &filter_rng_main,
	.hand_filter = &filter_rng_hand_main,
	.statistics = rng_statistics,
};

int main(int argc, char **argv)
{
	static struct rng rng;

	return device_program_main(argc, argv, &program, &rng);
}
