/*
 * virtio-rng, driven by hand.
 *
 *   many=N   requests between the holds "# begin" and "# end", in which its process may be replaced (default 2000)
 *   kept=1   instead of the tests: a request waits at the hold "# begin" while the device has no process, and is answered
 *            behind it
 */
#include "tests/guest/lib/virtio.h"

#define DEPTH	    64u
#define SIZE	    64u	 /* of a usual request */
#define AT_ONCE_MAX 256u /* that the device gives for one */
#define LARGE	    4096u

static struct virtio_device rng;
static struct virtqueue queue;
static uint8_t *buffer; /* DEPTH * SIZE, or LARGE */

static bool rng_start(uint64_t features)
{
	if (!virtio_negotiate(&rng, features) || !virtqueue_setup(&queue, &rng, 0, DEPTH))
		return false;
	virtio_start(&rng);
	return true;
}

/* Whether so many bytes are all the same, as none of a generator's are. */
static bool all_are(const uint8_t *data, unsigned count, uint8_t value)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (data[i] != value)
			return false;
	return true;
}

/* One request into `in` segments; how many bytes came, or -1. */
static int rng_read(const struct segment *segments, unsigned in)
{
	uint32_t length;

	if (virtqueue_add(&queue, segments, 0, in) < 0)
		return -1;
	virtqueue_kick(&queue);
	return virtqueue_wait(&queue, &length, 5) < 0 ? -1 : (int)length;
}

static void test_requests(const char *when)
{
	struct segment usual = {buffer, SIZE}, large = {buffer, LARGE};
	struct segment scattered[] = {{buffer, 3}, {buffer + 100, 1}, {buffer + 200, SIZE - 4}};
	struct segment other = {buffer + SIZE, SIZE};
	int count;

	memset(buffer, 0, LARGE);
	test(rng_read(&usual, 1) == SIZE && !all_are(buffer, SIZE, 0), "%s: a request is filled", when);
	test(all_are(buffer + SIZE, SIZE, 0), "%s: and nothing behind it", when);
	test(rng_read(&other, 1) == SIZE && memcmp(buffer, buffer + SIZE, SIZE) != 0,
	     "%s: the next one has other bytes", when);
	memset(buffer, 0, LARGE);
	test(rng_read(scattered, 3) == SIZE && !all_are(buffer + 200, SIZE - 4, 0),
	     "%s: one of three segments is filled", when);
	test(all_are(buffer + 3, 97, 0) && all_are(buffer + 101, 99, 0), "%s: and nothing between them",
	     when);
	memset(buffer, 0, LARGE);
	count = rng_read(&large, 1);
	test(count > 0 && count <= (int)AT_ONCE_MAX && all_are(buffer + count, LARGE - (unsigned)count, 0),
	     "%s: a large one has as many bytes as it says", when);
}

/* Full rings, over and over. */
static bool many(unsigned count)
{
	unsigned added = 0, taken = 0;
	uint32_t length;

	while (taken < count) {
		struct segment segment = {buffer + added % DEPTH * SIZE, SIZE};

		while (added < count && virtqueue_add(&queue, &segment, 0, 1) >= 0) {
			added++;
			segment.address = buffer + added % DEPTH * SIZE;
		}
		virtqueue_kick(&queue);
		if (virtqueue_wait(&queue, &length, 20) < 0 || length != SIZE)
			return false;
		taken++;
	}
	return taken == count;
}

static bool needs_reset(void)
{
	WAIT_UNTIL(virtio_status(&rng) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 5);
	return virtio_status(&rng) & VIRTIO_STATUS_DEVICE_NEEDS_RESET;
}

/* 5.4.6.1: the driver must not give the device something to read. And what points nowhere. */
static void test_abuse(uint64_t features)
{
	struct segment readable = {buffer, SIZE};
	struct segment both[] = {{buffer, SIZE}, {buffer + SIZE, SIZE}};
	struct segment nowhere = {(void *)0x7fffffff0000, SIZE};
	struct {
		const struct segment *segments;
		unsigned out, in;
		const char *what;
	} abuses[] = {{&readable, 1, 0, "nothing but something to read"},
		      {both, 1, 1, "something to read as well"},
		      {&nowhere, 0, 1, "room where there is no memory"}};
	unsigned i;

	for (i = 0; i < sizeof(abuses) / sizeof(abuses[0]); i++) {
		virtqueue_add(&queue, abuses[i].segments, abuses[i].out, abuses[i].in);
		virtqueue_kick(&queue);
		test(needs_reset(), "%s: it stops, and asks for a reset", abuses[i].what);
		test(virtio_reset(&rng) && rng_start(features) && rng_read(&readable, 1) == SIZE,
		     "%s: behind which it serves", abuses[i].what);
	}
}

static void wait_without_process(void)
{
	struct segment segment = {buffer, SIZE};
	uint32_t length;

	guest_hold("# begin");
	memset(buffer, 0, SIZE);
	virtqueue_add(&queue, &segment, 0, 1);
	virtqueue_kick(&queue);
	guest_hold("# asked");
	test(virtqueue_wait(&queue, &length, 20) >= 0 && length == SIZE && !all_are(buffer, SIZE, 0),
	     "what was asked for meanwhile comes");
	test_requests("revived");
}

void guest_main(void)
{
	uint64_t features = VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);

	buffer = memory_get(LARGE, LARGE);
	if (!virtio_find(VIRTIO_ID_ENTROPY, 0, &rng))
		guest_fail("there is no entropy source");
	test(rng.config_length == 0, "it has no configuration");
	if (!test(rng_start(0), "it starts"))
		return;
	if (option_number("kept", 0) != 0) {
		wait_without_process();
		return;
	}
	test_requests("without features");
	if (!test(virtio_reset(&rng) && rng_start(features), "it starts with the ring's features"))
		return;
	test_requests("with features");
	test_abuse(features);
	guest_hold("# begin");
	test(many((unsigned)option_number("many", 2000)), "many requests are answered");
	guest_hold("# end");
	test_requests("at last");
}
