# What the parts of a machine share: guest RAM, the layout, the routing of exits and interrupts, the chipset, the end of a run.
vmm_core_libcore_la_SOURCES += \
	vmm-core/machine/chipset.c vmm-core/machine/chipset.h \
	vmm-core/machine/core.h \
	vmm-core/machine/eventfd_pool.c vmm-core/machine/eventfd_pool.h \
	vmm-core/machine/exit_router.c vmm-core/machine/exit_router.h \
	vmm-core/machine/guest_ram.c vmm-core/machine/guest_ram.h \
	vmm-core/machine/irq_router.c vmm-core/machine/irq_router.h \
	vmm-core/machine/machine_layout.h \
	vmm-core/machine/run_end.c vmm-core/machine/run_end.h
