/*
 * MSI-X of one function: its table and pending bits, in the core, and for each vector an eventfd that KVM
 * turns into the message (irqfd) while the vector is open.
 *
 * An interrupt is never lost. While a vector is masked its eventfd is taken from KVM, so that signals gather
 * in its count; reading the pending bits looks at the count, and unmasking gives it back to KVM, which
 * delivers a waiting count at once.
 *
 * Any thread; serialised inside.
 *
 * Source: PCI Local Bus 3.0, 6.8.2.
 */
#ifndef ATOLL_VMM_CORE_PCI_MSIX_H
#define ATOLL_VMM_CORE_PCI_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm-core/machine/eventfd_pool.h"
#include "vmm-core/machine/irq_router.h"

#define MSIX_VECTORS_MAX 256

struct msix;

/* Makes the vectors with an eventfd each, all masked; the function may not send messages yet. eventfds: where these are
 * from (eventfd_pool.h); it outlives the msix. 0 or -errno. Main thread. */
int msix_new(struct irq_router *irqs, struct eventfd_pool *eventfds, unsigned vectors, struct msix **msix);
/* Nobody has anything to do with it any more. Main thread. */
void msix_free(struct msix *msix);

/* The capability's message control word was written. */
void msix_control(struct msix *msix, uint16_t control);
/* The function may send messages, being a bus master, or not: as if it were masked as a whole. */
void msix_set_master(struct msix *msix, bool master);

/* Accesses to the table and to the pending bits; offsets from their starts. */
void msix_table_read(struct msix *msix, uint64_t offset, void *data, unsigned size);
void msix_table_write(struct msix *msix, uint64_t offset, const void *data, unsigned size);
void msix_pba_read(struct msix *msix, uint64_t offset, void *data, unsigned size);

unsigned msix_vectors(const struct msix *msix);
/* The eventfd that raises a vector; the msix's. -1 for a vector that does not exist. */
int msix_eventfd(const struct msix *msix, unsigned vector);
/* Raises a vector now. */
void msix_raise(struct msix *msix, unsigned vector);

#endif
