/*
 * A virtio-pci device from the inside: what virtio_pci.c (the PCI function and the device's life) and
 * virtio_pci_common.c (status, features, queues) share. For these two files.
 */
#ifndef ATOLL_VMM_CORE_VIRTIO_PCI_DEVICE_H
#define ATOLL_VMM_CORE_VIRTIO_PCI_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/vhost_user_spec.h"
#include "vmm-core/core.h"
#include "vmm-core/msix.h"
#include "vmm-core/pci.h"
#include "vmm-core/vhost_user_frontend.h"
#include "vmm-core/virtio_pci.h"

struct virtio_pci_queue {
	uint16_t size;
	uint16_t vector;
	bool enabled; /* by the driver */
	bool started; /* at the back end */
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	int kick_fd;
};

struct virtio_pci {
	struct core *core;
	char *id;
	struct pci_function function;
	unsigned pci_cfg; /* offset of the configuration access capability */
	struct msix *msix;
	struct vhost_user_frontend *frontend;
	_Atomic bool config_stale; /* the back end's configuration changed; see device_unlock() */
	uint64_t notify_address;   /* where the ioeventfds are; 0: nowhere. Under the function's lock. */

	pthread_mutex_t lock; /* of all below */
	uint64_t offered;
	uint64_t driver_features;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint8_t status;
	uint8_t config_generation;
	bool bad_queue_told; /* in the log; a guest is not to fill it */
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_select;
	uint32_t config_size;
	uint8_t config[VHOST_USER_MAX_CONFIG_SIZE];

	unsigned queue_count;
	struct virtio_pci_queue queues[VIRTIO_PCI_QUEUES_MAX];

	_Atomic uint64_t notify_exits;
	_Atomic uint64_t status_writes;
	_Atomic uint64_t config_accesses;
};

/* All with the device's lock held, from any thread. */

/* The back end broke its word or is gone: ends the VM. error: -errno of the front end. */
void virtio_device_failed(struct virtio_pci *device, const char *doing, int error);

/* Accesses to the common configuration; [offset, +size) lies inside struct virtio_pci_common_cfg. */
void virtio_common_read(struct virtio_pci *device, uint64_t offset, void *data, unsigned size);
void virtio_common_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size);

/* Whether the driver runs the device. */
bool virtio_driver_ok(const struct virtio_pci *device);
/* Stops what runs; returns when the back end touches no ring any more. */
void virtio_rings_stop(struct virtio_pci *device);

#endif
