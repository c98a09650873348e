/* The PVH boot protocol: what is handed to an ELF file with a PVH note. */
#ifndef ATOLL_VMM_CORE_BOOT_BOOT_PVH_H
#define ATOLL_VMM_CORE_BOOT_BOOT_PVH_H

#include "vmm-core/boot/boot_protocol.h"

/* Writes below 1 MiB, which every guest has. 0. */
int boot_pvh_prepare(const struct boot_loaded *loaded, const struct guest_ram *ram, struct boot_entry *entry);

#endif
