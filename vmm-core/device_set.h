/*
 * The devices of the VM, seen from the core: each is a wire to a process, and what the guest sees of it.
 *
 * A virtio device is a PCI function (virtio_pci.c) over a vhost-user front end; a serial port is a claimed
 * range of ports and a GSI over a vfio-user client. Main thread, unless said otherwise.
 */
#ifndef ATOLL_VMM_CORE_DEVICE_SET_H
#define ATOLL_VMM_CORE_DEVICE_SET_H

#include <stdint.h>

#include "proto/control.pb-c.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/wire/device_link.h"

struct device_set;

int device_set_new(struct core *core, struct device_set **set);

/*
 * Takes one device: wire_fd becomes the set's. Does the whole handshake of its wire (each answer within 10 s)
 * and puts the device into the machine. 0 or -errno after having logged which device and why. A device that
 * breaks its protocol later, or goes away, is lost until a successor comes (device_link.h).
 */
int device_set_attach(struct device_set *set, const Atoll__Control__AttachDevice *device, int wire_fd);

/*
 * All are attached that are attached before the core seals itself: makes what SPARE_DEVICES others need that are attached later, or
 * more, when some are detached. From now on nothing is made that a sealed process cannot make. For each there is a thread
 * that sleeps, with its timer and eventfd, an inflight region that nobody has touched, and eventfds for a few queues: some
 * 40 KiB, of which most are the kernel's part of the thread. 0 or -errno (logged).
 */
int device_set_stock(struct device_set *set);

/* Nothing else makes a thread: the attendants put on the filter (NULL: none) and begin. 0 or -errno (logged). */
int device_set_release(struct device_set *set, const struct seccomp_filter *attendant_filter);

/*
 * While the VM runs. A successor for the device of that id, with the serial of the message; wire_fd becomes the
 * set's. What came of it is reported. And: no successor will come. -ENOENT when there is no such device.
 */
int device_set_replace(struct device_set *set, const Atoll__Control__AttachDevice *device, uint64_t serial,
		       int wire_fd);
int device_set_fail(struct device_set *set, const char *id);

/*
 * While the VM runs: puts a new device in, or takes one out. wire_fd becomes the set's; -1: none came. What came of it is
 * an answer with the serial of the message, at once or when the device is there or gone; nothing is harmed by a message that is wrong.
 */
void device_set_add(struct device_set *set, const Atoll__Control__AttachDevice *device,
		    uint64_t serial_number, int wire_fd);
void device_set_remove(struct device_set *set, const char *id, uint64_t serial_number);

/* Passes answers on until that fails: -EAGAIN is returned then, and it is tried again with the next call. error: "", or why
 * not. */
typedef int (*device_answer_fn)(void *argument, uint64_t serial_number, const char *id, const char *error);
int device_set_answer(struct device_set *set, device_answer_fn tell, void *argument);

/* The loop was woken: does what other threads left to be done. */
void device_set_attend(struct device_set *set);

/* Passes on what the supervisor is to be told, until that fails: -EAGAIN is returned then, and it is tried
 * again with the next call. */
typedef int (*device_report_fn)(void *argument, const char *id, const struct device_report *report);
int device_set_report(struct device_set *set, device_report_fn tell, void *argument);

/* The vCPUs are being stopped: every access that waits for a device returns with ones. The main thread. */
void device_set_cancel(struct device_set *set);

/* The vCPUs have stopped: the virtio queues are stopped in order (GET_VRING_BASE), so that what devices
 * accepted is finished. Bounded: 5 s for all. */
void device_set_quiesce(struct device_set *set);

void device_set_free(struct device_set *set);

/* Serial ports that the guest's firmware tables must describe: fills ports[0..*count) with base port and GSI.
 */
struct serial_port {
	uint16_t port;
	uint32_t gsi;
};
void device_set_serial_ports(const struct device_set *set, struct serial_port *ports, unsigned *count);

/* Counters of the PCI side, added up over the devices, and those of each link. */
void device_set_counters(const struct device_set *set,
			 void (*each)(void *argument, const char *name, uint64_t value), void *argument);

#endif
