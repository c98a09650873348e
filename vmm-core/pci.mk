# Exits, interrupts and devices: the exit router, the interrupt router, PCI, and the front ends of the device wires.
vmm_core_libcore_la_SOURCES += \
	vmm-core/device_set.h \
	vmm-core/exit_router.c vmm-core/exit_router.h \
	vmm-core/irq_router.c vmm-core/irq_router.h
