/*
 * A serial port of the machine: eight I/O ports and an ISA interrupt in front, a vfio-user client behind.
 * Every register access is forwarded to the process on the other side of the wire; the core knows nothing of
 * a UART. When the process goes, accesses wait for the next one; without any they read as ones.
 */
#ifndef ATOLL_VMM_CORE_WIRE_SERIAL_PORT_H
#define ATOLL_VMM_CORE_WIRE_SERIAL_PORT_H

#include <stdint.h>

#include "vmm-core/machine/core.h"
#include "vmm-core/wire/device_link.h"

struct serial_device;

/* wire_fd becomes the port's in any case. 0 or -errno after having logged why. */
int serial_device_new(struct core *core, const char *id, uint16_t port, uint32_t gsi, int wire_fd,
		      struct serial_device **serial);
/* How the port stands to its process; what to do with it is in device_link.h. */
struct device_link *serial_device_link(struct serial_device *serial);
void serial_device_free(struct serial_device *serial);

#endif
