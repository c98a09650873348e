/*
 * The machine: config space, BARs, MSI-X tables, hostile writes to all of them, unclaimed addresses, ACPI's tables,
 * other processors, and the ways in which a guest ends.
 *
 * Disk 0 is moved about and abused, disk 1 must go on working. Both hold the lines that guest-blk reads.
 *   lenient   skips what QEMU does otherwise: it drops features that it did not offer, and reads holes as zeroes
 *   cpus=N    how many processors there must be
 *   end=HOW   instead of the tests: off, acpi, cf9, i8042, triple, panic, button (waits for it, then off), hang
 */
#include "tests/guest/lib/blk.h"

#define FEATURES \
	(VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(BLK_F_FLUSH))
#define LINES	"000000000000000\n"
#define PVPANIC 0x505
#define GED	0x608
#define GED_IRQ 9
#define VECTOR	(VECTOR_FIRST + 2)

static bool lenient;
static struct blk disk, second;
static uint8_t *buffer;
static uint64_t random_state = 88172645463325252;

static uint32_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static bool works(struct blk *blk)
{
	memset(buffer, 0, SECTOR);
	return blk_do(blk, BLK_T_IN, 0, buffer, SECTOR) == BLK_S_OK && !memcmp(buffer, LINES, 16);
}

static bool restarts(struct blk *blk)
{
	return blk_start(blk, FEATURES, 64, false) && works(blk);
}

static void test_config_space(void)
{
	unsigned slot, offset, functions = 0, wrong = 0, absent = 0;

	test(pci_read(0, PCI_VENDOR, 2) != 0xffff && pci_read(0, PCI_CLASS + 2, 2) == 0x0600,
	     "slot 0 is a host bridge");
	if (!test(ecam_address() != 0, "MCFG tells where ECAM is: %lx", ecam_address()))
		return;
	for (slot = 0; slot < 256; slot += 8) {
		if (pci_read(slot, PCI_VENDOR, 2) == 0xffff) {
			absent += pci_read(slot, 0x40, 4) != PCI_NONE || ecam_read(slot, 0, 4) != PCI_NONE ||
				  ecam_read(slot, 0x100, 4) != PCI_NONE;
			continue;
		}
		functions++;
		for (offset = 0; offset < 256; offset += 4)
			wrong += pci_read(slot, offset, 4) != ecam_read(slot, offset, 4);
		for (offset = 0; offset < 64; offset++)
			wrong += pci_read(slot, offset, 1) != ecam_read(slot, offset, 1) ||
				 pci_read(slot, offset, 1) !=
					 (ecam_read(slot, offset & ~3u, 4) >> offset % 4 * 8 & 0xff);
		for (offset = 0; offset < 64; offset += 2)
			wrong += pci_read(slot, offset, 2) != ecam_read(slot, offset, 2);
	}
	test(!wrong, "ports and ECAM agree on %u functions in all widths: %u differences", functions, wrong);
	test(!absent, "absent functions read as ones");
	out32(0xcf8, 0x00000000);
	test(in32(0xcfc) == PCI_NONE, "without the enable bit, the data port reads as ones");
	out32(0xcf8, 0x80000000);
	test(in32(0xcf8) == 0x80000000, "the address port reads back");
	pci_write(0x78, 0, 4, 0x12345678);
	ecam_write(0x78, 0, 4, 0x12345678);
	test(ecam_read(0x78, 0, 4) == PCI_NONE, "a write to an absent function vanishes");
}

static void test_bars(void)
{
	struct pci_bar bars[64];
	unsigned slots[64], slot, i, j, count = 0, wrong = 0;

	for (slot = 0; slot < 256; slot += 8) {
		if (pci_read(slot, PCI_VENDOR, 2) != VIRTIO_VENDOR)
			continue;
		for (i = 0; i < 6; i++) {
			bars[count] = pci_bar_probe(slot, i);
			slots[count] = slot;
			wrong += bars[count].size &&
				 (bars[count].size & (bars[count].size - 1) ||
				  bars[count].address % bars[count].size || !bars[count].address);
			i += bars[count].wide;
			count += bars[count].size != 0;
		}
	}
	test(count && !wrong, "%u BARs are powers of two, aligned and assigned", count);
	for (i = wrong = 0; i < count; i++)
		for (j = 0; j < i; j++)
			if (bars[i].memory && bars[j].memory &&
			    bars[i].address < bars[j].address + bars[j].size &&
			    bars[j].address < bars[i].address + bars[i].size) {
				print("# slots %u and %u overlap\n", slots[i], slots[j]);
				wrong++;
			}
	test(!wrong, "and do not overlap");
}

