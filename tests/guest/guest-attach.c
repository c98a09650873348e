/*
 * A disk comes and goes while the guest runs, and is looked for on the bus: nobody tells of it. The host attaches it, detaches it
 * when it reads "# round N: attached", and begins again at "# round N: detached".
 *
 *   rounds=N  so many times
 *   others=N  disks that are there all the time (0); the first goes on working
 *   calm      the disk is not used while it is waited for its end
 */
#include "tests/guest/lib/blk.h"

#define FEATURES \
	(VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(BLK_F_FLUSH))
#define LINES  "000000000000000\n"
#define VECTOR (VECTOR_FIRST + 3)

static struct blk disk, other;
static struct blk_request requests[GUEST_QUEUE_SIZE_MAX];
static uint8_t *buffer;
static unsigned others, wrong;
static bool calm;

/* The first failure of a kind would hide behind a thousand others. */
static void check(bool good, unsigned round, const char *what)
{
	if (!good && wrong++ < 10)
		print("# round %u: %s\n", round, what);
}

static bool works(struct blk *blk)
{
	memset(buffer, 0, SECTOR);
	return blk_do(blk, BLK_T_IN, 0, buffer, SECTOR) == BLK_S_OK && !memcmp(buffer, LINES, 16);
}

static bool gone(void)
{
	return pci_read(disk.device.slot, PCI_VENDOR, 4) == PCI_NONE;
}

/* The disk is read, and its registers are, while it goes: requests that are not answered are given up with it. */
static void use(void)
{
	struct segment data = {buffer, SECTOR};
	static unsigned next;
	uint8_t config[8];

	if (calm)
		return;
	virtio_config_read(&disk.device, BLK_CONFIG_CAPACITY, config, sizeof(config));
	virtio_status(&disk.device);
	msix_mask(&disk.device, 1, true);
	msix_mask(&disk.device, 1, false);
	if (disk.queue.free_count > 8) {
		blk_submit(&disk, &requests[next++ % GUEST_QUEUE_SIZE_MAX], BLK_T_IN, 0, &data, 1);
		virtqueue_kick(&disk.queue);
	}
	while (virtqueue_take(&disk.queue, NULL) >= 0)
		;
}

static void attached(unsigned round)
{
	uint32_t interrupts = interrupt_counts[VECTOR];

	disk.take_vector = true;
	check(blk_start(&disk, FEATURES, 64, false), round, "the new disk does not start");
	msix_set(&disk.device, 1, VECTOR);
	virtqueue_interrupts(&disk.queue, true);
	check(disk.sectors == 16384, round, "it has another size");
	check(works(&disk), round, "it cannot be read");
	check(WAIT_UNTIL(interrupt_counts[VECTOR] != interrupts, 2), round, "it does not interrupt");
}

static void detached(unsigned round)
{
	check(ecam_read(disk.device.slot, PCI_BAR0, 4) == PCI_NONE, round, "its slot has registers");
	check(mmio_read32(disk.device.common) == PCI_NONE, round, "its BAR has registers");
	/* Vanishes. */
	mmio_write16(disk.device.notify, 0);
	check(!blk_find(others, &disk), round, "it is there again");
}

void guest_main(void)
{
	unsigned rounds = (unsigned)option_number("rounds", 1), round;

	others = (unsigned)option_number("others", 0);
	calm = option("calm");
	buffer = memory_get(4096, 4096);
	interrupts_enable();
	if (others > 0 && (!blk_find(0, &other) || !blk_start(&other, FEATURES, 64, false)))
		guest_fail("the other disk does not start");
	for (round = 1; round <= rounds; round++) {
		if (!WAIT_UNTIL(blk_find(others, &disk), 30))
			guest_fail("round %u: no disk comes", round);
		attached(round);
		print("# round %u: attached\n", round);
		if (!WAIT_UNTIL((use(), gone()), 30))
			guest_fail("round %u: the disk does not go", round);
		detached(round);
		check(others == 0 || works(&other), round, "the other disk does not work");
		print("# round %u: detached\n", round);
	}
	test(!wrong, "%u rounds: %u things went wrong", rounds, wrong);
}
