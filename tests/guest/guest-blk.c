/*
 * virtio-blk, driven by hand.
 *
 * Disk 0 is written to and must hold text lines of 16 bytes, line n being n in 15 digits
 * (tests/guest/README.md); disk 1, when there is one, must go on working whatever is done to disk 0; disk 2
 * is read-only.
 *
 *   id=NAME       what GET_ID says of disk 0
 *   abuse=KIND    one violation of the ring's rules instead of the tests: see abuses[]
 *   steady=N      instead of the tests: N numbered requests between two holds, "# begin" and "# end"
 *   numbered=N    instead of the tests: N numbered requests with each of the ring's features, and nothing else
 *   many=N        numbered requests (default 20000), enough=... to let the ring's 16-bit indices wrap
 *                 when above 65536
 *   lost=1        instead of the tests, on a disk that has no room left: what is lost stays lost when, between "# lost"
 *                 and a key, the device's process is replaced; 2: with a hold "# through" between the choice of
 *                 write-through and the first write, which is lost if the mode still is
 *   forgotten     instead of the tests, on a disk whose host cannot write back, with a hold "# begin" before it has to
 *   killed=1      the device's process is replaced meanwhile: there may be more interrupts than requests
 */
#include "tests/guest/lib/blk.h"

#define LINE	 16u
#define DEPTH	 32u
#define SCRATCH	 8192u /* disk 0: the first sector that tests may write to */
#define NUMBERED 10240u
#define SLOTS	 1024u
#define ALL_FEATURES                                                                                \
	(~UINT64_C(0) & ~VIRTIO_BIT(VIRTIO_F_RING_PACKED) & ~VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) & \
	 ~VIRTIO_BIT(VIRTIO_F_NOTIFICATION_DATA) & ~VIRTIO_BIT(VIRTIO_F_IN_ORDER))
#define WITHOUT(bit) (ALL_FEATURES & ~VIRTIO_BIT(bit))

static struct blk disk, second, readonly;
static bool has_second, has_readonly;
static uint8_t *buffer; /* 128 KiB */

static bool lines_match(const uint8_t *data, uint64_t first, unsigned count)
{
	char line[LINE + 1];
	unsigned i;

	for (i = 0; i < count; i++) {
		print_to(line, sizeof(line), "%015lu\n", first + i);
		if (memcmp(line, data + i * LINE, LINE)) {
			print("# line %lu is \"%s\"\n", first + i, line);
			return false;
		}
	}
	return true;
}

static bool host_data_matches(struct blk *from, uint64_t sector)
{
	memset(buffer, 0, SECTOR);
	return blk_do(from, BLK_T_IN, sector, buffer, SECTOR) == BLK_S_OK &&
	       lines_match(buffer, sector * (SECTOR / LINE), SECTOR / LINE);
}

static void fill(uint8_t *data, unsigned length, uint64_t seed)
{
	uint64_t *words = (uint64_t *)data;
	unsigned i;

	for (i = 0; i < length / 8; i++)
		words[i] = (seed + i) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool filled(const uint8_t *data, unsigned length, uint64_t seed)
{
	const uint64_t *words = (const uint64_t *)data;
	unsigned i;

	for (i = 0; i < length / 8; i++)
		if (words[i] != (seed + i) * UINT64_C(0x9e3779b97f4a7c15))
			return false;
	return true;
}

static bool all_zero(const uint8_t *data, unsigned length)
{
	unsigned i;

	for (i = 0; i < length; i++)
		if (data[i])
			return false;
	return true;
}

static void test_configuration(void)
{
	uint64_t needed = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_BLK_SIZE) | VIRTIO_BIT(BLK_F_FLUSH) |
			  VIRTIO_BIT(BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
			  VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_VERSION_1);
	uint32_t seg_max = 0, blk_size = 0;
	const char *id = option("id");
	char told[BLK_ID_SIZE + 1] = {0};

	test((disk.device.offered & needed) == needed, "the features we rely on are offered: %lx",
	     disk.device.offered);
	virtio_config_read(&disk.device, BLK_CONFIG_SEG_MAX, &seg_max, sizeof(seg_max));
	virtio_config_read(&disk.device, BLK_CONFIG_BLK_SIZE, &blk_size, sizeof(blk_size));
	test(disk.sectors >= 16384, "capacity is %lu sectors", disk.sectors);
	test(seg_max >= 1 && blk_size >= SECTOR && !(blk_size & (blk_size - 1)), "seg_max is %u, blk_size %u",
	     seg_max, blk_size);
	if (id)
		test(blk_do(&disk, BLK_T_GET_ID, 0, told, BLK_ID_SIZE) == BLK_S_OK && text_equal(id, told),
		     "GET_ID says \"%s\"", told);
}

