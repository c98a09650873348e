/* What the boot protocols have in common; see boot_protocol.h. */
#include "vmm-core/boot/boot_protocol.h"

#include <errno.h>
#include <unistd.h>

#include "vmm-core/machine/machine_layout.h"

int boot_read(int fd, void *data, uint64_t size, uint64_t offset)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		done += (uint64_t)got;
	}
	return 0;
}

size_t boot_memory_map(const struct guest_ram *ram, struct boot_memory_range ranges[BOOT_MEMORY_RANGES_MAX])
{
	size_t count = 0;

	/* What a PC's firmware has above 639 KiB; our ACPI tables are in it. */
	ranges[count++] = (struct boot_memory_range){0, LAYOUT_EBDA_START, BOOT_MEMORY_RAM};
	ranges[count++] = (struct boot_memory_range){LAYOUT_EBDA_START, LAYOUT_ONE_MIB - LAYOUT_EBDA_START,
						     BOOT_MEMORY_RESERVED};
	if (ram->regions[0].size > LAYOUT_ONE_MIB)
		ranges[count++] = (struct boot_memory_range){
			LAYOUT_ONE_MIB, ram->regions[0].size - LAYOUT_ONE_MIB, BOOT_MEMORY_RAM};
	/* Linux believes MCFG only if its window is reserved here (or is a motherboard resource). */
	ranges[count++] =
		(struct boot_memory_range){LAYOUT_ECAM_START, LAYOUT_ECAM_SIZE, BOOT_MEMORY_RESERVED};
	for (size_t i = 1; i < ram->region_count; i++)
		ranges[count++] = (struct boot_memory_range){ram->regions[i].guest_address,
							     ram->regions[i].size, BOOT_MEMORY_RAM};
	return count;
}
