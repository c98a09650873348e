/*
 * Interrupts into the in-kernel irqchip: the GSI routing table, MSI routes in it, and irqfds.
 *
 * GSIs below LAYOUT_GSI_IOAPIC_PINS are PIC and IOAPIC pins; from LAYOUT_GSI_MSI_FIRST on each allocated GSI
 * is one MSI. All functions may be called from any thread (vCPUs write MSI-X tables); they are serialised
 * inside.
 */
#ifndef ATOLL_VMM_CORE_MACHINE_IRQ_ROUTER_H
#define ATOLL_VMM_CORE_MACHINE_IRQ_ROUTER_H

#include <stdint.h>

struct irq_router;

/* vm_fd is borrowed and has its in-kernel irqchip. Installs the default pin routes. 0 or -errno. */
int irq_router_new(int vm_fd, struct irq_router **router);
void irq_router_free(struct irq_router *router);

/* A GSI for one MSI; no route yet. -ENOSPC when KVM's table is full. */
int irq_router_allocate_msi(struct irq_router *router, uint32_t *gsi);
void irq_router_release_msi(struct irq_router *router, uint32_t gsi);
/* Points the GSI at an MSI message; takes effect before return. */
int irq_router_set_msi(struct irq_router *router, uint32_t gsi, uint64_t address, uint32_t data);
/* Removes the message (a masked vector): signals are not delivered until the next set. */
int irq_router_clear_msi(struct irq_router *router, uint32_t gsi);

/* Makes eventfd raise gsi without us (KVM_IRQFD), or no longer. */
int irq_router_assign(struct irq_router *router, int eventfd, uint32_t gsi);
int irq_router_deassign(struct irq_router *router, int eventfd, uint32_t gsi);

/* Raises an edge on a pin or an MSI now. */
int irq_router_pulse(struct irq_router *router, uint32_t gsi);

#endif
