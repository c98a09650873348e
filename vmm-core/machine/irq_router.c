/*
 * Interrupt routing. KVM takes its routing table only as a whole (KVM_SET_GSI_ROUTING), and each change costs
 * a grace period of the host's kernel, so a message that is set again unchanged is not sent again: drivers
 * rewrite MSI-X entries often with what already stands there.
 */
#include "vmm-core/machine/irq_router.h"

#include <errno.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm-core/machine/machine_layout.h"

/* KVM_MAX_IRQ_ROUTES is 4096; one MSI-X vector each, and more than all slots of one bus can have. */
#define MSI_GSIS_MAX 2048
/* The two PICs have eight pins each, the IOAPIC 24; GSIs 0 to 15 go to both. */
#define PIC_PINS 16

enum msi_state {
	MSI_FREE,
	MSI_ALLOCATED, /* no message: a masked vector */
	MSI_ROUTED,
};

struct msi {
	enum msi_state state;
	uint64_t address;
	uint32_t data;
};

struct irq_router {
	int vm_fd;
	pthread_mutex_t mutex;
	struct msi msis[MSI_GSIS_MAX];
	struct kvm_irq_routing *routing; /* room for the whole table: vCPU threads allocate nothing */
};

static struct kvm_irq_routing_entry *route_pins(struct kvm_irq_routing_entry *entry)
{
	for (uint32_t pin = 0; pin < PIC_PINS; pin++) {
		/* Pin 2 of the first PIC is where the second one hangs. */
		if (pin == 2)
			continue;
		*entry++ = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				      .pin = pin % 8},
		};
	}
	for (uint32_t pin = 0; pin < LAYOUT_GSI_IOAPIC_PINS; pin++) {
		*entry++ = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = pin},
		};
	}
	return entry;
}

/* Sends the whole table. The mutex is held. */
static int irq_router_commit(struct irq_router *router)
{
	struct kvm_irq_routing *routing = router->routing;
	struct kvm_irq_routing_entry *entry;

	entry = route_pins(routing->entries);
	for (uint32_t i = 0; i < MSI_GSIS_MAX; i++) {
		const struct msi *msi = &router->msis[i];

		if (msi->state != MSI_ROUTED)
			continue;
		*entry++ = (struct kvm_irq_routing_entry){
			.gsi = LAYOUT_GSI_MSI_FIRST + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {.address_lo = (uint32_t)msi->address,
				  .address_hi = (uint32_t)(msi->address >> 32),
				  .data = msi->data},
		};
	}
	routing->nr = (uint32_t)(entry - routing->entries);
	return ioctl(router->vm_fd, KVM_SET_GSI_ROUTING, routing) < 0 ? -errno : 0;
}

int irq_router_new(int vm_fd, struct irq_router **router)
{
	struct irq_router *new_router = calloc(1, sizeof(*new_router));
	size_t room = PIC_PINS + LAYOUT_GSI_IOAPIC_PINS + MSI_GSIS_MAX;
	int result;

	if (new_router == NULL)
		return -ENOMEM;
	new_router->routing =
		calloc(1, sizeof(*new_router->routing) + room * sizeof(new_router->routing->entries[0]));
	if (new_router->routing == NULL) {
		free(new_router);
		return -ENOMEM;
	}
	new_router->vm_fd = vm_fd;
	pthread_mutex_init(&new_router->mutex, NULL);
	result = irq_router_commit(new_router);
	if (result < 0) {
		irq_router_free(new_router);
		return result;
	}
	*router = new_router;
	return 0;
}

void irq_router_free(struct irq_router *router)
{
	if (router == NULL)
		return;
	pthread_mutex_destroy(&router->mutex);
	free(router->routing);
	free(router);
}

/* The MSI behind a GSI that was allocated, or NULL. */
static struct msi *msi_of(struct irq_router *router, uint32_t gsi)
{
	uint32_t index = gsi - LAYOUT_GSI_MSI_FIRST;

	if (gsi < LAYOUT_GSI_MSI_FIRST || index >= MSI_GSIS_MAX || router->msis[index].state == MSI_FREE)
		return NULL;
	return &router->msis[index];
}

