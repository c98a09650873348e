/* All devices of a VM; see vm_devices.h. */
#include "supervisor/vm/vm_devices.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "supervisor/vm/vm_device.h"
#include "supervisor/vm/vm_parts.h"

/* Between two heartbeats, at most. */
#define BEAT_US UINT64_C(1000000)
/* A beat that comes so much too late: it is we who were stopped. */
#define BEAT_LATE_US UINT64_C(500000)

static uint64_t beat_period_us(const struct vm *vm)
{
	return vm->config->heartbeat_us / 4 < BEAT_US ? vm->config->heartbeat_us / 4 : BEAT_US;
}

static void vm_beat(void *argument)
{
	struct vm *vm = argument;
	uint64_t now = clock_us(CLOCK_MONOTONIC);
	struct vm_device *device;

	/* We were stopped ourselves, or the host was: what is late is late through that. */
	if (vm->paused || now - vm->beat_us > beat_period_us(vm) + BEAT_LATE_US)
		vm_devices_excuse(vm, now);
	vm->beat_us = now;
	TAILQ_FOREACH (device, &vm->devices, link)
		vm_device_beat(device, now);
	loop_timer_arm(vm->beat_timer, beat_period_us(vm));
}

void vm_devices_excuse(struct vm *vm, uint64_t now)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		heartbeat_excuse(&device->heartbeat, now);
}

void vm_devices_resume(struct vm *vm)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		vm_device_resume(device);
}

struct vm_device *vm_device_find(const struct vm *vm, const char *id)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		if (strcmp(device->id, id) == 0)
			break;
	return device;
}

struct vm_device *vm_device_of(const struct vm *vm, const struct child_process *child)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		if (device->child == child || (child != NULL && device->undertaker == child))
			break;
	return device;
}

void vm_devices_launch(struct vm *vm)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		vm_device_launch(device);
}

void vm_devices_run(struct vm *vm)
{
	struct vm_device *device;

	TAILQ_FOREACH (device, &vm->devices, link)
		vm_device_run(device);
	vm->beat_us = clock_us(CLOCK_MONOTONIC);
	loop_timer_arm(vm->beat_timer, beat_period_us(vm));
}

void vm_devices_end(struct vm *vm, const char *why)
{
	struct vm_device *device;

	loop_timer_disarm(vm->beat_timer);
	TAILQ_FOREACH (device, &vm->devices, link)
		vm_device_end(device, why);
}

int vm_devices_new(struct vm *vm)
{
	struct resource *resource;

	TAILQ_INIT(&vm->devices);
	vm->beat_timer = loop_watch_timer(vm->loop, vm_beat, vm);
	if (vm->beat_timer == NULL)
		return -ENOMEM;
	TAILQ_FOREACH (resource, &vm->resources->devices, link)
		if (vm_device_new(vm, resource) == NULL)
			return -ENOMEM;
	return 0;
}

void vm_devices_free(struct vm *vm)
{
	struct vm_device *device;

	while ((device = TAILQ_FIRST(&vm->devices)) != NULL)
		vm_device_free(device);
	loop_unwatch(vm->beat_timer);
	vm->beat_timer = NULL;
}