/* Where a BAR can go: far behind its old place, in the same window. */
static uint64_t place_for(struct pci_bar bar, unsigned far)
{
	return bar.address + 64 * far * bar.size;
}

static void test_bar_move(void)
{
	unsigned slot = disk.device.slot, i, moved = 0;
	struct pci_bar first = {0};
	uint64_t common = 0;

	restarts(&disk);
	for (i = 0; i < 6; i++) {
		struct pci_bar bar = pci_bar_probe(slot, i);

		if (bar.memory && bar.size) {
			uint64_t to = place_for(bar, 1);

			if (bar.address <= (uint64_t)disk.device.common &&
			    (uint64_t)disk.device.common < bar.address + bar.size) {
				first = bar;
				common = (uint64_t)disk.device.common;
			}
			pci_bar_move(slot, i, to);
			moved += pci_bar_probe(slot, i).address == to;
		}
		i += bar.wide;
	}
	test(moved && common, "%u BARs are moved", moved);
	test(lenient || mmio_read32((volatile void *)(common + COMMON_STATUS)) == PCI_NONE,
	     "where they were reads as ones");
	map_physical(place_for(first, 1), first.size);
	test(mmio_read8((volatile void *)(common + 64 * first.size + COMMON_STATUS)) ==
		     (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK |
		      VIRTIO_STATUS_DRIVER_OK),
	     "the device's state moved along");
	disk.queue.notify += 64 * first.size;
	test(works(&disk), "the running queue is notified at its new place");
	test(virtio_map(&disk.device) && restarts(&disk), "found again and reset, the disk works");
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	test(lenient || mmio_read32(disk.device.common) == PCI_NONE,
	     "without memory decoding its BAR reads as ones");
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	test(restarts(&disk), "with it, the disk works");
	test(works(&second), "so does the other disk");
}

struct saved {
	uint32_t words[64];
};

static void config_save(unsigned slot, struct saved *saved)
{
	unsigned i;

	for (i = 0; i < 64; i++)
		saved->words[i] = pci_read(slot, i * 4, 4);
}

static void config_restore(unsigned slot, const struct saved *saved)
{
	unsigned i;

	pci_write(slot, PCI_COMMAND, 2, 0);
	for (i = 4; i < 10; i++)
		pci_write(slot, i * 4, 4, saved->words[i]);
	pci_write(slot, PCI_COMMAND, 2, saved->words[1] & 0xffff);
	if (disk.device.msix)
		pci_write(slot, disk.device.msix, 4, saved->words[disk.device.msix / 4]);
}

static void test_hostile_config(void)
{
	unsigned slot = disk.device.slot, i, changed = 0;
	struct saved before, after;

	config_save(slot, &before);
	for (i = 0; i < 64; i++) {
		pci_write(slot, i * 4, 4, 0xffffffff);
		ecam_write(slot, i * 4, 4, 0);
		pci_write(slot, i * 4, 4, 0xffffffff);
	}
	config_restore(slot, &before);
	config_save(slot, &after);
	for (i = 0; i < 64; i++) {
		/* Command, cache line and latency, BARs, interrupt line, and what is in capabilities may be
		 * written. */
		bool writable = i == 1 || i == 3 || (i >= 4 && i < 10) || i == 15;

		if (i < 16 && !writable && before.words[i] != after.words[i])
			changed++;
		if (i >= 16 && (before.words[i] & 0xffff) != (after.words[i] & 0xffff) &&
		    (before.words[i] & 0xff) == 9)
			changed++;
	}
	test(!changed, "ones written everywhere change no read-only register: %u", changed);
	test(virtio_map(&disk.device) && restarts(&disk), "with its BARs restored the disk works");

	for (i = 0; i < 3000; i++) {
		unsigned size = 1u << random_number() % 3, offset = random_number() % 256 & ~(size - 1);

		if (random_number() % 2)
			pci_write(slot, offset, size, random_number());
		else
			ecam_write(slot,
				   random_number() % 4 ? offset : (random_number() % 4096 & ~(size - 1)),
				   size, random_number());
		if (i % 16 == 0)
			mmio_read32(disk.device.common);
	}
	config_restore(slot, &before);
	test(virtio_map(&disk.device) && restarts(&disk),
	     "after 3000 random writes and a restore, the disk works");
	test(works(&second), "the other disk never stopped");
}

