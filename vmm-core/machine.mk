# The machine: KVM, guest RAM, vCPUs, boot, ACPI, the chipset, and the program itself.
vmm_core_libcore_la_SOURCES += \
	vmm-core/acpi.c vmm-core/acpi.h vmm-core/acpi_spec.h \
	vmm-core/aml.c vmm-core/aml.h \
	vmm-core/boot.c vmm-core/boot.h \
	vmm-core/boot_linux.c vmm-core/boot_linux.h \
	vmm-core/boot_protocol.c vmm-core/boot_protocol.h \
	vmm-core/boot_pvh.c vmm-core/boot_pvh.h \
	vmm-core/chipset.c vmm-core/chipset.h \
	vmm-core/core.h \
	vmm-core/cpuid.c vmm-core/cpuid.h \
	vmm-core/guest_ram.c vmm-core/guest_ram.h \
	vmm-core/machine.c vmm-core/machine.h \
	vmm-core/machine_layout.h \
	vmm-core/run_end.c vmm-core/run_end.h \
	vmm-core/vcpu.c vmm-core/vcpu.h \
	vmm-core/vcpu_state.c vmm-core/vcpu_state.h \
	vmm-core/vm.c vmm-core/vm.h

pkglibexec_PROGRAMS += vmm-core/atoll-core
vmm_core_atoll_core_SOURCES = vmm-core/main.c
vmm_core_atoll_core_LDADD = policy/libfilters.la vmm-core/libcore.la

dist_man_MANS += docs/man/atoll-core.8
