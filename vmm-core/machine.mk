# The machine: KVM, guest RAM, vCPUs, boot, ACPI, the chipset, and the program itself.
vmm_core_libcore_la_SOURCES += \
	vmm-core/acpi.c vmm-core/acpi.h vmm-core/acpi_spec.h \
	vmm-core/aml.c vmm-core/aml.h \
	vmm-core/chipset.c vmm-core/chipset.h \
	vmm-core/core.h \
	vmm-core/guest_ram.c vmm-core/guest_ram.h \
	vmm-core/machine_layout.h
