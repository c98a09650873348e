/*
 * The vCPUs: a thread each, from their creation to the end of the run.
 *
 * All are created before the core is ready, and their threads wait for vcpu_set_start(), so that nothing of a
 * running guest makes the process create anything. A vCPU thread touches its own vCPU, the exit router, and
 * run_end_decide().
 */
#ifndef ATOLL_VMM_CORE_KVM_VCPU_H
#define ATOLL_VMM_CORE_KVM_VCPU_H

#include <stdbool.h>

#include "common/base/seccomp_filter.h"
#include "vmm-core/boot/boot_protocol.h"
#include "vmm-core/kvm/kvm_vm.h"
#include "vmm-core/machine/core.h"

struct vcpu_set;

/* Creates core->cpus vCPUs in the state that boot names, and their threads. 0 or -errno (logged). Main
 * thread. */
int vcpu_set_new(struct core *core, const struct vm_features *features, const struct boot_entry *boot,
		 struct vcpu_set **set);

/*
 * The process has its filter: each thread puts its own on, whose slot OWN_FD is its vCPU. Returns when all have,
 * before vcpu_set_start(). 0 or -errno (logged).
 */
int vcpu_set_seal(struct vcpu_set *set, const struct seccomp_filter *filter);

/* Lets them run. */
void vcpu_set_start(struct vcpu_set *set);

/*
 * Pausing: each leaves the guest as soon as it can, and stays out of it until it is resumed; returns at once.
 * The guest is told that it was stopped (KVM_KVMCLOCK_CTRL), where it wants to know. Main thread.
 */
void vcpu_set_pause(struct vcpu_set *set);
void vcpu_set_resume(struct vcpu_set *set);
/*
 * Whether the last pause is complete: none is in the guest any more, nor gets in before it is resumed (one may still
 * be in what its last exit called). While it is not, core->loop is woken each time that one comes out. true where
 * none is wanted, or it was resumed meanwhile. Main thread.
 */
bool vcpu_set_settled(struct vcpu_set *set);

/*
 * None enters the guest again, once what its last exit called has returned. For good: there is no start after
 * it. Who is in the guest, or waits, is called by vcpu_set_stop() alone. Any thread, also a vCPU's.
 */
void vcpu_set_leave(struct vcpu_set *set);

/* The same, and calls all of them; returns at once. Main thread. */
void vcpu_set_stop(struct vcpu_set *set);

/*
 * Waits until no thread will do anything any more; after vcpu_set_stop(). A thread with a filter does not end by
 * itself, because that is no call of its policy: it waits for the end of the process. Main thread.
 */
void vcpu_set_join(struct vcpu_set *set);

/* Stops and joins if that is still to be done. What waiting threads still look at stays. NULL is allowed. */
void vcpu_set_free(struct vcpu_set *set);

/* Exits by kind, summed over the vCPUs: "exits-io", "exits-mmio", "exits-interrupted", "exits-other". Any
 * thread. */
void vcpu_set_counters(const struct vcpu_set *set,
		       void (*each)(void *argument, const char *name, uint64_t value), void *argument);

#endif
