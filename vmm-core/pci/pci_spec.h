/*
 * PCI Local Bus 3.0, chapter 6: type 0 configuration space, and the MSI-X capability (6.8.2).
 */
#ifndef ATOLL_VMM_CORE_PCI_PCI_SPEC_H
#define ATOLL_VMM_CORE_PCI_PCI_SPEC_H

#define PCI_CONFIG_SIZE 256

/* 6.1 Configuration Space Organization */
#define PCI_VENDOR_ID		0x00
#define PCI_DEVICE_ID		0x02
#define PCI_COMMAND		0x04
#define PCI_STATUS		0x06
#define PCI_REVISION_ID		0x08
#define PCI_CLASS_PROG		0x09
#define PCI_CLASS_DEVICE	0x0a
#define PCI_CACHE_LINE_SIZE	0x0c
#define PCI_HEADER_TYPE		0x0e
#define PCI_BASE_ADDRESS_0	0x10
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID	0x2e
#define PCI_CAPABILITY_LIST	0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_FIRST_CAPABILITY	0x40

/* 6.2.2 Device Control */
#define PCI_COMMAND_IO		 0x0001
#define PCI_COMMAND_MEMORY	 0x0002
#define PCI_COMMAND_MASTER	 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400

/* 6.2.3 Device Status */
#define PCI_STATUS_CAP_LIST 0x0010

/* 6.2.5.1 Address Maps */
#define PCI_BASE_ADDRESS_MEM_TYPE_64  0x04
#define PCI_BASE_ADDRESS_MEM_PREFETCH 0x08
#define PCI_BASE_ADDRESS_FLAGS	      0x0f

/* Appendix H, capability identifiers. */
#define PCI_CAP_ID_VNDR 0x09
#define PCI_CAP_ID_MSIX 0x11

/* 6.8.2 MSI-X Capability and Table Structures */
#define PCI_MSIX_CAP_SIZE     12
#define PCI_MSIX_CONTROL      2 /* in the capability */
#define PCI_MSIX_TABLE	      4
#define PCI_MSIX_PBA	      8
#define PCI_MSIX_ENABLE	      0x8000u
#define PCI_MSIX_MASKALL      0x4000u
#define PCI_MSIX_ENTRY_SIZE   16
#define PCI_MSIX_ENTRY_MASKED 1u

#endif