static void test_segments(void)
{
	unsigned parts[][8] = {{512, 512, 1024, 2048},
			       {1, 511, 3, 509, 1024},
			       {4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096}};
	unsigned i, j;

	for (i = 0; i < 3; i++) {
		struct segment segments[8];
		unsigned total = 0, count = 0;

		for (j = 0; j < 8 && parts[i][j]; j++, count++) {
			segments[j] = (struct segment){buffer + total + j * 8192 % 16384, parts[i][j]};
			segments[j].address = buffer + 2 * total + 16 * j;
			total += parts[i][j];
		}
		for (j = 0; j < 16 * 8; j++)
			fill(buffer + j * 1024, 1024, i * 1000 + j);
		test(blk_do_segments(&disk, BLK_T_OUT, SCRATCH + 8, segments, count) == BLK_S_OK,
		     "a write of %u bytes in %u segments", total, count);
		memset(buffer + 96 * 1024, 0, total);
		test(blk_do(&disk, BLK_T_IN, SCRATCH + 8, buffer + 96 * 1024, total) == BLK_S_OK,
		     "and its read in one");
		for (j = 0, total = 0; j < count; total += parts[i][j], j++)
			if (memcmp((const void *)segments[j].address, buffer + 96 * 1024 + total,
				   parts[i][j]))
				break;
		test(j == count, "the same bytes");
	}
}

/* Every request writes or reads a slot of its own number; what each slot must hold is known at any time. */
static void test_numbered(const char *name, uint64_t count)
{
	static struct blk_request requests[DEPTH];
	static uint64_t holds[SLOTS];
	static struct {
		unsigned slot;
		bool write;
		int head;
		uint64_t seed;
	} flying[DEPTH];
	static bool busy[SLOTS];
	uint64_t submitted = 0, done = 0, random = 88172645463325252;
	unsigned bad = 0, i;
	bool stuck = false;

	memset(holds, 0, sizeof(holds));
	memset(busy, 0, sizeof(busy));
	for (i = 0; i < DEPTH; i++)
		flying[i].head = -1;
	while (done < count && !stuck) {
		uint32_t length;
		int head;

		for (i = 0; i < DEPTH && submitted < count; i++) {
			struct segment segment = {buffer + i * SECTOR, SECTOR};
			unsigned slot;

			if (flying[i].head >= 0)
				continue;
			random ^= random << 13, random ^= random >> 7, random ^= random << 17;
			slot = (unsigned)(random >> 20) % SLOTS;
			if (busy[slot])
				continue;
			flying[i].slot = slot;
			flying[i].write = !holds[slot] || (random >> 40) % 2;
			flying[i].seed = flying[i].write ? submitted + 1 : holds[slot];
			if (flying[i].write)
				fill(buffer + i * SECTOR, SECTOR, flying[i].seed << 8);
			else
				memset(buffer + i * SECTOR, 0x55, SECTOR);
			flying[i].head =
				blk_submit(&disk, &requests[i], flying[i].write ? BLK_T_OUT : BLK_T_IN,
					   NUMBERED + slot, &segment, 1);
			if (flying[i].head < 0)
				break;
			busy[slot] = true;
			submitted++;
		}
		virtqueue_kick(&disk.queue);
		head = virtqueue_wait(&disk.queue, &length, 5);
		if (head < 0) {
			stuck = true;
			break;
		}
		for (; head >= 0; head = virtqueue_take(&disk.queue, &length)) {
			for (i = 0; i < DEPTH && flying[i].head != head; i++)
				;
			if (i == DEPTH) {
				bad++;
				continue;
			}
			if (requests[i].status != BLK_S_OK || length != (flying[i].write ? 1 : SECTOR + 1))
				bad++;
			if (!flying[i].write && !filled(buffer + i * SECTOR, SECTOR, flying[i].seed << 8))
				bad++;
			holds[flying[i].slot] = flying[i].seed;
			busy[flying[i].slot] = false;
			flying[i].head = -1;
			done++;
		}
	}
	test(!bad && !stuck, "%lu numbered requests, %s: %lu came back, %u bad; %lu kicks, %lu spared",
	     submitted, name, done, bad, disk.queue.kicks, disk.queue.kicks_spared);
}

