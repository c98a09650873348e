/*
 * The machine: how the parts of a core come to life, in which order they run, and how a run ends.
 *
 * Life: machine_new() makes what stands alone (VM, the RAM's mapping, interrupts, exit router, PCI, chipset),
 * machine_attach() puts the devices in, machine_load() writes ACPI tables and kernel, which tell of the
 * devices, and creates the vCPUs.
 *
 * End: run_end_decide() may be called by any thread, by several at once, and twice. The first call claims the end,
 * writes down why, says that no vCPU enters the guest again, and wakes the main thread; the others return. The
 * main thread stops its loop, calls out of the guest whoever is still there (a vCPU's filter lets it signal
 * nobody), waits for the vCPU threads, and lets the devices finish what they accepted. The supervisor's order
 * to shut down goes the same way, with nothing to report.
 */
#include "vmm-core/machine.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/loop.h"
#include "vmm-core/boot/acpi.h"
#include "vmm-core/boot/boot.h"
#include "vmm-core/device_set.h"
#include "vmm-core/kvm/vcpu.h"
#include "vmm-core/machine/chipset.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"

/* How long a report waits for room in the control wire before it is tried again. */
#define REPORT_RETRY_US 10000

struct machine {
	struct core core;
	struct vm_features features;
	struct chipset *chipset;
	struct device_set *devices;
	device_report_fn tell;
	device_answer_fn answer;
	void *tell_argument;
	void (*settled)(void *argument);
	void *settled_argument;
	struct loop_watch *report_timer;
	_Atomic(struct vcpu_set *) vcpus;
};

/* --- the end of a run --- */

/* The end is decided: stop everything that a vCPU could be in. Main thread. */
static void machine_stop_vcpus(struct machine *machine)
{
	struct vcpu_set *vcpus = atomic_load(&machine->vcpus);

	if (vcpus != NULL)
		vcpu_set_stop(vcpus);
	if (machine->devices != NULL)
		device_set_cancel(machine->devices);
}

/* Whatever thread decided. */
static void machine_end_decided(void *argument)
{
	struct machine *machine = argument;
	struct vcpu_set *vcpus = atomic_load(&machine->vcpus);

	if (vcpus != NULL)
		vcpu_set_leave(vcpus);
	loop_wake(machine->core.loop);
}

void machine_shut_down(struct machine *machine)
{
	run_end_decide(&machine->core.end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_UNSPECIFIED, 0, NULL);
}

/* Main thread. */
static void machine_report(void *argument)
{
	struct machine *machine = argument;

	if (machine->tell != NULL &&
	    (device_set_answer(machine->devices, machine->answer, machine->tell_argument) == -EAGAIN ||
	     device_set_report(machine->devices, machine->tell, machine->tell_argument) == -EAGAIN))
		loop_timer_arm(machine->report_timer, REPORT_RETRY_US);
}

static void machine_woken(void *argument)
{
	struct machine *machine = argument;

	device_set_attend(machine->devices);
	machine_report(machine);
	if (machine->settled != NULL)
		machine->settled(machine->settled_argument);
	if (run_end_decided(&machine->core.end))
		loop_stop(machine->core.loop);
}

int machine_run(struct machine *machine, struct machine_end *end)
{
	const struct run_end *decided = &machine->core.end;
	struct vcpu_set *vcpus = atomic_load(&machine->vcpus);
	int result = 0;

	/* An end during start-up woke the loop before it ran. */
	if (!run_end_decided(&machine->core.end))
		result = loop_run(machine->core.loop);
	if (result < 0)
		run_end_decide(&machine->core.end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_FAILURE, 0,
			       "the core's event loop failed");
	machine_stop_vcpus(machine);
	vcpu_set_join(vcpus);
	device_set_quiesce(machine->devices);
	*end = (struct machine_end){
		.kind = decided->kind,
		.status = decided->status,
		.detail = decided->detail[0] != '\0' ? decided->detail : NULL,
	};
	return result;
}

/* --- life --- */

