/*
 * How much a virtio-pci device can have: what is made ready for one (device_set.c) is enough for any.
 */
#ifndef ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_LIMITS_H
#define ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_LIMITS_H

#define VIRTIO_PCI_QUEUES_MAX	  64
#define VIRTIO_PCI_QUEUE_SIZE_MAX 256 /* descriptors */

#endif
