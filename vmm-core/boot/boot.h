/*
 * Loading what the guest runs first: kernel, initrd, command line, and the data that the boot protocol wants
 * beside them. Everything is read from descriptors, once, before the vCPUs exist.
 *
 * boot.c loads the files; boot_linux.c and boot_pvh.c write what the two protocols hand to the kernel.
 */
#ifndef ATOLL_VMM_CORE_BOOT_BOOT_H
#define ATOLL_VMM_CORE_BOOT_BOOT_H

#include <stdint.h>

#include "vmm-core/boot/boot_protocol.h"
#include "vmm-core/machine/guest_ram.h"

struct boot_source {
	int kernel_fd;
	int initrd_fd; /* -1: none */
	const char *cmdline;
	uint64_t rsdp; /* guest-physical */
};

/* Loads all of it. 0, or -errno after having logged what is wrong and what helps. */
int boot_load(const struct boot_source *source, const struct guest_ram *ram, struct boot_entry *entry);

#endif
