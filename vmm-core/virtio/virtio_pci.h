/*
 * The modern virtio-pci transport of one device: a PCI function in front, a back end behind
 * (vmm-core/wire/backend.h).
 *
 * All transport state is here: features, status, queue addresses, vectors, the copy of the device's config
 * space, the kick eventfds, the inflight region. The device process behind the wire is told what it needs when
 * the driver says DRIVER_OK, and so is each successor, without the guest having to do anything. Kicks and interrupts pass this code
 * by: KVM writes the kick eventfds (ioeventfd) and reads the vectors' (irqfd).
 *
 * Source: virtio 1.2, 4.1 and 3.1.1.
 */
#ifndef ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_H
#define ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_H

#include <stdint.h>

#include "common/roles/device_type.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/wire/backend.h"
#include "vmm-core/wire/device_link.h"

struct virtio_pci;

struct virtio_pci_setup {
	struct core *core;
	const char *id; /* copied */
	const struct device_type *type;
	unsigned queues; /* 0: as the back end says */
	/* The kind of back end that is at the wire, and at each that a successor brings. */
	const struct backend_ops *backend_ops;
};

/*
 * Does the handshake on wire_fd, which becomes the device's in any case, and puts the function on the bus.
 * 0 or -errno after having logged why.
 */
int virtio_pci_new(const struct virtio_pci_setup *setup, int wire_fd, struct virtio_pci **device);

/*
 * The same while the VM runs, for a back end that the device's attendant greets: the function is on the bus when the link
 * serves. When it cannot be, the link is LEFT, and why stands in its report; virtio_pci_free() is next then. 0 or
 * -errno: wire_fd stays the caller's. -ENOSPC: there is no attendant.
 */
int virtio_pci_invite(const struct virtio_pci_setup *setup, int wire_fd, uint64_t serial,
		      struct virtio_pci **device);

/* How the device stands to its process; what to do with it is in device_link.h. To cancel it without cutting
 * the wire leaves no wait for the back end that takes long. */
struct device_link *virtio_pci_link(struct virtio_pci *device);
/* The vCPUs have stopped: stops the rings in order. */
void virtio_pci_quiesce(struct virtio_pci *device);
/* Takes it out of the machine. While vCPUs run its link is LEFT. NULL: nothing. */
void virtio_pci_free(struct virtio_pci *device);

/* "notify-exits": queue notifications that came as exits instead of through an ioeventfd (they should not);
 * "status-writes"; "device-config-accesses". */
void virtio_pci_counters(const struct virtio_pci *device,
			 void (*each)(void *argument, const char *name, uint64_t value), void *argument);

#endif