/* Random writes to the common registers, the notify area and the MSI-X table. */
static void test_hostile_registers(void)
{
	unsigned i;

	for (i = 0; i < 3000; i++) {
		unsigned size = 1u << random_number() % 4, offset = random_number() % 64;
		volatile char *at = disk.device.common + offset;
		uint32_t value = random_number() % 3 ? random_number() : random_number() % 4;

		if (random_number() % 8 == 0)
			at = disk.device.msix_table + offset % (disk.device.msix_count * 16);
		else if (random_number() % 16 == 0)
			at = disk.device.notify + offset % 4;
		if (size == 1)
			mmio_write8(at, (uint8_t)value);
		else if (size == 2)
			mmio_write16(at, (uint16_t)value);
		else if (size == 4)
			mmio_write32(at, value);
		else
			mmio_write64(at, (uint64_t)value << 32 | random_number());
		if (i % 8 == 0)
			mmio_read32(at);
	}
	test(works(&second), "3000 random register writes: the other disk never stopped");
	test(virtio_map(&disk.device) && restarts(&disk), "and after a reset this one works");
}

static void test_registers(void)
{
	volatile char *common = disk.device.common;
	unsigned i, bad = 0;

	virtio_reset(&disk.device);
	test(mmio_read16(common + COMMON_NUM_QUEUES) >= 1, "num_queues is %u",
	     mmio_read16(common + COMMON_NUM_QUEUES));
	test(virtio_queue_size(&disk.device, 500) == 0, "queue 500 is not there");
	mmio_write32(common + COMMON_DEVICE_FEATURE_SELECT, 77);
	test(mmio_read32(common + COMMON_DEVICE_FEATURE) == 0, "features beyond 64 are zero");
	mmio_write16(common + COMMON_QUEUE_SELECT, 0);
	mmio_write16(common + COMMON_QUEUE_VECTOR, 500);
	test(mmio_read16(common + COMMON_QUEUE_VECTOR) == VIRTIO_NO_VECTOR, "vector 500 is refused");
	mmio_write16(common + COMMON_CONFIG_VECTOR, 0);
	test(mmio_read16(common + COMMON_CONFIG_VECTOR) == 0, "vector 0 is taken");
	virtio_reset(&disk.device);
	test(mmio_read16(common + COMMON_CONFIG_VECTOR) == VIRTIO_NO_VECTOR, "a reset takes it away");

	/* Features that were not offered: FEATURES_OK must not stay. */
	mmio_write8(common + COMMON_STATUS, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	mmio_write32(common + COMMON_DRIVER_FEATURE_SELECT, 0);
	mmio_write32(common + COMMON_DRIVER_FEATURE, 0xffffffff);
	mmio_write32(common + COMMON_DRIVER_FEATURE_SELECT, 1);
	mmio_write32(common + COMMON_DRIVER_FEATURE, 0xffffffff);
	mmio_write8(common + COMMON_STATUS,
		    VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
	i = virtio_status(&disk.device);
	test(lenient || !(i & VIRTIO_STATUS_FEATURES_OK),
	     "features that were not offered are refused: status %x", i);

	for (i = 0; i < 6; i++) {
		static const uint64_t places[] = {0, 0xfee00000, 0xfffffffffffff000, 0x7fffffffffff0000,
						  3, 0xffffffff};

		virtio_negotiate(&disk.device, FEATURES);
		mmio_write16(common + COMMON_QUEUE_SELECT, 0);
		mmio_write16(common + COMMON_QUEUE_SIZE, i == 4 ? 0 : i == 5 ? 3 : 64);
		mmio_write64(common + COMMON_QUEUE_DESC, places[i]);
		mmio_write32(common + COMMON_QUEUE_DRIVER, (uint32_t)places[i]);
		mmio_write32(common + COMMON_QUEUE_DRIVER + 4, (uint32_t)(places[i] >> 32));
		mmio_write32(common + COMMON_QUEUE_DEVICE, (uint32_t)places[i]);
		mmio_write32(common + COMMON_QUEUE_DEVICE + 4, (uint32_t)(places[i] >> 32));
		/* A ring over our page tables' page 0 is allowed; let the device find an empty one there. */
		if (i)
			mmio_write16(common + COMMON_QUEUE_ENABLE, 1);
		virtio_start(&disk.device);
		mmio_write16(disk.device.notify, 0);
		bad += !works(&second);
		bad += !restarts(&disk);
	}
	test(!bad, "queues at impossible places hurt nobody, and a reset cures the disk: %u", bad);
}

/* The disk's queue, with its interrupts on VECTOR. */
static void start_with_interrupts(struct virtio_device *device)
{
	interrupts_enable();
	virtio_negotiate(device, FEATURES & ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX));
	virtqueue_setup(&disk.queue, device, 0, 64);
	msix_set(device, 1, VECTOR);
	virtio_vector(device, 0, 1);
	virtio_start(device);
	virtqueue_interrupts(&disk.queue, true);
}

static void test_msix(void)
{
	struct segment segment = {buffer, SECTOR};
	struct virtio_device *device = &disk.device;
	uint32_t before[3];
	unsigned i, all;

	start_with_interrupts(device);
	test(mmio_read32(device->msix_table + 16) == (uint32_t)MSI_ADDRESS &&
		     mmio_read32(device->msix_table + 24) == VECTOR &&
		     mmio_read32(device->msix_table + 28) == 0,
	     "the MSI-X table reads back");
	mmio_write32(device->msix_pending, 0xffffffff);
	test(!msix_is_pending(device, 0) && !msix_is_pending(device, 1), "pending bits cannot be written");

	for (i = 0; i < 3; i++)
		before[i] = interrupt_counts[VECTOR + i];
	blk_submit(&disk, &disk.request, BLK_T_IN, 0, &segment, 1);
	virtqueue_kick(&disk.queue);
	test(WAIT_UNTIL(interrupt_counts[VECTOR] == before[0] + 1, 2), "a request interrupts");
	virtqueue_take(&disk.queue, NULL);

	/* Masked as a whole, the message changed meanwhile. */
	all = pci_read(device->slot, device->msix + 2, 2);
	pci_write(device->slot, device->msix + 2, 2, all | 0x4000);
	blk_do(&disk, BLK_T_IN, 0, buffer, SECTOR);
	test(WAIT_UNTIL(msix_is_pending(device, 1), 2),
	     "the function mask holds an interrupt back as pending");
	mmio_write32(device->msix_table + 24, VECTOR + 1);
	pci_write(device->slot, device->msix + 2, 2, all);
	test(WAIT_UNTIL(interrupt_counts[VECTOR + 1] == before[1] + 1, 2),
	     "unmasked, it comes with the new message");
	test(interrupt_counts[VECTOR] == before[0] + 1, "and not with the old one");
	for (i = 0; i < 200; i++) {
		uint8_t vector = (uint8_t)(VECTOR + i % 3);
		uint32_t count = interrupt_counts[vector];

		msix_mask(device, 1, true);
		if (i % 2) {
			mmio_write32(device->msix_table + 24, vector);
			msix_mask(device, 1, false);
		}
		blk_submit(&disk, &disk.request, BLK_T_IN, 0, &segment, 1);
		virtqueue_kick(&disk.queue);
		if (!(i % 2)) {
			WAIT_UNTIL(disk.queue.used->idx != disk.queue.used_idx, 2);
			mmio_write32(device->msix_table + 24, vector);
			msix_mask(device, 1, false);
		}
		if (!WAIT_UNTIL(interrupt_counts[vector] == count + 1, 2))
			break;
		virtqueue_wait(&disk.queue, NULL, 2);
	}
	test(i == 200, "200 requests, their vector masked, moved and unmasked around them: %u interrupts", i);
	interrupts_disable();
	restarts(&disk);
}

/* C3: without bus mastering the disk touches no memory and sends no message; with it, it goes on where it was. */
static void test_bus_master(void)
{
	struct segment segment = {buffer, SECTOR};
	struct virtio_device *device = &disk.device;
	unsigned slot = device->slot, i;
	uint32_t before;

	start_with_interrupts(device);
	test(works(&disk), "a disk that is a bus master works");
	before = interrupt_counts[VECTOR];
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	memset(buffer, 0, SECTOR);
	blk_submit(&disk, &disk.request, BLK_T_IN, 0, &segment, 1);
	virtqueue_notify(&disk.queue);
	test(!WAIT_UNTIL(disk.queue.used->idx != disk.queue.used_idx, 0.2) && !buffer[0],
	     "one that is none takes no request");
	test(interrupt_counts[VECTOR] == before, "and does not interrupt");
	test(virtio_status(device) & VIRTIO_STATUS_DRIVER_OK, "its driver's state stands");
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	test(virtqueue_wait(&disk.queue, NULL, 5) >= 0 && !memcmp(buffer, LINES, 16),
	     "a bus master again, it goes on with the request");
	test(WAIT_UNTIL(interrupt_counts[VECTOR] != before, 2), "and interrupts");
	for (i = 0; i < 100; i++) {
		memset(buffer, 0, SECTOR);
		blk_submit(&disk, &disk.request, BLK_T_IN, 0, &segment, 1);
		virtqueue_notify(&disk.queue);
		pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
		if (virtqueue_wait(&disk.queue, NULL, 5) < 0 || memcmp(buffer, LINES, 16))
			break;
	}
	test(i == 100, "taken from it around 100 requests, none is lost: %u", i);
	interrupts_disable();
	/* A driver that begins before it is one: the next kernel's, whose predecessor left it so. */
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	blk_start(&disk, FEATURES, 64, false);
	memset(buffer, 0, SECTOR);
	blk_submit(&disk, &disk.request, BLK_T_IN, 0, &segment, 1);
	virtqueue_notify(&disk.queue);
	test(!WAIT_UNTIL(disk.queue.used->idx != disk.queue.used_idx, 0.2),
	     "nor does it for a driver that is early");
	pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	test(virtqueue_wait(&disk.queue, NULL, 5) >= 0 && !memcmp(buffer, LINES, 16), "until it may");
	test(works(&disk) && works(&second) && restarts(&disk), "both disks work");
}

static void test_unclaimed(void)
{
	volatile char *hole = map_physical(0xcffff000, 4096);

	test(in8(0x1234) == 0xff && in16(0x1234) == 0xffff && in32(0x1234) == 0xffffffff,
	     "unclaimed ports read as ones");
	out8(0x1234, 1);
	out16(0x1234, 1);
	out32(0x1234, 1);
	mmio_write8(hole, 1);
	mmio_write64(hole + 8, 1);
	test(lenient || (mmio_read8(hole) == 0xff && mmio_read16(hole) == 0xffff &&
			 mmio_read32(hole) == 0xffffffff && mmio_read64(hole + 8) == ~UINT64_C(0)),
	     "unclaimed memory reads as ones");
}

static bool table_sums_up(const uint8_t *table)
{
	uint32_t length, i;
	uint8_t sum = 0;

	if (!table)
		return false;
	memcpy(&length, table + 4, 4);
	for (i = 0; i < length; i++)
		sum = (uint8_t)(sum + table[i]);
	return !sum && length >= 36;
}

static void test_acpi(void)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG"};
	unsigned i;

	for (i = 0; i < 3; i++)
		test(table_sums_up(acpi_table(names[i])), "ACPI has a sound %s", names[i]);
}

