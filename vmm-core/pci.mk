# Exits, interrupts and devices: the exit router, the interrupt router, PCI, and the front ends of the device wires.
vmm_core_libcore_la_SOURCES += \
	vmm-core/device_link.c vmm-core/device_link.h \
	vmm-core/device_set.c vmm-core/device_set.h \
	vmm-core/exit_router.c vmm-core/exit_router.h \
	vmm-core/inflight_memory.c vmm-core/inflight_memory.h \
	vmm-core/irq_router.c vmm-core/irq_router.h \
	vmm-core/msix.c vmm-core/msix.h \
	vmm-core/pci.c vmm-core/pci.h vmm-core/pci_spec.h \
	vmm-core/serial_port.c vmm-core/serial_port.h \
	vmm-core/vfio_user_client.c vmm-core/vfio_user_client.h \
	vmm-core/vhost_user_frontend.c vmm-core/vhost_user_frontend.h \
	vmm-core/virtio_pci.c vmm-core/virtio_pci.h vmm-core/virtio_pci_device.h vmm-core/virtio_pci_spec.h \
	vmm-core/virtio_pci_backend.c vmm-core/virtio_pci_common.c
