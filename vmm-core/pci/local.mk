# The PCI bus, its functions, MSI-X.
vmm_core_libcore_la_SOURCES += \
	vmm-core/pci/msix.c vmm-core/pci/msix.h \
	vmm-core/pci/pci.c vmm-core/pci/pci.h \
	vmm-core/pci/pci_spec.h
