/*
 * What a kernel image is: found out from its file, before anything of a VM exists.
 *
 * Two kinds boot: a Linux bzImage through its 64-bit entry, and an ELF file that carries a PVH note. The
 * supervisor probes to refuse a bad file with a reason; the core probes again, for itself, before it loads.
 * The file is not trusted: every offset, count and size in it is checked here, so that who loads from a
 * struct kernel_image need only check that the guest has RAM there.
 *
 * Sources: Linux Documentation/arch/x86/boot.rst (protocol 2.12 and later); System V ABI, ELF; Xen
 * docs/misc/pvh.pandoc, and XEN_ELFNOTE_PHYS32_ENTRY of its elfnote.h.
 */
#ifndef ATOLL_COMMON_HOST_KERNEL_IMAGE_H
#define ATOLL_COMMON_HOST_KERNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Guest-physical memory below this is the loader's own; no image may want it. */
#define KERNEL_IMAGE_LOWEST_ADDRESS UINT64_C(0x100000)
#define KERNEL_IMAGE_SEGMENTS_MAX   32

enum kernel_image_kind {
	KERNEL_IMAGE_BZIMAGE,
	KERNEL_IMAGE_PVH,
};

/* One piece of the file and where it goes; memory_size beyond file_size is to be zero. */
struct kernel_image_segment {
	uint64_t file_offset;
	uint64_t file_size;
	uint64_t guest_address;
	uint64_t memory_size;
};

struct kernel_image {
	enum kernel_image_kind kind;
	uint64_t entry;	      /* guest-physical: 64-bit entry of a bzImage, 32-bit entry of a PVH image */
	uint64_t memory_end;  /* the first guest-physical address that the image does not need */
	uint64_t initrd_max;  /* the highest address that a byte of the initrd may have */
	uint64_t cmdline_max; /* bytes, without the terminator */
	uint64_t setup_header_size; /* bzImage: bytes of the setup header, from file offset 0x1f1 */
	struct kernel_image_segment segments[KERNEL_IMAGE_SEGMENTS_MAX];
	size_t segment_count;
};

/*
 * Looks at the file behind fd (read by pread(2); the file position stays). 0 with *image filled; -ENOEXEC
 * when it cannot be booted; or the -errno of a read. On failure *problem says why in static text, fit for
 * "kernel FILE: PROBLEM".
 */
int kernel_image_probe(int fd, struct kernel_image *image, const char **problem);

/*
 * Where an initrd of initrd_size bytes goes in a guest of memory_bytes of RAM: as high as the image allows,
 * page aligned. 0 when there is no room, also when the image itself does not fit. With initrd_size 0, the
 * answer is non-zero if the image alone fits.
 */
uint64_t kernel_image_place_initrd(const struct kernel_image *image, uint64_t memory_bytes,
				   uint64_t initrd_size);

#endif
