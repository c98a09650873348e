/*
 * A disk's process, measured by a driver without a guest. Each measurement has three passes: one that compares what is
 * read and written with the image, by way of the file itself; one in which the device's system calls are counted; and
 * the one that is timed. In all of them a request that fails, or that says a wrong number of bytes, ends the bench.
 *
 * As many requests are put into the ring as came back, then the device is kicked if it asked for that: so it is what a
 * Linux guest does at a queue's depth. A request is three segments behind one indirect descriptor: header, data,
 * status.
 */
#include "tests/bench/bench_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev-blk/virtio_blk_spec.h"
#include "tests/bench/bench_clock.h"
#include "tests/bench/bench_link.h"
#include "tests/bench/bench_say.h"

#define SMALL	  (4 * 1024u)
#define LARGE	  (128 * 1024u)
#define DEPTH_MAX 32u
#define RING_SIZE 128u
#define MEMORY	  (16u << 20)
/* Requests of the pass that verifies; blocks are `stride` apart, so that no two of them are the same. */
#define VERIFIED      96u
#define VERIFY_STRIDE 7u
/* No status of the specification. */
#define STATUS_UNWRITTEN 0xff

struct measure {
	const char *name;
	uint32_t type;
	uint32_t bytes;
	unsigned depth;
	bool sequential;
};

static const struct measure measures[] = {
	{"read-4k-1", VIRTIO_BLK_T_IN, SMALL, 1, false},
	{"read-4k-32", VIRTIO_BLK_T_IN, SMALL, 32, false},
	{"write-4k-1", VIRTIO_BLK_T_OUT, SMALL, 1, false},
	{"write-4k-32", VIRTIO_BLK_T_OUT, SMALL, 32, false},
	{"read-128k-16", VIRTIO_BLK_T_IN, LARGE, 16, true},
	{"write-128k-16", VIRTIO_BLK_T_OUT, LARGE, 16, true},
};

/* One request's memory, shared with the device but for what stands behind `status`. */
struct slot {
	struct virtio_blk_req_header *header;
	uint8_t *data;
	uint8_t *status;
	uint64_t block;
	uint64_t submitted;
};

struct disk {
	struct bench_link link;
	struct bench_ring ring;
	struct slot slots[DEPTH_MAX];
	unsigned owner[RING_SIZE]; /* of each head */
	unsigned idle[DEPTH_MAX], idle_count;
	const uint8_t *image;
	uint64_t image_bytes;
	uint64_t random_state;
};

static uint64_t disk_random(struct disk *disk)
{
	disk->random_state ^= disk->random_state << 13;
	disk->random_state ^= disk->random_state >> 7;
	disk->random_state ^= disk->random_state << 17;
	return disk->random_state >> 8;
}

static void disk_submit(struct disk *disk, const struct measure *measure, uint64_t block, uint64_t now)
{
	unsigned index = disk->idle[--disk->idle_count];
	struct slot *slot = &disk->slots[index];
	struct bench_segment segments[] = {
		{slot->header, sizeof(*slot->header)},
		{slot->data, measure->bytes},
		{slot->status, 1},
	};
	bool in = measure->type == VIRTIO_BLK_T_IN;

	*slot->header = (struct virtio_blk_req_header){
		.type = measure->type,
		.sector = block * (measure->bytes / VIRTIO_BLK_SECTOR_SIZE),
	};
	*slot->status = STATUS_UNWRITTEN;
	slot->block = block;
	slot->submitted = now;
	disk->owner[bench_ring_add(&disk->ring, segments, in ? 1 : 2, in ? 2 : 1)] = index;
}

/* What came back is as it must be; the slot is idle again. */
static struct slot *disk_complete(struct disk *disk, const struct measure *measure, uint16_t head,
				  uint32_t length)
{
	struct slot *slot = &disk->slots[disk->owner[head]];
	uint32_t expected = measure->type == VIRTIO_BLK_T_IN ? measure->bytes + 1 : 1;

	if (*slot->status != VIRTIO_BLK_S_OK)
		bench_fail("%s: the request at block %llu was completed with status %u", measure->name,
			   (unsigned long long)slot->block, *slot->status);
	if (length != expected)
		bench_fail("%s: the device says that it wrote %u bytes, and should have written %u",
			   measure->name, length, expected);
	disk->idle[disk->idle_count++] = disk->owner[head];
	return slot;
}

/* --- Verified --- */

static void disk_fill(struct disk *disk, uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i += sizeof(uint64_t)) {
		uint64_t value = disk_random(disk);

		memcpy(data + i, &value, sizeof(value));
	}
}

/* What was read is what the image has, and what was written the image has now. */
static void disk_compare(const struct disk *disk, const struct measure *measure, const struct slot *slot)
{
	if (memcmp(slot->data, disk->image + slot->block * measure->bytes, measure->bytes) != 0)
		bench_fail("%s: block %llu: what was %s is not what is in the image", measure->name,
			   (unsigned long long)slot->block,
			   measure->type == VIRTIO_BLK_T_IN ? "read" : "written");
}