static int machine_create_vm(struct machine *machine, uint64_t memory_bytes)
{
	struct core *core = &machine->core;
	int result = vm_create(core->kvm_fd, core->cpus, &machine->features, &core->vm_fd);

	if (result < 0)
		return result;
	result = vm_check_memory(&machine->features, guest_ram_end_of(memory_bytes));
	if (result < 0)
		return result;
	result = guest_ram_map(core->ram.memfd, memory_bytes, &core->ram);
	if (result < 0)
		return result;
	result = guest_ram_register(&core->ram, core->vm_fd);
	if (result < 0)
		log_error("memory: KVM does not take it: %s; see the host's kernel log", strerror(-result));
	return result;
}

static int machine_create_board(struct machine *machine, bool debug_exit)
{
	struct core *core = &machine->core;
	int result = irq_router_new(core->vm_fd, &core->irqs);

	if (result < 0) {
		log_error("/dev/kvm: cannot route interrupts: %s; see the host's kernel log",
			  strerror(-result));
		return result;
	}
	core->router = exit_router_new(core->cpus);
	if (core->router == NULL)
		return -errno;
	if ((result = device_set_new(core, &machine->devices)) < 0 ||
	    (result = chipset_new(core, debug_exit, &machine->chipset)) < 0) {
		log_error("cannot build the machine: %s", strerror(-result));
		return result;
	}
	pci_bus_on_reset_control(core->pci, chipset_write_reset_control, machine->chipset);
	return 0;
}

int machine_new(const Atoll__Control__CoreConfigure *configure, int kvm_fd, int memory_fd,
		struct machine **machine)
{
	struct machine *new_machine = calloc(1, sizeof(*new_machine));
	int result;

	if (new_machine == NULL) {
		close(kvm_fd);
		close(memory_fd);
		return -ENOMEM;
	}
	new_machine->core =
		(struct core){.kvm_fd = kvm_fd, .vm_fd = -1, .cpus = configure->cpus, .ram.memfd = memory_fd};
	new_machine->core.end.decided = machine_end_decided;
	new_machine->core.end.argument = new_machine;
	new_machine->core.vm = strdup(configure->vm);
	new_machine->core.loop = loop_new();
	if (new_machine->core.vm == NULL || new_machine->core.loop == NULL) {
		machine_free(new_machine);
		return -ENOMEM;
	}
	new_machine->report_timer = loop_watch_timer(new_machine->core.loop, machine_report, new_machine);
	if (new_machine->report_timer == NULL) {
		machine_free(new_machine);
		return -ENOMEM;
	}
	loop_on_wake(new_machine->core.loop, machine_woken, new_machine);
	if ((result = machine_create_vm(new_machine, configure->memory_bytes)) < 0 ||
	    (result = machine_create_board(new_machine, configure->debug_exit)) < 0) {
		machine_free(new_machine);
		return result;
	}
	*machine = new_machine;
	return 0;
}

int machine_attach(struct machine *machine, const Atoll__Control__AttachDevice *device, int wire_fd)
{
	return device_set_attach(machine->devices, device, wire_fd);
}

/* The tables tell of the devices that were attached. */
static int machine_write_tables(struct machine *machine)
{
	struct layout_window window =
		layout_mmio64(guest_ram_end(&machine->core.ram), machine->features.physical_bits);
	struct acpi_machine description = {
		.cpus = machine->core.cpus,
		.mmio64_start = window.start,
		.mmio64_size = window.size,
	};
	uint64_t size = LAYOUT_RESET_VECTOR - LAYOUT_BIOS_START;
	void *area = guest_ram_range(&machine->core.ram, LAYOUT_BIOS_START, size);
	struct serial_port ports[ACPI_SERIAL_PORTS_MAX];
	unsigned count = ACPI_SERIAL_PORTS_MAX;
	size_t used;
	int result;

	if (area == NULL) {
		log_error("memory: a guest needs 1 MiB at the least; raise \"memory\"");
		return -ENOMEM;
	}
	device_set_serial_ports(machine->devices, ports, &count);
	for (unsigned i = 0; i < count; i++)
		description.serial[i] = (struct acpi_serial_port){ports[i].port, (uint8_t)ports[i].gsi};
	description.serial_count = count;
	result = acpi_build(&description, area, size, LAYOUT_BIOS_START, &used);
	if (result < 0)
		log_error("ACPI tables: %s", strerror(-result));
	return result;
}

