# The VM and its vCPUs.
vmm_core_libcore_la_SOURCES += \
	vmm-core/kvm/cpuid.c vmm-core/kvm/cpuid.h \
	vmm-core/kvm/kvm_vm.c vmm-core/kvm/kvm_vm.h \
	vmm-core/kvm/vcpu.c vmm-core/kvm/vcpu.h \
	vmm-core/kvm/vcpu_state.c vmm-core/kvm/vcpu_state.h
