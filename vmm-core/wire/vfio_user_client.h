/*
 * The client half of vfio-user: the core's side of one register wire.
 *
 * vCPU threads access regions directly: a read is one message out and one in, a write is mostly posted (sent
 * without waiting for a reply). The socket keeps order, so a read sees what the writes before it did. Accesses
 * of several vCPUs to one device take turns at a lock of that device.
 *
 * A reply that does not fit its request, or does not come within CLIENT_TIMEOUT_MS, ends the wire: every
 * access from then on fails at once. Whoever shuts the socket down ends each wait at once. To go on with
 * another process, make another client; nothing but the socket is lost.
 *
 * Source: QEMU docs/interop/vfio-user.rst.
 */
#ifndef ATOLL_VMM_CORE_WIRE_VFIO_USER_CLIENT_H
#define ATOLL_VMM_CORE_WIRE_VFIO_USER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_TIMEOUT_MS 10000

struct vfio_user_client;

/* Negotiates the version and asks what the device is. socket_fd becomes the client's on success. 0 or -errno.
 */
int vfio_user_client_new(int socket_fd, struct vfio_user_client **client);
void vfio_user_client_free(struct vfio_user_client *client);

/* Size of a region in bytes, 0 if there is none; interrupt indices of the device. Main thread, before
 * accesses. */
int vfio_user_client_region_size(struct vfio_user_client *client, uint32_t region, uint64_t *size);
uint32_t vfio_user_client_irqs(const struct vfio_user_client *client);
/* Gives the device an eventfd (borrowed) to signal an interrupt index with. */
int vfio_user_client_set_irq(struct vfio_user_client *client, uint32_t index, int eventfd);

/*
 * Any thread. count is 1 to 8. id is the message's: an access that is issued again to another process carries
 * the one that it had. 0 or -errno; data is untouched on failure. A write is posted, unless it is to be
 * confirmed: then it returns when the device has done it.
 */
int vfio_user_client_read(struct vfio_user_client *client, uint16_t id, uint32_t region, uint64_t offset,
			  void *data, uint32_t count);
int vfio_user_client_write(struct vfio_user_client *client, uint16_t id, bool confirm, uint32_t region,
			   uint64_t offset, const void *data, uint32_t count);

#endif