static void test_zeroes(void)
{
	struct blk_range range = {.sector = SCRATCH + 16, .sectors = 8};
	bool zeroes = virtio_has(&disk.device, BLK_F_WRITE_ZEROES),
	     discard = virtio_has(&disk.device, BLK_F_DISCARD);
	uint64_t behind = SCRATCH + 24;

	fill(buffer, 9 * SECTOR, 77);
	test(blk_do(&disk, BLK_T_OUT, range.sector, buffer, 9 * SECTOR) == BLK_S_OK,
	     "sectors to be zeroed are written");
	if (test(zeroes, "WRITE_ZEROES is offered")) {
		test(blk_do(&disk, BLK_T_WRITE_ZEROES, 0, &range, sizeof(range)) == BLK_S_OK, "WRITE_ZEROES");
		test(blk_do(&disk, BLK_T_IN, range.sector, buffer, 8 * SECTOR) == BLK_S_OK &&
			     all_zero(buffer, 8 * SECTOR),
		     "they read as zero");
		test(blk_do(&disk, BLK_T_IN, behind, buffer, SECTOR) == BLK_S_OK &&
			     filled(buffer, SECTOR, 77 + 8 * 64),
		     "the sector behind them does not");
		range.sector = disk.sectors - 4;
		test(blk_do(&disk, BLK_T_WRITE_ZEROES, 0, &range, sizeof(range)) == BLK_S_IOERR,
		     "WRITE_ZEROES beyond the capacity is an error");
		range = (struct blk_range){.sector = SCRATCH + 16, .sectors = 8, .flags = 0x80};
		test(blk_do(&disk, BLK_T_WRITE_ZEROES, 0, &range, sizeof(range)) == BLK_S_UNSUPP,
		     "WRITE_ZEROES with an unknown flag is not supported");
	}
	if (option("no-discard")) {
		test(!discard, "DISCARD is not offered");
		test(blk_do(&disk, BLK_T_DISCARD, 0, &range, sizeof(range)) == BLK_S_UNSUPP,
		     "DISCARD is not supported");
	} else if (test(discard, "DISCARD is offered")) {
		uint32_t most, alignment;

		virtio_config_read(&disk.device, BLK_CONFIG_MAX_DISCARD, &most, sizeof(most));
		virtio_config_read(&disk.device, BLK_CONFIG_MAX_DISCARD + 8, &alignment, sizeof(alignment));
		test(most == option_number("max-discard", most) &&
			     alignment == option_number("discard-alignment", alignment),
		     "at most %u sectors are discarded, in units of %u", most, alignment);
		range = (struct blk_range){.sector = SCRATCH + 24, .sectors = 8};
		test(blk_do(&disk, BLK_T_DISCARD, 0, &range, sizeof(range)) == BLK_S_OK, "DISCARD");
		range.flags = BLK_RANGE_UNMAP;
		test(blk_do(&disk, BLK_T_DISCARD, 0, &range, sizeof(range)) == BLK_S_UNSUPP,
		     "DISCARD with the unmap flag is not supported");
	}
}

