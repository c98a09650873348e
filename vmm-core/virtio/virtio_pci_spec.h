/*
 * Virtio 1.2, 4.1 "Virtio Over PCI Bus": the modern transport's capabilities and common configuration.
 */
#ifndef ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_SPEC_H
#define ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_SPEC_H

#include <stdint.h>

/* 4.1.2 PCI Device Discovery */
#define VIRTIO_PCI_VENDOR	     0x1af4
#define VIRTIO_PCI_DEVICE_BASE	     0x1040
#define VIRTIO_PCI_REVISION	     1
#define VIRTIO_PCI_SUBSYSTEM_ID_BASE 0x40

/* 4.1.4 Virtio Structure PCI Capabilities */
struct virtio_pci_cap {
	uint8_t cap_vndr;
	uint8_t cap_next;
	uint8_t cap_len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	uint32_t offset;
	uint32_t length;
};
#define VIRTIO_PCI_CAP_COMMON_CFG 1
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2
#define VIRTIO_PCI_CAP_ISR_CFG	  3
#define VIRTIO_PCI_CAP_DEVICE_CFG 4
#define VIRTIO_PCI_CAP_PCI_CFG	  5

/* 4.1.4.3 Common configuration structure layout */
struct virtio_pci_common_cfg {
	uint32_t device_feature_select;
	uint32_t device_feature;
	uint32_t driver_feature_select;
	uint32_t driver_feature;
	uint16_t config_msix_vector;
	uint16_t num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_msix_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint64_t queue_desc;
	uint64_t queue_driver;
	uint64_t queue_device;
	uint16_t queue_notify_data;
	uint16_t queue_reset;
	uint32_t padding; /* not in the specification: the structure ends before it */
};
#define VIRTIO_PCI_COMMON_CFG_SIZE 60

/* 4.1.4.5 ISR status capability */
#define VIRTIO_PCI_ISR_QUEUE  1u
#define VIRTIO_PCI_ISR_CONFIG 2u

/* 4.1.5.1.2 MSI-X Vector Configuration */
#define VIRTIO_MSI_NO_VECTOR 0xffffu

#endif
