/*
 * A virtio-pci device from the inside: what virtio_pci.c (the PCI function and the device's life),
 * virtio_pci_common.c (status, features, queues) and virtio_pci_backend.c (its process, and the next one)
 * share. For these files.
 */
#ifndef ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_DEVICE_H
#define ATOLL_VMM_CORE_VIRTIO_VIRTIO_PCI_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/roles/device_type.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/pci/msix.h"
#include "vmm-core/pci/pci.h"
#include "vmm-core/virtio/virtio_pci_limits.h"
#include "vmm-core/wire/backend.h"
#include "vmm-core/wire/device_link.h"
#include "vmm-core/wire/inflight_memory.h"

struct virtio_pci_queue {
	uint16_t size;
	uint16_t vector;
	bool enabled; /* by the driver */
	bool started; /* at a back end; where it is used up to is in the ring then */
	bool halted;  /* it is to be started at `base` when the function may be a bus master */
	uint16_t base;
	uint64_t descriptors;
	uint64_t available;
	uint64_t used;
	int kick_fd;
};

/* A write to the device's configuration that a back end took, and its successor shall take. */
struct virtio_pci_config_write {
	uint32_t offset;
	uint32_t size;
	uint8_t data[8];
};
#define VIRTIO_PCI_CONFIG_WRITES_MAX 16

/* A process that was made ready, while vCPUs still wait for one. The attendant's until it is adopted. */
struct virtio_pci_successor {
	struct backend *backend;
	bool undertaker;
	uint64_t offered;
	uint8_t config[BACKEND_CONFIG_MAX];
};

struct virtio_pci {
	struct core *core;
	char *id;
	const struct device_type *type;
	const struct backend_ops *backend_ops;
	unsigned queues_wanted; /* 0: as the back end says */
	bool is_new;		/* it is not in the machine yet, and its back end is the successor of none */
	struct device_link link;
	struct virtio_pci_successor successor;
	struct pci_function function;
	unsigned pci_cfg; /* offset of the configuration access capability */
	struct msix *msix;
	_Atomic bool config_stale; /* the back end's configuration changed; see virtio_device_unlock() */
	int error_fd;		   /* back ends signal it when they give a ring up, whichever; or -1 */
	struct loop_watch *error_watch;
	_Atomic bool ring_broken; /* one did; see virtio_device_unlock() */
	uint64_t notify_address;  /* where the ioeventfds are; 0: nowhere. Under the function's lock. */

	/* Of all below. The main thread takes it when nobody talks to the back end, or has been stopped. */
	pthread_mutex_t lock;
	struct backend *backend; /* NULL: none; to be used while the link serves */
	const char *doing;	 /* what failed */
	struct inflight_memory inflight;
	bool master;  /* the function may reach memory, and send interrupts */
	bool touched; /* the back end was told something since the driver's last reset */
	unsigned config_write_count;
	struct virtio_pci_config_write config_writes[VIRTIO_PCI_CONFIG_WRITES_MAX];
	uint64_t offered;
	uint64_t driver_features;
	uint32_t device_feature_select;
	uint32_t driver_feature_select;
	uint8_t status;
	bool undertaker; /* the back end is one: the configuration is our copy */
	uint8_t config_generation;
	bool bad_queue_told; /* in the log; a guest is not to fill it */
	uint8_t isr;
	uint16_t config_vector;
	uint16_t queue_select;
	uint32_t config_size;
	uint8_t config[BACKEND_CONFIG_MAX];

	unsigned queue_count;
	struct virtio_pci_queue queues[VIRTIO_PCI_QUEUES_MAX];

	_Atomic uint64_t notify_exits;
	_Atomic uint64_t status_writes;
	_Atomic uint64_t config_accesses;
};

/*
 * All with the device's lock held, from any thread, unless said otherwise.
 *
 * Functions that need the back end return 0, -ENOTCONN when there is none at this moment, or what the back
 * end says, with device->doing set. They change nothing that a second call would not do again: an access is
 * issued again to the successor. When the link has failed they do without a back end, and return 0.
 */

/* --- virtio_pci.c --- */

/* Main thread, without the lock: a new device's back end was greeted. Puts the device into the machine, or lets it
 * leave. */
void virtio_pci_join(struct virtio_pci *device);

/* --- virtio_pci_common.c --- */

/* Accesses to the common configuration; [offset, +size) lies inside struct virtio_pci_common_cfg. */
void virtio_common_read(struct virtio_pci *device, uint64_t offset, void *data, unsigned size);
int virtio_common_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size);

/* Whether the driver runs the device. */
bool virtio_driver_ok(const struct virtio_pci *device);
/* Tells the driver that its configuration, or its status, changed. */
void virtio_config_tell(struct virtio_pci *device);
/* Stops what runs; returns when the back end touches no ring any more. */
int virtio_rings_stop(struct virtio_pci *device);
/* The same, on the attendant, of a device that leaves while its process serves. */
int virtio_rings_leave(struct virtio_pci *device);
/* The driver lets the function be a bus master, or no longer: rings go on where they were, or are halted. */
int virtio_master_set(struct virtio_pci *device, bool master);
/* Another word of the driver's status to a back end, DRIVER_OK when the rings are started. */
int virtio_backend_started(struct backend *backend, const char **doing);
/* Tell a back end what the driver set up. They read what does not change while the link is lost, and need no
 * lock then; `queue` is the device's or a copy. */
int virtio_backend_set_up(const struct virtio_pci *device, struct backend *backend, const char **doing);
int virtio_ring_start(const struct virtio_pci *device, struct backend *backend, uint16_t index,
		      const struct virtio_pci_queue *queue);

/* --- virtio_pci_backend.c --- */

extern const struct device_link_ops virtio_link_ops;
extern const struct backend_notices virtio_backend_notices;

/* What a back end offers to the driver, and how many queues that makes. */
uint64_t virtio_features_offered(const struct virtio_pci *device, const struct backend *backend);
unsigned virtio_queues_offered(const struct virtio_pci *device, const struct backend *backend,
			       unsigned wanted);

/* An access failed with `result`: waits for a successor, with the lock let go of. Whether to try again. */
bool virtio_device_recover(struct virtio_pci *device, int result);

/* Brings the core's copy of the configuration up to date. */
int virtio_config_fetch(struct virtio_pci *device);
int virtio_config_write(struct virtio_pci *device, uint64_t offset, const void *data, unsigned size);
/* Main thread: hears of rings that the back end gives up. 0 or -errno. */
int virtio_errors_watch(struct virtio_pci *device);

/* Lets go of the device, and sees to a notice that came meanwhile. */
void virtio_device_unlock(struct virtio_pci *device);

#endif
