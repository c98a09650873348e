/*
 * What the machine itself needs of the host: KVM, memory, what it boots.
 */
#ifndef ATOLL_SUPERVISOR_HOST_OPENING_MACHINE_H
#define ATOLL_SUPERVISOR_HOST_OPENING_MACHINE_H

#include "supervisor/host/opening.h"

/* Each sets descriptors, or adds to the problems. *initrd_fd stays as it is if there is none. */
void opening_open_kvm(struct opening *opening, int *kvm_fd);
void opening_open_boot(struct opening *opening, int *kernel_fd, int *initrd_fd);
/* Whether the host could ever have what the guest may use. */
void opening_check_memory(struct opening *opening);

#endif
