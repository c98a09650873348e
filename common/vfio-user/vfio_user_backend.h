/*
 * The back-end half ("server") of vfio-user: registers of one device on a connected socket.
 *
 * A device that is no PCI function (a UART) presents itself as VFIO_DEVICE_FLAGS_PLATFORM with its register
 * block as region 0 and its line as interrupt index 0; a PCI device presents VFIO_PCI's regions and
 * interrupts. DMA regions are mapped when the device wants them and otherwise accepted and forgotten.
 *
 * All callbacks run in the session's thread and must not block: a vCPU waits for the reply.
 *
 * Source: QEMU docs/interop/vfio-user.rst, version 0.9.1 of the protocol.
 */
#ifndef ATOLL_COMMON_VFIO_USER_VFIO_USER_BACKEND_H
#define ATOLL_COMMON_VFIO_USER_VFIO_USER_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/spec/vfio_user_spec.h"

#define VFIO_USER_REGIONS_MAX 9
#define VFIO_USER_IRQS_MAX    5
/* The largest REGION_READ or REGION_WRITE payload that we serve: a register access, not a copy. */
#define VFIO_USER_ACCESS_MAX 4096

struct vfio_user_backend;

struct vfio_user_region {
	uint64_t size;	/* bytes; 0: the region does not exist */
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_READ | _WRITE */
};

struct vfio_user_device_ops {
	uint32_t device_flags; /* VFIO_DEVICE_FLAGS_PLATFORM or _PCI, with _RESET when reset() is there */
	uint32_t region_count;
	struct vfio_user_region regions[VFIO_USER_REGIONS_MAX];
	uint32_t irq_count; /* interrupt indices, each of one line */

	/* The access is inside the region; count is 1 .. VFIO_USER_ACCESS_MAX. 0 or -errno, sent as the
	 * reply's. */
	int (*region_read)(void *device, uint32_t region, uint64_t offset, void *data, uint32_t count);
	int (*region_write)(void *device, uint32_t region, uint64_t offset, const void *data, uint32_t count);
	/* The eventfd of an interrupt index came, or went (-1). It stays the session's. May be NULL. */
	void (*set_irq)(void *device, uint32_t index, int eventfd);
	void (*reset)(void *device);
	/* The session is over: end of file (error 0) or -errno. The callee calls vfio_user_backend_free(). */
	void (*session_end)(void *device, int error);
};

/* socket_fd becomes the session's on success; ops stays the caller's. Returns 0 or -errno. */
int vfio_user_backend_new(struct loop *loop, int socket_fd, const struct vfio_user_device_ops *ops,
			  void *device, struct vfio_user_backend **backend);
/* Serves what the client has sent so far, before the session is freed: posted writes are not lost. */
void vfio_user_backend_drain(struct vfio_user_backend *backend);
/* Closes the socket and the eventfds. Allowed from session_end(); NULL is allowed. */
void vfio_user_backend_free(struct vfio_user_backend *backend);

/* Inside of a callback: the id of the message that caused it. The client chooses it. */
uint16_t vfio_user_backend_message_id(const struct vfio_user_backend *backend);

/* Signals an interrupt index: one write to its eventfd, if the client gave one. (The session makes it
 * non-blocking.) */
void vfio_user_backend_interrupt(struct vfio_user_backend *backend, uint32_t index);

#endif