static void test_flush_and_cache(void)
{
	uint8_t mode = 0xee;

	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_OK, "FLUSH");
	if (!virtio_has(&disk.device, BLK_F_CONFIG_WCE))
		return;
	virtio_config_read(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	test(mode <= 1, "the cache is in write-back mode: %u", mode);
	mode = 0;
	virtio_config_write(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	mode = 0xee;
	virtio_config_read(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	test(mode == 0, "write-through mode is taken");
	fill(buffer, SECTOR, 5);
	test(blk_do(&disk, BLK_T_OUT, SCRATCH, buffer, SECTOR) == BLK_S_OK, "a write in write-through mode");
	mode = 1;
	virtio_config_write(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	virtio_config_read(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	test(mode == 1, "and back");
	/* C2: what a driver chose ends with it. */
	mode = 0;
	virtio_config_write(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	virtio_reset(&disk.device);
	virtio_config_read(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	test(mode == 1, "a reset brings write-back mode back");
	test(blk_start(&disk, ALL_FEATURES, 128, true), "the disk starts behind it");
}

static void test_bad_requests(void)
{
	static const struct {
		const char *what;
		uint32_t type;
		uint64_t sector; /* from the end of the disk, when negative */
		uint32_t length;
		uint8_t status;
	} bad[] = {
		{"a read of the first sector behind the end", BLK_T_IN, 0, SECTOR, BLK_S_IOERR},
		{"a read that straddles the end", BLK_T_IN, (uint64_t)-1, 2 * SECTOR, BLK_S_IOERR},
		{"a write behind the end", BLK_T_OUT, 0, SECTOR, BLK_S_IOERR},
		{"a write that straddles the end", BLK_T_OUT, (uint64_t)-1, 2 * SECTOR, BLK_S_IOERR},
		{"a read at sector 2^55 - 1", BLK_T_IN, (UINT64_C(1) << 55) - 1, SECTOR, BLK_S_IOERR},
		{"a write at sector 2^63", BLK_T_OUT, UINT64_C(1) << 63, SECTOR, BLK_S_IOERR},
		{"a read of half a sector", BLK_T_IN, (uint64_t)-8, 256, BLK_S_IOERR},
		{"a write of a sector and a byte", BLK_T_OUT, (uint64_t)-8, SECTOR + 1, BLK_S_IOERR},
		{"an unknown type", 77, (uint64_t)-8, SECTOR, BLK_S_UNSUPP},
		{"the type of all ones", 0xffffffff, (uint64_t)-8, SECTOR, BLK_S_UNSUPP},
	};
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t sector = bad[i].sector;
		uint8_t status;

		if (sector + 16 < 32)
			sector += disk.sectors;
		status = blk_do(&disk, bad[i].type, sector, buffer, bad[i].length);
		test(status == bad[i].status && host_data_matches(&disk, 5), "%s: status %u", bad[i].what,
		     status);
	}
	if (has_readonly) {
		test(virtio_has(&readonly.device, BLK_F_RO), "the read-only disk says so");
		test(blk_do(&readonly, BLK_T_OUT, 0, buffer, SECTOR) == BLK_S_IOERR,
		     "a write to it is an error");
		test(host_data_matches(&readonly, 3), "it can be read");
	}
}

/* Requests whose shape is wrong. The device may answer with an error or stop until it is reset; nothing else.
 */
static void test_misshapen(void)
{
	static struct blk_request request;
	struct segment header = {&request.header, sizeof(request.header)}, data = {buffer, SECTOR};
	struct segment status = {&request.status, 1};
	struct {
		const char *what;
		struct segment segments[3];
		unsigned out, in;
	} bad[] = {
		{"no status byte", {header, data}, 2, 0},
		{"a header of 8 bytes", {{&request.header, 8}, data, status}, 1, 2},
		{"nothing but a status byte", {status}, 0, 1},
		{"nothing but a header", {header}, 1, 0},
		{"a status of no bytes", {header, data, {&request.status, 0}}, 1, 2},
		{"no bytes at all", {{&request.header, 0}}, 1, 0},
	};
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bool alive;

		request.header = (struct blk_header){.type = BLK_T_IN, .sector = 1};
		request.status = BLK_NO_STATUS;
		virtqueue_add(&disk.queue, bad[i].segments, bad[i].out, bad[i].in);
		virtqueue_kick(&disk.queue);
		WAIT_UNTIL(virtqueue_take(&disk.queue, NULL) >= 0, 0.1);
		if (has_second)
			test(host_data_matches(&second, i), "%s: the second disk goes on", bad[i].what);
		test(request.status != BLK_S_OK, "%s is no success", bad[i].what);
		alive = blk_start(&disk, ALL_FEATURES, 64, false) && host_data_matches(&disk, i);
		test(alive, "%s: after a reset the disk works", bad[i].what);
	}
}

static void test_interrupts(void)
{
	struct segment segment = {buffer, SECTOR};
	bool killed = option("killed") != NULL;
	uint32_t before;
	unsigned i, mode;

	if (!test(disk.device.msix_count >= 2, "there are %u MSI-X vectors", disk.device.msix_count))
		return;
	interrupts_enable();
	for (mode = 0; mode < 2; mode++) {
		const char *name = mode ? "with EVENT_IDX" : "without EVENT_IDX";

		virtio_negotiate(&disk.device, mode ? ALL_FEATURES : WITHOUT(VIRTIO_F_EVENT_IDX));
		virtqueue_setup(&disk.queue, &disk.device, 0, 64);
		msix_set(&disk.device, 1, VECTOR_FIRST + 1);
		test(virtio_vector(&disk.device, 0, 1), "queue 0 takes vector 1, %s", name);
		virtio_start(&disk.device);
		before = interrupt_counts[VECTOR_FIRST + 1];
		for (i = 0; i < 20; i++) {
			virtqueue_interrupts(&disk.queue, true);
			blk_submit(&disk, &disk.request, BLK_T_IN, i, &segment, 1);
			virtqueue_kick(&disk.queue);
			/* A device that takes another's place raises the vector once more. */
			if (killed && WAIT_UNTIL(interrupt_counts[VECTOR_FIRST + 1] - before > i &&
							 virtqueue_take(&disk.queue, NULL) >= 0,
						 5))
				continue;
			if (!WAIT_UNTIL(interrupt_counts[VECTOR_FIRST + 1] == before + i + 1, 5))
				break;
			if (virtqueue_take(&disk.queue, NULL) < 0)
				break;
		}
		test(i == 20, "an interrupt for each of 20 requests, %s: %u", name,
		     interrupt_counts[VECTOR_FIRST + 1] - before);
		virtqueue_interrupts(&disk.queue, false);
		before = interrupt_counts[VECTOR_FIRST + 1];
		for (i = 0; i < 20; i++)
			blk_do(&disk, BLK_T_IN, i, buffer, SECTOR);
		test(killed || interrupt_counts[VECTOR_FIRST + 1] == before,
		     "and none when none is wanted, %s", name);
	}
	msix_mask(&disk.device, 1, true);
	virtqueue_interrupts(&disk.queue, true);
	before = interrupt_counts[VECTOR_FIRST + 1];
	blk_do(&disk, BLK_T_IN, 0, buffer, SECTOR);
	test(WAIT_UNTIL(msix_is_pending(&disk.device, 1), 1) && interrupt_counts[VECTOR_FIRST + 1] == before,
	     "a masked vector becomes pending");
	msix_mask(&disk.device, 1, false);
	test(WAIT_UNTIL(interrupt_counts[VECTOR_FIRST + 1] == before + 1, 1) &&
		     !msix_is_pending(&disk.device, 1),
	     "unmasked, it is delivered and no longer pending");
	interrupts_disable();
}

/* Violations of the ring's rules. After each, the disk may be dead until its reset; others may not. */
static void abuse_loop(struct virtqueue *queue)
{
	unsigned i;

	for (i = 0; i < queue->size; i++) {
		queue->descriptors[i].addr = (uint64_t)buffer;
		queue->descriptors[i].len = 16;
		queue->descriptors[i].flags = VIRTQ_DESC_F_NEXT;
		queue->descriptors[i].next = (uint16_t)((i + 1) % queue->size);
	}
	queue->available->ring[0] = 0;
	queue->available->idx = 1;
}

static void abuse_next(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].next = queue->size;
}

static void abuse_head(struct virtqueue *queue)
{
	queue->available->ring[0] = 0xfff0;
	queue->available->idx = 1;
}

static void abuse_jump(struct virtqueue *queue)
{
	queue->available->idx = (uint16_t)(queue->size + 1000);
}

static void abuse_address(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].addr = UINT64_C(0xfffffffffffff000);
	queue->descriptors[0].flags = 0;
}

static void abuse_hole(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].addr = 0xfee00000;
	queue->descriptors[0].flags = VIRTQ_DESC_F_WRITE;
}

static void abuse_length(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].len = 0xffffffff;
	queue->descriptors[0].flags = 0;
}

