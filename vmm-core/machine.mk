# The machine: KVM, guest RAM, vCPUs, boot, ACPI, the chipset, and the program itself.
vmm_core_libcore_la_SOURCES += \
	vmm-core/core.h \
	vmm-core/guest_ram.c vmm-core/guest_ram.h \
	vmm-core/machine_layout.h
