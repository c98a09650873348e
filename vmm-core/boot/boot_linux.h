/* The Linux boot protocol: what is handed to a bzImage. */
#ifndef ATOLL_VMM_CORE_BOOT_BOOT_LINUX_H
#define ATOLL_VMM_CORE_BOOT_BOOT_LINUX_H

#include "vmm-core/boot/boot_protocol.h"

/* Writes below 1 MiB, which every guest has. 0 or -errno (logged). */
int boot_linux_prepare(int kernel_fd, const struct boot_loaded *loaded, const struct guest_ram *ram,
		       struct boot_entry *entry);

#endif