static void abuse_indirect(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].flags = VIRTQ_DESC_F_INDIRECT;
	queue->descriptors[0].len = 17;
}

static void abuse_nested(struct virtqueue *queue)
{
	struct virtq_desc *table = (struct virtq_desc *)buffer;

	abuse_loop(queue);
	table[0] = (struct virtq_desc){(uint64_t)buffer, 16, VIRTQ_DESC_F_INDIRECT, 0};
	queue->descriptors[0].flags = VIRTQ_DESC_F_INDIRECT;
}

static void abuse_writable_first(struct virtqueue *queue)
{
	abuse_loop(queue);
	queue->descriptors[0].flags |= VIRTQ_DESC_F_WRITE;
	queue->descriptors[1].flags = 0;
}

static const struct {
	const char *name;
	void (*commit)(struct virtqueue *queue);
} abuses[] = {
	{"loop", abuse_loop},	    {"next", abuse_next},
	{"head", abuse_head},	    {"jump", abuse_jump},
	{"address", abuse_address}, {"hole", abuse_hole},
	{"length", abuse_length},   {"indirect", abuse_indirect},
	{"nested", abuse_nested},   {"writable-first", abuse_writable_first},
};

static void test_abuse(const char *kind)
{
	unsigned i, j;

	for (i = 0; i < sizeof(abuses) / sizeof(abuses[0]); i++) {
		if (!text_equal(kind, "all") && !text_equal(kind, abuses[i].name))
			continue;
		test(blk_start(&disk, ALL_FEATURES, 64, false) && host_data_matches(&disk, 1),
		     "%s: the disk works before", abuses[i].name);
		virtio_negotiate(&disk.device, ALL_FEATURES);
		virtqueue_setup(&disk.queue, &disk.device, 0, 64);
		virtio_start(&disk.device);
		memset(buffer, 0, 4096);
		abuses[i].commit(&disk.queue);
		virtqueue_notify(&disk.queue);
		for (j = 0; has_second && j < 50; j++)
			if (!host_data_matches(&second, j))
				break;
		if (has_second)
			test(j == 50, "%s: the second disk goes on", abuses[i].name);
		WAIT_UNTIL(virtio_status(&disk.device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 1);
		print("# used index %u, status %x\n", disk.queue.used->idx, virtio_status(&disk.device));
		test(blk_start(&disk, ALL_FEATURES, 64, false) && host_data_matches(&disk, 2),
		     "%s: after a reset the disk works", abuses[i].name);
	}
	guest_end();
}

/* C1: that data was lost is what a process leaves to its successor. */
static void test_lost(void)
{
	uint8_t through = 0, mode = 1;
	unsigned i;

	test(blk_start(&disk, ALL_FEATURES, 64, false), "the disk starts");
	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_OK, "a flush succeeds");
	virtio_config_write(&disk.device, BLK_CONFIG_WRITEBACK, &through, 1);
	if (option_number("lost", 1) == 2)
		guest_hold("# through");
	test(blk_do(&disk, BLK_T_OUT, SCRATCH, buffer, 4096) == BLK_S_IOERR,
	     "a write through the cache fails");
	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR, "and so does the next flush");
	guest_hold("# lost");
	for (i = 0; i < 3; i++)
		test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR, "flushes go on failing");
	virtio_config_read(&disk.device, BLK_CONFIG_WRITEBACK, &mode, 1);
	test(mode == 0, "the cache is in the mode that was chosen");
	test(blk_start(&disk, ALL_FEATURES, 64, false) &&
		     blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR,
	     "also after the driver's reset");
}

