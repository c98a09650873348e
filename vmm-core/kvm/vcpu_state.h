/*
 * A vCPU's state at its beginning: CPUID, registers, MSRs, local APIC, FPU.
 */
#ifndef ATOLL_VMM_CORE_KVM_VCPU_STATE_H
#define ATOLL_VMM_CORE_KVM_VCPU_STATE_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "vmm-core/boot/boot_protocol.h"

/*
 * Puts the vCPU into the state that a guest expects of one that was just switched on; boot is given for the
 * first vCPU alone, the others wait for its INIT and SIPI. The table has been adjusted for this vCPU. 0 or
 * -errno (logged). MSRs that the host refuses are skipped; log_skipped: name them in one log line.
 */
int vcpu_state_set(int vcpu_fd, const struct kvm_cpuid2 *cpuid, const struct boot_entry *boot,
		   bool log_skipped);

#endif
