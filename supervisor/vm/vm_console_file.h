/*
 * The file of a console that has reached its bound (console_file.h): its process says so, and is given the next one, at a rate.
 */
#ifndef ATOLL_SUPERVISOR_VM_VM_CONSOLE_FILE_H
#define ATOLL_SUPERVISOR_VM_VM_CONSOLE_FILE_H

#include <stdbool.h>

struct child_process;
struct vm_device;

/* A process says that its file is full. False if that cannot be, or not now. */
bool vm_console_file_full(struct vm_device *device, const struct child_process *child);
/* Its process ended, and whatever it has asked for with it. */
void vm_console_turn_forget(struct vm_device *device);
/* Of console_turn.timer; argument: the device. */
void vm_console_turn_timer(void *argument);

#endif
