/*
 * MSI-X. A vector is open when the function is a bus master and has MSI-X enabled and not masked as a whole, and the
 * entry's own mask bit is clear. msix_update() brings KVM in line with that: route and irqfd for an open vector, neither
 * for a closed one.
 */
#include "vmm-core/pci/msix.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "common/base/eventfd_wire.h"
#include "common/base/log.h"
#include "vmm-core/pci/pci_spec.h"

struct msix_entry {
	uint32_t address_low;
	uint32_t address_high;
	uint32_t data;
	uint32_t control;
};
_Static_assert(sizeof(struct msix_entry) == PCI_MSIX_ENTRY_SIZE, "an MSI-X table entry");

struct msix_vector {
	int eventfd;
	uint32_t gsi;
	bool open; /* KVM has the eventfd */
};

struct msix {
	struct irq_router *irqs;
	struct eventfd_pool *eventfds;
	pthread_mutex_t lock;
	uint16_t control;
	bool master;
	unsigned count;
	struct msix_entry *table;
	struct msix_vector vectors[];
};

int msix_new(struct irq_router *irqs, struct eventfd_pool *eventfds, unsigned vectors, struct msix **msix)
{
	struct msix *new_msix;
	int result = -ENOMEM;

	if (vectors == 0 || vectors > MSIX_VECTORS_MAX)
		return -EINVAL;
	new_msix = calloc(1, sizeof(*new_msix) + vectors * sizeof(new_msix->vectors[0]));
	if (new_msix == NULL)
		return -ENOMEM;
	new_msix->irqs = irqs;
	new_msix->eventfds = eventfds;
	pthread_mutex_init(&new_msix->lock, NULL);
	new_msix->table = calloc(vectors, sizeof(new_msix->table[0]));
	if (new_msix->table == NULL)
		goto free_msix;
	for (; new_msix->count < vectors; new_msix->count++) {
		struct msix_vector *vector = &new_msix->vectors[new_msix->count];

		new_msix->table[new_msix->count].control = PCI_MSIX_ENTRY_MASKED;
		result = eventfd_pool_take(eventfds, &vector->eventfd);
		if (result < 0)
			goto free_msix;
		result = irq_router_allocate_msi(irqs, &vector->gsi);
		if (result < 0) {
			eventfd_pool_give(eventfds, vector->eventfd);
			goto free_msix;
		}
	}
	*msix = new_msix;
	return 0;

free_msix:
	msix_free(new_msix);
	return result;
}

static bool msix_wants_open(const struct msix *msix, unsigned vector)
{
	return msix->master && (msix->control & (PCI_MSIX_ENABLE | PCI_MSIX_MASKALL)) == PCI_MSIX_ENABLE &&
	       (msix->table[vector].control & PCI_MSIX_ENTRY_MASKED) == 0;
}

/* Brings KVM in line with the table. The lock is held. */
static void msix_update(struct msix *msix, unsigned index)
{
	struct msix_vector *vector = &msix->vectors[index];
	const struct msix_entry *entry = &msix->table[index];
	bool open = msix_wants_open(msix, index);
	int result = 0;

	if (!open && vector->open) {
		/* Only the irqfd goes; the route may stay, for the next unmasking mostly brings the same
		 * message. */
		irq_router_deassign(msix->irqs, vector->eventfd, vector->gsi);
		vector->open = false;
		return;
	}
	if (!open)
		return;
	result = irq_router_set_msi(msix->irqs, vector->gsi,
				    (uint64_t)entry->address_high << 32 | entry->address_low, entry->data);
	if (result == 0 && !vector->open) {
		result = irq_router_assign(msix->irqs, vector->eventfd, vector->gsi);
		vector->open = result == 0;
	}
	if (result < 0)
		log_warning("MSI-X vector %u cannot be opened: %s", index, strerror(-result));
}

