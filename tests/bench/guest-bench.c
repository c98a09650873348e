/*
 * What tests/bench/bench measures from inside: the first character, disk requests, register accesses.
 *
 * Prints "first" at once, then "NAME TICKS" for each measurement: TSC ticks for one request or access, the mean over
 * a measurement of `slice` milliseconds (default 300, of a 3 GHz clock). Rings are polled, no interrupt is taken.
 *   only=first   ends after the first line
 *   hold         at the end prints "idle" and waits for a byte of input, so that memory can be looked at
 *   only=outage  instead: prints "steady", then reads with DEPTH in flight; for each byte of input it prints "outage
 *                TICKS", the longest time without a completion since the last such line, once the device has completed
 *                what was in flight when the byte came, and more; a "q" ends. Whoever ends the device's process waits
 *                until it is gone, then sends the byte.
 */
#include "tests/guest/lib/blk.h"

#define UART  0x3f8
#define LSR   (UART + 5)
#define SCR   (UART + 7)
#define DEPTH 32u
#define BLOCK 4096u
#define LARGE (128 * 1024u)

static struct blk disk;
static uint8_t *buffers;
static uint64_t slice;
static uint64_t random_state = 88172645463325252;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> 8;
}

/* Requests of `size` bytes, `depth` in flight: as many are put into the ring again as came back, then one
 * kick. */
static void measure_disk(const char *name, uint32_t type, uint32_t size, unsigned depth, bool sequential)
{
	static struct blk_request requests[DEPTH];
	static int owner[VIRTQUEUE_SIZE_MAX];
	uint64_t blocks, next = 0, done = 0, start, now;
	unsigned idle[DEPTH], idle_count = 0, flying = 0, i;

	if (!blk_start(&disk,
		       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
			       VIRTIO_BIT(BLK_F_FLUSH),
		       128, true))
		guest_fail("the disk does not start");
	blocks = disk.sectors / (size / SECTOR);
	for (i = 0; i < depth; i++)
		idle[idle_count++] = i;
	start = now = ticks();
	while (flying || now - start < slice) {
		int head;

		while (idle_count && now - start < slice) {
			unsigned slot = idle[--idle_count];
			struct segment segment = {buffers + slot * LARGE, size};
			uint64_t block = sequential ? next++ % blocks : random_number() % blocks;

			head = blk_submit(&disk, &requests[slot], type, block * (size / SECTOR), &segment, 1);
			if (head < 0)
				guest_fail("no room for %u requests", depth);
			owner[head] = (int)slot;
			flying++;
		}
		virtqueue_kick(&disk.queue);
		head = virtqueue_wait(&disk.queue, NULL, 5);
		if (head < 0)
			guest_fail("%s: a request did not come back", name);
		for (; head >= 0; head = virtqueue_take(&disk.queue, NULL)) {
			if (requests[owner[head]].status != BLK_S_OK)
				guest_fail("%s: status %u", name, requests[owner[head]].status);
			idle[idle_count++] = (unsigned)owner[head];
			flying--;
			done++;
		}
		now = ticks();
	}
	print("%s %lu\n", name, (now - start) / done);
}

static void measure_port(const char *name, uint16_t port)
{
	uint64_t start = ticks(), now = start, done;

	for (done = 0; now - start < slice / 2; done++) {
		in8(port);
		now = ticks();
	}
	print("%s %lu\n", name, (now - start) / done);
}

#define LSR_DATA   1
#define ASK_EVERY  (TICKS_PER_SECOND / 1000)
#define SURELY_NEW (4 * DEPTH)

static uint8_t asked(void)
{
	return in8(LSR) & LSR_DATA ? in8(UART) : 0;
}

/* Keeps the queue full, and looks at the UART in between, which is an exit, at most once in ASK_EVERY. */
static void measure_outages(void)
{
	static struct blk_request requests[DEPTH];
	static int owner[VIRTQUEUE_SIZE_MAX];
	unsigned idle[DEPTH], idle_count = 0, i;
	uint64_t blocks, last, longest = 0, ask_at = 0, since_asked = 0;
	uint8_t byte = 0;

	if (!blk_start(&disk,
		       VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
			       VIRTIO_BIT(BLK_F_FLUSH),
		       128, true))
		guest_fail("the disk does not start");
	blocks = disk.sectors / (BLOCK / SECTOR);
	for (i = 0; i < DEPTH; i++)
		idle[idle_count++] = i;
	print("steady\n");
	last = ticks();
	for (;;) {
		uint64_t now;
		int head;

		while (idle_count) {
			unsigned slot = idle[--idle_count];
			struct segment segment = {buffers + slot * LARGE, BLOCK};

			head = blk_submit(&disk, &requests[slot], BLK_T_IN,
					  random_number() % blocks * (BLOCK / SECTOR), &segment, 1);
			if (head < 0)
				guest_fail("no room for %u requests", DEPTH);
			owner[head] = (int)slot;
		}
		virtqueue_kick(&disk.queue);
		head = virtqueue_wait(&disk.queue, NULL, 30);
		now = ticks();
		if (head < 0)
			guest_fail("a request did not come back");
		if (now - last > longest)
			longest = now - last;
		last = now;
		for (; head >= 0; head = virtqueue_take(&disk.queue, NULL)) {
			if (requests[owner[head]].status != BLK_S_OK)
				guest_fail("status %u", requests[owner[head]].status);
			idle[idle_count++] = (unsigned)owner[head];
			since_asked++;
		}
		if (byte == 0 && now >= ask_at) {
			byte = asked();
			ask_at = ticks() + ASK_EVERY;
			since_asked = 0;
			last = ticks();
		} else if (byte != 0 && since_asked >= SURELY_NEW) {
			if (byte == 'q')
				guest_exit(GUEST_PASSED);
			print("outage %lu\n", longest);
			byte = 0;
			longest = 0;
			last = ticks();
		}
	}
}

void guest_main(void)
{
	print("first\n");
	if (option_is("only", "first"))
		guest_exit(GUEST_PASSED);
	slice = option_number("slice", 300) * (TICKS_PER_SECOND / 1000);
	buffers = memory_get(DEPTH * LARGE, 4096);
	if (!blk_find(0, &disk))
		guest_fail("there is no disk");
	disk.take_vector = true;
	if (option_is("only", "outage"))
		measure_outages();
	measure_disk("read-4k-1", BLK_T_IN, BLOCK, 1, false);
	measure_disk("read-4k-32", BLK_T_IN, BLOCK, DEPTH, false);
	measure_disk("write-4k-1", BLK_T_OUT, BLOCK, 1, false);
	measure_disk("write-4k-32", BLK_T_OUT, BLOCK, DEPTH, false);
	measure_disk("read-128k-1", BLK_T_IN, LARGE, 1, true);
	measure_disk("read-128k-8", BLK_T_IN, LARGE, 8, true);
	measure_port("uart-lsr", LSR);
	measure_port("uart-scr", SCR);
	if (option("hold"))
		guest_hold("idle");
	guest_exit(GUEST_PASSED);
}
