/*
 * The chipset; see chipset.h.
 *
 * Each register is a few bytes of ports with a read and a write function. None waits, none takes a lock: what
 * they change is one atomic word, or the end of the run, which run_end_decide() makes safe from any thread.
 */
#include "vmm-core/machine/chipset.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/machine/machine_layout.h"

/* Port 0xcf9: bit 2 resets the CPU when it is set; bits 1 and 3 choose how hard, which is one to us. */
#define RESET_CONTROL_CPU 0x04
/* ACPI 4.8.3.7: SLEEP_CONTROL_REG. */
#define SLEEP_CONTROL_ENABLE	  0x20
#define SLEEP_CONTROL_TYPE(value) (((value) >> 2) & 7)
/* The i8042 command that pulses the reset line. */
#define I8042_COMMAND_RESET 0xfe
/* pvpanic.rst. */
#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02

struct chipset {
	struct core *core;
	_Atomic uint32_t events;
};

/* A register's value of up to 4 bytes; PIO sizes are 1, 2 or 4. */
static uint32_t register_value(const void *data, unsigned size)
{
	uint32_t value = 0;

	memcpy(&value, data, size <= sizeof(value) ? size : sizeof(value));
	return value;
}

/* Most of our registers read as zero. */
static void zero_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	(void)owner, (void)offset;
	memset(data, 0, size);
}

static void ignore_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	(void)owner, (void)offset, (void)data, (void)size;
}

/* --- reset --- */

void chipset_write_reset_control(void *chipset, uint8_t value)
{
	struct core *core = ((struct chipset *)chipset)->core;

	if (value & RESET_CONTROL_CPU)
		run_end_decide(&core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 0, "port 0xcf9");
}

/* Linux writes here when ACPI offers no reset; reads as zero say "input buffer empty" to those who wait for
 * that. */
static void i8042_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct chipset *chipset = owner;

	(void)offset;
	if ((uint8_t)register_value(data, size) == I8042_COMMAND_RESET)
		run_end_decide(&chipset->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_RESET, 0,
			       "keyboard controller");
}

/* --- sleep --- */

static void sleep_control_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct chipset *chipset = owner;
	uint32_t value = register_value(data, size);

	(void)offset;
	if ((value & SLEEP_CONTROL_ENABLE) == 0)
		return;
	if (SLEEP_CONTROL_TYPE(value) == LAYOUT_SLEEP_TYPE_S5)
		run_end_decide(&chipset->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_POWER_OFF, 0,
			       NULL);
	else
		log_warning("the guest asks for sleep type %u, which the tables do not offer",
			    (unsigned)SLEEP_CONTROL_TYPE(value));
}

/* --- generic event device --- */

/* Reading takes the events: a button pressed meanwhile raises the interrupt again. */
static void ged_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	struct chipset *chipset = owner;
	uint32_t events = 0;

	if (offset == 0)
		events = atomic_exchange(&chipset->events, 0);
	memcpy(data, &events, size <= sizeof(events) ? size : sizeof(events));
}

void chipset_press_power_button(struct chipset *chipset)
{
	int result;

	atomic_fetch_or(&chipset->events, LAYOUT_GED_POWER_BUTTON);
	result = irq_router_pulse(chipset->core->irqs, LAYOUT_GSI_GED);
	if (result < 0)
		log_error("power button: cannot raise its interrupt: %s", strerror(-result));
}

/* --- pvpanic --- */

static void pvpanic_read(void *owner, uint64_t offset, void *data, unsigned size)
{
	(void)owner, (void)offset;
	memset(data, 0, size);
	*(uint8_t *)data = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct chipset *chipset = owner;
	uint32_t value = register_value(data, size);

	(void)offset;
	if (value & PVPANIC_PANICKED)
		run_end_decide(&chipset->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_PANIC, 0,
			       "the guest's kernel panicked");
	else if (value & PVPANIC_CRASH_LOADED)
		log_notice("the guest's kernel panicked and goes on in its crash kernel");
}

/* --- debug exit --- */

static void debug_exit_write(void *owner, uint64_t offset, const void *data, unsigned size)
{
	struct chipset *chipset = owner;

	(void)offset;
	run_end_decide(&chipset->core->end, ATOLL__CONTROL__GUEST_EVENT__KIND__KIND_DEBUG_EXIT,
		       register_value(data, size) << 1 | 1, NULL);
}

/* --- the board --- */

static const struct exit_ops i8042_ops = {zero_read, i8042_write};
static const struct exit_ops sleep_control_ops = {zero_read, sleep_control_write};
static const struct exit_ops sleep_status_ops = {zero_read, ignore_write};
static const struct exit_ops ged_ops = {ged_read, ignore_write};
static const struct exit_ops pvpanic_ops = {pvpanic_read, pvpanic_write};
static const struct exit_ops debug_exit_ops = {zero_read, debug_exit_write};

static const struct exit_range board[] = {
	{EXIT_SPACE_PIO, LAYOUT_PORT_I8042_COMMAND, 1, &i8042_ops, NULL, "i8042"},
	{EXIT_SPACE_PIO, LAYOUT_PORT_SLEEP_CONTROL, 1, &sleep_control_ops, NULL, "sleep-control"},
	{EXIT_SPACE_PIO, LAYOUT_PORT_SLEEP_STATUS, 1, &sleep_status_ops, NULL, "sleep-status"},
	{EXIT_SPACE_PIO, LAYOUT_PORT_GED_EVENTS, 4, &ged_ops, NULL, "ged"},
	{EXIT_SPACE_PIO, LAYOUT_PORT_PVPANIC, 1, &pvpanic_ops, NULL, "pvpanic"},
	{EXIT_SPACE_PIO, LAYOUT_PORT_DEBUG_EXIT, 4, &debug_exit_ops, NULL, "debug-exit"},
};
#define BOARD_COUNT (sizeof(board) / sizeof(board[0]))

static void chipset_release(struct chipset *chipset, size_t count)
{
	while (count-- > 0)
		exit_router_release(chipset->core->router, board[count].space, board[count].base);
}

int chipset_new(struct core *core, bool debug_exit, struct chipset **chipset)
{
	struct chipset *new_chipset = calloc(1, sizeof(*new_chipset));
	int result = 0;

	if (new_chipset == NULL)
		return -ENOMEM;
	new_chipset->core = core;
	for (size_t i = 0; i < BOARD_COUNT; i++) {
		struct exit_range range = board[i];

		range.owner = new_chipset;
		if (range.ops != &debug_exit_ops || debug_exit)
			result = exit_router_claim(core->router, &range);
		if (result < 0) {
			chipset_release(new_chipset, i);
			free(new_chipset);
			return result;
		}
	}
	*chipset = new_chipset;
	return 0;
}

void chipset_free(struct chipset *chipset)
{
	if (chipset == NULL)
		return;
	chipset_release(chipset, BOARD_COUNT);
	free(chipset);
}
