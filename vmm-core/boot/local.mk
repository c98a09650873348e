# What the guest runs first: kernels, boot protocols, ACPI tables.
vmm_core_libcore_la_SOURCES += \
	vmm-core/boot/acpi.c vmm-core/boot/acpi.h \
	vmm-core/boot/acpi_spec.h \
	vmm-core/boot/aml.c vmm-core/boot/aml.h \
	vmm-core/boot/boot.c vmm-core/boot/boot.h \
	vmm-core/boot/boot_linux.c vmm-core/boot/boot_linux.h \
	vmm-core/boot/boot_protocol.c vmm-core/boot/boot_protocol.h \
	vmm-core/boot/boot_pvh.c vmm-core/boot/boot_pvh.h
