/*
 * How a VM ends: vm_end() is the one way into STOPPING, and vm_settle() the one way out of it. For vm*.c; others see vm.h.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_END_H
#define ATOLL_SUPERVISOR_VM_VM_END_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* To write back what a guest was told is written may take a slow disk this long. */
#define STOP_TIMEOUT_US UINT64_C(10000000)
/* Who kills does not want to wait. */
#define KILL_TIMEOUT_US UINT64_C(2000000)

/* How likely a thing is the cause of everything else that goes wrong in the same moment. */
enum cause_weight {
	CAUSE_QUIET_END = 1, /* a process ended with status 0, unasked: its wire ended */
	CAUSE_COMPLAINT,     /* the core says that the machine failed */
	CAUSE_CORE_FAILED,   /* the core ended with an error, perhaps a device's */
	CAUSE_DEVICE_FAILED,
	CAUSE_KILLED, /* by a signal: nobody else's fault */
};

/* Its timers. 0 or -ENOMEM. */
int vm_end_new(struct vm *vm);
void vm_end_free(struct vm *vm);

/* Notes why it ends; the first who wants the end has the word. */
void vm_ends_for(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * Every process is to end. exit_status is what the run ends with if it is not started anew; the first caller
 * decides both, except that nothing is started anew once somebody wanted the end.
 */
void vm_end(struct vm *vm, int exit_status, bool relaunch, uint64_t timeout_us);
/* The VM cannot go on; the first such message is the cause, later ones follow from it. */
void vm_fail(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The VM cannot go on; why is told when everything that went wrong at the same time is known. */
void vm_suspect(struct vm *vm, enum cause_weight weight, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Goes on from STOPPING when nothing of the run is left. */
void vm_settle(struct vm *vm);
/* The relay has written everything of the run's console. */
void vm_console_drained(struct vm *vm);
/* Of the run that is over. */
void vm_free_processes(struct vm *vm);

#endif