int machine_load(struct machine *machine, int kernel_fd, int initrd_fd, const char *cmdline)
{
	const struct boot_source source = {.kernel_fd = kernel_fd,
					   .initrd_fd = initrd_fd,
					   .cmdline = cmdline,
					   .rsdp = LAYOUT_BIOS_START};
	struct boot_entry entry;
	struct vcpu_set *vcpus = NULL;
	int result;

	if ((result = machine_write_tables(machine)) < 0 ||
	    (result = boot_load(&source, &machine->core.ram, &entry)) < 0 ||
	    (result = vcpu_set_new(&machine->core, &machine->features, &entry, &vcpus)) < 0)
		return result;
	atomic_store(&machine->vcpus, vcpus);
	return 0;
}

int machine_stock(struct machine *machine)
{
	return device_set_stock(machine->devices);
}

int machine_seal(struct machine *machine, const struct seccomp_filter *vcpu_filter,
		 const struct seccomp_filter *attendant_filter)
{
	int result = vcpu_filter != NULL ? vcpu_set_seal(atomic_load(&machine->vcpus), vcpu_filter) : 0;
	int released = device_set_release(machine->devices, attendant_filter);

	return result < 0 ? result : released;
}

void machine_start(struct machine *machine)
{
	vcpu_set_start(atomic_load(&machine->vcpus));
}

void machine_free(struct machine *machine)
{
	if (machine == NULL)
		return;
	vcpu_set_free(atomic_exchange(&machine->vcpus, NULL));
	chipset_free(machine->chipset);
	if (machine->devices != NULL)
		device_set_free(machine->devices);
	if (machine->core.router != NULL)
		exit_router_free(machine->core.router);
	if (machine->core.irqs != NULL)
		irq_router_free(machine->core.irqs);
	guest_ram_destroy(&machine->core.ram);
	if (machine->core.vm_fd >= 0)
		close(machine->core.vm_fd);
	close(machine->core.kvm_fd);
	loop_unwatch(machine->report_timer);
	if (machine->core.loop != NULL)
		loop_free(machine->core.loop);
	free((char *)machine->core.vm);
	free(machine);
}

/* --- for the control wire --- */

struct loop *machine_loop(struct machine *machine)
{
	return machine->core.loop;
}

void machine_press_power_button(struct machine *machine)
{
	chipset_press_power_button(machine->chipset);
}

void machine_pause(struct machine *machine)
{
	vcpu_set_pause(atomic_load(&machine->vcpus));
}

void machine_resume(struct machine *machine)
{
	vcpu_set_resume(atomic_load(&machine->vcpus));
}

bool machine_settled(const struct machine *machine)
{
	return vcpu_set_settled(atomic_load(&machine->vcpus));
}

void machine_on_settled(struct machine *machine, void (*look)(void *argument), void *argument)
{
	machine->settled = look;
	machine->settled_argument = argument;
}

int machine_replace_device(struct machine *machine, const Atoll__Control__AttachDevice *device,
			   uint64_t serial, int wire_fd)
{
	return device_set_replace(machine->devices, device, serial, wire_fd);
}

int machine_fail_device(struct machine *machine, const char *id)
{
	return device_set_fail(machine->devices, id);
}

void machine_add_device(struct machine *machine, const Atoll__Control__AttachDevice *device, uint64_t serial,
			int wire_fd)
{
	device_set_add(machine->devices, device, serial, wire_fd);
}

void machine_remove_device(struct machine *machine, const char *id, uint64_t serial)
{
	device_set_remove(machine->devices, id, serial);
}

void machine_on_device_report(struct machine *machine, device_report_fn tell, device_answer_fn answer,
			      void *argument)
{
	machine->tell = tell;
	machine->answer = answer;
	machine->tell_argument = argument;
}

void machine_counters(struct machine *machine, void (*each)(void *argument, const char *name, uint64_t value),
		      void *argument)
{
	struct vcpu_set *vcpus = atomic_load(&machine->vcpus);

	if (vcpus != NULL)
		vcpu_set_counters(vcpus, each, argument);
	exit_router_counters(machine->core.router, each, argument);
	device_set_counters(machine->devices, each, argument);
}
