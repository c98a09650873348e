/*
 * Loading the kernel, the initrd and the command line; see boot.h.
 *
 * The image was probed by the supervisor, but its word is not what the core loads from: the core probes the
 * same descriptor itself, and checks each place in guest RAM that it writes to.
 */
#include "vmm-core/boot/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/log.h"
#include "vmm-core/boot/boot_linux.h"
#include "vmm-core/boot/boot_pvh.h"
#include "vmm-core/machine/machine_layout.h"

static uint64_t mib_up(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

/* RAM was just created, so what a segment leaves to be zero is zero. */
static int boot_load_segments(int fd, const struct kernel_image *image, const struct guest_ram *ram)
{
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct kernel_image_segment *segment = &image->segments[i];
		void *place = guest_ram_range(ram, segment->guest_address, segment->memory_size);
		int result;

		if (place == NULL) {
			log_error("kernel: it needs memory up to %" PRIu64 " MiB, the guest has %" PRIu64
				  " MiB; raise \"memory\"",
				  mib_up(image->memory_end), ram->size / MIB);
			return -ENOMEM;
		}
		result = boot_read(fd, place, segment->file_size, segment->file_offset);
		if (result < 0) {
			log_error("kernel: cannot be read: %s; check the file", strerror(-result));
			return result;
		}
	}
	return 0;
}

static int boot_load_initrd(int fd, const struct guest_ram *ram, struct boot_loaded *loaded)
{
	struct stat status;
	void *place;
	int result;

	if (fd < 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size <= 0) {
		log_error("initrd: not a regular file with something in it; name another or leave \"initrd\" "
			  "out");
		return -EINVAL;
	}
	loaded->initrd_size = (uint64_t)status.st_size;
	loaded->initrd_address = kernel_image_place_initrd(&loaded->image, ram->size, loaded->initrd_size);
	place = loaded->initrd_address != 0
			? guest_ram_range(ram, loaded->initrd_address, loaded->initrd_size)
			: NULL;
	/* Boot parameters tell its address and size in 32 bits each. */
	if (place == NULL || loaded->initrd_size > UINT32_MAX) {
		log_error("initrd: its %" PRIu64 " MiB do not fit beside the kernel into the guest's %" PRIu64
			  " MiB; raise \"memory\"",
			  mib_up(loaded->initrd_size), ram->size / MIB);
		return -ENOMEM;
	}
	result = boot_read(fd, place, loaded->initrd_size, 0);
	if (result < 0)
		log_error("initrd: cannot be read: %s; check the file", strerror(-result));
	return result;
}

static int boot_load_cmdline(const char *cmdline, const struct kernel_image *image,
			     const struct guest_ram *ram)
{
	size_t length = strlen(cmdline);
	uint64_t most =
		image->cmdline_max < LAYOUT_CMDLINE_SIZE - 1 ? image->cmdline_max : LAYOUT_CMDLINE_SIZE - 1;

	if (length > most) {
		log_error("cmdline: it has %zu bytes, the kernel takes %" PRIu64 "; shorten it", length,
			  most);
		return -E2BIG;
	}
	memcpy(guest_ram_range(ram, LAYOUT_CMDLINE, LAYOUT_CMDLINE_SIZE), cmdline, length + 1);
	return 0;
}

/*
 * Linux on hardware-reduced ACPI without EFI does not use the reset register: it goes back to real mode and
 * jumps to the firmware's reset vector (arch/x86/kernel/reboot.c, BOOT_EFI and then BOOT_BIOS). All the
 * firmware that it finds there is this, which resets.
 */
static void boot_write_reset_vector(const struct guest_ram *ram)
{
	static const uint8_t code[] = {
		0xb0,
		LAYOUT_RESET_VALUE, /* mov $6, %al */
		0xba,
		LAYOUT_PORT_RESET_CONTROL & 0xff,
		LAYOUT_PORT_RESET_CONTROL >> 8, /* mov $0xcf9, %dx */
		0xee,				/* out %al, %dx */
		0xfa,
		0xf4, /* cli; hlt */
		0xeb,
		0xfc, /* jmp to cli */
	};

	memcpy(guest_ram_range(ram, LAYOUT_RESET_VECTOR, sizeof(code)), code, sizeof(code));
}

int boot_load(const struct boot_source *source, const struct guest_ram *ram, struct boot_entry *entry)
{
	struct boot_loaded loaded = {.rsdp = source->rsdp};
	const char *problem = NULL;
	int result;

	if (guest_ram_range(ram, 0, LAYOUT_ONE_MIB) == NULL) {
		log_error("memory: a guest needs 1 MiB at the least; raise \"memory\"");
		return -ENOMEM;
	}
	result = kernel_image_probe(source->kernel_fd, &loaded.image, &problem);
	if (result < 0) {
		log_error("kernel: %s; name a bzImage or an ELF file with a PVH note", problem);
		return result;
	}
	if ((result = boot_load_segments(source->kernel_fd, &loaded.image, ram)) < 0 ||
	    (result = boot_load_initrd(source->initrd_fd, ram, &loaded)) < 0 ||
	    (result = boot_load_cmdline(source->cmdline, &loaded.image, ram)) < 0)
		return result;
	boot_write_reset_vector(ram);
	if (loaded.image.kind == KERNEL_IMAGE_BZIMAGE)
		return boot_linux_prepare(source->kernel_fd, &loaded, ram, entry);
	return boot_pvh_prepare(&loaded, ram, entry);
}
