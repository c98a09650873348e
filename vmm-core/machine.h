/*
 * The machine: a VM of one core process, from its configuration to its end. What main.c drives.
 *
 * Everything of the host that it needs comes in as descriptors; nothing is opened by path, at any time.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_H
#define ATOLL_VMM_CORE_MACHINE_H

#include "common/base/seccomp_filter.h"
#include "common/program/child.h"
#include "proto/control.pb-c.h"
#include "vmm-core/device_set.h"

struct machine;

/* The end of a run, as it is reported to the supervisor; kind UNSPECIFIED when the supervisor ordered it. */
struct machine_end {
	Atoll__Control__GuestEvent__Kind kind;
	unsigned status;
	const char *detail; /* the machine's; NULL: none */
};

/*
 * Creates the VM, interrupt controllers and chipset, and maps its RAM, the file memory_fd (guest_ram.h). kvm_fd and
 * memory_fd become the machine's. 0 or -errno (logged).
 */
int machine_new(const Atoll__Control__CoreConfigure *configure, int kvm_fd, int memory_fd,
		struct machine **machine);

/* Puts a device in; wire_fd becomes the machine's. 0 or -errno (logged). */
int machine_attach(struct machine *machine, const Atoll__Control__AttachDevice *device, int wire_fd);

/* Loads the kernel and creates the vCPUs, which wait for machine_start(). initrd_fd: -1 for none. Descriptors
 * stay the caller's. 0 or -errno (logged). */
int machine_load(struct machine *machine, int kernel_fd, int initrd_fd, const char *cmdline);

/* The process is about to put on its filter: makes what devices that are attached later need. 0 or -errno (logged). */
int machine_stock(struct machine *machine);

/* The process has its filter, or will have none (NULL, NULL): the threads of vCPUs and attendants put on theirs,
 * and the attendants begin. 0 or -errno (logged). */
int machine_seal(struct machine *machine, const struct seccomp_filter *vcpu_filter,
		 const struct seccomp_filter *attendant_filter);

/* Lets the vCPUs run. Then machine_run() returns when the run is over and vCPUs and queues are stopped. */
void machine_start(struct machine *machine);
int machine_run(struct machine *machine, struct machine_end *end);

/* For the control wire, which is served in this loop. */
struct loop *machine_loop(struct machine *machine);
/* The supervisor wants an end: none is reported. */
void machine_shut_down(struct machine *machine);
void machine_press_power_button(struct machine *machine);
/* No vCPU runs the guest between the two. They nest in nothing: one resume ends any number of pauses. */
void machine_pause(struct machine *machine);
void machine_resume(struct machine *machine);
/* Whether the pause that was ordered is complete (vcpu_set_settled()); what is called, from the loop, when that may
 * have changed. */
bool machine_settled(const struct machine *machine);
void machine_on_settled(struct machine *machine, void (*look)(void *argument), void *argument);
/* device_set_replace() and device_set_fail(); and who is told of what devices' wires do: tell() returns -EAGAIN
 * to be asked again a little later. */
int machine_replace_device(struct machine *machine, const Atoll__Control__AttachDevice *device,
			   uint64_t serial, int wire_fd);
int machine_fail_device(struct machine *machine, const char *id);
/* device_set_add() and device_set_remove(). */
void machine_add_device(struct machine *machine, const Atoll__Control__AttachDevice *device, uint64_t serial,
			int wire_fd);
void machine_remove_device(struct machine *machine, const char *id, uint64_t serial);
void machine_on_device_report(struct machine *machine, device_report_fn tell, device_answer_fn answer,
			      void *argument);
void machine_counters(struct machine *machine, void (*each)(void *argument, const char *name, uint64_t value),
		      void *argument);

void machine_free(struct machine *machine);

#endif
