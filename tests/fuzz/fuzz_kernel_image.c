/*
 * Any file as a kernel: the probe ends, and what it accepts stays within the file and below 4 GiB.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/host/kernel_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct kernel_image *image, size_t file_size)
{
	if (image->segment_count == 0 || image->segment_count > KERNEL_IMAGE_SEGMENTS_MAX)
		abort();
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct kernel_image_segment *segment = &image->segments[i];

		if (segment->file_offset > file_size ||
		    segment->file_size > file_size - segment->file_offset ||
		    segment->file_size > segment->memory_size ||
		    segment->guest_address < KERNEL_IMAGE_LOWEST_ADDRESS ||
		    segment->guest_address + segment->memory_size > image->memory_end)
			abort();
	}
	if (image->memory_end > UINT64_C(1) << 32)
		abort();
	for (uint64_t memory = 1 << 20; memory < UINT64_C(1) << 34; memory <<= 1) {
		uint64_t address = kernel_image_place_initrd(image, memory, file_size);

		if (file_size > 0 && address != 0 &&
		    (address < image->memory_end || address + file_size > memory))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel_image image;
	const char *problem = NULL;
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (kernel_image_probe(fd, &image, &problem) == 0)
		check(&image, size);
	else if (problem == NULL)
		abort();
	close(fd);
	return 0;
}