int irq_router_allocate_msi(struct irq_router *router, uint32_t *gsi)
{
	int result = -ENOSPC;

	pthread_mutex_lock(&router->mutex);
	for (uint32_t i = 0; i < MSI_GSIS_MAX; i++) {
		if (router->msis[i].state != MSI_FREE)
			continue;
		router->msis[i].state = MSI_ALLOCATED;
		*gsi = LAYOUT_GSI_MSI_FIRST + i;
		result = 0;
		break;
	}
	pthread_mutex_unlock(&router->mutex);
	return result;
}

/* Gives the GSI a message or takes it away; commits only what changed, and undoes it if KVM refuses. */
static int msi_change(struct irq_router *router, uint32_t gsi, const struct msi *wanted)
{
	struct msi *msi, before;
	int result = -ENOENT;

	pthread_mutex_lock(&router->mutex);
	msi = msi_of(router, gsi);
	if (msi != NULL) {
		before = *msi;
		*msi = *wanted;
		result = 0;
		if ((before.state == MSI_ROUTED || wanted->state == MSI_ROUTED) &&
		    memcmp(&before, wanted, sizeof(before)) != 0)
			result = irq_router_commit(router);
		if (result < 0)
			*msi = before;
	}
	pthread_mutex_unlock(&router->mutex);
	return result;
}

static struct msi msi_make(enum msi_state state, uint64_t address, uint32_t data)
{
	struct msi msi;

	/* Compared as memory, so its padding counts. */
	memset(&msi, 0, sizeof(msi));
	msi.state = state;
	msi.address = address;
	msi.data = data;
	return msi;
}

void irq_router_release_msi(struct irq_router *router, uint32_t gsi)
{
	struct msi msi = msi_make(MSI_FREE, 0, 0);

	msi_change(router, gsi, &msi);
}

int irq_router_set_msi(struct irq_router *router, uint32_t gsi, uint64_t address, uint32_t data)
{
	struct msi msi = msi_make(MSI_ROUTED, address, data);

	return msi_change(router, gsi, &msi);
}

int irq_router_clear_msi(struct irq_router *router, uint32_t gsi)
{
	struct msi msi = msi_make(MSI_ALLOCATED, 0, 0);

	return msi_change(router, gsi, &msi);
}

static int irq_router_irqfd(struct irq_router *router, int eventfd, uint32_t gsi, uint32_t flags)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)eventfd, .gsi = gsi, .flags = flags};

	return ioctl(router->vm_fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

int irq_router_assign(struct irq_router *router, int eventfd, uint32_t gsi)
{
	return irq_router_irqfd(router, eventfd, gsi, 0);
}

int irq_router_deassign(struct irq_router *router, int eventfd, uint32_t gsi)
{
	return irq_router_irqfd(router, eventfd, gsi, KVM_IRQFD_FLAG_DEASSIGN);
}

int irq_router_pulse(struct irq_router *router, uint32_t gsi)
{
	struct kvm_irq_level level = {.irq = gsi, .level = 1};
	int result = 0;

	if (gsi >= LAYOUT_GSI_MSI_FIRST) {
		struct kvm_msi message = {0};
		struct msi *msi;

		pthread_mutex_lock(&router->mutex);
		msi = msi_of(router, gsi);
		if (msi == NULL || msi->state != MSI_ROUTED) {
			result = -ENOENT;
		} else {
			message.address_lo = (uint32_t)msi->address;
			message.address_hi = (uint32_t)(msi->address >> 32);
			message.data = msi->data;
		}
		pthread_mutex_unlock(&router->mutex);
		if (result == 0 && ioctl(router->vm_fd, KVM_SIGNAL_MSI, &message) < 0)
			result = -errno;
		return result;
	}
	if (ioctl(router->vm_fd, KVM_IRQ_LINE, &level) < 0)
		return -errno;
	level.level = 0;
	return ioctl(router->vm_fd, KVM_IRQ_LINE, &level) < 0 ? -errno : 0;
}