static void disk_verify(struct disk *disk, const struct measure *measure)
{
	uint64_t blocks = disk->image_bytes / measure->bytes, first = disk_random(disk);
	unsigned submitted = 0, done = 0;

	while (done < VERIFIED) {
		uint32_t length;
		uint16_t head;

		while (submitted < VERIFIED && submitted - done < measure->depth) {
			struct slot *slot = &disk->slots[disk->idle[disk->idle_count - 1]];

			disk_fill(disk, slot->data, measure->bytes);
			disk_submit(disk, measure, (first + submitted++ * VERIFY_STRIDE) % blocks, 0);
		}
		bench_ring_kick(&disk->ring);
		head = bench_ring_wait(&disk->ring, &length);
		disk_compare(disk, measure, disk_complete(disk, measure, head, length));
		done++;
	}
}

/* --- Measured --- */

static void disk_run(struct disk *disk, const struct measure *measure, uint64_t slice_ms,
		     struct bench_measured *measured)
{
	uint64_t blocks = disk->image_bytes / measure->bytes, slice = bench_ticks_of_ms(slice_ms);
	uint64_t next = disk_random(disk) % blocks, now;
	unsigned flying = 0;

	bench_measure_start(measured);
	now = measured->ticks_start;
	while (flying > 0 || now - measured->ticks_start < slice) {
		uint32_t length;
		int head;

		while (flying < measure->depth && now - measured->ticks_start < slice) {
			disk_submit(disk, measure,
				    (measure->sequential ? next++ : disk_random(disk)) % blocks, now);
			flying++;
		}
		bench_ring_kick(&disk->ring);
		head = bench_ring_wait(&disk->ring, &length);
		now = bench_ticks();
		for (; head >= 0; head = bench_ring_take(&disk->ring, &length)) {
			const struct slot *slot = disk_complete(disk, measure, (uint16_t)head, length);

			bench_latency_add(&measured->latencies, now - slot->submitted);
			flying--;
			measured->requests++;
		}
	}
	measured->ticks = now - measured->ticks_start;
}

/* The device's system calls per request, or -1. */
static double disk_count(struct disk *disk, const struct measure *measure, const struct bench_slices *slices)
{
	static struct bench_measured measured;
	uint64_t calls;

	if (!bench_calls_wanted(&slices->calls))
		return -1;
	bench_calls_start(&slices->calls);
	disk_run(disk, measure, slices->counted_ms, &measured);
	calls = bench_calls_read();
	bench_calls_stop();
	return measured.requests > 0 ? (double)calls / (double)measured.requests : 0;
}

/* --- Start --- */

static void disk_open_image(struct disk *disk, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		bench_fail("%s: %s", path, strerror(errno));
	disk->image_bytes = (uint64_t)status.st_size;
	if (disk->image_bytes < (uint64_t)VERIFIED * VERIFY_STRIDE * LARGE)
		bench_fail("%s: is smaller than %u bytes", path, VERIFIED * VERIFY_STRIDE * LARGE);
	disk->image = mmap(NULL, disk->image_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (disk->image == MAP_FAILED)
		bench_fail("%s: %s", path, strerror(errno));
	close(fd);
}

static void disk_start(struct disk *disk, const char *socket_path)
{
	struct virtio_blk_config config;

	bench_link_open(&disk->link, socket_path, MEMORY);
	if (vhost_user_frontend_get_config(disk->link.frontend, 0, &config, sizeof(config.capacity)) < 0)
		bench_fail("the device does not tell its capacity");
	if (config.capacity * VIRTIO_BLK_SECTOR_SIZE != disk->image_bytes)
		bench_fail("the device's capacity is not the image's size");
	bench_link_negotiate(&disk->link,
			     VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
				     VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH),
			     1, RING_SIZE);
	bench_link_start_ring(&disk->link, 0, RING_SIZE, "the disk's ring", &disk->ring);
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		uint8_t *ends = bench_link_memory(&disk->link, SMALL);

		disk->slots[i].header = (struct virtio_blk_req_header *)(void *)ends;
		disk->slots[i].status = ends + 64;
		disk->slots[i].data = bench_link_memory(&disk->link, LARGE);
		disk->idle[disk->idle_count++] = i;
	}
}

void bench_disk(const char *socket_path, const char *image, const struct bench_slices *slices)
{
	static struct disk disk = {.random_state = 88172645463325252};
	static struct bench_measured measured;

	disk_open_image(&disk, image);
	disk_start(&disk, socket_path);
	for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
		double calls;

		disk_verify(&disk, &measures[i]);
		calls = disk_count(&disk, &measures[i], slices);
		disk_run(&disk, &measures[i], slices->timed_ms, &measured);
		bench_measure_print(measures[i].name, &measured, calls);
	}
}