static void test_cpus(void)
{
	unsigned wanted = (unsigned)option_number("cpus", 1), started;

	test(acpi_cpu_count() == wanted, "the MADT has %u processors", acpi_cpu_count());
	started = cpus_start(wanted - 1);
	test(started == wanted - 1, "%u others started", started);
}

/* The generic event device's button: an interrupt, and a bit in the event register. */
static void wait_for_button(void)
{
	uint32_t before = interrupt_counts[VECTOR];

	isa_interrupt_route(GED_IRQ, VECTOR);
	interrupts_enable();
	print("# press the button\n");
	if (!WAIT_UNTIL(interrupt_counts[VECTOR] != before, 20))
		guest_fail("nobody did");
	print("# events %x\n", in32(GED));
	if (in32(GED) != 0)
		guest_fail("reading the events did not clear them");
	power_off();
}

/* What a run before left at 40 MiB would be seen; one that comes after this one would see a word of ours. */
static void look_at_memory(void)
{
	volatile uint64_t *word = (volatile uint64_t *)map_physical(UINT64_C(40) << 20, sizeof(*word));

	print("# memory is %s\n", *word == 0 ? "new" : "old");
	*word = 0x6e6f726973;
}

static void end(const char *how)
{
	look_at_memory();
	print("# ending by %s\n", how);
	if (text_equal(how, "off"))
		power_off();
	else if (text_equal(how, "acpi"))
		reset_acpi();
	else if (text_equal(how, "cf9"))
		reset_cf9();
	else if (text_equal(how, "i8042"))
		reset_i8042();
	else if (text_equal(how, "triple"))
		triple_fault();
	else if (text_equal(how, "panic"))
		out8(PVPANIC, in8(PVPANIC) & 1);
	else if (text_equal(how, "button"))
		wait_for_button();
	else if (text_equal(how, "hang"))
		for (;;)
			__asm__ volatile("pause");
	WAIT_UNTIL(false, 2);
	guest_fail("still here after %s", how);
}

void guest_main(void)
{
	if (option("end"))
		end(option("end"));
	lenient = option("lenient");
	buffer = memory_get(4096, 4096);
	test_acpi();
	test_cpus();
	test_config_space();
	test_bars();
	test_unclaimed();
	if (!blk_find(0, &disk) || !blk_find(1, &second))
		guest_fail("there are not two disks");
	test(restarts(&disk) && restarts(&second), "two disks work");
	test_registers();
	test_msix();
	/* QEMU takes DRIVER_OK back. */
	if (!lenient)
		test_bus_master();
	test_bar_move();
	test_hostile_registers();
	test_hostile_config();
}
