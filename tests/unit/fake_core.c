#include "tests/unit/fake_core.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/loop.h"
#include "tests/unit/test_ram.h"
#include "vmm-core/machine/machine_layout.h"
#include "vmm-core/pci/pci.h"

struct fake_kvm fake_kvm;

static int fake_vm_fd = -1;
static _Atomic unsigned fake_threads; /* that made accesses */
static struct kvm_irq_routing_entry fake_routes[8192];

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int fake_routing(const struct kvm_irq_routing *routing)
{
	if (fake_kvm.fail_routing != 0) {
		int error = fake_kvm.fail_routing;

		fake_kvm.fail_routing = 0;
		return refuse(error);
	}
	fake_kvm.routings++;
	fake_kvm.route_count = routing->nr;
	memcpy(fake_routes, routing->entries, routing->nr * sizeof(fake_routes[0]));
	return 0;
}

static int fake_irqfd(const struct kvm_irqfd *irqfd)
{
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++) {
		if (fake_kvm.irqfds[i].fd != (int)irqfd->fd)
			continue;
		if ((irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) == 0)
			return refuse(EBUSY);
		if (fake_kvm.irqfds[i].gsi == irqfd->gsi)
			fake_kvm.irqfds[i] = fake_kvm.irqfds[--fake_kvm.irqfd_count];
		return 0;
	}
	if ((irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN) == 0)
		fake_kvm.irqfds[fake_kvm.irqfd_count++] =
			(struct fake_irqfd){.gsi = irqfd->gsi, .fd = (int)irqfd->fd};
	return 0;
}

static int fake_ioeventfd(const struct kvm_ioeventfd *ioeventfd)
{
	bool deassign = (ioeventfd->flags & KVM_IOEVENTFD_FLAG_DEASSIGN) != 0;

	for (unsigned i = 0; i < fake_kvm.ioeventfd_count; i++) {
		struct fake_ioeventfd *entry = &fake_kvm.ioeventfds[i];

		if (entry->address != ioeventfd->addr)
			continue;
		if (!deassign)
			return refuse(EEXIST);
		*entry = fake_kvm.ioeventfds[--fake_kvm.ioeventfd_count];
		return 0;
	}
	if (deassign)
		return refuse(ENOENT);
	fake_kvm.ioeventfds[fake_kvm.ioeventfd_count++] = (struct fake_ioeventfd){
		.address = ioeventfd->addr, .length = ioeventfd->len, .fd = ioeventfd->fd};
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd != fake_vm_fd)
		return __real_ioctl(fd, request, argument);
	switch (request) {
	case KVM_SET_GSI_ROUTING:
		return fake_routing(argument);
	case KVM_IRQFD:
		return fake_irqfd(argument);
	case KVM_IOEVENTFD:
		return fake_ioeventfd(argument);
	case KVM_IRQ_LINE:
	case KVM_SIGNAL_MSI:
		return 0;
	default:
		return refuse(ENOTTY);
	}
}

static void fake_reset_control(void *owner, uint8_t value)
{
	(void)owner, (void)value;
	fake_kvm.reset_controls++;
}

static void check(bool good)
{
	if (!good)
		abort();
}

void fake_core_new(struct core *core)
{
	memset(&fake_kvm, 0, sizeof(fake_kvm));
	fake_vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	*core = (struct core){.vm = "test", .kvm_fd = -1, .vm_fd = fake_vm_fd, .cpus = 1};
	core->loop = loop_new();
	core->router = exit_router_new(FAKE_VCPUS);
	check(fake_vm_fd >= 0 && core->loop != NULL && core->router != NULL);
	check(test_ram_create(16 * MIB, &core->ram) == 0);
	check(irq_router_new(core->vm_fd, &core->irqs) == 0);
	check(pci_bus_new(core, &core->pci) == 0);
	pci_bus_on_reset_control(core->pci, fake_reset_control, NULL);
}

void fake_core_free(struct core *core)
{
	pci_bus_free(core->pci);
	irq_router_free(core->irqs);
	exit_router_free(core->router);
	guest_ram_destroy(&core->ram);
	loop_free(core->loop);
	close(core->vm_fd);
	fake_vm_fd = -1;
}

bool fake_msi_route(uint32_t gsi, uint64_t *address, uint32_t *data)
{
	for (unsigned i = 0; i < fake_kvm.route_count; i++) {
		if (fake_routes[i].gsi != gsi || fake_routes[i].type != KVM_IRQ_ROUTING_MSI)
			continue;
		*address = (uint64_t)fake_routes[i].u.msi.address_hi << 32 | fake_routes[i].u.msi.address_lo;
		*data = fake_routes[i].u.msi.data;
		return true;
	}
	return false;
}

int fake_ioeventfd_at(uint64_t address)
{
	for (unsigned i = 0; i < fake_kvm.ioeventfd_count; i++) {
		if (fake_kvm.ioeventfds[i].address == address)
			return fake_kvm.ioeventfds[i].fd;
	}
	return -1;
}

int fake_irqfd_of(int eventfd)
{
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++) {
		if (fake_kvm.irqfds[i].fd == eventfd)
			return (int)fake_kvm.irqfds[i].gsi;
	}
	return -1;
}

/* No two that make accesses at one time are the same vCPU. */
static unsigned vcpu_index(void)
{
	static _Thread_local unsigned number;

	if (number == 0)
		number = ++fake_threads;
	return number % FAKE_VCPUS;
}

uint32_t guest_read(struct core *core, uint64_t address, unsigned size)
{
	uint64_t value = 0;

	exit_router_read(core->router, vcpu_index(), EXIT_SPACE_MMIO, address, &value, size);
	return (uint32_t)value;
}

void guest_write(struct core *core, uint64_t address, uint64_t value, unsigned size)
{
	exit_router_write(core->router, vcpu_index(), EXIT_SPACE_MMIO, address, &value, size);
}

uint32_t guest_in(struct core *core, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	exit_router_read(core->router, vcpu_index(), EXIT_SPACE_PIO, port, &value, size);
	return value;
}

void guest_out(struct core *core, uint16_t port, uint32_t value, unsigned size)
{
	exit_router_write(core->router, vcpu_index(), EXIT_SPACE_PIO, port, &value, size);
}

uint32_t guest_config_read(struct core *core, unsigned slot, unsigned offset, unsigned size)
{
	return guest_read(core, LAYOUT_ECAM_START + (slot << 15) + offset, size);
}

void guest_config_write(struct core *core, unsigned slot, unsigned offset, uint32_t value, unsigned size)
{
	guest_write(core, LAYOUT_ECAM_START + (slot << 15) + offset, value, size);
}
