/*
 * Guest RAM: one sealed memfd, and the one place that turns guest-physical addresses into our pointers.
 *
 * The file is mapped once, in one piece and MAP_NORESERVE: a guest of 6 GiB costs what it has touched. What it is not, the
 * supervisor's mistake or not, would be a fault at an access some day, so it is looked at before.
 */
#include "vmm-core/machine/guest_ram.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/sealed_memfd.h"
#include "vmm-core/machine/machine_layout.h"

#define GUEST_RAM_PAGE UINT64_C(4096)

static void guest_ram_add(struct guest_ram *ram, uint64_t guest_address, uint64_t size, uint64_t file_offset)
{
	ram->regions[ram->region_count++] = (struct guest_ram_region){
		.guest_address = guest_address,
		.size = size,
		.file_offset = file_offset,
		.host = ram->host + file_offset,
	};
}

int guest_ram_map(int memfd, uint64_t size, struct guest_ram *ram)
{
	struct guest_ram new_ram = {.memfd = memfd, .size = size};
	uint64_t low = size < LAYOUT_HOLE_START ? size : LAYOUT_HOLE_START;
	const char *problem;
	int result;

	if (size == 0 || size % GUEST_RAM_PAGE != 0 || size > INT64_MAX || size > SIZE_MAX) {
		log_error("memory: %" PRIu64 " bytes are no guest's memory", size);
		return -EINVAL;
	}
	problem = sealed_memfd_problem(memfd, size);
	if (problem != NULL) {
		log_error("memory: the file that the supervisor made for it %s", problem);
		return -EINVAL;
	}
	new_ram.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
	if (new_ram.host == MAP_FAILED) {
		result = -errno;
		log_error("memory: cannot map %" PRIu64 " MiB: %s; lower \"memory\"", size / MIB,
			  strerror(-result));
		return result;
	}
	/* Of a dump of the core, the guest's memory is neither needed nor anybody's business. */
	madvise(new_ram.host, size, MADV_DONTDUMP);
	guest_ram_add(&new_ram, 0, low, 0);
	if (size > low)
		guest_ram_add(&new_ram, LAYOUT_HIGH_RAM_START, size - low, low);
	*ram = new_ram;
	return 0;
}

void guest_ram_destroy(struct guest_ram *ram)
{
	if (ram->host != NULL)
		munmap(ram->host, ram->size);
	if (ram->memfd >= 0)
		close(ram->memfd);
	memset(ram, 0, sizeof(*ram));
	ram->memfd = -1;
}

int guest_ram_register(const struct guest_ram *ram, int vm_fd)
{
	for (size_t i = 0; i < ram->region_count; i++) {
		const struct guest_ram_region *region = &ram->regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = (uint32_t)i,
			.guest_phys_addr = region->guest_address,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->host,
		};

		if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
			return -errno;
	}
	return 0;
}

void *guest_ram_range(const struct guest_ram *ram, uint64_t guest_address, uint64_t size)
{
	for (size_t i = 0; i < ram->region_count; i++) {
		const struct guest_ram_region *region = &ram->regions[i];
		uint64_t offset = guest_address - region->guest_address;

		if (guest_address >= region->guest_address && offset < region->size &&
		    size <= region->size - offset)
			return region->host + offset;
	}
	return NULL;
}

uint64_t guest_ram_end_of(uint64_t size)
{
	if (size <= LAYOUT_HOLE_START)
		return size;
	size -= LAYOUT_HOLE_START;
	return size <= UINT64_MAX - LAYOUT_HIGH_RAM_START ? LAYOUT_HIGH_RAM_START + size : UINT64_MAX;
}

uint64_t guest_ram_end(const struct guest_ram *ram)
{
	const struct guest_ram_region *last = &ram->regions[ram->region_count - 1];

	return last->guest_address + last->size;
}