/* C1: what is written back fails, and the process that the host tells so dies before it can note it. */
static void test_forgotten(void)
{
	unsigned i;

	test(blk_start(&disk, ALL_FEATURES, 64, false), "the disk starts");
	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_OK, "a flush succeeds");
	guest_hold("# begin");
	test(blk_do(&disk, BLK_T_OUT, SCRATCH, buffer, 65536) == BLK_S_OK, "a write succeeds");
	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR, "the flush behind it fails");
	guest_hold("# lost");
	for (i = 0; i < 3; i++)
		test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR, "flushes go on failing");
}

void guest_main(void)
{
	static const struct {
		const char *name;
		uint64_t features;
		bool indirect;
	} modes[] = {
		{"direct, no EVENT_IDX", WITHOUT(VIRTIO_F_EVENT_IDX), false},
		{"indirect, no EVENT_IDX", WITHOUT(VIRTIO_F_EVENT_IDX), true},
		{"direct, EVENT_IDX", ALL_FEATURES, false},
		{"indirect, EVENT_IDX", ALL_FEATURES, true},
	};
	unsigned i;

	buffer = memory_get(256 * 1024, 4096);
	if (!blk_find(0, &disk))
		guest_fail("there is no disk");
	has_second = blk_find(1, &second) && blk_start(&second, ALL_FEATURES, 64, false);
	has_readonly = blk_find(2, &readonly) && blk_start(&readonly, ALL_FEATURES, 64, false);
	if (option("steady")) {
		test(blk_start(&disk, ALL_FEATURES, 128, true), "the disk starts");
		guest_hold("# begin");
		test_numbered("steadily", option_number("steady", 1000));
		guest_hold("# end");
		return;
	}
	if (option("lost")) {
		test_lost();
		return;
	}
	if (option("forgotten")) {
		test_forgotten();
		return;
	}
	if (option("abuse"))
		test_abuse(option("abuse"));
	if (option("numbered")) {
		for (i = 0; i < 4; i++) {
			test(blk_start(&disk, modes[i].features, 128, modes[i].indirect),
			     "the disk starts: %s", modes[i].name);
			test_numbered(modes[i].name, option_number("numbered", 1000));
			test(disk.queue.used->idx == disk.queue.available->idx,
			     "as many came back as were sent: %u", disk.queue.used->idx);
		}
		return;
	}

	for (i = 0; i < 4; i++) {
		if (!test(blk_start(&disk, modes[i].features, 128, modes[i].indirect), "the disk starts: %s",
			  modes[i].name))
			continue;
		if (i == 0)
			test_configuration();
		test(host_data_matches(&disk, 0) && host_data_matches(&disk, 4000),
		     "what the host wrote is read");
		test_segments();
		test_numbered(modes[i].name, option_number("many", 20000));
	}
	test_flush_and_cache();
	test_zeroes();
	test_bad_requests();
	test_misshapen();
	test_interrupts();
	/* For the host to find: line n as n + 1000000 from SCRATCH + 1024 on. */
	blk_start(&disk, ALL_FEATURES, 128, true);
	for (i = 0; i < 64 * 1024 / LINE; i++) {
		char line[LINE + 1];

		print_to(line, sizeof(line), "%015u\n", i + 1000000);
		memcpy(buffer + i * LINE, line, LINE);
	}
	test(blk_do(&disk, BLK_T_OUT, SCRATCH + 1024, buffer, 64 * 1024) == BLK_S_OK &&
		     blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_OK,
	     "lines for the host are written");
}
