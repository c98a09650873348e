/*
 * What commands, signals and the host may ask of a running VM.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_ORDERS_H
#define ATOLL_SUPERVISOR_VM_VM_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Ends it without asking the guest, and hastens an end that is under way. exit_status: what `run` ends with. */
void vm_kill(struct vm *vm, int exit_status, const char *why);
/* Presses the power button; after timeout_us (0: never) kills it. */
void vm_power_button(struct vm *vm, uint64_t timeout_us);
/* Starts it anew, whatever on-reset says. 0, or -EBUSY while it ends. */
int vm_reset(struct vm *vm);
/*
 * Stops the guest's processors, or lets them go on. Returns a ticket: when vm_ops.answered comes with it, that is
 * done. 0 with *why when it cannot be.
 */
uint64_t vm_pause(struct vm *vm, bool paused, const char **why);
/* The terminal on stdio has another size. */
void vm_console_resize(struct vm *vm, unsigned columns, unsigned rows);
/* A tap went up or down. */
void vm_link_changed(struct vm *vm, unsigned interface_index, bool up);

/* Of vm->power_timer; argument: the VM. */
void vm_power_timer(void *argument);

#endif
