/*
 * Guest RAM: one sealed memfd, and the one place that turns guest-physical addresses into our pointers.
 *
 * The file is mapped once, as a whole and MAP_NORESERVE: a guest of 6 GiB costs what it has touched. Seals
 * come after the size is final; F_SEAL_WRITE is left out, because devices map the same file for writing.
 */
#include "vmm-core/machine/guest_ram.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* A memfd of size bytes that nobody can resize any more; or -errno. */
static int guest_ram_make_memfd(uint64_t size)
{
	int fd = memfd_create("atoll-guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int result;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	result = -errno;
	close(fd);
	return result;
}

int guest_ram_create(uint64_t size, struct guest_ram *ram)
{
	struct guest_ram new_ram = {.size = size};
	uint64_t low = size < LAYOUT_HOLE_START ? size : LAYOUT_HOLE_START;
	int result;

	if (size == 0 || size % GUEST_RAM_PAGE != 0 || size > INT64_MAX || size > SIZE_MAX)
		return -EINVAL;
	new_ram.memfd = guest_ram_make_memfd(size);
	if (new_ram.memfd < 0)
		return new_ram.memfd;
	new_ram.host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, new_ram.memfd, 0);
	if (new_ram.host == MAP_FAILED) {
		result = -errno;
		close(new_ram.memfd);
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
	if (ram->host == NULL)
		return;
	munmap(ram->host, ram->size);
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
