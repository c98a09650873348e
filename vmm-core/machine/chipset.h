/*
 * What a PC has on its board beyond PCI, as far as a guest of ours needs it: ways to end the run (reset and
 * sleep registers, the keyboard controller's reset line, pvpanic, the debug-exit port), and the events
 * register behind the ACPI generic event device with the power button.
 *
 * Sources: ACPI 6.5 sections 4.8.3.6 (reset), 4.8.3.7 (sleep), 5.6.9 (generic event device); Intel ICH9
 * datasheet 13.7.5 (port 0xcf9); QEMU docs/specs/pvpanic.rst and its isa-debug-exit.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_CHIPSET_H
#define ATOLL_VMM_CORE_MACHINE_CHIPSET_H

#include <stdbool.h>
#include <stdint.h>

struct chipset;
struct core;

/* Claims the ports at core->router. 0 or -errno. */
int chipset_new(struct core *core, bool debug_exit, struct chipset **chipset);
/* No vCPU may run any more. */
void chipset_free(struct chipset *chipset);

/* Presses the power button: an event and its interrupt. Any thread. */
void chipset_press_power_button(struct chipset *chipset);

/*
 * A byte written to port 0xcf9. The port lies inside PCI's configuration address register (0xcf8, which takes
 * 4-byte accesses alone), so the owner of that range passes one-byte writes at offset 1 on to here
 * (pci_bus_on_reset_control()). vCPU threads.
 */
void chipset_write_reset_control(void *chipset, uint8_t value);

#endif