static void msix_close_all(struct msix *msix)
{
	for (unsigned i = 0; i < msix->count; i++) {
		msix->table[i] = (struct msix_entry){.control = PCI_MSIX_ENTRY_MASKED};
		msix_update(msix, i);
		irq_router_clear_msi(msix->irqs, msix->vectors[i].gsi);
		(void)eventfd_drain(msix->vectors[i].eventfd);
	}
}

void msix_free(struct msix *msix)
{
	if (msix == NULL)
		return;
	if (msix->table != NULL)
		msix_close_all(msix);
	for (unsigned i = 0; i < msix->count; i++) {
		irq_router_release_msi(msix->irqs, msix->vectors[i].gsi);
		eventfd_pool_give(msix->eventfds, msix->vectors[i].eventfd);
	}
	free(msix->table);
	pthread_mutex_destroy(&msix->lock);
	free(msix);
}

void msix_control(struct msix *msix, uint16_t control)
{
	pthread_mutex_lock(&msix->lock);
	if (control != msix->control) {
		msix->control = control;
		for (unsigned i = 0; i < msix->count; i++)
			msix_update(msix, i);
	}
	pthread_mutex_unlock(&msix->lock);
}

void msix_set_master(struct msix *msix, bool master)
{
	pthread_mutex_lock(&msix->lock);
	if (master != msix->master) {
		msix->master = master;
		for (unsigned i = 0; i < msix->count; i++)
			msix_update(msix, i);
	}
	pthread_mutex_unlock(&msix->lock);
}

/* Whether [offset, +size) is an access that 6.8.2 allows: one dword, or two, aligned, inside the table. */
static bool msix_table_inside(const struct msix *msix, uint64_t offset, unsigned size)
{
	return (size == 4 || size == 8) && offset % size == 0 &&
	       offset + size <= msix->count * PCI_MSIX_ENTRY_SIZE;
}

void msix_table_read(struct msix *msix, uint64_t offset, void *data, unsigned size)
{
	memset(data, 0xff, size);
	if (!msix_table_inside(msix, offset, size))
		return;
	pthread_mutex_lock(&msix->lock);
	memcpy(data, (uint8_t *)msix->table + offset, size);
	pthread_mutex_unlock(&msix->lock);
}

void msix_table_write(struct msix *msix, uint64_t offset, const void *data, unsigned size)
{
	unsigned index = (unsigned)(offset / PCI_MSIX_ENTRY_SIZE);

	if (!msix_table_inside(msix, offset, size))
		return;
	pthread_mutex_lock(&msix->lock);
	memcpy((uint8_t *)msix->table + offset, data, size);
	/* The other bits of the control word are reserved. */
	msix->table[index].control &= PCI_MSIX_ENTRY_MASKED;
	msix_update(msix, index);
	pthread_mutex_unlock(&msix->lock);
}

/* Whether signals wait in the eventfd of a closed vector. */
static bool msix_pending(const struct msix *msix, unsigned vector)
{
	struct pollfd poll_fd = {.fd = msix->vectors[vector].eventfd, .events = POLLIN};

	return !msix->vectors[vector].open && poll(&poll_fd, 1, 0) == 1;
}

void msix_pba_read(struct msix *msix, uint64_t offset, void *data, unsigned size)
{
	uint8_t *bytes = data;

	pthread_mutex_lock(&msix->lock);
	for (unsigned i = 0; i < size; i++) {
		uint64_t first = (offset + i) * 8;

		bytes[i] = 0;
		for (unsigned bit = 0; bit < 8 && first + bit < msix->count; bit++)
			bytes[i] |= (uint8_t)(msix_pending(msix, (unsigned)first + bit) << bit);
	}
	pthread_mutex_unlock(&msix->lock);
}

unsigned msix_vectors(const struct msix *msix)
{
	return msix->count;
}

int msix_eventfd(const struct msix *msix, unsigned vector)
{
	return vector < msix->count ? msix->vectors[vector].eventfd : -1;
}

void msix_raise(struct msix *msix, unsigned vector)
{
	if (vector < msix->count)
		eventfd_raise(msix->vectors[vector].eventfd);
}
