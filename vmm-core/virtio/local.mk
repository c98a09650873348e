# The virtio-pci transport.
vmm_core_libcore_la_SOURCES += \
	vmm-core/virtio/virtio_pci.c vmm-core/virtio/virtio_pci.h \
	vmm-core/virtio/virtio_pci_backend.c \
	vmm-core/virtio/virtio_pci_common.c \
	vmm-core/virtio/virtio_pci_device.h vmm-core/virtio/virtio_pci_limits.h \
	vmm-core/virtio/virtio_pci_spec.h
